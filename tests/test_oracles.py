"""Exact answers: probabilistic PCA in closed form, 1-D latents by quadrature; and mutations that must not pass."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from small_models import Linear, curved_vae, linear, linear_vae, quadrature, score
from torch import Tensor, nn

from pyrovae import (
    ELBO,
    IWAE,
    PRIORS,
    VAE,
    AnalyticELBO,
    DiagonalNormal,
    FullCovarianceMixture,
    Gaussian,
    GaussianMixture,
    StandardNormal,
    Vamp,
    distortion,
    fit,
    log_marginal,
    make_dataset,
    rate,
)
from pyrovae.densities import Densities
from pyrovae.objectives import Objective

WRONG: dict[str, Any] = {"shift": 0.2, "widen": 1.5}


class NoDivergence(ELBO):
    def bound(self, sites: Densities, beta: float | Tensor) -> Tensor:
        return sites.log_weight(0.0).mean(0)


class MeanOverPixels(ELBO):
    def bound(self, sites: Densities, beta: float | Tensor) -> Tensor:
        return (sites.evidence / 6 - beta * sites.divergence).mean(0)


class MeanOfWeights(IWAE):
    def bound(self, sites: Densities, beta: float | Tensor) -> Tensor:
        return sites.log_weight(beta).mean(0)


class SumOfWeights(IWAE):
    def bound(self, sites: Densities, beta: float | Tensor) -> Tensor:
        return sites.log_weight(beta).logsumexp(0)


@torch.no_grad()
def bounds(objective: Objective, model: Linear, repeats: int = 1) -> Tensor:
    """Returns independent bounds per datum, shape `(repeats, n)`."""
    return objective.per_datum(model.vae.model, model.vae.guide, again(model.x, repeats)).view(repeats, -1)


def again(x: Tensor, repeats: int) -> Tensor:
    """Stacks x so often, for independent draws in one call."""
    return x.repeat(repeats, *[1] * (x.dim() - 1))


def is_exact(objective: Objective, model: Linear) -> bool:
    return bool((bounds(objective, model, 5) - model.log_p).abs().max() < 1e-9)


EXACT = [ELBO(), ELBO(particles=3), *(IWAE(particles=k) for k in (1, 2, 7, 50))]
INEXACT = [NoDivergence(), MeanOverPixels(), SumOfWeights(), ELBO(beta=0.99), IWAE(beta=0.99), AnalyticELBO()]


@pytest.mark.parametrize("objective", EXACT, ids=repr)
def test_sampled_bounds_are_exact_at_the_exact_posterior(objective: Objective) -> None:
    assert is_exact(objective, linear_vae())


@pytest.mark.parametrize("objective", INEXACT, ids=repr)
def test_mutated_bounds_are_not(objective: Objective) -> None:
    assert not is_exact(objective, linear_vae())


@pytest.mark.parametrize("wrong", [{"widen": 0.5}, {"shift": 1e-3}])
def test_wrong_guides_are_not_exact(wrong: dict[str, Any]) -> None:
    assert not is_exact(ELBO(), linear_vae(**wrong))


def misses_of_elbo(objective: Objective, model: Linear) -> float:
    torch.manual_seed(0)
    return score(bounds(objective, model, 400), model.log_p - model.gap)


@pytest.mark.parametrize("objective", [ELBO(particles=5), AnalyticELBO(particles=5)], ids=repr)
def test_elbo_misses_the_evidence_by_the_divergence_to_the_posterior(objective: Objective) -> None:
    assert misses_of_elbo(objective, linear_vae(**WRONG)) < 4.5


def test_elbo_mutations_are_caught() -> None:
    right, other = linear_vae(**WRONG), linear_vae(shift=0.2, widen=0.75)
    assert misses_of_elbo(NoDivergence(particles=5), right) > 10
    assert misses_of_elbo(MeanOverPixels(particles=5), right) > 10
    assert misses_of_elbo(ELBO(particles=5), other._replace(gap=right.gap)) > 10


def test_analytic_elbo_has_the_closed_divergence() -> None:
    model = linear_vae(**WRONG)
    torch.manual_seed(0)
    analytic = bounds(AnalyticELBO(), model)
    torch.manual_seed(0)
    without = bounds(NoDivergence(), model)
    torch.testing.assert_close(without - analytic, model.rate[None], rtol=0, atol=1e-10)


def rises_below_evidence(kind: type[IWAE], model: Linear) -> bool:
    """Tells whether the mean bound rises from K = 1 to 4, 16 and 64, by 4 standard errors a time, to the evidence."""
    torch.manual_seed(0)
    errors = [(bounds(kind(particles=k), model, 500) - model.log_p).mean(1) for k in (1, 4, 16, 64)]
    means, noise = torch.stack([e.mean() for e in errors]), torch.stack([e.std() for e in errors]) / 500**0.5
    return bool((means.diff() > 4 * noise[1:]).all() and (means < 4 * noise).all() and means[-1].abs() < 0.05)


def test_iwae_rises_with_particles_and_stays_below_the_evidence() -> None:
    assert rises_below_evidence(IWAE, linear_vae(**WRONG))


@pytest.mark.parametrize("mutation", [MeanOfWeights, SumOfWeights])
def test_iwae_mutations_are_caught(mutation: type[IWAE]) -> None:
    assert not reaches_evidence(mutation)
    assert not rises_below_evidence(mutation, linear_vae(**WRONG))


def reaches_evidence(kind: type[IWAE]) -> bool:
    model = linear_vae(**WRONG)
    torch.manual_seed(0)
    return score(bounds(kind(particles=2000), model, 30), model.log_p) < 4.5


def test_iwae_reaches_the_evidence() -> None:
    assert reaches_evidence(IWAE)


@pytest.mark.parametrize("wrong", [{}, WRONG])
def test_rate_and_distortion_add_up_to_minus_the_elbo(wrong: dict[str, Any]) -> None:
    model = linear_vae(**wrong)
    torch.manual_seed(0)
    both = draws(rate, model.vae, model.x, 2000) + draws(distortion, model.vae, model.x, 2000)
    assert score(both, model.gap - model.log_p) < 4.5
    assert score(both, -model.log_p - 0.5) > 5


def test_rate_is_the_closed_divergence() -> None:
    model = linear_vae(**WRONG)
    torch.manual_seed(0)
    found = draws(rate, model.vae, model.x, 3000)
    assert score(found, model.rate) < 4.5
    assert score(found, 1.1 * model.rate) > 5


def draws(value: Callable[..., Tensor], vae: VAE, x: Tensor, repeats: int) -> Tensor:
    """Returns independent values per datum, shape `(repeats, n)`."""
    return value(vae, again(x, repeats)).view(repeats, -1)


def test_log_marginal_is_exact_at_the_exact_posterior() -> None:
    model = linear_vae()
    found = log_marginal(model.vae, model.x, particles=100)
    torch.testing.assert_close(found.log_prob, model.log_p, rtol=0, atol=1e-9)
    torch.testing.assert_close(found.ess, torch.full_like(found.ess, 100))
    assert (found.khat == -torch.inf).all()
    assert found.verdict == "reliable"


def misses_of_log_marginal(model: Linear) -> float:
    torch.manual_seed(0)
    return score(draws(evidence, model.vae, model.x, 30), model.log_p)


def evidence(vae: VAE, x: Tensor, y: Tensor | None = None) -> Tensor:
    return log_marginal(vae, x, y, particles=1000).log_prob


def test_log_marginal_with_a_wrong_guide() -> None:
    model = linear_vae(**WRONG)
    assert misses_of_log_marginal(model) < 4.5
    assert misses_of_log_marginal(model._replace(log_p=model.log_p + 0.05)) > 5


def test_gradient_of_the_elbo_at_the_exact_posterior_is_that_of_the_evidence() -> None:
    model = linear_vae()
    decoder = model.vae.likelihood.decoder.layers[0]
    s = model.vae.likelihood(torch.zeros(2).double()).stddev[0].detach()
    covariance = decoder.weight @ decoder.weight.T + s**2 * torch.eye(6, dtype=torch.double)
    log_p = torch.distributions.MultivariateNormal(decoder.bias, covariance).log_prob(model.x).sum()
    (exact,) = torch.autograd.grad(log_p, decoder.bias)
    torch.manual_seed(0)
    found = torch.stack([gradient(model, decoder.bias) for _ in range(200)])
    assert score(found, exact) < 4.5
    assert score(found, 0.9 * exact) > 5


def gradient(model: Linear, parameter: Tensor) -> Tensor:
    """Returns the gradient of the ELBO of all data, averaged over ten draws each."""
    bound = ELBO(particles=10).per_datum(model.vae.model, model.vae.guide, model.x).sum()
    return torch.autograd.grad(bound, parameter)[0]


def pca(x: Tensor, k: int) -> tuple[Tensor, Tensor, float]:
    """Returns the maximum likelihood log p(x) per datum, the k principal directions and the noise (Tipping, 1999)."""
    centred = x - x.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(x))
    noise = values[:-k].mean()
    top = vectors[:, -k:]
    covariance = top @ torch.diag(values[-k:] - noise) @ top.T + noise * torch.eye(x.shape[1], dtype=x.dtype)
    log_p = torch.distributions.MultivariateNormal(x.mean(0), covariance).log_prob(x)
    return log_p, top, float(noise.sqrt())


@pytest.fixture(scope="module")
def trained() -> tuple[VAE, Tensor]:
    """Trains a linear VAE on data of a pPCA model; returns it and its training data."""
    data = make_dataset("pca", linear_vae(n=1550, seed=3).x.float(), validation=500, test=50)
    torch.manual_seed(0)
    likelihood = Gaussian(linear, 2, (6,), noise="shared", scale=1.0)
    vae = VAE(StandardNormal(2), likelihood, DiagonalNormal(linear, 2, (6,)))
    rates = {"schedule": "cosine", "value": 0.02}
    fit(vae, data, AnalyticELBO(), epochs=60, batch_size=150, learning_rate=rates)
    return vae.double(), data.train.x.double()


def test_trained_elbo_is_the_maximum_likelihood(trained: tuple[VAE, Tensor]) -> None:
    vae, x = trained
    torch.manual_seed(0)
    with torch.no_grad():
        found = ELBO(particles=100).per_datum(vae.model, vae.guide, x).mean()
    assert -0.02 < found - pca(x, 2)[0].mean() < 0.005


def test_trained_decoder_spans_the_principal_directions(trained: tuple[VAE, Tensor]) -> None:
    vae, x = trained
    weights = vae.likelihood.decoder.layers[0].weight.detach()
    cosines = torch.linalg.svdvals(torch.linalg.qr(weights).Q.T @ pca(x, 2)[1])
    assert cosines.clamp(max=1).acos().rad2deg().max() < 2
    assert torch.linalg.svdvals(torch.linalg.qr(weights.flip(0)).Q.T @ pca(x, 2)[1])[-1] < 0.99


def test_trained_noise_is_the_discarded_variance(trained: tuple[VAE, Tensor]) -> None:
    vae, x = trained
    noise = vae.likelihood(torch.zeros(2).double()).stddev[0].item()
    assert noise == pytest.approx(pca(x, 2)[2], rel=0.02)


SMALL: dict[type[nn.Module], dict[str, Any]] = {
    GaussianMixture: {"components": 3},
    FullCovarianceMixture: {"components": 3},
    Vamp: {"pseudo_inputs": 4},
}
# With one latent dimension: a coupling flow needs two, and nothing can be drawn from an improper prior.
ONE_DIM = [prior for name, prior in PRIORS.items() if name not in ("flow", "product", "flat")]
UNLABELLED = [(prior, SMALL.get(prior, {})) for prior in ONE_DIM]
LABELLED = [(GaussianMixture, {"classes": 3}), (Vamp, {"classes": 3, "labels": True, "pseudo_inputs": 6})]
Y = torch.tensor([0, 1, 2, 0, 1, 2])


def curved(prior: type[nn.Module], options: dict[str, Any]) -> tuple[VAE, Tensor]:
    """Builds the VAE with uneven weights where its prior has weights."""
    vae, x = curved_vae(prior, **options)
    if hasattr(vae.prior, "logits"):
        vae.prior.logits.data.copy_(torch.linspace(-1, 1, len(vae.prior.logits)))
    return vae, x


def misses_of_quadrature(vae: VAE, x: Tensor, y: Tensor | None, exact: Tensor) -> float:
    torch.manual_seed(0)
    labels = None if y is None else again(y, 30)
    return score(evidence(vae, again(x, 30), labels).view(30, -1), exact)


@pytest.mark.parametrize(("prior", "options"), UNLABELLED + LABELLED)
def test_log_marginal_equals_quadrature(prior: type[nn.Module], options: dict[str, Any]) -> None:
    vae, x = curved(prior, options)
    exact = quadrature(vae, x)
    assert misses_of_quadrature(vae, x, None, exact) < 4.5
    assert misses_of_quadrature(vae, x, None, exact + 0.05) > 5


@pytest.mark.parametrize(("prior", "options"), LABELLED)
def test_log_marginal_with_labels_is_that_of_data_and_labels(prior: type[nn.Module], options: dict[str, Any]) -> None:
    vae, x = curved(prior, options)
    exact = quadrature(vae, x, Y)
    assert misses_of_quadrature(vae, x, Y, exact) < 4.5
    assert misses_of_quadrature(vae, x, Y, exact - vae.prior.labels().log_prob(Y).detach()) > 5


@pytest.mark.parametrize(("prior", "options"), LABELLED)
def test_pools_sum_to_the_marginal(prior: type[nn.Module], options: dict[str, Any]) -> None:
    vae, x = curved(prior, options)
    pools = torch.stack([quadrature(vae, x, torch.full((len(x),), y)) for y in range(3)])
    torch.testing.assert_close(pools.logsumexp(0), quadrature(vae, x), rtol=0, atol=1e-8)


@pytest.mark.parametrize(("prior", "options"), UNLABELLED)
def test_iwae_climbs_to_the_quadrature(prior: type[nn.Module], options: dict[str, Any]) -> None:
    vae, x = curved(prior, options)
    model = Linear(vae, x, quadrature(vae, x), x, x)
    assert rises_below_evidence(IWAE, model)
    assert not rises_below_evidence(SumOfWeights, model)


def test_the_noise_of_the_oracle_is_the_noise_asked_for() -> None:
    found = linear_vae(noise=0.3).vae.likelihood(torch.zeros(2).double()).stddev
    torch.testing.assert_close(found, torch.full_like(found, 0.3), rtol=1e-6, atol=0)
