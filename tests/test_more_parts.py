"""Priors and posteriors beyond the normal: densities against SciPy, dense forms and quadrature, and what is refused."""

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pyro
import pytest
import torch
from pyro.distributions import (
    Categorical,
    Independent,
    Laplace,
    LowRankMultivariateNormal,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    StudentT,
    TorchDistribution,
)
from scipy import stats
from small_models import bent, raw_scale, score
from torch import Tensor, nn
from torch.distributions import kl_divergence

from pyrovae import (
    ELBO,
    POSTERIORS,
    PRIORS,
    VAE,
    Bernoulli,
    DiagonalLaplace,
    DiagonalNormal,
    DiagonalStudentT,
    Flat,
    FullCovarianceMixture,
    FullCovarianceNormal,
    GaussianMixture,
    LowRankNormal,
    Mixture,
    Point,
    Product,
    PyrovaeError,
    StandardLaplace,
    Vamp,
)
from pyrovae.densities import densities
from pyrovae.distributions import bounded_scale, cholesky_factor
from pyrovae.mixtures import PARAMETERS, CorrelatedNormalMixture, mixture, pick
from pyrovae.posteriors import low_rank_normal
from pyrovae.priors.mixture import MixturePrior
from pyrovae.priors.product import Concatenation

DOUBLE = torch.double
X, EVENT = torch.rand(5, 4, generator=torch.Generator().manual_seed(0), dtype=DOUBLE), (4,)
PARTS: list[dict[str, Any]] = [
    {"name": "laplace", "latent_dim": 1},
    {"name": "gaussian-mixture", "latent_dim": 1, "labels": True, "components": 6},
]


def vamp(posterior: Callable[..., nn.Module], latent_dim: int, **options: Any) -> Vamp:
    return Vamp(posterior(bent, latent_dim, EVENT), EVENT, pseudo_inputs=6, **options)


MAKERS: dict[str, Callable[[int], Any]] = {
    "laplace": StandardLaplace,
    "laplace-wide": lambda dim: StandardLaplace(dim, scale=2.0),
    "mixture": lambda dim: GaussianMixture(dim, 3, labels=True, components=6),
    "full-covariance": lambda dim: FullCovarianceMixture(dim, components=4),
    "full-covariance-pools": lambda dim: FullCovarianceMixture(dim, 3, labels=True, components=6),
    "full-covariance-one-each": lambda dim: FullCovarianceMixture(dim, 3),
    "product": lambda dim: Product(dim, 3, parts=[PARTS[1], *([PARTS[0]] if dim == 2 else [])]),
    "vamp-laplace": lambda dim: vamp(DiagonalLaplace, dim),
    "vamp-student-t": lambda dim: vamp(DiagonalStudentT, dim, classes=3, labels=True),
    "vamp-low-rank": lambda dim: vamp(LowRankNormal, dim, classes=3, labels=True),
}
each_prior = pytest.mark.parametrize("name", MAKERS)


def made(name: str, dim: int = 2) -> Any:
    """Builds a prior with uneven weights, scales and correlations."""
    torch.manual_seed(1)
    prior = MAKERS[name](dim).double()
    for part in (prior, *getattr(prior, "parts", [])):
        for parameter in part.parameters(recurse=False):
            parameter.data += 0.5 * torch.randn_like(parameter)
    return prior.requires_grad_(requires_grad=False)


def all_of(prior: Any) -> list[TorchDistribution]:
    """Returns the marginal, and the pool of each class where the prior reads labels."""
    return [prior(), *(prior(torch.tensor(y)) for y in range(prior.classes))]


# Every density is one, and what is drawn follows it


def quadrature(p: TorchDistribution, value: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """Integrates p(z), or p(z) value(z), over 1 or 2 dimensions, on a grid that is fine near 0 and reaches to 1500."""
    u = torch.linspace(-8, 8, 3201 if p.event_shape == (1,) else 401, dtype=DOUBLE)
    line, weight = u.sinh(), u.cosh() * (u[1] - u[0])
    z = line[:, None] if p.event_shape == (1,) else torch.cartesian_prod(line, line)
    weights = weight if p.event_shape == (1,) else torch.cartesian_prod(weight, weight).prod(-1)
    mass = p.log_prob(z).exp() * weights
    return mass.sum() if value is None else (mass.unsqueeze(-1) * value(z)).sum(0)


@each_prior
@pytest.mark.parametrize("dim", [1, 2])
def test_a_proper_prior_integrates_to_one(name: str, dim: int) -> None:
    assert all((quadrature(p) - 1).abs() < 2e-3 for p in all_of(made(name, dim)))


def moments(z: Tensor) -> Tensor:
    """Bounded statistics, since a heavy tail has no fourth moment: where, how wide, and how the dimensions agree."""
    s = (z / 2).tanh()
    return torch.cat([s, s.square(), s.prod(-1, keepdim=True)], -1)


def misses(p: TorchDistribution) -> float:
    torch.manual_seed(2)
    return score(moments(p.sample((20_000,))), quadrature(p, moments))


@each_prior
def test_samples_follow_the_density(name: str) -> None:
    """Mutation: every draw from the first component, or the two below."""
    assert all(misses(p) < 4.5 for p in all_of(made(name)))


def drawn(p: Any) -> Tensor:
    draws: Tensor = p.sample()
    return draws


def test_draws_with_another_correlation_would_fail_that_law(monkeypatch: pytest.MonkeyPatch) -> None:
    prior = made("full-covariance")
    prior.below.fill_(2.0)
    p = prior()
    assert misses(p) < 4.5
    factor = p.components.scale_tril
    other = factor.diagonal(dim1=-2, dim2=-1).diag_embed() - factor.tril(-1)
    wrong: Any = MultivariateNormal(p.components.loc, scale_tril=other)
    monkeypatch.setattr(CorrelatedNormalMixture, "_draw", lambda self, index: drawn(pick(wrong, index)))
    assert misses(p) > 10


def test_a_density_without_its_determinant_would_fail_that_law(monkeypatch: pytest.MonkeyPatch) -> None:
    joint = CorrelatedNormalMixture._joint

    def wrong(self: CorrelatedNormalMixture, value: Tensor) -> Tensor:
        return joint(self, value) + self.components.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    monkeypatch.setattr(CorrelatedNormalMixture, "_joint", wrong)
    assert (quadrature(made("full-covariance")()) - 1).abs() > 0.01


@each_prior
def test_the_marginal_is_the_pools_weighed(name: str) -> None:
    prior, z = made(name), 2 * torch.randn(50, 2, dtype=DOUBLE)
    marginal, *pools = all_of(prior)
    if pools:
        joint = torch.stack([p.log_prob(z) for p in pools], -1) + prior.labels().logits
        torch.testing.assert_close(joint.logsumexp(-1), marginal.log_prob(z), rtol=0, atol=1e-10)


@each_prior
def test_labels_of_a_batch_pick_the_pool_of_each_datum(name: str) -> None:
    prior = made(name)
    if prior.classes:
        y, z = torch.tensor([2, 0, 1, 2]), torch.randn(4, 2, dtype=DOUBLE)
        expected = torch.stack([prior(label).log_prob(row) for label, row in zip(y, z, strict=True)])
        torch.testing.assert_close(prior(y).log_prob(z), expected)
        assert prior(y).expand((5, 4)).sample().shape == (5, 4, 2)


# Mixtures


def test_components_are_dealt_to_classes_in_equal_groups() -> None:
    """Mutation: `members` that deals components out in turn."""
    prior, z = made("mixture"), torch.randn(9, 2, dtype=DOUBLE)
    pool = Mixture(prior.logits[2:4], Normal(prior.loc[2:4], bounded_scale(prior.raw_scale[2:4])).to_event(1))
    torch.testing.assert_close(prior(torch.tensor(1)).log_prob(z), pool.log_prob(z))


@pytest.mark.parametrize(
    ("classes", "options", "size", "reads"),
    [
        (3, {"labels": True}, 3, 3),
        (3, {"labels": True, "components": 6}, 6, 3),
        (3, {"components": 6}, 6, 0),
        (3, {"labels": False}, 10, 0),
    ],
)
@pytest.mark.parametrize("kind", [GaussianMixture, FullCovarianceMixture])
def test_components_count_all(kind: Any, classes: int, options: dict[str, Any], size: int, reads: int) -> None:
    prior = kind(2, classes, **options)
    assert (len(prior.logits), prior.classes) == (size, reads)


def drift(prior: MixturePrior) -> float:
    """Returns how far steps on p(z | y) alone move p(y)."""
    before, z, y = prior.labels().probs.detach(), torch.randn(30, 2), torch.arange(30) % 3
    optimizer = torch.optim.Adam(prior.parameters(), lr=0.1)
    for _ in range(20):
        optimizer.zero_grad()
        (-prior(y).log_prob(z)).sum().backward()
        optimizer.step()
    return float((prior.labels().probs.detach() - before).abs().max())


@pytest.mark.parametrize("name", ["mixture", "full-covariance-pools"])
def test_weights_of_classes_that_nothing_scores_stay(name: str) -> None:
    """Mutation: without `freeze_weights`, Adam's steps let p(y) drift though its gradient is zero."""
    torch.manual_seed(0)
    prior = MAKERS[name](2)
    prior.freeze_weights()
    before = prior.logits.detach().clone()
    assert drift(prior) < 1e-6
    assert bool((prior.logits != before).all())
    loose = MAKERS[name](2)
    loose.raw_scale.data.normal_()
    assert drift(loose) > 1e-3


def test_frozen_weights_are_part_of_the_state() -> None:
    old, new = (made("mixture").requires_grad_() for _ in range(2))
    old.logits.data.normal_()
    old.freeze_weights()
    new.freeze_weights()
    new.load_state_dict(old.state_dict())
    torch.testing.assert_close(new.labels().probs, old.labels().probs)


@pytest.mark.parametrize("dim", [1, 2, 7])
def test_correlated_mixture_is_that_of_torch(dim: int) -> None:
    torch.manual_seed(0)
    below, loc, logits = (torch.randn(*shape, dtype=DOUBLE) for shape in [(5, dim * (dim - 1) // 2), (5, dim), (5,)])
    components = MultivariateNormal(loc, scale_tril=cholesky_factor(loc.exp(), below))
    ours, theirs = mixture(logits, components), MixtureSameFamily(Categorical(logits=logits), components)
    assert isinstance(ours, CorrelatedNormalMixture)
    z = 3 * torch.randn(4, 6, dim, dtype=DOUBLE)
    expected = theirs.log_prob(z)
    near = expected > expected.max() - 50
    torch.testing.assert_close(ours.log_prob(z)[near], expected[near], rtol=0, atol=1e-10)
    torch.testing.assert_close(ours.mean, theirs.mean)
    assert ours.expand((4, 6)).sample().shape == (4, 6, dim)


def test_correlated_mixture_keeps_its_digits_at_small_scales() -> None:
    torch.manual_seed(0)
    loc, below = 3 * torch.randn(4, 3, dtype=DOUBLE), torch.randn(4, 3, dtype=DOUBLE)
    fine = MultivariateNormal(loc.float(), scale_tril=cholesky_factor(torch.full((4, 3), 1e-3), below.float()))
    z = fine.sample((100,)).reshape(-1, 3)
    exact = MultivariateNormal(fine.loc.double(), scale_tril=fine.scale_tril.double())
    error = mixture(torch.zeros(4), fine).log_prob(z) - mixture(torch.zeros(4, dtype=DOUBLE), exact).log_prob(
        z.double()
    )
    assert error.abs().max() < 1e-3


def families() -> list[TorchDistribution]:
    a, b = torch.randn(6, 2), torch.rand(6, 2) + 0.5
    full = MultivariateNormal(a, scale_tril=cholesky_factor(b, a[:, :1]))
    low = LowRankMultivariateNormal(a, b.unsqueeze(-1), b)
    return [full, low, *(d.to_event(1) for d in (Normal(a, b), Laplace(a, b), StudentT(5.0, a, b)))]


def test_a_picked_component_is_that_component() -> None:
    index, z = torch.tensor([[4, 0, 4], [1, 5, 2]]), torch.randn(2)
    kinds = families()
    assert {type(getattr(p, "base_dist", p)) for p in kinds} == set(PARAMETERS)
    for p in kinds:
        chosen = pick(p, index)
        assert chosen is not None
        torch.testing.assert_close(chosen.log_prob(z), p.log_prob(z)[index])


def test_components_that_cannot_be_picked_are_drawn_all_the_same() -> None:
    loc = torch.tensor([[-9.0], [9.0]])
    shifted = pyro.distributions.TransformedDistribution(
        Normal(torch.zeros(2, 1), 1.0).to_event(1),
        [pyro.distributions.transforms.AffineTransform(loc, 1.0, event_dim=1)],
    )
    assert pick(shifted, torch.tensor([0])) is None
    assert (Mixture(torch.tensor([0.0, -torch.inf]), shifted).sample((200,)) < 0).all()


# Against SciPy and dense forms


def posterior_of(kind: Callable[..., Any], dim: int = 3, **options: Any) -> Any:
    torch.manual_seed(3)
    return kind(bent, dim, EVENT, **options).double()


def test_laplace_prior_agrees_with_scipy() -> None:
    z = 3 * torch.randn(20, 3, dtype=DOUBLE)
    expected = stats.laplace.logpdf(z, scale=0.7).sum(-1)
    torch.testing.assert_close(StandardLaplace(3, scale=0.7).double()().log_prob(z), torch.from_numpy(expected))
    torch.testing.assert_close(StandardLaplace(3)().variance, torch.ones(3))


@torch.no_grad()
@pytest.mark.parametrize(
    ("kind", "options", "oracle"),
    [
        (DiagonalLaplace, {}, stats.laplace),
        (DiagonalStudentT, {"df": 3.5}, lambda loc, scale: stats.t(3.5, loc, scale)),
    ],
)
def test_heavy_posteriors_agree_with_scipy(kind: Any, options: dict[str, Any], oracle: Any) -> None:
    """Mutation: df of the t in the place of its scale, as `StudentT(scale, loc, df)`."""
    posterior, z = posterior_of(kind, **options), torch.randn(7, 5, 3, dtype=DOUBLE)
    loc, raw = posterior.encoder(X, None).chunk(2, -1)
    expected = oracle(loc.numpy(), bounded_scale(raw).numpy()).logpdf(z.numpy()).sum(-1)
    torch.testing.assert_close(posterior(X).log_prob(z), torch.from_numpy(expected))


@torch.no_grad()
@pytest.mark.parametrize("rank", [1, 2, 5])
def test_low_rank_normal_is_the_dense_one(rank: int) -> None:
    """Mutation: `scale` in the place of `scale.square()`."""
    posterior = posterior_of(LowRankNormal, rank=rank)
    q, (loc, raw, columns) = posterior(X), posterior.encoder(X, None).split([3, 3, 3 * rank], -1)
    s, f = bounded_scale(raw).diag_embed(), columns.unflatten(-1, (3, rank))
    f = low_rank_normal.REACH * torch.tanh(f / low_rank_normal.REACH)
    dense = MultivariateNormal(loc, s @ (torch.eye(3, dtype=DOUBLE) + f @ f.mT) @ s)
    z = torch.randn(7, 5, 3, dtype=DOUBLE)
    torch.testing.assert_close(q.log_prob(z), dense.log_prob(z))
    torch.testing.assert_close(q.covariance_matrix, dense.covariance_matrix)


@pytest.mark.parametrize(("kind", "variance"), [(DiagonalLaplace, 2.0), (DiagonalStudentT, 5 / 3)])
def test_draws_are_reparametrised(kind: Any, variance: float) -> None:
    """The gradient of E[z^2] by loc is 2 loc, by the log of the scale twice the variance; mutation: `sample`."""
    q = kind(lambda i, o, classes: Fixed(torch.tensor([1.5, 0.3])), 1, EVENT)
    raw = q.encoder.numbers
    z = q(X.float()[:1].expand(20_000, 4)).rsample()
    each = torch.stack(
        [g for (g,) in (torch.autograd.grad(part.square().sum(), raw, retain_graph=True) for part in z.split(200))]
    )
    mean, slope = each[:, 0] / 200, each[:, 1] / 200
    scale = bounded_scale(raw.detach()[1])
    assert score(mean, 3.0) < 4.5
    steep = 1 - torch.tanh(raw.detach()[1] / math.log(1e4)) ** 2
    assert score(slope, 2 * variance * scale**2 * steep) < 4.5


class Fixed(nn.Module):
    """An encoder that answers the same numbers to everything."""

    def __init__(self, numbers: Tensor) -> None:
        super().__init__()
        self.numbers = nn.Parameter(numbers)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.numbers.expand(len(x), -1)


def test_heavy_tails_bound_importance_weights() -> None:
    """A posterior that is too narrow by half: the weights of its t are bounded, those of its normal are not."""
    z, target = torch.linspace(-200, 200, 2001, dtype=DOUBLE)[:, None], Normal(torch.zeros(1, dtype=DOUBLE), 1.0)
    raw = torch.stack([torch.zeros((), dtype=DOUBLE), raw_scale(torch.tensor(0.5, dtype=DOUBLE))])
    heavy, light = (kind(lambda i, o, c: Fixed(raw), 1, EVENT)(X[:1]) for kind in (DiagonalStudentT, DiagonalNormal))
    log_p = target.log_prob(z).sum(-1)
    assert (log_p - heavy.log_prob(z)).max() < 2
    assert (log_p - light.log_prob(z)).max() > 1e4


@pytest.mark.parametrize("kind", [LowRankNormal, DiagonalLaplace, DiagonalStudentT, FullCovarianceNormal])
@pytest.mark.parametrize("raw", [-1e9, 1e9])
def test_a_posterior_cannot_run_away(kind: Any, raw: float) -> None:
    q = kind(lambda i, o, c: Fixed(torch.cat([torch.zeros(20), torch.full((o[0] - 20,), raw)])), 20, EVENT)(X.float())
    assert q.log_prob(torch.zeros(5, 20)).isfinite().all()
    assert q.rsample().isfinite().all()


def test_columns_without_reach_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(low_rank_normal, "REACH", 1e6)
    with pytest.raises(torch.linalg.LinAlgError):
        test_a_posterior_cannot_run_away(LowRankNormal, 1e9)


# Closed forms


def correlated() -> list[TorchDistribution]:
    torch.manual_seed(0)
    a, b = torch.randn(4, 3, dtype=DOUBLE), torch.rand(4, 3, dtype=DOUBLE) + 0.5
    low = LowRankMultivariateNormal(a, torch.randn(4, 3, 2, dtype=DOUBLE), b)
    return [MultivariateNormal(a, scale_tril=cholesky_factor(b, a)), low]


@pytest.mark.parametrize("p", correlated())
def test_divergence_from_a_diagonal_normal_is_that_from_the_dense_one(p: TorchDistribution) -> None:
    """Mutation: `p.stddev` in the place of `p.variance`."""
    loc, scale = torch.randn(3, dtype=DOUBLE), torch.rand(3, dtype=DOUBLE) + 0.5
    closed = kl_divergence(p, Normal(loc, scale).to_event(1))
    torch.testing.assert_close(closed, kl_divergence(p, MultivariateNormal(loc, scale_tril=scale.diag())))
    batch = kl_divergence(p.expand((2, 4)), Normal(loc, scale).to_event(1).expand((2, 4)))
    torch.testing.assert_close(batch, closed.expand(2, 4))
    with pytest.raises(NotImplementedError):
        kl_divergence(p, Laplace(loc, scale).to_event(1))


HEAVY, SHARP = StudentT(torch.tensor(4.5).double(), 0.3, 0.6), Laplace(torch.tensor(0.3).double(), 0.6)
NORMAL, OTHER = Normal(torch.tensor(-0.5).double(), 1.4), Laplace(torch.tensor(-0.5).double(), 1.4)


@pytest.mark.parametrize(("p", "q"), [(HEAVY, NORMAL), (SHARP, NORMAL), (SHARP, OTHER)])
def test_divergences_agree_with_quadrature(p: TorchDistribution, q: TorchDistribution) -> None:
    p, q = (d.expand((1,)).to_event(1) for d in (p, q))
    expected = quadrature(p, lambda z: (p.log_prob(z) - q.log_prob(z)).unsqueeze(-1))
    torch.testing.assert_close(kl_divergence(p, q), expected.squeeze(), rtol=0, atol=1e-4)


def test_no_divergence_of_torch_or_pyro_is_replaced() -> None:
    code = (
        "import pyro; from torch.distributions.kl import _KL_REGISTRY as r; old = dict(r);"
        "import pyrovae.distributions;"
        "assert all(r[k] is f for k, f in old.items()); print(len(r) - len(old))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "3"


# Products


def test_a_product_is_the_sum_of_its_parts() -> None:
    """Mutation: slices in reverse order."""
    prior, z, y = made("product"), torch.randn(5, 2, dtype=DOUBLE), torch.tensor([0, 1, 2, 2, 0])
    first, second = prior.parts
    for label in (None, y):
        each = first(label).log_prob(z[:, :1]) + second().log_prob(z[:, 1:])
        torch.testing.assert_close(prior(label).log_prob(z), each)
    torch.testing.assert_close(prior().mean, torch.cat([first().mean, second().mean]))
    assert prior.classes == 3
    assert torch.equal(prior.labels().probs, first.labels().probs)
    prior.freeze_weights()
    assert first.frozen is not None


def test_parts_of_a_product_keep_their_place_and_their_gradient() -> None:
    far = [Normal(torch.full((size,), loc), 0.1).to_event(1) for size, loc in ((1, -50.0), (2, 50.0))]
    p = Concatenation(far)
    assert p.has_rsample
    assert (p.rsample((3,)).sign() == torch.tensor([-1.0, 1.0, 1.0])).all()
    torch.testing.assert_close(p.variance, torch.full((3,), 0.01))
    mixed = Concatenation([*far, Mixture(torch.zeros(2), Normal(torch.zeros(2, 1), 1.0).to_event(1))])
    assert not mixed.has_rsample
    assert mixed.expand((7, 5)).sample((2,)).shape == (2, 7, 5, 4)


def test_a_product_without_labels_has_none() -> None:
    prior = Product(3, parts=[{"name": "laplace", "latent_dim": 2}, {"name": "standard-normal", "latent_dim": 1}])
    assert prior.classes == 0
    with pytest.raises(PyrovaeError, match="no part of the prior reads labels"):
        prior.labels()


MIX, LAPLACE = {"name": "gaussian-mixture", "latent_dim": 2}, {"name": "laplace", "latent_dim": 2}


@pytest.mark.parametrize(
    ("parts", "words", "hint"),
    [
        ([LAPLACE, {"name": "flat", "latent_dim": 2}], r"prior.parts\[1\].*improper in some dimensions", ""),
        ([LAPLACE, MIX | {"component": 3}], r"prior.parts\[1\].component: .*did you mean 'components'", "list"),
        ([LAPLACE, MIX | {"components": "x"}], r"prior.parts\[1\].components: .*should be int", "list"),
        ([LAPLACE, MIX | {"components": 0}], r"prior.parts\[1\].components: .*above 0", "list"),
        ([{**LAPLACE, "name": "laplase"}, MIX], r"prior.parts\[0\].name: .*did you mean 'laplace'", "list"),
        ([{"latent_dim": 2}, MIX], r"prior.parts\[0\] needs name, as in", "list"),
        ([{"name": "laplace"}, MIX], r"prior.parts\[0\] needs latent_dim, as in", "list"),
        ([LAPLACE | {"latent_dim": 0}, MIX], r"prior.parts\[0\].latent_dim: should be above 0", "list"),
        ([LAPLACE, 3], r"prior.parts\[1\] should be a table", "list"),
        ([LAPLACE, LAPLACE | {"latent_dim": 3}], r"2 \+ 3 dimensions, but vae.latent_dim = 4", "vae.latent_dim to 5"),
        ([], "no dimensions, but vae.latent_dim = 4", "table for each part"),
        ([LAPLACE, {"name": "vamp", "latent_dim": 2}], r"prior.parts\[1\].name: 'vamp' cannot be a part", "list"),
        ([{"name": "product", "latent_dim": 4, "parts": [LAPLACE, MIX]}], "cannot be a part of itself", "list"),
        ([MIX, MIX], r"prior.parts\[0\] and prior.parts\[1\] read labels", r"prior.parts[1].labels to false"),
        (
            [LAPLACE, MIX | {"labels": True, "components": 4}],
            r"prior.parts\[1\].components = 4 with prior.parts\[1\]",
            "3",
        ),
    ],
)
def test_parts_that_cannot_be_are_named(parts: Any, words: str, hint: str) -> None:
    with pytest.raises(PyrovaeError, match=words) as caught:
        Product(4, 3, parts=parts)
    assert hint in caught.value.hint


def test_all_mistakes_of_a_product_come_at_once() -> None:
    with pytest.raises(PyrovaeError) as caught:
        Product(4, parts=[LAPLACE | {"width": 1}, {"name": "zebra", "latent_dim": 0}])
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "prior.parts[0].width", "prior.parts[1].latent_dim", "prior.parts[1].name",
    ]  # fmt: skip


# Plain autoencoders


def autoencoder() -> VAE:
    torch.manual_seed(0)
    return VAE(Flat(2), Bernoulli(bent, 2, EVENT), Point(bent, 2, EVENT))


def test_a_flat_prior_scores_nothing_and_has_no_samples() -> None:
    assert not Flat(2).proper
    p = Flat(2)().expand((3,))
    assert p.log_prob(torch.randn(5, 3, 2, dtype=DOUBLE)).equal(torch.zeros(5, 3, dtype=DOUBLE))
    with pytest.raises(ValueError, match="support"):
        p.log_prob(torch.full((3, 2), torch.nan))
    vae = autoencoder()
    for draw in (p.sample, lambda: vae.sample(3), lambda: vae.model(size=3)):
        with pytest.raises(PyrovaeError, match="improper prior has no samples") as caught:
            draw()
        assert "proper prior" in caught.value.hint


def test_point_and_flat_leave_the_likelihood_alone() -> None:
    vae, x = autoencoder(), X.float().round()
    assert vae.posterior.density == "nowhere"
    with pyro.get_param_store().scope():
        sites = densities(vae.model, vae.guide, x, particles=3)
        loss = ELBO().loss_and_grads(vae.model, vae.guide, x)
    expected = vae.likelihood(vae.posterior.encoder(x, None)).log_prob(x)
    assert torch.equal(sites.divergence, torch.zeros(3, 5))
    torch.testing.assert_close(sites.log_weight(), expected.expand(3, 5))
    assert loss == pytest.approx(-expected.sum().item())
    assert all(p.grad is not None and p.grad.any() for p in vae.parameters())


# Refusals


class OwnDraws(DiagonalNormal):
    density = "own-draws"


@pytest.mark.parametrize(
    ("make", "words", "hint"),
    [
        (lambda: vamp(Point, 2), "posterior Point has no density", "posterior.name to 'diagonal-normal'"),
        (lambda: vamp(OwnDraws, 2), "knows its density at its own draws only", "posterior.name to 'flow'"),
        (lambda: vamp(DiagonalNormal, 2, support="count"), "'vamp' on counts", "gaussian-mixture"),
        (lambda: vamp(DiagonalNormal, 2, labels=True), "the data have no labels", "prior.labels to false"),
        (lambda: vamp(DiagonalNormal, 2, classes=4, labels=True), "prior.pseudo_inputs = 6 .*cannot form 4", "to 8"),
        (
            lambda: FullCovarianceMixture(2, 3, labels=True, components=7),
            "prior.components = 7 .*cannot form 3",
            "to 6",
        ),
        (lambda: FullCovarianceMixture(2, labels=True), "the data have no labels", "prior.labels to false"),
        (lambda: GaussianMixture(2, components=0), "prior.components = 0", "1 or more"),
        (lambda: DiagonalStudentT(bent, 2, EVENT, df=2.0), "posterior.df = 2", "above 2"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], Any], words: str, hint: str) -> None:
    with pytest.raises(PyrovaeError, match=words) as caught:
        make()
    assert hint in caught.value.hint


@pytest.mark.parametrize("support", ["binary", "levels", "unit"])
def test_pseudo_inputs_of_pictures_stay_between_black_and_white(support: Any) -> None:
    u = vamp(DiagonalNormal, 2, support=support, examples=torch.ones(9, 4).cumsum(1).gt(2).float()).pseudo_inputs()
    torch.testing.assert_close(u.detach().unique(), torch.tensor([0.02, 0.98]))


@pytest.mark.parametrize("part", [*PRIORS.values(), *POSTERIORS.values()])
def test_a_part_says_what_it_is_in_one_sentence(part: Any) -> None:
    assert isinstance(part.__doc__, str)
    first = part.__doc__.strip().splitlines()[0]
    assert first.endswith(".")
    assert len(first) < 120


def test_every_family_here_is_independent_or_correlated() -> None:
    """What `pick` and the closed forms rest on: the posteriors' families are those they know."""
    kinds = {DiagonalLaplace: Laplace, DiagonalStudentT: StudentT, LowRankNormal: LowRankMultivariateNormal}
    for kind, family in kinds.items():
        q = posterior_of(kind)(X)
        assert isinstance(q.base_dist if isinstance(q, Independent) else q, family)
