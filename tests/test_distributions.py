"""Priors and mixtures: they integrate to one, agree with Pyro's own, and survive small scales and far points."""

import math
from collections.abc import Callable
from typing import Any

import pyro
import pytest
import torch
from compositions import SMALL
from pyro.distributions import Categorical, MixtureSameFamily, MultivariateNormal, Normal, TorchDistribution
from pyro.infer import MCMC, NUTS
from scipy import stats
from small_models import bent, build, raw_scale
from torch import Tensor, nn
from torch.distributions import biject_to

from pyrovae import POSTERIORS, PRIORS, VAE, DiagonalNormal, DiagonalNormalMixture, Gaussian, GaussianMixture, Mixture
from pyrovae.distributions import bounded_scale, detached, unbounded_scale
from pyrovae.vae import is_proper

DOUBLE = torch.double
# Those that know their density at any z.
EVERYWHERE = [name for name, q in POSTERIORS.items() if getattr(q, "density", "everywhere") == "everywhere"]
TINY = torch.finfo(torch.float).tiny


def posterior(name: str) -> Any:
    return build(POSTERIORS[name])


def priors() -> list[tuple[str, Callable[[], nn.Module]]]:
    """Returns every prior of the table, those that can read labels also with labels, Vamp with every posterior."""
    small = {"components": 3, "pseudo_inputs": 6, "parts": SMALL["product"]["parts"]}
    plain = [(name, lambda prior=prior: build(prior, **small)) for name, prior in PRIORS.items() if is_proper(prior)]
    vamps = [
        (f"vamp-{q}", lambda q=q: build(PRIORS["vamp"], posterior=posterior(q), pseudo_inputs=3, **POOLS))
        for q in EVERYWHERE
    ]
    return [*plain, ("gaussian-mixture-pools", lambda: build(PRIORS["gaussian-mixture"], **POOLS)), *vamps]


POOLS = {"classes": 3, "labels": True}
PRIOR_LIST = priors()
each_prior = pytest.mark.parametrize("make", [make for _, make in PRIOR_LIST], ids=[name for name, _ in PRIOR_LIST])


def made(make: Callable[[], Any]) -> Any:
    """Builds a prior with uneven weights and scales."""
    torch.manual_seed(0)
    prior = make()
    for name, parameter in prior.named_parameters(recurse=False):
        if name in ("logits", "raw_scale"):
            torch.nn.init.normal_(parameter, std=0.7)
    return prior.requires_grad_(requires_grad=False)


def densities_of(prior: Any) -> list[Any]:
    """Returns the marginal, and the pool of each class where the prior reads labels."""
    return [prior(), *(prior(torch.tensor(y)) for y in range(prior.classes))]


def moments(distribution: TorchDistribution, powers: int = 4, reach: float = 20.0) -> Tensor:
    """Returns the integrals of p(z) z^0, p(z) z^1, ... over a 2-D grid, shape `(powers, 2)`."""
    line = torch.linspace(-reach, reach, 401, dtype=DOUBLE)
    z = torch.cartesian_prod(line, line)
    mass = distribution.log_prob(z).exp() * (line[1] - line[0]) ** 2
    return torch.stack([(mass[:, None] * z**power).sum(0) for power in range(powers)])


def integrates_to_one(distribution: TorchDistribution, tolerance: float = 1e-3) -> bool:
    return bool((moments(distribution, 1) - 1).abs().max() < tolerance)


@each_prior
def test_every_prior_and_every_pool_integrates_to_one(make: Callable[[], nn.Module]) -> None:
    # The trapezium rule sees the kink of a Laplace density coarsely; tests/test_more_parts.py sees it finely.
    assert all(integrates_to_one(p, 5e-3) for p in densities_of(made(make)))


@each_prior
def test_samples_have_the_moments_of_the_density(make: Callable[[], nn.Module]) -> None:
    for p in densities_of(made(make)):
        z = p.sample((20_000,))
        for power, expected in enumerate(moments(p)[1:], start=1):
            noise = z.pow(power).std(0) / math.sqrt(len(z))
            assert ((z.pow(power).mean(0) - expected).abs() / noise).max() < 4.5


@each_prior
def test_pools_weighted_by_labels_are_the_marginal(make: Callable[[], nn.Module]) -> None:
    prior, z = made(make), 2 * torch.randn(50, 2, dtype=DOUBLE)
    marginal, *pools = densities_of(prior)
    if pools:
        joint = torch.stack([p.log_prob(z) for p in pools], -1) + prior.labels().logits
        torch.testing.assert_close(joint.logsumexp(-1), marginal.log_prob(z), rtol=0, atol=1e-10)


@each_prior
def test_a_pool_is_the_mixture_of_its_own_components(make: Callable[[], nn.Module]) -> None:
    prior, z = made(make), 2 * torch.randn(50, 2, dtype=DOUBLE)
    if prior.classes:
        own = prior.logits.view(prior.classes, -1).log_softmax(-1)  # equal groups in order
        components = prior.components().log_prob(z[:, None]).view(50, prior.classes, -1)
        pools = torch.stack([prior(torch.tensor(y)).log_prob(z) for y in range(prior.classes)], -1)
        torch.testing.assert_close(pools, (own + components).logsumexp(-1), rtol=0, atol=1e-10)


@each_prior
def test_labels_of_a_batch_pick_the_pool_of_each_datum(make: Callable[[], nn.Module]) -> None:
    prior = made(make)
    if prior.classes:
        y, z = torch.tensor([2, 0, 1, 2]), torch.randn(4, 2, dtype=DOUBLE)
        expected = torch.stack([prior(label).log_prob(row) for label, row in zip(y, z, strict=True)])
        torch.testing.assert_close(prior(y).log_prob(z), expected)
        assert prior(y).expand((5, 4)).sample().shape == (5, 4, 2)


class Unweighted(DiagonalNormalMixture):
    """Mutation: weights that are not normalised."""

    def __init__(self, logits: Tensor, loc: Tensor, scale: Tensor) -> None:
        super().__init__(logits, loc, scale)
        self.log_weights = logits


class HalfScale(DiagonalNormalMixture):
    """Mutation: the norm belongs to another scale."""

    def _joint(self, value: Tensor) -> Tensor:
        return super()._joint(value) + math.log(2)


def parts(
    size: int = 7, dim: int = 2, dtype: torch.dtype = DOUBLE, scale: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    logits, loc, raw = torch.randn(size), 2 * torch.randn(size, dim), torch.randn(size, dim)
    return tuple(t.to(dtype).requires_grad_() for t in (logits, loc, scale * (0.3 * raw).exp()))  # type: ignore[return-value]


@pytest.mark.parametrize("mutation", [Unweighted, HalfScale])
def test_mutated_mixtures_do_not_integrate_to_one(mutation: type[DiagonalNormalMixture]) -> None:
    assert integrates_to_one(DiagonalNormalMixture(*parts()))
    assert not integrates_to_one(mutation(*parts()))


def pyros(logits: Tensor, loc: Tensor, scale: Tensor) -> TorchDistribution:
    return MixtureSameFamily(Categorical(logits=logits), Normal(loc, scale).to_event(1))


def general(logits: Tensor, loc: Tensor, scale: Tensor) -> Mixture:
    return Mixture(logits, MultivariateNormal(loc, scale_tril=scale.diag_embed()))


Family = Callable[[Tensor, Tensor, Tensor], TorchDistribution]


def log_prob_and_grads(family: Family, z: Tensor, given: tuple[Tensor, ...]) -> list[Tensor]:
    """Returns the log density and its gradients in the parameters and in z."""
    z = z.clone().requires_grad_()
    log_prob = family(*given).log_prob(z)
    return [log_prob.detach(), *torch.autograd.grad(log_prob.sum(), [*given, z])]


def points(given: tuple[Tensor, ...], rows: int = 40) -> Tensor:
    """Returns points around the components, half of them far away."""
    _, loc, scale = (t.detach() for t in given)
    pick = torch.arange(rows) % len(loc)
    reach = torch.where(torch.arange(rows) % 2 == 0, 1.0, 20.0)[:, None].to(loc.dtype)
    return loc[pick] + reach * scale[pick] * torch.randn(rows, loc.shape[1], dtype=loc.dtype)


@pytest.mark.parametrize("family", [DiagonalNormalMixture, general])
@pytest.mark.parametrize(("size", "dim"), [(1, 1), (7, 3), (100, 20)])
def test_mixtures_equal_pyros(family: Family, size: int, dim: int) -> None:
    given = parts(size, dim)
    z = points(given)
    for ours, theirs in zip(log_prob_and_grads(family, z, given), log_prob_and_grads(pyros, z, given), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("mutation", [Unweighted, HalfScale])
def test_mutated_mixtures_differ_from_pyros(mutation: Family) -> None:
    z, given = points(parts()), parts()
    assert (mutation(*given).log_prob(z) - pyros(*given).log_prob(z)).abs().min() > 1e-3


@pytest.mark.parametrize("family", [DiagonalNormalMixture, general])
@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_single_precision_keeps_five_digits(family: Family, scale: float) -> None:
    given = parts(50, 10, torch.float, scale)
    z, wide = points(given), tuple(t.detach().double().requires_grad_() for t in given)
    found, exact = log_prob_and_grads(family, z, given), log_prob_and_grads(pyros, z.double(), wide)
    for ours, theirs in zip(found, exact, strict=True):
        assert ours.dtype == torch.float
        assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max()


def test_single_precision_keeps_a_nearby_point_between_far_components() -> None:
    loc = torch.tensor([[-50.0], [50.0]])
    given = torch.zeros(2), loc, torch.full((2, 1), 0.01)
    z = torch.tensor([[50.013], [-49.98]])
    exact = pyros(*(t.double() for t in given)).log_prob(z.double())
    torch.testing.assert_close(DiagonalNormalMixture(*given).log_prob(z).double(), exact, rtol=0, atol=1e-3)


@pytest.mark.parametrize("family", [DiagonalNormalMixture, general])
def test_log_density_is_finite_however_far_the_point(family: Family) -> None:
    given = parts(7, 3, torch.float)
    found = log_prob_and_grads(family, torch.full((1, 3), 1e6), given)
    assert all(t.isfinite().all() for t in found)


def denormal(tensors: list[Tensor]) -> bool:
    return any(bool(((t != 0) & (t.abs() < TINY)).any()) for t in tensors)


def test_far_components_leave_no_denormal_numbers() -> None:
    far = torch.linspace(0, 30, 400)[:, None]
    given = tuple(t.requires_grad_() for t in (torch.zeros(400), far, torch.ones(400, 1)))
    z = torch.zeros(5, 1)
    assert denormal(log_prob_and_grads(pyros, z, given))
    assert not denormal(log_prob_and_grads(DiagonalNormalMixture, z, given))


@pytest.mark.parametrize("family", [DiagonalNormalMixture, general])
def test_a_weight_of_zero_leaves_its_component_out(family: Family) -> None:
    logits, loc, scale = (t.detach() for t in parts(3, 2))
    logits[1] = -torch.inf
    given = tuple(t.clone().requires_grad_() for t in (logits, loc, scale))
    keep, z = torch.tensor([0, 2]), points(parts(3, 2))
    found = log_prob_and_grads(family, z, given)
    torch.testing.assert_close(found[0], pyros(logits[keep], loc[keep], scale[keep]).log_prob(z))
    assert all(t.isfinite().all() for t in found)
    assert all((t[1] == 0).all() for t in found[1:4])
    assert family(*given).sample((2000,)).isfinite().all()


@pytest.mark.parametrize("family", [DiagonalNormalMixture, general])
def test_responsibilities_follow_bayes(family: Callable[..., Mixture]) -> None:
    given = parts()
    p, z = family(*given), points(given)
    components = Normal(given[1], given[2]).to_event(1).log_prob(z[:, None])
    bayes = given[0].log_softmax(0) + components - pyros(*given).log_prob(z)[:, None]
    torch.testing.assert_close(p.responsibilities(z), bayes.exp(), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(p.responsibilities(z).sum(-1), torch.ones(len(z), dtype=DOUBLE))


@pytest.mark.parametrize("family", [DiagonalNormalMixture, general])
def test_samples_come_from_every_component_by_weight(family: Callable[..., Mixture]) -> None:
    logits, loc = torch.tensor([0.0, 1.0, 2.0], dtype=DOUBLE), torch.tensor([[-9.0], [0.0], [9.0]], dtype=DOUBLE)
    torch.manual_seed(0)
    z = family(logits, loc, torch.full((3, 1), 0.5, dtype=DOUBLE)).sample((5000,))
    nearest = (z - loc.T).abs().argmin(1)
    assert stats.chisquare(nearest.bincount(minlength=3), 5000 * logits.softmax(0)).pvalue > 1e-4
    assert stats.chisquare(nearest.bincount(minlength=3), [5000 / 3] * 3).pvalue < 1e-9
    assert stats.kstest((z - loc[nearest])[:, 0], stats.norm(0, 0.5).cdf).pvalue > 1e-4


@pytest.mark.parametrize("family", [DiagonalNormalMixture, general])
def test_expand_keeps_the_density_and_gives_the_shapes(family: Callable[..., Mixture]) -> None:
    p = family(*parts())
    wide = p.expand((3, 5))
    assert (wide.batch_shape, wide.event_shape, wide.sample().shape) == ((3, 5), (2,), (3, 5, 2))
    z = wide.sample((4,))
    assert z.shape == (4, 3, 5, 2)
    torch.testing.assert_close(wide.log_prob(z), p.log_prob(z), rtol=0, atol=1e-10)
    torch.testing.assert_close(wide.mean, p.mean.expand(3, 5, 2))
    assert len(wide.sample().view(-1, 2).unique(dim=0)) == 15


def test_mean_is_the_first_moment() -> None:
    p = DiagonalNormalMixture(*(t.detach() for t in parts()))
    torch.testing.assert_close(p.mean, moments(p)[1], rtol=0, atol=1e-6)


def test_validation_refuses_what_is_not_a_point() -> None:
    p = DiagonalNormalMixture(*parts(), validate_args=True)
    with pytest.raises(ValueError, match="support"):
        p.log_prob(torch.full((3, 2), torch.nan, dtype=DOUBLE))


@pytest.mark.parametrize("family", [DiagonalNormalMixture, lambda w, m, s: Mixture(w, Normal(m, s).to_event(1))])
def test_weights_that_are_not_numbers_are_refused_by_name(family: Family) -> None:
    with pyro.validation_enabled(), pytest.raises(ValueError, match="log_weights"):
        family(torch.tensor([0.0, torch.nan]), torch.zeros(2, 1), torch.ones(2, 1))


@each_prior
def test_support_is_all_real_vectors(make: Callable[[], nn.Module]) -> None:
    for p in densities_of(made(make)):
        assert p.support.event_dim == 1
        assert biject_to(p.support)(torch.tensor([-3.0, 3.0])).tolist() == [-3.0, 3.0]


def test_nuts_runs_under_a_mixture_prior_and_finds_its_posterior() -> None:
    torch.manual_seed(0)
    prior = GaussianMixture(1, components=2).double().requires_grad_(requires_grad=False)
    prior.loc.copy_(torch.tensor([[-2.0], [2.0]]))
    likelihood = Gaussian(bent, 1, (1,), noise="fixed", scale=1.0).double().requires_grad_(requires_grad=False)
    vae, x = VAE(prior, likelihood, DiagonalNormal(bent, 1, (1,)).double()), torch.zeros(2, 1, dtype=DOUBLE)
    vae.eval().requires_grad_(requires_grad=False)  # Pyro warns of frozen parameters in training mode
    with pyro.get_param_store().scope():
        mcmc = MCMC(NUTS(vae.model), num_samples=30, warmup_steps=20, disable_progbar=True)
        mcmc.run(x)
    z = mcmc.get_samples()["z"]
    assert z.shape == (30, 2, 1)
    assert z.isfinite().all()
    assert z.abs().mean() == pytest.approx(2, abs=1)


@pytest.mark.parametrize("scale", [2e-4, 0.1, 1.0, 30.0, 9e3])
def test_unbounded_scale_inverts_bounded_scale(scale: float) -> None:
    raw = torch.tensor(unbounded_scale(scale), dtype=DOUBLE)
    assert bounded_scale(raw).item() == pytest.approx(scale, rel=1e-9)
    assert raw_scale(torch.tensor(scale, dtype=DOUBLE)).item() == pytest.approx(raw.item())


def test_bounded_scale_stays_in_bounds_and_keeps_a_slope() -> None:
    raw = torch.linspace(-40, 40, 81, dtype=DOUBLE, requires_grad=True)
    scale = bounded_scale(raw)
    assert 1e-4 <= scale.min() < scale.max() <= 1e4
    assert (torch.autograd.grad(scale.sum(), raw)[0] > 0).all()


@pytest.mark.parametrize(
    "family", [DiagonalNormalMixture, general, pyros, lambda _, loc, scale: Normal(loc, scale).to_event(1).expand((7,))]
)
def test_detached_twins_have_the_density_and_no_gradient(family: Family) -> None:
    p, z = family(*parts()), torch.zeros(7, 2, dtype=DOUBLE)
    twin = detached(p)
    torch.testing.assert_close(twin.log_prob(z), p.log_prob(z).detach())
    assert p.log_prob(z).requires_grad
    assert not twin.log_prob(z).requires_grad


@pytest.mark.parametrize("name", EVERYWHERE)
def test_posteriors_integrate_to_one_and_are_reparametrised(name: str) -> None:
    torch.manual_seed(0)
    q = posterior(name)(torch.randn(4, dtype=DOUBLE))
    assert integrates_to_one(q)
    assert q.rsample().requires_grad
