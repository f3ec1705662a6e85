"""Rényi, relatives of the IWAE, InfoVAE, beta-TCVAE, free bits: exact cases, mutations, refusals."""

import math
from collections.abc import Callable, Iterator
from itertools import permutations
from types import SimpleNamespace
from typing import Any

import pyro
import pytest
import torch
from pyro import infer
from pyro.distributions import Normal
from scipy.integrate import quad
from small_models import bent, build, curved_vae, linear_vae, score
from torch import Tensor, nn
from torch.distributions import kl_divergence

from pyrovae import (
    ELBO,
    IWAE,
    MMD,
    OBJECTIVES,
    PIWAE,
    POSTERIORS,
    PRIORS,
    TC,
    VAE,
    AnalyticELBO,
    DiagonalNormal,
    Gaussian,
    GaussianMixture,
    PyrovaeError,
    Renyi,
    StandardNormal,
    Vamp,
)
from pyrovae.densities import Densities, Site, densities
from pyrovae.objectives import Objective
from pyrovae.objectives.mmd import SCALES, squared_mmd, width
from pyrovae.objectives.renyi import power_mean
from pyrovae.objectives.tc import stratified, weighted
from pyrovae.training.engines import ENGINES

WRONG: dict[str, Any] = {"shift": 0.2, "widen": 1.5}


@pytest.fixture(autouse=True)
def own_store() -> Iterator[None]:
    with pyro.get_param_store().scope():
        yield


def example(prior: type[nn.Module] = StandardNormal, **options: Any) -> tuple[VAE, Tensor]:
    return curved_vae(prior, n=5, **options)


def bound(objective: Objective, vae: VAE, *batch: Tensor, **options: float) -> Tensor:
    torch.manual_seed(0)
    with torch.no_grad():
        return objective.per_datum(vae.model, vae.guide, *batch, **options)


def gradients(objective: Any, vae: VAE, *batch: Tensor) -> tuple[float, dict[str, Tensor]]:
    """Returns the loss and the gradients of all parameters, by name."""
    vae.zero_grad()
    torch.manual_seed(0)
    with pyro.get_param_store().scope():
        loss = objective.loss_and_grads(vae.model, vae.guide, *batch)
    return loss, {name: p.grad.clone() for name, p in vae.named_parameters() if p.grad is not None}


# Renyi


@pytest.mark.parametrize("alpha", [-1.0, 0.0, 0.5, 2.0])
@pytest.mark.parametrize("prior", [StandardNormal, GaussianMixture])
def test_renyi_equals_pyros(alpha: float, prior: type[nn.Module]) -> None:
    """Pyro's is the sum of the bounds per datum, since every site is in the data plate."""
    vae, x = example(prior)
    theirs = infer.RenyiELBO(alpha=alpha, num_particles=6, vectorize_particles=True, max_plate_nesting=1)
    (loss, grads), (expected, others) = (gradients(o, vae, x) for o in (Renyi(alpha=alpha, particles=6), theirs))
    assert loss == pytest.approx(expected, rel=1e-10)
    torch.testing.assert_close(grads, others, rtol=1e-9, atol=1e-9)
    assert gradients(Renyi(alpha=alpha + 0.01, particles=6), vae, x)[0] != pytest.approx(expected, rel=1e-6)


def test_renyi_of_order_one_is_the_elbo_and_of_order_zero_the_iwae() -> None:
    vae, x = example()
    for order, same in ((1.0, ELBO(particles=6)), (0.0, IWAE(particles=6))):
        torch.testing.assert_close(bound(Renyi(alpha=order, particles=6), vae, x), bound(same, vae, x))
    torch.testing.assert_close(gradients(Renyi(alpha=1, particles=6), vae, x), gradients(ELBO(particles=6), vae, x))


def test_renyi_goes_over_into_the_elbo_and_into_the_largest_weight() -> None:
    """Mutation: (logsumexp((1 - a) log w) - log K) / (1 - a), which at a = 1 - 1e-6 has no digit left in float32."""
    log_w = -90 + 3 * torch.randn(6, 50, generator=torch.Generator().manual_seed(0))
    for near in (1e-6, -1e-6):
        torch.testing.assert_close(power_mean(log_w, near), log_w.mean(0), rtol=1e-6, atol=0)
        with pytest.raises(AssertionError):
            torch.testing.assert_close(plain_power_mean(log_w, near), log_w.mean(0), rtol=1e-6, atol=0)
    torch.testing.assert_close(power_mean(log_w, 1e6), log_w.amax(0))
    torch.testing.assert_close(power_mean(log_w, -1e6), log_w.amin(0))
    assert torch.equal(power_mean(log_w, math.inf), log_w.amax(0))


def plain_power_mean(log_weight: Tensor, power: float) -> Tensor:
    return ((power * log_weight).logsumexp(0) - math.log(len(log_weight))) / power


def test_renyi_falls_as_its_order_rises() -> None:
    vae, x = example()
    orders = (-math.inf, -5.0, -1.0, 0.0, 0.3, 1.0, 2.0, 20.0)
    falls = torch.stack([bound(Renyi(alpha=order, particles=8), vae, x) for order in orders]).diff(dim=0)
    assert (falls < 0).all()


def misses_of_renyi_divergence(alpha: float, order: float) -> float:
    """Scores the bound of so many particles that it is log p(x) - D_alpha(q || p(z | x)), which normals have closed."""
    model = linear_vae(n=4, **WRONG)
    with torch.no_grad():
        q, s = model.vae.posterior(model.x), linear_vae().vae.posterior(model.x).stddev
        shift, mixed = q.mean - linear_vae().vae.posterior(model.x).mean, alpha * s**2 + (1 - alpha) * q.stddev**2
        logs = (1 - alpha) * q.stddev.log() + alpha * s.log() - 0.5 * mixed.log()
        divergence = (0.5 * alpha * shift**2 / mixed + logs / (alpha - 1)).sum(-1)
    torch.manual_seed(0)
    with torch.no_grad():
        x = model.x.repeat(40, 1)
        found = Renyi(alpha=order, particles=1000).per_datum(model.vae.model, model.vae.guide, x).view(40, -1)
    return score(found, model.log_p - divergence)


def test_renyi_misses_the_evidence_by_the_renyi_divergence() -> None:
    assert misses_of_renyi_divergence(0.5, 0.5) < 4.5
    assert misses_of_renyi_divergence(0.5, 0.6) > 10


def test_renyi_below_order_zero_is_judged_by_a_bound() -> None:
    sites = sites_of(example(), particles=6)
    assert torch.equal(Renyi(alpha=-3.0).judged(sites), Renyi(alpha=0.0).judged(sites))
    assert torch.equal(Renyi(alpha=0.7).judged(sites), Renyi(alpha=0.7).bound(sites, 1.0))


def sites_of(composed: tuple[VAE, Tensor], particles: int = 1) -> Densities:
    torch.manual_seed(0)
    with torch.no_grad():
        return densities(composed[0].model, composed[0].guide, composed[1], particles=particles)


# Multiply, combined and partially importance-weighted bounds


def test_miwae_is_the_mean_of_the_bounds_of_its_groups() -> None:
    sites = sites_of(example(), particles=12)
    groups = [
        IWAE(particles=4).bound(Densities(*(part(run, rows) for run in (sites.model, sites.guide))), 1.0)
        for rows in torch.arange(12).split(4)
    ]
    found = IWAE(particles=12, groups=3).bound(sites, 1.0)
    torch.testing.assert_close(found, torch.stack(groups).mean(0))
    assert not torch.allclose(found, IWAE(particles=12, groups=4).bound(sites, 1.0))


def part(run: dict[str, Site], rows: Tensor) -> dict[str, Site]:
    return {name: site._replace(log_prob=site.log_prob[rows]) for name, site in run.items()}


def test_groups_go_from_the_iwae_to_the_elbo() -> None:
    vae, x = example()
    whole, alone = (bound(kind(particles=12), vae, x) for kind in (IWAE, ELBO))
    assert torch.equal(bound(IWAE(particles=12, groups=1), vae, x), whole)
    torch.testing.assert_close(bound(IWAE(particles=12, groups=12), vae, x), alone)
    steps = torch.stack([bound(IWAE(particles=12, groups=groups), vae, x) for groups in (1, 2, 4, 12)])
    assert (steps.diff(dim=0) < 0).all()  # each refines the one before


def test_ciwae_goes_from_the_iwae_to_the_elbo() -> None:
    vae, x = example()
    whole, alone = (bound(kind(particles=7), vae, x) for kind in (IWAE, ELBO))
    for share in (0.0, 0.3, 1.0):
        found = bound(IWAE(particles=7, elbo_share=share), vae, x)
        torch.testing.assert_close(found, share * alone + (1 - share) * whole)


@pytest.mark.parametrize("kind", [IWAE, PIWAE])
def test_groups_divide_the_particles(kind: Any) -> None:
    with pytest.raises(PyrovaeError, match=r"groups = 3 does not divide objective\.particles = 8") as error:
        kind(particles=8, groups=3)
    assert error.value.hint.endswith("set it to 6")


PIWAE_PRIORS: list[tuple[type[nn.Module], dict[str, Any]]] = [
    (StandardNormal, {}),
    (GaussianMixture, {"components": 3}),
    (Vamp, {"pseudo_inputs": 4}),
]


@pytest.mark.parametrize(("prior", "options"), PIWAE_PRIORS)
@pytest.mark.parametrize("groups", [None, 3])
def test_piwae_has_the_gradients_of_two_objectives(
    prior: type[nn.Module], options: dict[str, Any], groups: int | None
) -> None:
    """Mutation: the VampPrior's encoder counted among the model's parameters."""
    vae, x = example(prior, **options)
    loss, found = gradients(PIWAE(particles=12, groups=groups), vae, x)
    expected, generative = gradients(IWAE(particles=12), vae, x)
    _, inference = gradients(IWAE(particles=12, groups=groups or 12), vae, x)
    assert loss == pytest.approx(expected, rel=1e-12)
    guides = {id(p) for p in vae.posterior.parameters()}
    for name, p in vae.named_parameters():
        right, wrong = (inference, generative) if id(p) in guides else (generative, inference)
        torch.testing.assert_close(found[name], right[name], rtol=1e-12, atol=1e-12)
        assert not torch.allclose(found[name], wrong[name], rtol=1e-6)


def test_piwae_of_one_group_is_the_iwae() -> None:
    vae, x = example()
    torch.testing.assert_close(gradients(PIWAE(particles=6, groups=1), vae, x), gradients(IWAE(particles=6), vae, x))


@pytest.mark.parametrize("prior", [StandardNormal, Vamp])
def test_piwae_takes_the_same_steps_in_every_engine(prior: type[nn.Module]) -> None:
    weights = []
    for make_step in ENGINES.values():
        vae, x = example(prior, **({"pseudo_inputs": 4} if prior is Vamp else {}))
        torch.manual_seed(0)
        with pyro.get_param_store().scope():
            step = make_step(vae, PIWAE(particles=6, groups=2), lambda step: 0.01, None).step
            losses = [step(x) for _ in range(5)]
        assert len(set(losses)) == 5
        weights.append(vae.state_dict())
    for other in weights[1:]:
        torch.testing.assert_close(other, weights[0], rtol=1e-12, atol=1e-12)


def test_piwae_moves_its_schedule() -> None:
    vae, x = example()
    objective = PIWAE(particles=4, beta={"schedule": "linear", "steps": 2})
    gradients(objective, vae, x)
    assert objective.beta == 0.5


# InfoVAE


def closed_mmd(shift: Tensor, scale: float, width: float) -> float:
    """Returns MMD² of N(shift, scale² I) to N(0, I); an inverse multiquadratic is a mean of normal kernels."""

    def smooth(offset: float, variance: float) -> float:
        """Returns the mean over scales of E c / (c + |d|²), d ~ N(offset, variance I)."""

        def at(t: float, c: float) -> float:
            spread = 1 + 2 * t * variance / c
            return math.exp(-t - t * offset / (c * spread)) * spread ** (-len(shift) / 2)

        return sum(quad(at, 0, math.inf, args=(s * width,))[0] for s in SCALES) / len(SCALES)

    offset = float(shift.square().sum())
    return smooth(0, 2 * scale**2) + smooth(0, 2) - 2 * smooth(offset, 1 + scale**2)


def draws_of_mmd(shift: Tensor, scale: float, estimate: Callable[..., Tensor]) -> Tensor:
    torch.manual_seed(0)
    z, other = torch.randn(2, 4000, 6, len(shift), dtype=torch.double)
    return estimate(shift + scale * z, other, 2.0).mean(-1)


def with_the_diagonal(z: Tensor, other: Tensor, width: float) -> Tensor:
    """Mutation: the biased V-statistic."""
    return squared_mmd(z, other, width) * 5 / 6 + 2 / 6


@pytest.mark.parametrize(("shift", "scale"), [((0.0, 0.0), 1.0), ((1.0, -0.5), 0.6), ((0.3, 0.0, 0.0), 2.0)])
def test_mmd_is_unbiased(shift: tuple[float, ...], scale: float) -> None:
    offset = torch.tensor(shift, dtype=torch.double)
    exact = closed_mmd(offset, scale, 2.0)
    assert (exact > 1e-3) == (scale != 1)
    assert exact >= -1e-9
    assert score(draws_of_mmd(offset, scale, squared_mmd), exact) < 4.5
    assert score(draws_of_mmd(offset, scale, with_the_diagonal), exact) > 10


def test_mmd_of_draws_to_themselves_is_zero() -> None:
    """A datum's own pair is left out everywhere: z_i and z'_i may depend on each other."""
    z = torch.randn(7, 3)
    torch.testing.assert_close(squared_mmd(z, z, 1.0), torch.zeros(7))


def test_width_is_the_median_squared_distance_of_the_prior() -> None:
    torch.manual_seed(0)
    wide = Normal(torch.zeros(40000, 2), 3.0).to_event(1).expand((1, 40000))
    assert width(wide).item() == pytest.approx(2 * 9 * 2 * math.log(2), rel=0.03)  # 2 s² times a chi-square's median


def penalty(objective: Objective, **wrong: float) -> Tensor:
    """Returns what the objective takes off the ELBO, a mean over each of many batches drawn from the model."""
    model = linear_vae(n=3200, **wrong)
    torch.manual_seed(0)
    missing = []
    for x in model.x.split(16):
        with torch.no_grad():
            sites = densities(model.vae.model, model.vae.guide, x)
            missing.append((objective.judged(sites) - objective.bound(sites, 1.0)).mean())
    return torch.stack(missing)


def test_mmd_costs_nothing_where_the_aggregate_posterior_is_the_prior() -> None:
    """The exact posterior, averaged over data of the model, is the prior."""
    assert score(penalty(MMD(lam=50.0))) < 4.5
    assert score(shifted := penalty(MMD(lam=50.0), shift=0.6)) > 10
    assert shifted.mean() > 0


def test_mmd_is_linear_in_its_weights() -> None:
    vae, x = example()
    plain, kl = bound(ELBO(), vae, x), bound(ELBO(), vae, x, beta=0.0) - bound(ELBO(), vae, x)
    torch.testing.assert_close(bound(MMD(alpha=0.0, lam=1.0), vae, x), plain)
    torch.testing.assert_close(bound(MMD(alpha=0.3, lam=0.7), vae, x), plain + 0.3 * kl)
    torch.testing.assert_close(bound(MMD(alpha=-1.0, lam=2.0), vae, x), plain - kl)
    distance = plain - bound(MMD(lam=2.0), vae, x)
    torch.testing.assert_close(bound(MMD(alpha=1.0, lam=5.0), vae, x), plain + kl - 5 * distance)
    torch.testing.assert_close(bound(MMD(lam=5.0), vae, x, beta=3.0), plain - 2 * kl - 12 * distance)


def test_mmd_of_a_negative_weight_is_refused() -> None:
    with pytest.raises(PyrovaeError, match="weight of MMD², is negative") as error:
        MMD(alpha=0.5, lam=0.001)
    assert error.value.hint == "set objective.lam to 0.5 or more"


def test_mmd_trains_a_prior_whose_draws_have_gradients() -> None:
    torch.manual_seed(0)
    posterior = DiagonalNormal(bent, 2, (4,))
    vae = VAE(build(PRIORS["flow"]), Gaussian(bent, 2, (4,)), posterior).double()
    objective = MMD(alpha=1.0)
    objective.check(vae)
    _, found = gradients(objective, vae, torch.randn(8, 4, dtype=torch.double))
    assert sum(found[name].abs().sum() for name in found if name.startswith("prior.")) > 0


def test_mmd_refuses_to_leave_a_prior_untrained() -> None:
    vae, _ = example(GaussianMixture, components=3)
    MMD(alpha=0.9).check(vae)
    with pytest.raises(PyrovaeError, match="those of GaussianMixture have no gradient"):
        MMD(alpha=1.0).check(vae)


# Beta-TCVAE

N, BATCH = 5, 3


def aggregate(size: int = N) -> tuple[Any, Any, Tensor]:
    """Returns the posteriors of N data, the prior, and a draw of each posterior."""
    generator = torch.Generator().manual_seed(0)
    loc, raw, noise = torch.randn(3, size, 2, generator=generator, dtype=torch.double)
    q = Normal(loc, raw.exp())
    return q, Normal(torch.zeros_like(loc), 1.0), loc + raw.exp() * noise


def terms(objective: TC, q: Any, p: Any, z: Tensor, rows: list[int]) -> tuple[Tensor, ...]:
    """Returns the three terms of a batch of these data."""
    chosen = (Normal(d.loc[rows], d.scale[rows]).to_event(1).expand((1, len(rows))) for d in (q, p))
    sites = (Site(d.log_prob(z[rows]), z[rows][None], d, observed=False) for d in chosen)
    return tuple(term[0] for term in objective.terms(*sites))


def exact_terms(q: Any, p: Any, z: Tensor) -> tuple[Tensor, ...]:
    every = q.log_prob(z[:, None])  # (i, j, d)
    own, joint = q.log_prob(z).sum(-1), every.sum(-1).exp().mean(1).log()
    marginals = every.exp().mean(1).log().sum(-1)
    return own - joint, joint - marginals, marginals - p.log_prob(z).sum(-1)


def test_total_correlation_of_all_data_is_exact() -> None:
    q, p, z = aggregate()
    exact = exact_terms(q, p, z)
    torch.testing.assert_close(terms(TC(N), q, p, z, list(range(N))), exact)
    low, *_ = terms(TC(N, estimator="weighted"), q, p, z, list(range(N)))
    torch.testing.assert_close(low, exact[0] + math.log(N))


def column_zero(rows: int, size: int) -> Tensor:
    """Mutation: the weights as they are in public code, 1 / N for the first datum of the batch instead of one's own."""
    weights = torch.full((rows, rows), 1 / (rows - 1), dtype=torch.double)
    weights[:, 0] = 1 / size
    weights[:, 1] = weights[rows - 2, 0] = (size - rows + 1) / (size * (rows - 1))
    return weights.log()


def papers(rows: int, size: int) -> Tensor:
    """Returns the paper's weights: one of the others, the next one, has a weight of its own."""
    weights = torch.full((rows, rows), 1 / (rows - 1), dtype=torch.double).fill_diagonal_(1 / size)
    weights[torch.arange(rows), torch.arange(1, rows + 1) % rows] = (size - rows + 1) / (size * (rows - 1))
    return weights.log()


def mean_density(log_weights: Callable[[int, int], Tensor]) -> tuple[Tensor, Tensor]:
    """Returns mean and variance of the estimate of q(z_0) over all ordered batches that hold datum 0."""
    q, p, z = aggregate()
    objective, found = TC(N), []
    objective.log_weights = log_weights
    for rows in permutations(range(N), BATCH):
        if 0 in rows:
            own = q.log_prob(z)[0].sum()
            found.append((own - terms(objective, q, p, z, list(rows))[0][rows.index(0)]).exp())
    densities_found = torch.stack(found)
    return densities_found.mean(), densities_found.var()


def test_stratified_density_is_unbiased_over_all_batches() -> None:
    q, _, z = aggregate()
    exact = q.log_prob(z[0]).sum(-1).exp().mean()
    torch.testing.assert_close(mean_density(stratified)[0], exact, rtol=1e-12, atol=0)
    torch.testing.assert_close(mean_density(papers)[0], exact, rtol=1e-12, atol=0)
    assert mean_density(stratified)[1] < mean_density(papers)[1]
    for wrong in (column_zero, weighted):
        assert abs(mean_density(wrong)[0] / exact - 1) > 0.05


@pytest.mark.parametrize("particles", [1, 3])
def test_tc_of_unit_weights_is_the_elbo(particles: int) -> None:
    torch.manual_seed(0)
    vae, x = linear_vae(**WRONG)[:2]
    plain = bound(ELBO(particles=particles), vae, x)
    for estimator in ("stratified", "weighted"):
        torch.testing.assert_close(bound(TC(1000, particles=particles, beta=1.0, estimator=estimator), vae, x), plain)
    weights: list[dict[str, Any]] = [{"beta": 1.0} | {name: 2.0} for name in ("alpha", "beta", "gamma")]
    found = [bound(TC(1000, particles=particles, **chosen), vae, x) for chosen in weights]
    sites = sites_of((vae, x), particles)
    expected = [term.mean(0) for term in TC(1000).terms(sites.guide["z"], sites.model["z"])]
    torch.testing.assert_close([plain - other for other in found], expected)
    assert min(term.abs().max() for term in expected) > 0.01


def test_tc_of_two_far_clusters_on_the_diagonal_is_log_two() -> None:
    loc = torch.tensor([[-1.0, -1.0], [1.0, 1.0]], dtype=torch.double)
    q, p = Normal(loc, torch.full_like(loc, 0.01)), Normal(torch.zeros_like(loc), 1.0)
    information, correlation, _ = terms(TC(2), q, p, loc, [0, 1])
    torch.testing.assert_close(information, torch.full_like(information, math.log(2)))
    torch.testing.assert_close(correlation, torch.full_like(correlation, math.log(2)))
    across = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]], dtype=torch.double)
    q, p = Normal(across, torch.full_like(across, 0.01)), Normal(torch.zeros_like(across), 1.0)
    assert terms(TC(4), q, p, across, [0, 1, 2, 3])[1].abs().max() < 1e-9


@pytest.mark.parametrize("objective", [MMD(), TC(100)], ids=repr)
def test_a_batch_of_one_is_refused(objective: Objective) -> None:
    vae, x = example()
    assert objective.smallest_batch == 2
    with pytest.raises(PyrovaeError, match="this batch has 1"):
        bound(objective, vae, x[:1])
    assert objective.judged(sites_of((vae, x[:1]))).shape == (1,)


def test_a_batch_larger_than_the_data_is_refused() -> None:
    vae, x = example()
    with pytest.raises(PyrovaeError, match="a batch of 5 out of 4 training data"):
        bound(TC(4), vae, x)


def composed(prior: str = "standard-normal", posterior: str = "diagonal-normal", **options: Any) -> VAE:
    torch.manual_seed(0)
    encoder = build(POSTERIORS[posterior])
    return VAE(build(PRIORS[prior], posterior=encoder, **options), Gaussian(bent, 2, (4,)), encoder).double()


FACTORS = [
    ("standard-normal", "diagonal-normal", ""),
    ("laplace", "diagonal-normal", ""),
    ("laplace", "laplace", ""),
    ("gaussian-mixture", "diagonal-normal", "prior that is independent over dimensions, not DiagonalNormalMixture"),
    ("standard-normal", "full-covariance-normal", "posterior that is independent over dimensions, not Multivariate"),
    ("standard-normal", "iaf", "posterior that is independent over dimensions"),
]


@pytest.mark.parametrize("objective", [TC(100), ELBO(free_bits=0.1), AnalyticELBO(free_bits=0.1)], ids=repr)
@pytest.mark.parametrize(("prior", "posterior", "reason"), FACTORS)
def test_factors_over_dimensions_are_asked_for_before_the_first_step(
    objective: Objective, prior: str, posterior: str, reason: str
) -> None:
    vae, x = composed(prior, posterior), torch.randn(6, 4, dtype=torch.double)
    if not reason:
        objective.check(vae)
        assert bound(objective, vae, x).isfinite().all()
        return
    for attempt in (lambda: objective.check(vae), lambda: bound(objective, vae, x)):
        with pytest.raises(PyrovaeError, match=reason):
            attempt()


def test_free_bits_need_a_closed_form() -> None:
    vae = composed("laplace", "student-t")
    with pytest.raises(PyrovaeError, match="StudentT to Laplace is sampled: its floor would be biased"):
        ELBO(free_bits=0.1).check(vae)
    ELBO().check(vae)
    TC(100).check(vae)


def test_tc_refuses_a_prior_per_class() -> None:
    with pytest.raises(PyrovaeError, match="one prior for all data"):
        TC(100).check(composed("gaussian-mixture", classes=3, labels=True))


# Free bits


def kl_per_dimension(vae: VAE, x: Tensor) -> Tensor:
    with torch.no_grad():
        return kl_divergence(vae.posterior(x).base_dist, vae.prior().base_dist)


class PerDatum(ELBO):
    """Mutation: the maximum of each datum's KL."""

    def bound(self, sites: Densities, beta: float | Tensor) -> Tensor:
        q, p = sites.guide["z"].distribution.base_dist, sites.model["z"].distribution.base_dist
        return (sites.evidence - beta * kl_divergence(q, p).clamp(min=self.free_bits).sum(-1)).mean(0)


@pytest.mark.parametrize("kind", [ELBO, AnalyticELBO])
@pytest.mark.parametrize("particles", [1, 3])
def test_free_bits_floor_the_mean_over_the_batch(kind: Any, particles: int) -> None:
    vae, x = linear_vae(**WRONG)[:2]
    kl = kl_per_dimension(vae, x)
    between = kl.mean(0).mean().item()  # above one dimension's mean and below the other's
    evidence = bound(ELBO(particles=particles), vae, x, beta=0.0)
    for bits, floors in ((1e-9, 0), (between, 1), (100.0, 2)):
        expected = kl.mean(0).clamp(min=bits).sum()
        assert (kl.mean(0) < bits).sum() == floors
        found = bound(kind(particles=particles, free_bits=bits), vae, x, beta=2.0)
        torch.testing.assert_close((evidence - found).mean(), 2 * expected)
    mutated = (evidence - bound(PerDatum(particles=particles, free_bits=between), vae, x)).mean()
    assert abs(mutated - kl.mean(0).clamp(min=between).sum()) > 0.01


def test_free_bits_leave_a_floored_dimension_alone() -> None:
    vae, x = example()
    _, free = gradients(AnalyticELBO(free_bits=100.0), vae, x)
    _, evidence = gradients(ELBO(beta=1e-300), vae, x)
    torch.testing.assert_close(free, evidence)
    _, low = gradients(AnalyticELBO(free_bits=1e-9), vae, x)
    torch.testing.assert_close(low, gradients(AnalyticELBO(), vae, x)[1])


# What validation reads


JUDGED = [MMD(), MMD(alpha=1.0), TC(50), TC(50, alpha=3.0, gamma=2.0), ELBO(free_bits=2.0), ELBO(beta=4.0)]


@pytest.mark.parametrize("objective", JUDGED, ids=repr)
def test_validation_reads_the_plain_elbo(objective: Objective) -> None:
    sites = sites_of(example(), particles=2)
    torch.testing.assert_close(objective.judged(sites), sites.log_weight().mean(0))


@pytest.mark.parametrize(
    "objective",
    [IWAE(particles=4, groups=2, beta=3.0), PIWAE(particles=4, beta=3.0), Renyi(beta=3.0), AnalyticELBO(beta=3.0)],
    ids=repr,
)
def test_validation_reads_the_bound_at_beta_one(objective: Objective) -> None:
    sites = sites_of(example(), particles=4)
    assert torch.equal(objective.judged(sites), objective.bound(sites, 1.0))
    assert not torch.allclose(objective.judged(sites), objective.bound(sites, 3.0))


def test_free_bits_do_not_change_what_validation_reads_of_the_analytic_elbo() -> None:
    sites = sites_of(example(), particles=2)
    assert torch.equal(AnalyticELBO(free_bits=2.0).judged(sites), AnalyticELBO().judged(sites))


# Point posteriors and improper priors


def stub(*, point: bool, proper: bool) -> Any:
    """Returns an object that says no more of its parts than this."""
    posterior = SimpleNamespace(density="nowhere") if point else SimpleNamespace()
    return SimpleNamespace(posterior=posterior, prior=SimpleNamespace() if proper else SimpleNamespace(proper=False))


EVERY: list[Objective] = [kind(50) if kind is TC else kind() for kind in OBJECTIVES.values()]
ALSO: list[Objective] = [ELBO(particles=2), ELBO(free_bits=0.1), MMD(alpha=1.0), ELBO(beta=4.0)]


@pytest.mark.parametrize("objective", EVERY + ALSO, ids=repr)
def test_points_and_improper_priors_go_together(objective: Objective) -> None:
    plain = type(objective) is ELBO and objective.num_particles == 1 and not objective.free_bits
    wasserstein = isinstance(objective, MMD) and objective.alpha == 1
    legal = {(False, True): True, (False, False): False, (True, False): plain, (True, True): wasserstein}
    objective.check(object())
    for (point, proper), accepted in legal.items():
        if accepted:
            objective.check(stub(point=point, proper=proper))
        else:
            with pytest.raises(PyrovaeError) as error:
                objective.check(stub(point=point, proper=proper))
            assert error.value.hint


@pytest.mark.parametrize(
    ("prior", "objective"), [("flat", ELBO()), ("standard-normal", MMD(alpha=1.0, lam=10.0))], ids=["ae", "wae"]
)
def test_autoencoders_train(prior: str, objective: Objective) -> None:
    vae, x = composed(prior, "point"), torch.randn(8, 4, dtype=torch.double)
    objective.check(vae)
    before = {name: p.detach().clone() for name, p in vae.named_parameters()}
    step = ENGINES["eager"](vae, objective, lambda step: 0.01, None).step
    losses = [step(x) for _ in range(20)]
    assert losses[-1] < losses[0]
    assert all(not torch.equal(p, before[name]) for name, p in vae.named_parameters())
    with torch.no_grad():
        sites = densities(vae.model, vae.guide, x)
    torch.testing.assert_close(objective.judged(sites), sites.evidence[0])


def test_refusals_name_the_nearest_combination() -> None:
    with pytest.raises(PyrovaeError, match="Flat is improper: with posterior DiagonalNormal") as error:
        ELBO().check(composed("flat"))
    assert "posterior.name = 'point'" in error.value.hint
    with pytest.raises(PyrovaeError, match="posterior Point has no density") as error:
        ELBO().check(composed(posterior="point"))
    assert "prior.name = 'flat'" in error.value.hint
    with pytest.raises(PyrovaeError, match="all draws of a point posterior are one point") as error:
        IWAE().check(composed("flat", "point"))
    assert "objective.name = 'elbo'" in error.value.hint
