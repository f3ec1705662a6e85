"""Inference gaps in closed form: a linear model's guide is off by a known amount, and a diagonal family by another."""

import math
from typing import Any

import pyro
import pytest
import torch
from pyro.distributions import MultivariateNormal
from small_models import Linear, bent, build, linear, linear_vae
from torch import Tensor, nn
from torch.distributions import kl_divergence

from pyrovae import VAE, Dataset, Flat, FullCovarianceNormal, Gaussian, Point, Split, StandardNormal
from pyrovae.evaluation.annealing import Path, spaced
from pyrovae.evaluation.gaps import Gaps, best_outputs, gaps, inference_gaps, log_weights_of_both, tqdm, with_outputs
from pyrovae.evaluation.judged import Judged, NotApplicable
from pyrovae.posteriors import POSTERIORS

SHORT = Path(spaced(5), torch.full((4,), 0.3), 1, 2)  # far too low to be the best estimate


def found_of(vae: VAE, x: Tensor, seed: int = 0, **sizes: Any) -> Gaps:
    torch.manual_seed(seed)
    return inference_gaps(vae, x, path=SHORT, **sizes)


def oblique(posterior: type[nn.Module], n: int = 40) -> tuple[VAE, Tensor, Tensor, Tensor, float]:
    """Builds a linear VAE whose exact posterior is correlated.

    Returns:
        VAE, data, log p(x), the gap of the encoder, and that of the best diagonal normal. This one has the variances
        1 / diag(precision), so that KL = (sum log diag(precision) - log det precision) / 2.
    """
    base = linear_vae(n=1, noise=0.7).vae
    vae = VAE(base.prior, base.likelihood, posterior(linear, 2, (6,)).double())
    layer = vae.likelihood.decoder.layers[0]
    with torch.no_grad():
        layer.weight.copy_(layer.weight @ torch.tensor([[0.5, 0.4], [0.0, 0.9]], dtype=torch.double))
        w, b, s = layer.weight, layer.bias, vae.likelihood(torch.zeros(2, dtype=torch.double)).stddev[0]
        x = vae.sample(n, mean=False)
        precision = w.T @ w / s**2 + torch.eye(2, dtype=torch.double)
        exact = MultivariateNormal((x - b) @ w @ precision.inverse() / s**2, precision_matrix=precision)
        q = vae.posterior(x)
        gap = kl_divergence(MultivariateNormal(q.mean, q.variance.diag_embed()), exact)
        log_p = MultivariateNormal(b, w @ w.T + s**2 * torch.eye(6, dtype=torch.double)).log_prob(x)
    return vae, x, log_p, gap, 0.5 * (precision.diagonal().log().sum() - precision.logdet()).item()


def test_where_the_family_holds_the_posterior_all_of_the_gap_is_the_encoders() -> None:
    """Mutations: the other difference is called amortisation; ELBO of another beta; the outputs are not optimised."""
    model = linear_vae(n=40, shift=0.5, widen=1.5)
    found = found_of(model.vae, model.x, steps=200, draws=1000)
    expected = model.gap.mean().item()
    assert expected > 1
    assert abs(found.amortisation.mean - expected) < 4 * found.amortisation.standard_error + 0.01
    assert found.amortisation.standard_error < 0.05, "the error is not what makes it pass"
    assert abs(found.approximation.mean) < 4 * found.approximation.standard_error + 0.01
    assert (found.optimised - model.log_p).abs().mean() < 0.01
    assert abs((found.log_prob - model.log_p).mean()) < 0.05


def test_a_diagonal_family_loses_what_its_closed_form_says() -> None:
    """Mutations: the guide's gap as approximation; q* after few steps; log p(x) from the annealing, however low."""
    vae, x, log_p, gap, approximation = oblique(POSTERIORS["diagonal-normal"])
    found = found_of(vae, x, steps=300, draws=2000)
    assert 0.1 < approximation < gap.mean() / 3
    assert abs(found.approximation.mean - approximation) < 4 * found.approximation.standard_error + 0.01
    assert found.approximation.standard_error < 0.01
    # Log weights of a bad encoder are wide, and their error is one over draws: that of this one belongs to each datum.
    rest = found.optimised - found.amortised - (gap - approximation)
    assert abs(rest.mean()) < 4 * rest.std() / math.sqrt(len(x)) + 0.01
    assert (found.log_prob - log_p).abs().max() < 0.1


def test_a_full_covariance_loses_nothing() -> None:
    """Mutation: loc and scale are optimised and the rest of the outputs is not."""
    vae, x, log_p, _, approximation = oblique(FullCovarianceNormal, n=20)
    found = found_of(vae, x, steps=300, draws=500)
    assert approximation > 0.1
    assert abs(found.approximation.mean) < 4 * found.approximation.standard_error + 0.01
    assert (found.optimised - log_p).abs().median() < 0.01


def test_the_best_is_not_judged_by_the_draws_it_was_fitted_to() -> None:
    """Four draws, to which four numbers per datum would fit far too well.

    Mutation: the noise of the judgement in each step of the optimiser.
    """
    vae, x, log_p, _, approximation = oblique(POSTERIORS["diagonal-normal"], n=200)
    found = found_of(vae, x, steps=150, particles=4, draws=4)
    lost = log_p - found.optimised
    error = (lost.std() / math.sqrt(len(x))).item()
    assert error < 0.1
    assert abs(lost.mean() - approximation) < 4 * error


@pytest.mark.parametrize("name", sorted(set(POSTERIORS) - {"point"}))
def test_outputs_that_stay_are_the_encoder_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutations: other noise for q*; labels are not read, or missing values not filled."""
    monkeypatch.setattr("pyrovae.evaluation.gaps.RATE", 0.0)
    torch.manual_seed(0)
    vae = VAE(StandardNormal(2), Gaussian(bent, 2, (4,), 3), POSTERIORS[name](bent, 2, (4,), 3), missing=True).double()
    x = torch.randn(5, 4, dtype=torch.double)
    x[0, 1] = torch.nan
    own, best = log_weights_of_both(vae, (x, torch.arange(5) % 3), 1, 2, 30, tqdm(disable=True))
    assert own.shape == (30, 5)
    assert own.std() > 0
    assert torch.equal(own, best)


def test_the_twin_says_what_it_is_told_and_shares_the_rest() -> None:
    vae = linear_vae(n=3).vae
    told = torch.randn(3, 4, dtype=torch.double)
    twin = with_outputs(vae, told)
    x = torch.zeros(3, 6, dtype=torch.double)
    assert torch.equal(twin.embed(x), told[:, :2])
    assert not torch.equal(vae.embed(x), told[:, :2])
    assert twin.likelihood is vae.likelihood
    assert twin.prior is vae.prior


def test_chunks_of_data_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutations: the first chunk's outputs for all; the outputs are a parameter, which Pyro's store would replace."""
    for module in ("annealing", "gaps"):
        monkeypatch.setattr(f"pyrovae.evaluation.{module}.ROWS", 1)
    model = linear_vae(n=3, shift=0.5)
    found = found_of(model.vae, model.x, steps=150, draws=20)
    assert (found.optimised - model.log_p).abs().max() < 0.1


def test_the_estimator_is_chosen_by_its_mean_and_errors_are_of_differences() -> None:
    """Mutations: the largest per datum; the smallest; the error of one of the means; min for max."""
    optimised, amortised = torch.tensor([-1.0, 1.0, 3.0]).double(), torch.tensor([-2.0, 0.0, 1.0]).double()
    estimates = {"a": torch.tensor([9.0, 2.0, 1.0]).double(), "b": torch.tensor([0.0, 4.0, 9.0]).double()}
    found = Gaps(amortised, optimised, estimates)
    assert found.estimator == "b"
    assert found.approximation == pytest.approx(((1 + 3 + 6) / 3, math.sqrt((19 / 3) / 3)))
    assert found.amortisation == pytest.approx((4 / 3, 1 / 3))
    assert found.inference.mean == pytest.approx(found.approximation.mean + found.amortisation.mean)


def test_nothing_is_trained() -> None:
    """Mutation: ``backward`` instead of the gradient by the outputs alone."""
    model = linear_vae(n=3)
    before = {name: value.clone() for name, value in model.vae.state_dict().items()}
    held = dict(pyro.get_param_store())
    found_of(model.vae, model.x, steps=2, draws=2)
    assert all(torch.equal(value, before[name]) for name, value in model.vae.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.vae.parameters())
    assert dict(pyro.get_param_store()) == held
    assert model.vae.training
    assert not best_outputs(model.vae, (model.x,), steps=1, particles=1, bar=tqdm(disable=True)).requires_grad


def judged(model: Linear) -> Judged:
    splits = [Split(part.float()) for part in model.x.split(20)]
    return Judged(model.vae.float(), Dataset("toy", *splits, "real"))


def test_the_section_judges_both_splits() -> None:
    """Mutations: test data twice; more data than asked for; errors of both splits are not added."""
    model = linear_vae(n=60, shift=0.5)
    found = gaps(judged(model), optimised=10, steps=100, draws=200, temperatures=10, chains=2)
    for name, first in (("training", 0), ("test", 40)):
        part, truth = found.numbers[name], model.log_p[first : first + 10]
        assert part["data"] == 10
        assert abs(part["log_prob"]["iw200 from q*"]["mean"] - truth.mean()) < 0.02
        assert abs(part["inference"] - model.gap.mean()) < 4 * part["inference_standard_error"] + 0.02
    errors = [found.numbers[name]["amortisation_standard_error"] for name in ("training", "test")]
    assert f"± {math.hypot(*errors):.2f} nats more on test" in found.sentences[2]
    assert len(found.sentences) == 3
    assert set(found.figures) == {"stacked"}


def test_a_flow_keeps_its_weights_and_it_is_said() -> None:
    model = linear_vae(n=60)
    vae = VAE(model.vae.prior, model.vae.likelihood, build(POSTERIORS["iaf"], event_shape=(6,)))
    found = gaps(judged(model._replace(vae=vae)), optimised=2, steps=1, draws=2, temperatures=2, chains=1)
    assert "best of a part of the family" in found.sentences[-1]


def test_what_has_no_gaps_is_told_why() -> None:
    data, parts = judged(linear_vae(n=60)), (StandardNormal(2), Gaussian(linear, 2, (6,)))
    strange = build(POSTERIORS["diagonal-normal"], event_shape=(6,))
    strange.net = strange._modules.pop("encoder")
    for vae, why in (
        (VAE(Flat(2), parts[1], Point(linear, 2, (6,))), "point"),
        (VAE(Flat(2), parts[1], build(POSTERIORS["laplace"], event_shape=(6,))), "flat"),
        (VAE(*parts, strange), "no module 'encoder'"),
    ):
        with pytest.raises(NotApplicable, match=why):
            gaps(Judged(vae, data.dataset))


def test_the_exact_guide_has_no_gap_whatever_the_noise() -> None:
    """The weights of an exact posterior are all p(x)."""
    model = linear_vae(n=5)
    found = found_of(model.vae, model.x, steps=1, draws=2)
    assert (found.amortised - model.log_p).abs().max() < 1e-9
