"""Annealed importance sampling: unbiased weights, bounds from both sides, step sizes that do not follow the data."""

import math
from dataclasses import replace

import pytest
import torch
from small_models import curved_vae, linear_vae, quadrature, score
from torch import Tensor

from pyrovae import MLP, VAE, Bernoulli, DiagonalNormal, Flat, GaussianMixture, Point, StandardNormal, Vamp
from pyrovae.errors import PyrovaeError
from pyrovae.evaluation import annealing
from pyrovae.evaluation.annealing import Path, ais, anneal, bdmc, hamiltonian, spaced, start_of, tuned
from pyrovae.evaluation.paired import paired

LINEAR = linear_vae(n=200)
PATHS: dict[int, Path] = {}


def path_of(temperatures: int) -> Path:
    """Returns the path of the linear VAE, tuned on other data."""
    if temperatures not in PATHS:
        torch.manual_seed(1)
        PATHS[temperatures] = tuned(LINEAR.vae, linear_vae(n=50, seed=2).x, temperatures=temperatures)
    return PATHS[temperatures]


@pytest.mark.parametrize("temperatures", [50, 200])
def test_the_estimate_is_within_a_tenth_of_a_nat_of_the_truth(temperatures: int) -> None:
    """Mutations: a temperature is left out of the weights; z is not moved at all."""
    torch.manual_seed(0)
    found = ais(LINEAR.vae, LINEAR.x, path=path_of(temperatures))
    error = paired(found.log_prob - LINEAR.log_p)
    assert abs(error.mean) < 0.1
    assert error.standard_error < 0.02


def mean_weight(path: Path, seed: int = 0) -> Tensor:
    """Returns the mean weight over p(x) of each of 20 data from 400 chains: 1 in expectation."""
    torch.manual_seed(seed)
    x = LINEAR.x[:20]
    log_w, _ = anneal(LINEAR.vae, (x,), replace(path, chains=400), None, annealing.tqdm(disable=True))
    return (log_w - LINEAR.log_p[:20]).exp().mean(0)


@pytest.mark.parametrize("leapfrog", [1, 3])
def test_weights_are_unbiased_whatever_the_steps(leapfrog: int) -> None:
    """The worse the moves, the wider the weights, and their mean stays: 10 temperatures, large steps.

    Mutations: no correction by Metropolis; the momentum is not counted; the weights take the new z.
    """
    path = Path(spaced(10), torch.full((9,), 0.7), leapfrog, 400)
    means = torch.stack([mean_weight(path, seed) for seed in range(8)])
    assert score(means - 1) < 4
    assert score(means * math.exp(0.1) - 1) > 4


def test_a_hamiltonian_move_leaves_its_density_as_it_is() -> None:
    """At temperature 1 the linear model's posterior is normal; draws from it stay such draws.

    Mutation: proposals are accepted always.
    """
    torch.manual_seed(0)
    x = LINEAR.x[:1]
    target, _ = start_of(LINEAR.vae, (x,), 1)
    posterior = LINEAR.vae.posterior(x)
    z = posterior.expand((20_000, 1)).sample()
    for _ in range(3):
        z, accepted = hamiltonian(target, z, 1.0, 0.3, 3)
    assert 0.3 < accepted < 0.98
    standard = (z - posterior.mean) / posterior.stddev
    assert (standard.mean((0, 1)) * 20_000**0.5).abs().max() < 4
    assert ((standard.var((0, 1)) - 1) * (20_000 / 2) ** 0.5).abs().max() < 4


def test_bounds_enclose_the_truth_on_simulated_data_and_close_in() -> None:
    """Mutations: the upper bound's sign or order of temperatures; it starts from the prior."""
    torch.manual_seed(0)
    gaps = {t: bdmc(LINEAR.vae, data=200, path=path_of(t)) for t in (10, 200)}
    for found in gaps.values():
        assert found.gap.mean + 4 * found.gap.standard_error > 0
    assert abs(gaps[200].gap.mean) < 0.1
    assert gaps[10].gap.mean > gaps[200].gap.mean + 0.1


def sides(path: Path) -> tuple[Tensor, Tensor]:
    """Returns lower bound minus truth, and upper minus truth, of data drawn from the linear model."""
    torch.manual_seed(0)
    weight = LINEAR.vae.likelihood.decoder.layers[0].weight
    z = torch.randn(300, 2, dtype=torch.double)
    x = LINEAR.vae.decode(z, mean=False)
    noise = LINEAR.vae.likelihood(z[0]).stddev[0]
    covariance = (weight @ weight.T + noise**2 * torch.eye(len(weight), dtype=torch.double)).detach()
    center = LINEAR.vae.likelihood.decoder.layers[0].bias.detach()
    truth = torch.distributions.MultivariateNormal(center, covariance).log_prob(x)
    forward, back = (ais(LINEAR.vae, x, path=path, z=start) for start in (None, z))
    assert (forward.reverse, back.reverse) == (False, True)
    return forward.log_prob - truth, back.log_prob - truth


def test_each_side_is_a_bound_in_expectation() -> None:
    for temperatures in (10, 50):
        lower, upper = (paired(side) for side in sides(path_of(temperatures)))
        assert lower.mean < 4 * lower.standard_error
        assert upper.mean > -4 * upper.standard_error


@pytest.mark.parametrize("prior", [StandardNormal, GaussianMixture, Vamp])
def test_a_curved_model_is_judged_as_quadrature_judges_it(prior: type) -> None:
    vae, x = curved_vae(prior, n=16)
    torch.manual_seed(0)
    found = ais(vae, x, path=tuned(vae, vae.sample(8, mean=False), temperatures=100))
    error = paired(found.log_prob - quadrature(vae, x))
    assert abs(error.mean) < 0.05


def test_labels_are_scored_as_the_quantity_says() -> None:
    vae, x = curved_vae(GaussianMixture, n=12, classes=3)
    y = torch.arange(12) % 3
    torch.manual_seed(0)
    path = tuned(vae, x.flip(0), y.flip(0), temperatures=100, chains=64)
    found = ais(vae, x, y, path=path)
    assert found.name == "ais100 log p(x, y)"
    error = found.log_prob - quadrature(vae, x, y)
    assert abs(error.mean()) < 0.1
    assert error.abs().max() < 0.5


def test_missing_values_count_nothing() -> None:
    torch.manual_seed(0)
    parts = StandardNormal(2), Bernoulli(MLP, 2, (6,)), DiagonalNormal(MLP, 2, (6,))
    full, masked = VAE(*parts), VAE(*parts, missing=True)
    x = torch.ones(4, 6)
    x[:, 3:] = torch.nan
    path = tuned(masked, x, temperatures=50, chains=64)
    found = ais(masked, x, path=path)
    assert found.quantity == "log p(observed x)"
    z = torch.randn(20_000, 2)
    with torch.no_grad():
        expected = full.likelihood(z).base_dist.log_prob(torch.ones(6))[:, :3].sum(-1).logsumexp(0) - math.log(20_000)
    assert (found.log_prob - expected).abs().max() < 0.1


def test_step_sizes_follow_the_acceptance_in_the_pilot_and_nothing_else() -> None:
    """Mutations: the sizes are adapted in the run itself; the pilot accepts all, or none."""
    path = path_of(50)
    torch.manual_seed(0)
    found = ais(LINEAR.vae, LINEAR.x, path=path)
    assert found.path is path
    assert 0.5 < found.acceptance.mean() < 0.9
    assert (found.acceptance.shape, path.steps.shape) == ((49,), (49, 2))
    assert (path.betas[0], path.betas[-1], (path.betas.diff() > 0).all()) == (0, 1, True)


def test_chunks_of_data_and_the_weights_of_the_acceptance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annealing, "ROWS", 1)
    torch.manual_seed(0)
    found = ais(LINEAR.vae, LINEAR.x[:10], path=path_of(50))
    assert found.log_prob.shape == (10,)
    assert abs(paired(found.log_prob - LINEAR.log_p[:10]).mean) < 0.2
    assert 0.5 < found.acceptance.mean() < 0.9


def test_what_cannot_be_annealed_is_refused() -> None:
    vae = VAE(Flat(2), Bernoulli(MLP, 2, (4,)), Point(MLP, 2, (4,)))
    with pytest.raises(PyrovaeError, match="a flat prior has none"):
        tuned(vae, torch.ones(3, 4))
    with pytest.raises(PyrovaeError, match="1 temperatures"):
        spaced(1)


def test_nothing_is_trained() -> None:
    before = {name: value.clone() for name, value in LINEAR.vae.state_dict().items()}
    bdmc(LINEAR.vae, data=3, path=path_of(50))
    assert all(torch.equal(value, before[name]) for name, value in LINEAR.vae.state_dict().items())
    assert all(p.grad is None for p in LINEAR.vae.parameters())


def test_steps_of_dimensions_are_as_their_posterior_deviations() -> None:
    """Mutations: deviations over data; equal steps; the geometric mean is not kept; variances."""
    model = linear_vae(n=32, noise=0.2)
    torch.manual_seed(0)
    path = tuned(model.vae, model.x, temperatures=100, chains=16)
    exact = 1 / (torch.tensor([4.0, 1.0]) / 0.2**2 + 1).sqrt()
    assert float(path.steps[-1][0] / path.steps[-1][1]) == pytest.approx(float(exact[0] / exact[1]), rel=0.1)
    assert float(path.steps[0][0] / path.steps[0][1]) == pytest.approx(1.0, rel=0.2), "at the prior both are alike"
