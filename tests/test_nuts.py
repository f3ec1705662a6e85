"""NUTS beside the guide: exact posteriors are found, guides that are off by a known amount are found to be."""

import math
from functools import cache

import pyro
import pytest
import torch
from arviz_stats.base import array_stats
from small_models import build, curved_vae, linear, linear_vae
from torch import Tensor
from torch.distributions import Normal

from pyrovae import VAE, Dataset, Flat, Gaussian, GaussianMixture, Point, Split
from pyrovae.evaluation.judged import Judged, NotApplicable
from pyrovae.evaluation.nuts import Chains, compared, guide_draws, nuts, nuts_draws, said, sample, summaries
from pyrovae.posteriors import POSTERIORS

LINEAR = linear_vae(n=2)


@cache
def sampled() -> Tensor:
    """Returns draws for the first datum of the linear VAE, whose posterior is the one that its encoder gives."""
    torch.manual_seed(0)
    return sample(LINEAR.vae, LINEAR.x[:1], None, chains=3, warmup=60, draws=250).z


def misses(draws: Tensor, mean: Tensor, deviation: Tensor) -> tuple[float, float]:
    """Returns by how many standard errors, for autocorrelated draws, mean and deviation miss what is expected."""
    z, pooled = draws.numpy(), draws.flatten(0, 1)
    errors = [array_stats.mcse(z, chain_axis=0, draw_axis=1, method=method) for method in ("mean", "sd")]
    found = (pooled.mean(0) - mean, pooled.std(0) - deviation)
    shift, spread = (float((off.abs() / torch.from_numpy(e)).max()) for off, e in zip(found, errors, strict=True))
    return shift, spread


def test_draws_are_from_the_exact_posterior_and_from_no_other() -> None:
    """Mutations: x is not observed; another datum's x; the prior is left out or counted twice; chains of one seed."""
    exact = LINEAR.vae.posterior(LINEAR.x)
    mean, deviation = exact.mean.detach(), exact.stddev.detach()
    assert sampled().shape == (3, 250, 1, 2)
    assert max(misses(sampled(), mean[:1], deviation[:1])) < 4
    assert misses(sampled(), mean[1:], deviation[:1])[0] > 4, "another datum's posterior"
    precision = deviation[:1] ** -2
    for factor in (1 + 1 / precision, 1 - 1 / precision):  # without the prior: precision - 1; with it twice: + 1
        wrong = mean[:1] * factor
        assert misses(sampled(), wrong, deviation[:1])[0] > 4, "a prior too few or too many"
    assert not torch.equal(sampled()[0], sampled()[1])


@pytest.mark.parametrize(("shift", "widen"), [(0.0, 1.0), (0.3, 1.0), (0.0, 1.5), (0.0, 0.6)])
def test_the_guide_is_found_to_be_what_it_is(shift: float, widen: float) -> None:
    """Mutations: deviations of the guide as unit; the inverse ratio; intervals of NUTS."""
    torch.manual_seed(1)
    model = linear_vae(n=2, shift=shift, widen=widen)
    found = compared(sampled(), guide_draws(model.vae, model.x[:1], None))
    exact = LINEAR.vae.posterior(LINEAR.x[:1]).stddev.detach().numpy()
    assert (abs(found.difference - shift / exact) < 5 * found.noise).all()
    assert (found.noise < 0.1).all()
    assert (abs(found.ratio / widen - 1) < 5 / (2 * found.ess) ** 0.5).all()
    for share, inside in zip((0.5, 0.9), found.inside, strict=True):
        assert (abs(inside - held(share, shift / exact, widen)) < 5 * (0.25 / found.ess) ** 0.5).all()


def held(share: float, shift: Tensor, widen: float) -> Tensor:
    """Returns the share of N(0, 1) inside the central interval of N(shift, widen^2)."""
    normal, shift = Normal(0.0, 1.0), torch.as_tensor(shift)
    reach = widen * normal.icdf(torch.tensor((1 + share) / 2))
    return (normal.cdf(shift + reach) - normal.cdf(shift - reach)).numpy()


def test_numbers_of_independent_draws_stand_where_they_belong() -> None:
    """Mutations: chains and draws change places; R-hat over both; 50 and 90 % change places; the noise of one side."""
    torch.manual_seed(2)
    z, guide = torch.randn(4, 2000, 2, 3).double(), torch.randn(10_000, 2, 3).double()
    z[0, :, 1, 2] += 1.0
    guide[:, 0, 1] = 2 * guide[:, 0, 1] + 0.5
    found = compared(z, guide)
    assert (found.rhat > 1.01).nonzero() == ([1], [2])
    assert not found.agree
    assert found.worst == (0, 1)
    assert found.ess[0, 0] == pytest.approx(8000, rel=0.1)
    assert found.difference[0, 1] == pytest.approx(0.5, abs=0.1)
    assert found.noise[0, 1] == pytest.approx((1 / 8000 + 4 / 10_000) ** 0.5, rel=0.1)
    assert found.inside[:, 0, 1] == pytest.approx(
        [held(share, torch.tensor(0.5), 2.0).item() for share in (0.5, 0.9)], abs=0.03
    )
    sentences = said(Chains(z, 7), found)
    assert "7 divergences" in sentences[0]
    assert "do not agree, R-hat is above 1.01 for 1 of 6" in sentences[1]
    agreed = said(Chains(z[1:], 0), compared(z[1:], guide))
    assert not any("do not agree" in sentence for sentence in agreed)
    assert "datum 0, z1" in agreed[1]


def test_means_are_over_data_and_so_are_their_errors() -> None:
    """Mutations: an error over data and dimensions; of differences with their signs."""
    torch.manual_seed(3)
    z = torch.randn(2, 4000, 2, 2).double()
    guide = torch.randn(10_000, 2, 2).double() + torch.tensor([[1.0, -1.0], [3.0, -3.0]])
    off = summaries(compared(z, guide))["mean_difference"]
    assert off.mean == pytest.approx(2, abs=0.1)
    assert off.standard_error == pytest.approx(math.sqrt(2) / math.sqrt(2), abs=0.1)


def test_chains_and_data_keep_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutations: chains of a datum become data of a chain; divergences of the last chain."""
    runs = iter(range(6))

    def numbered(vae: VAE, batch: tuple[Tensor, ...], warmup: int, draws: int) -> Chains:
        return Chains(100 * batch[0][0, 0] + torch.arange(draws)[:, None] + torch.tensor([0.0, 0.5]), next(runs))

    monkeypatch.setattr("pyrovae.evaluation.nuts.chain", numbered)
    x = torch.arange(3.0).double()[:, None].expand(3, *LINEAR.vae.event_shape)
    found = sample(LINEAR.vae, x, None, chains=2, warmup=1, draws=4)
    chain, draw, datum, dimension = torch.meshgrid(*map(torch.arange, (2, 4, 3, 2)), indexing="ij")
    assert torch.equal(found.z, 0.0 * chain + draw + 100 * datum.double() + 0.5 * dimension)
    assert found.divergences == 15


def test_labels_choose_the_pool() -> None:
    """A prior with pools, against quadrature over its one latent dimension. Mutation: labels are not handed on."""
    vae, x = curved_vae(GaussianMixture, n=1, classes=3)
    with torch.no_grad():
        vae.prior.loc.copy_(torch.tensor([[-2.0], [0.0], [2.0]]).double())
    y = torch.tensor([2])
    torch.manual_seed(0)
    draws = nuts_draws(vae, x, y, chains=2, warmup=60, draws=200)[:, :, 0]
    z = torch.linspace(-12, 12, 4001, dtype=torch.double)[:, None]
    means = []
    for label in (y[0], None):
        with torch.no_grad():
            weights = (vae.prior(label).log_prob(z) + vae.likelihood(z).log_prob(x)).softmax(0)[:, None]
        mean = (weights * z).sum(0)
        means.append((mean, (weights * (z - mean) ** 2).sum(0).sqrt()))
    assert max(misses(draws, *means[0])) < 4
    assert misses(draws, *means[1])[0] > 4, "without labels it would be another posterior"


def judged(vae: VAE) -> Judged:
    splits = [Split(part.float()) for part in (LINEAR.x[:1] - 9, LINEAR.x[:1] + 9, LINEAR.x)]
    return Judged(vae, Dataset("toy", *splits, "real"))


def test_the_section_samples_test_data_and_says_over_how_many() -> None:
    """Mutations: training data; all of them; a divergence that is not counted."""
    found = nuts(judged(linear_vae(n=1).vae.float()), sampled=2, chains=2, warmup=15, draws=40)
    assert (found.numbers["data"], found.numbers["chains"], found.numbers["draws"]) == (2, 2, 40)
    assert abs(found.numbers["mean_difference"]) < 1, "of data elsewhere it would be many"
    assert len(found.numbers["by_datum_and_dimension"]["rhat"]) == 2
    assert "for each of 2 data" in found.sentences[0]
    assert set(found.figures) == {"intervals", "ranks"}


def test_a_seed_decides_all_and_nothing_is_trained() -> None:
    before = {name: value.clone() for name, value in LINEAR.vae.state_dict().items()}
    held_before = dict(pyro.get_param_store())
    runs = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        runs.append(nuts_draws(LINEAR.vae, LINEAR.x, chains=1, warmup=3, draws=4))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
    assert all(torch.equal(value, before[name]) for name, value in LINEAR.vae.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in LINEAR.vae.parameters())
    assert dict(pyro.get_param_store()) == held_before


def test_what_cannot_be_compared_is_told_why() -> None:
    for posterior, why in ((Point(linear, 2, (6,)), "point"), (build(POSTERIORS["laplace"], event_shape=(6,)), "flat")):
        with pytest.raises(NotApplicable, match=why):
            nuts(judged(VAE(Flat(2), Gaussian(linear, 2, (6,)), posterior)))
