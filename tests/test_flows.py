"""Flows: they integrate to one, are inverted exactly, agree with autograd, and hand out no stale gradient."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pyro.distributions import Normal, TorchDistribution
from torch import Tensor, nn
from torch.autograd.functional import jacobian
from torch.fx.experimental.proxy_tensor import make_fx

from pyrovae import MLP, VAE, FlowPosterior, FlowPrior, Gaussian, InverseAutoregressive, StandardNormal, Vamp
from pyrovae.densities import densities
from pyrovae.distributions import detached
from pyrovae.errors import PyrovaeError
from pyrovae.flows import FlowDistribution, autoregressive_flow, coupling_flow
from pyrovae.flows.bijections import Affine, shift_and_log_scale

DOUBLE = torch.double
CLASSES, EVENT, CONTEXT = 3, (4,), 3
SMALL: dict[str, Any] = {"layers": 3, "hidden": [5]}


def scrambled(module: Any, std: float = 0.3, seed: int = 0) -> Any:
    """Moves every parameter well away from the start, where a flow is near the identity."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.double().parameters():
        parameter.data += std * torch.randn(parameter.shape, generator=generator, dtype=DOUBLE)
    return module


def seeded(make: Callable[[], Any], seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return scrambled(make())


def data(rows: int = 2) -> Tensor:
    return torch.randn(rows, *EVENT, dtype=DOUBLE, generator=torch.Generator().manual_seed(5))


def network(*shapes: Any) -> nn.Module:
    return MLP(*shapes, hidden=[6], activation="tanh")


def posterior(kind: Any = FlowPosterior, dim: int = 2, **options: Any) -> Any:
    return seeded(lambda: kind(network, dim, EVENT, **(SMALL | {"context": CONTEXT} | options)))


def pools(**options: Any) -> FlowPrior:
    return seeded(lambda: FlowPrior(2, CLASSES, labels=True, **(SMALL | options)))


def plain(**options: Any) -> FlowPrior:
    return seeded(lambda: FlowPrior(2, **(SMALL | options)), seed=1)


def cases() -> dict[str, TorchDistribution]:
    prior, posterior_ = pools(), posterior()
    each = {f"pool-{y}": prior(torch.tensor(y)) for y in range(CLASSES)}
    return each | {"marginal": prior(), "plain": plain()(), "posterior": posterior_(data()[0])}


CASES = cases()
each_case = pytest.mark.parametrize("p", CASES.values(), ids=list(CASES))


# Densities


LINE = torch.linspace(-25, 25, 401, dtype=DOUBLE)
GRID, CELL = torch.cartesian_prod(LINE, LINE), float((LINE[1] - LINE[0]) ** 2)


@torch.no_grad()
def masses(p: TorchDistribution) -> Tensor:
    """Returns the probability of each cell of a grid over the plane, by the trapezoidal rule."""
    return p.log_prob(GRID).exp() * CELL


def total(p: TorchDistribution) -> float:
    return masses(p).sum().item()


@each_case
def test_densities_integrate_to_one(p: TorchDistribution) -> None:
    assert abs(total(p) - 1) < 1e-6


def without_slope(z: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
    shift, log_scale = shift_and_log_scale(raw)
    return (z - shift) * (-log_scale).exp(), torch.zeros_like(log_scale)


def with_the_wrong_sign(z: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
    shift, log_scale = shift_and_log_scale(raw)
    return (z - shift) * (-log_scale).exp(), -log_scale


def scaled_twice(z: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
    shift, log_scale = shift_and_log_scale(raw)
    return (z - shift) * (-2 * log_scale).exp(), log_scale


@pytest.mark.parametrize("mutation", [without_slope, with_the_wrong_sign, scaled_twice])
def test_mutated_densities_do_not(mutation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Affine, "inverse", staticmethod(mutation))
    made = {"plain": plain()(), "posterior": posterior()(data()[0])}  # a case of above has bound the original
    assert all(abs(total(p) - 1) > 1e-2 for p in made.values())


@each_case
def test_draws_come_from_the_density(p: TorchDistribution) -> None:
    """Mean over draws of bounded functions against quadrature; ten standard errors apart for another density."""
    torch.manual_seed(1)
    assert apart(p.sample((20_000,)), masses(p)) < 4.5
    assert apart(StandardNormal(2).double()().sample((20_000,)), masses(p)) > 10


def apart(z: Tensor, mass: Tensor) -> float:
    """Returns the largest difference of means of waves, in standard errors."""
    directions = torch.tensor([[0.9, 0.2], [-0.3, 0.5], [0.4, -1.1], [1.7, 1.3]], dtype=DOUBLE).T

    def waves(z: Tensor) -> Tensor:
        return torch.cat([(z @ directions).sin(), (z @ directions).cos()], -1)

    drawn = waves(z)
    gap = drawn.mean(0) - mass @ waves(GRID)
    return (gap.abs() / (drawn.std(0) / math.sqrt(len(z)))).max().item()


def test_the_marginal_is_the_classes_weighed() -> None:
    prior, z = pools(), 3 * torch.randn(50, 2, dtype=DOUBLE)
    each = torch.stack([prior(torch.tensor(y)).log_prob(z) for y in range(CLASSES)], -1)
    expected = (prior.labels().logits + each).logsumexp(-1)
    torch.testing.assert_close(prior().log_prob(z), expected, rtol=0, atol=1e-10)
    assert prior.labels().probs.std() > 0.01
    assert each.std(-1).min() > 1e-3


def test_each_datum_has_the_density_of_its_own_class() -> None:
    prior, y, z = pools(), torch.tensor([2, 0, 1, 2]), torch.randn(4, 2, dtype=DOUBLE)
    expected = torch.stack([prior(label).log_prob(row) for label, row in zip(y, z, strict=True)])
    torch.testing.assert_close(prior(y).log_prob(z), expected)
    torch.testing.assert_close(prior(y).expand((5, 4)).log_prob(z.expand(5, 4, 2)), expected.expand(5, 4))


def test_a_posterior_scores_any_z_under_every_datum() -> None:
    """As a Vamp prior asks: z of shape (n, 1, D) under K posteriors."""
    q, z = posterior(), torch.randn(7, 2, dtype=DOUBLE)
    each = torch.stack([q(row).log_prob(z) for row in data(5)], -1)
    torch.testing.assert_close(q(data(5)).log_prob(z.unsqueeze(-2)), each)
    vamp = Vamp(q, EVENT, "real", examples=data(5), pseudo_inputs=5)
    assert abs(total(vamp()) - 1) < 1e-6


# The map


FLOWS = {
    "coupling": lambda dim, context: coupling_flow(dim, context, **SMALL),
    "deep": lambda dim, context: coupling_flow(dim, context, layers=7, hidden=[]),
    "autoregressive": lambda dim, context: autoregressive_flow(dim, context, **SMALL),
    "autoregressive-deep": lambda dim, context: autoregressive_flow(dim, context, layers=2, hidden=[7, 3]),
}
COUPLED = [name for name in FLOWS if "auto" not in name]
each_flow, coupled = (pytest.mark.parametrize("name", names) for names in (FLOWS, COUPLED))
each_dim = pytest.mark.parametrize("dim", [2, 3, 5, 8])
each_context = pytest.mark.parametrize("context", [0, CONTEXT])


def made(name: str, dim: int, context: int) -> tuple[nn.Module, Tensor | None]:
    flow = seeded(lambda: FLOWS[name](dim, context))
    return flow, torch.randn(context, dtype=DOUBLE) if context else None


@coupled
@each_dim
@each_context
def test_coupling_is_inverted_both_ways(name: str, dim: int, context: int) -> None:
    flow, h = made(name, dim, context)
    x = 2 * torch.randn(9, dim, dtype=DOUBLE)
    for there, back in ((flow, flow.inverse), (flow.inverse, flow)):
        y, one = there(x, h)
        again, other = back(y, h)
        assert (y - x).abs().max() > 0.1
        torch.testing.assert_close(again, x, rtol=0, atol=1e-9)
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


@each_flow
@each_dim
@each_context
def test_log_determinants_equal_autograds(name: str, dim: int, context: int) -> None:
    flow, h = made(name, dim, context)
    for x in 2 * torch.randn(3, dim, dtype=DOUBLE):
        z, log_det = flow(x, h)
        full = jacobian(lambda x: flow(x, h)[0], x)
        torch.testing.assert_close(log_det, full.slogdet().logabsdet, rtol=0, atol=1e-10)
        assert (full.slogdet().sign, z.shape) == (1, (dim,))


def test_single_precision_comes_back_within_five_digits() -> None:
    torch.manual_seed(0)
    flow = scrambled(coupling_flow(50, layers=8), std=0.1).float()
    x = torch.randn(100, 50)
    z, log_det = flow(x)
    again, other = flow.inverse(z)
    assert (again - x).abs().max() < 1e-3
    assert (other - log_det).abs().max() < 1e-3


@each_dim
def test_two_couplings_move_every_dimension_and_four_tie_them_together(dim: int) -> None:
    x = torch.randn(dim, dtype=DOUBLE)
    two, four = (seeded(lambda n=n: coupling_flow(dim, layers=n)) for n in (2, 4))
    assert ((two(x)[0] - x).abs() > 1e-6).all()
    assert (jacobian(lambda x: four(x)[0], x).abs() > 1e-9).all()


@each_dim
def test_an_autoregressive_layer_is_triangular(dim: int) -> None:
    first, second = seeded(lambda: autoregressive_flow(dim, layers=2, hidden=[9, 9])).layers
    x = torch.randn(dim, dtype=DOUBLE)
    below, above = (jacobian(lambda x, layer=layer: layer(x)[0], x) for layer in (first, second))
    assert torch.equal(below, below.tril())
    assert torch.equal(above, above.triu())
    assert (below.tril() != 0).sum() == (above.triu() != 0).sum() == dim * (dim + 1) // 2


def test_a_flow_starts_near_its_base() -> None:
    torch.manual_seed(0)
    z = torch.randn(200, 10)
    for p in (FlowPrior(10)(), FlowPrior(10, CLASSES, labels=True, spread=1e-9)()):
        gap = p.log_prob(z) - StandardNormal(10)().log_prob(z)
        assert gap.abs().mean() < 0.3
    flow = autoregressive_flow(10)
    assert (flow(z)[0] - z).abs().mean() < 0.05


def test_a_coupling_flow_needs_two_dimensions() -> None:
    for make in (lambda: FlowPrior(1), lambda: FlowPosterior(MLP, 1, EVENT)):
        with pytest.raises(PyrovaeError, match="latent_dim = 1") as caught:
            make()
        assert "gaussian-mixture" in caught.value.hint
        assert "diagonal-normal" in caught.value.hint


def test_an_autoregressive_flow_of_one_dimension_is_a_normal_read_from_x() -> None:
    q = posterior(InverseAutoregressive, dim=1)(data())
    z = q.rsample()
    slope = torch.autograd.grad(z.sum(), q._draw[1], retain_graph=True)[0]
    expected = q.base.log_prob(q._draw[1]) - slope.log().sum(-1)
    torch.testing.assert_close(q.log_prob(z), expected)


def test_labels_without_classes_are_refused() -> None:
    with pytest.raises(PyrovaeError, match=r"prior\.labels = true"):
        FlowPrior(2, labels=True)


# Own draws


def solved(q: Any, z: Tensor) -> Tensor:
    """Returns the density of an autoregressive flow anywhere: pass k of the inverse is exact in k dimensions."""
    log_det = torch.zeros(z.shape[:-1], dtype=z.dtype)
    for layer in reversed(q.flow.layers):
        x = torch.zeros_like(z)
        for _ in range(z.shape[-1]):
            x, log_slope = layer.bijection.inverse(z, layer.raw(x, q.context))
        z, log_det = x, log_det + log_slope.sum(-1)
    return q.base.log_prob(z) - log_det


def test_an_autoregressive_posterior_scores_its_own_draws() -> None:
    q = posterior(InverseAutoregressive, dim=5)(data())
    z = q.rsample((3,))
    assert z.shape == (3, 2, 5)
    torch.testing.assert_close(q.log_prob(z), solved(q, z), rtol=0, atol=1e-9)


def test_an_autoregressive_posterior_integrates_to_one() -> None:
    q = posterior(InverseAutoregressive)(data()[0])
    with torch.no_grad():
        assert abs(solved(q, GRID).exp().sum() * CELL - 1) < 1e-6


def test_an_autoregressive_posterior_refuses_a_z_that_it_did_not_draw() -> None:
    q = posterior(InverseAutoregressive)(data())
    z = q.rsample()
    q.log_prob(z)
    for other in (z.clone(), torch.zeros_like(z)):
        with pytest.raises(PyrovaeError, match="own last rsample") as caught:
            q.log_prob(other)
        assert "'flow'" in caught.value.hint
    with pytest.raises(PyrovaeError, match="own last rsample"):
        q.log_prob(q.sample())  # its constants would stand for what should have a gradient
    with torch.no_grad():
        assert q.log_prob(q.sample()).isfinite().all()


@pytest.mark.parametrize("kind", [FlowPosterior, InverseAutoregressive])
def test_a_draw_and_its_density_have_the_same_gradient_as_computed_afresh(kind: Any) -> None:
    module = posterior(kind, dim=4)
    q = module(data())
    z = q.rsample((3,))
    anew = solved(q, z) if kind is InverseAutoregressive else q.log_prob(z.clone())
    gradients = [
        torch.autograd.grad(log_q.sum(), [*module.parameters()], retain_graph=True) for log_q in (q.log_prob(z), anew)
    ]
    torch.testing.assert_close(q.log_prob(z), anew)
    torch.testing.assert_close(*gradients, rtol=1e-8, atol=1e-8)


def test_a_draw_without_a_graph_is_scored_with_one() -> None:
    """Pyro's transform modules answer from their cache here, and lose the gradient of the determinant."""
    prior = plain()
    p = prior()
    z = p.sample()
    gradients = [torch.autograd.grad(p.log_prob(value), [*prior.parameters()]) for value in (z, z.clone())]
    torch.testing.assert_close(*gradients)
    with torch.no_grad():
        assert p.flow.inverse is not None
        z = p.sample()
        p.flow = None  # what it remembers is enough
        assert p.log_prob(z).isfinite()


def test_a_module_that_has_drawn_can_be_copied() -> None:
    module = posterior()
    q = module(data())
    log_q = q.log_prob(q.rsample())
    torch.testing.assert_close(copy.deepcopy(module)(data()).log_prob(q._draw[0]), log_q)


def test_validation_refuses_what_is_not_a_point() -> None:
    with pytest.raises(ValueError, match="within the support"):
        plain()().log_prob(torch.full((2,), torch.nan, dtype=DOUBLE))


# In programs


def gaussian(prior: nn.Module, q: nn.Module) -> VAE:
    return VAE(prior, Gaussian(network, 2, EVENT).double(), q).double()


@pytest.mark.parametrize("kind", [FlowPosterior, InverseAutoregressive])
@pytest.mark.parametrize("make", [plain, pools])
def test_every_number_of_every_parameter_has_a_gradient_from_the_start(kind: Any, make: Any) -> None:
    torch.manual_seed(0)
    vae = gaussian(
        FlowPrior(2, CLASSES, labels=make is pools, **SMALL), kind(network, 2, EVENT, context=CONTEXT, **SMALL)
    )
    sites = densities(vae.model, vae.guide, data(6), particles=5)
    assert sites.divergence.shape == (5, 6)
    sites.log_weight().sum().backward()
    still = [name for name, p in vae.named_parameters() if p.grad is None or bool((p.grad == 0).any())]
    assert still == []


def test_a_conditional_vae_freezes_the_weights_of_the_classes() -> None:
    q, p = FlowPosterior(MLP, 2, EVENT, CLASSES), Gaussian(MLP, 2, EVENT, CLASSES)
    vae = VAE(FlowPrior(2, CLASSES, labels=True), p, q)
    assert "logits" in dict(vae.prior.named_buffers())
    assert vae.sample(3, y=1).shape == (3, *EVENT)


def path_gradient(vae: VAE, **options: Any) -> tuple[Tensor, Tensor, dict[str, Any]]:
    torch.manual_seed(3)
    sites = densities(vae.model, vae.guide, data(4), particles=2, **options)
    gradient = torch.autograd.grad(sites.guide["z"].log_prob.sum(), [*vae.posterior.parameters()])
    return torch.cat([g.flatten() for g in gradient]), sites.log_weight(), sites.guide


def test_the_path_derivative_is_the_gradient_without_the_score() -> None:
    vae = gaussian(plain(), posterior())
    path, cut, _ = path_gradient(vae, path_derivative=True)
    whole, log_w, _ = path_gradient(vae)
    torch.testing.assert_close(cut, log_w)
    torch.manual_seed(3)
    with torch.no_grad():
        z = densities(vae.model, vae.guide, data(4), particles=2).guide["z"].value
    score = torch.autograd.grad(vae.posterior(data(4)).log_prob(z).sum(), [*vae.posterior.parameters()])
    score = torch.cat([g.flatten() for g in score])
    torch.testing.assert_close(path, whole - score, rtol=0, atol=1e-8)
    assert score.abs().max() > 0.1


def test_the_path_derivative_leaves_the_model_its_gradient() -> None:
    """A Vamp prior shares the posterior's flow, of which only the guide's twin is detached."""
    q = posterior()
    vae = gaussian(Vamp(q, EVENT, "real", examples=data(5), pseudo_inputs=5), q)
    torch.manual_seed(3)
    sites = densities(vae.model, vae.guide, data(4), path_derivative=True)
    gradient = torch.autograd.grad(sites.model["z"].log_prob.sum(), [*q.flow.parameters()])
    assert all(g.abs().max() > 1e-3 for g in gradient)
    assert all(p.requires_grad for p in q.parameters())


def test_a_detached_flow_has_the_density_and_no_gradient() -> None:
    p = plain()()
    z = p.rsample((5,)).detach()
    twin = detached(p)
    torch.testing.assert_close(twin.log_prob(z), p.log_prob(z).detach())
    assert not twin.log_prob(z).requires_grad
    assert p.log_prob(z).requires_grad


def test_the_path_derivative_of_an_autoregressive_posterior_is_refused() -> None:
    vae = gaussian(plain(), posterior(InverseAutoregressive))
    with pytest.raises(PyrovaeError, match="path derivative"):
        densities(vae.model, vae.guide, data(4), path_derivative=True)


@pytest.mark.parametrize("kind", [FlowPosterior, InverseAutoregressive])
def test_a_step_can_be_traced(kind: Any) -> None:
    module, prior = posterior(kind), pools()

    def step(x: Tensor, noise: Tensor) -> Tensor:
        q = module(x)
        q.base.rsample = lambda shape: q.base.mean + noise  # the same draw in both
        z = q.rsample()
        return q.log_prob(z) - prior().log_prob(z)

    torch.distributions.Distribution.set_default_validate_args(False)
    try:
        x, noise = data(), torch.randn(2, 2, dtype=DOUBLE)
        traced = make_fx(step)(x, noise)
        other = torch.randn(2, 2, dtype=DOUBLE)
        assert torch.equal(traced(x + 1, other), step(x + 1, other))
    finally:
        torch.distributions.Distribution.set_default_validate_args(__debug__)


def test_a_flow_learns_a_banana() -> None:
    """z2 = x2 + x1^2 is a coupling: the cross entropy falls to the entropy, which no Gaussian reaches."""
    torch.manual_seed(0)
    prior, entropy = FlowPrior(2, layers=2, hidden=[32]), 1 + math.log(2 * math.pi)
    optimizer = torch.optim.Adam(prior.parameters(), lr=0.01)

    def drawn(size: int) -> Tensor:
        x = torch.randn(size, 2)
        return torch.stack([x[:, 0], x[:, 1] + x[:, 0] ** 2], -1)

    for _ in range(400):
        optimizer.zero_grad()
        (-prior().log_prob(drawn(256)).mean()).backward()
        optimizer.step()
    with torch.no_grad():
        loss = -prior().log_prob(drawn(20_000))
    normal = drawn(20_000).T.cov().logdet().item() / 2 + entropy
    assert entropy - 0.05 < loss.mean() < entropy + 0.1 < normal - 0.4


def test_a_distribution_says_its_shapes() -> None:
    p = FlowDistribution(Normal(torch.zeros(3, 2), 1.0).to_event(1), coupling_flow(2))
    assert repr(p) == "FlowDistribution(batch_shape: (3,), event_shape: (2,))"
    assert p.expand((4, 3)).rsample().shape == (4, 3, 2)
