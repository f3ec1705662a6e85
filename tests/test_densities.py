"""The core and the objectives: shapes, Pyro's own objectives as oracles, invariances, what is refused."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pyro
import pytest
import torch
from compositions import ROWS, Composition, build, cover, data, objective_of
from pyro import infer, poutine
from pyro.distributions import Normal
from small_models import bent, curved_vae, linear_vae, quadrature, score
from torch import Tensor, nn

from pyrovae import (
    ELBO,
    IWAE,
    OBJECTIVES,
    POSTERIORS,
    VAE,
    AnalyticELBO,
    Bernoulli,
    DiagonalNormal,
    Gaussian,
    GaussianMixture,
    PyrovaeError,
    StandardNormal,
    Vamp,
)
from pyrovae.densities import Densities, densities
from pyrovae.distributions import detached
from pyrovae.objectives import Objective

Y = torch.tensor([0, 1, 2, 2, 1])
MIXTURES: list[tuple[type[nn.Module], dict[str, Any]]] = [
    (GaussianMixture, {"classes": 3}),
    (Vamp, {"classes": 3, "labels": True, "pseudo_inputs": 6}),
]


def example(prior: type[nn.Module] = StandardNormal, **options: Any) -> tuple[VAE, Tensor]:
    vae, x = curved_vae(prior, n=5, **options)
    if hasattr(vae.prior, "logits"):
        vae.prior.logits.data.copy_(torch.linspace(-1, 1, len(vae.prior.logits)))
    return vae, x


def seeded(run: Callable[[], Any], seed: int = 0) -> Any:
    """Returns what the call returns, from this seed and an empty parameter store."""
    torch.manual_seed(seed)
    with pyro.get_param_store().scope():
        return run()


def losses(objective: Any, vae: VAE, *batch: Tensor) -> tuple[float, dict[str, Tensor]]:
    """Returns the loss and the gradients of all parameters, by name."""
    vae.zero_grad()
    loss = seeded(lambda: objective.loss_and_grads(vae.model, vae.guide, *batch))
    return loss, {name: p.grad.clone() for name, p in vae.named_parameters() if p.grad is not None}


PYROS = [
    (ELBO(), infer.Trace_ELBO(max_plate_nesting=1)),
    (ELBO(particles=4), infer.Trace_ELBO(num_particles=4, vectorize_particles=True, max_plate_nesting=1)),
    (AnalyticELBO(), infer.TraceMeanField_ELBO(max_plate_nesting=1)),
    (
        AnalyticELBO(particles=4),
        infer.TraceMeanField_ELBO(num_particles=4, vectorize_particles=True, max_plate_nesting=1),
    ),
    (IWAE(particles=7), infer.RenyiELBO(alpha=0, num_particles=7, vectorize_particles=True, max_plate_nesting=1)),
]


@pytest.mark.parametrize(("ours", "theirs"), PYROS, ids=[repr(ours) for ours, _ in PYROS])
def test_value_and_gradients_equal_pyros(ours: Objective, theirs: infer.ELBO) -> None:
    vae, x = example()
    (loss, grads), (expected, others) = losses(ours, vae, x), losses(theirs, vae, x)
    assert loss == pytest.approx(expected, rel=1e-10)
    torch.testing.assert_close(grads, others, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("prior", "options"), MIXTURES)
@pytest.mark.parametrize("labels", [(Y,), ()], ids=["labelled", "unlabelled"])
@pytest.mark.parametrize(("ours", "theirs"), [PYROS[0], PYROS[4]], ids=["elbo", "iwae"])
def test_pools_equal_pyros(
    prior: type[nn.Module], options: dict[str, Any], labels: tuple[Tensor, ...], ours: Objective, theirs: infer.ELBO
) -> None:
    vae, x = example(prior, **options)
    batch = (x, *labels)
    (loss, grads), (expected, others) = losses(ours, vae, *batch), losses(theirs, vae, *batch)
    assert loss == pytest.approx(expected, rel=1e-9)
    torch.testing.assert_close(grads, others, rtol=1e-8, atol=1e-8)


def test_equality_with_pyro_notices_another_beta() -> None:
    vae, x = example()
    assert losses(ELBO(beta=0.999), vae, x)[0] != pytest.approx(losses(PYROS[0][1], vae, x)[0], rel=1e-6)


def test_gradient_of_iwae_is_that_of_the_self_normalised_weights() -> None:
    vae, x = example()
    sites = seeded(lambda: densities(vae.model, vae.guide, x, particles=6))
    log_w = sites.log_weight()
    surrogate = -(log_w.softmax(0).detach() * log_w).sum()
    names, parameters = zip(*vae.named_parameters(), strict=True)
    expected = dict(zip(names, torch.autograd.grad(surrogate, parameters), strict=True))
    torch.testing.assert_close(losses(IWAE(particles=6), vae, x)[1], expected, rtol=1e-9, atol=1e-9)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(losses(ELBO(particles=6), vae, x)[1], expected)


def bound(objective: Objective, vae: VAE, *batch: Tensor, **options: float) -> Tensor:
    with torch.no_grad():
        return seeded(lambda: objective.per_datum(vae.model, vae.guide, *batch, **options))


@pytest.mark.parametrize("objective", [kind(particles=3) for kind in (ELBO, AnalyticELBO, IWAE)], ids=repr)
@pytest.mark.parametrize(("prior", "options"), MIXTURES)
@pytest.mark.parametrize("labels", [(Y,), ()], ids=["labelled", "unlabelled"])
def test_beta_zero_leaves_the_evidence_and_log_p_of_labels(
    objective: Objective, prior: type[nn.Module], options: dict[str, Any], labels: tuple[Tensor, ...]
) -> None:
    vae, x = example(prior, **options)
    batch = (x, *labels)
    sites = seeded(lambda: densities(vae.model, vae.guide, *batch, particles=3))
    conditional = sites.model["x"].log_prob.detach()
    expected = conditional.logsumexp(0) - math.log(3) if isinstance(objective, IWAE) else conditional.mean(0)
    if labels:
        expected = expected + vae.prior.labels().log_prob(Y).detach()
    torch.testing.assert_close(bound(objective, vae, *batch, beta=0.0), expected)


@pytest.mark.parametrize("kind", [ELBO, AnalyticELBO])
def test_elbo_is_linear_in_beta(kind: type[Objective]) -> None:
    vae, x = example()
    at = [bound(kind(particles=2), vae, x, beta=beta) for beta in (0.0, 1.0, 4.0)]
    torch.testing.assert_close(at[2] - at[0], 4 * (at[1] - at[0]))
    assert (at[1] - at[0]).abs().min() > 1e-6


def test_beta_stands_inside_the_importance_weights() -> None:
    vae, x = example()
    sites = seeded(lambda: densities(vae.model, vae.guide, x, particles=5))
    log_q, log_prior = sites.guide["z"].log_prob, sites.model["z"].log_prob
    log_w = sites.model["x"].log_prob + 4 * (log_prior - log_q)
    torch.testing.assert_close(bound(IWAE(particles=5, beta=4.0), vae, x), (log_w.exp().mean(0).log()).detach())


def test_a_schedule_of_beta_moves_with_training_steps_only() -> None:
    vae, x = example()
    objective = ELBO(beta={"schedule": "linear", "steps": 4})
    betas = [objective.beta]
    for _ in range(5):
        losses(objective, vae, x)
        seeded(lambda: objective.loss(vae.model, vae.guide, x))
        betas.append(objective.beta)
    assert betas == [0, 0.25, 0.5, 0.75, 1, 1]


class Coupled(IWAE):
    """Mutation: weights summed over data before the logarithm of their mean."""

    def bound(self, sites: Densities, beta: float | Tensor) -> Tensor:
        log_w = sites.log_weight(beta)
        return (log_w.sum(1).logsumexp(0) - math.log(len(log_w))).expand(log_w.shape[1]) / log_w.shape[1]


def fixed_noise(vae: VAE) -> VAE:
    """Makes the draws a function of the datum, so that batches can be compared."""
    vae.posterior.forward = lambda x, y=None: Deterministic(x.sum(-1, keepdim=True), 0.5).to_event(1)
    return vae


class Deterministic(Normal):
    """Normal whose draws are fixed quantiles, another one for each particle."""

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        steps = torch.linspace(-1.5, 1.5, shape[0], dtype=self.loc.dtype).view(-1, *[1] * (len(shape) - 1))
        return self.loc + self.scale * steps.expand(shape)


def ignores_the_batch(objective: Objective) -> bool:
    """Tells whether permuting a batch permutes its bounds, and each datum alone has the same bound."""
    vae, x = example()
    vae, order = fixed_noise(vae), torch.tensor([3, 0, 4, 1, 2])
    whole, alone = bound(objective, vae, x), torch.cat([bound(objective, vae, row[None]) for row in x])
    return torch.allclose(whole, alone) and torch.allclose(bound(objective, vae, x[order]), whole[order])


# Objectives that compare the data of a batch cannot score one alone.
SEPARATE = [objective_of(name, particles=4) for name, kind in OBJECTIVES.items() if kind.smallest_batch == 1]


@pytest.mark.parametrize("objective", SEPARATE, ids=repr)
def test_a_bound_does_not_depend_on_the_rest_of_the_batch(objective: Objective) -> None:
    assert ignores_the_batch(objective)


def test_weights_summed_over_data_are_caught() -> None:
    assert not ignores_the_batch(Coupled(particles=3))


@pytest.mark.parametrize("particles", [1, 3])
@pytest.mark.parametrize("parts", [c for c in cover("prior", "posterior", "labels") if not c.clashes], ids="-".join)
def test_every_site_has_shape_particles_times_data(parts: Composition, particles: int) -> None:
    vae, batch = build(parts.prior, parts.posterior, labels=parts.labels), data()
    sites = seeded(lambda: densities(vae.model, vae.guide, *batch, particles=particles))
    assert {s.log_prob.shape for s in (*sites.model.values(), *sites.guide.values())} == {(particles, ROWS)}
    assert ("y" in sites.model) == (vae.pools and not vae.conditional)
    assert sites.evidence.shape == sites.divergence.shape == (particles, ROWS)


def encoder_gradient(*, path_derivative: bool, widen: float = 1.0, seed: int = 0) -> Tensor:
    """Returns the gradient of the sampled ELBO in the encoder's parameters, at the exact posterior if widen = 1."""
    model = linear_vae(widen=widen)
    vae, x = model.vae, model.x
    sites = seeded(lambda: densities(vae.model, vae.guide, x, path_derivative=path_derivative), seed)
    gradients = torch.autograd.grad(sites.log_weight().sum(), list(vae.posterior.parameters()))
    return torch.cat([g.flatten() for g in gradients])


def test_path_derivative_vanishes_at_the_exact_posterior() -> None:
    assert encoder_gradient(path_derivative=True).abs().max() < 1e-9
    assert encoder_gradient(path_derivative=False).abs().max() > 0.1
    assert encoder_gradient(path_derivative=True, widen=1.1).abs().max() > 0.1


def test_path_derivative_is_unbiased() -> None:
    both = [
        torch.stack([encoder_gradient(path_derivative=path, widen=1.3, seed=seed) for seed in range(60)])
        for path in (True, False)
    ]
    assert score(both[0] - both[1]) < 4.5
    assert score(both[0] - 0.3 * both[1]) > 5


def test_path_derivative_changes_no_value() -> None:
    vae, x = example()
    cut, whole = (
        seeded(partial(densities, vae.model, vae.guide, x, path_derivative=path)).log_weight() for path in (True, False)
    )
    torch.testing.assert_close(cut, whole, rtol=0, atol=0)


@pytest.mark.parametrize("posterior", [q for name, q in POSTERIORS.items() if not Composition("vamp", name).clashes])
def test_path_derivative_leaves_the_shared_encoder_of_a_vamp_prior(posterior: type[nn.Module]) -> None:
    torch.manual_seed(0)
    q: Any = posterior(bent, 2, (3,))
    vae, x = VAE(Vamp(q, (3,), pseudo_inputs=5), Bernoulli(bent, 2, (3,)), q), torch.ones(4, 3)
    weight = q.encoder.layers[0].weight

    def gradient(*, path_derivative: bool, detach: bool = False) -> Tensor:
        sites = seeded(lambda: densities(vae.model, vae.guide, x, path_derivative=path_derivative))
        site = sites.model["z"]
        log_prior = detached(site.distribution).log_prob(site.value) if detach else site.log_prob
        return torch.autograd.grad(log_prior.sum(), weight)[0]

    torch.testing.assert_close(gradient(path_derivative=True), gradient(path_derivative=False), rtol=0, atol=0)
    assert (gradient(path_derivative=True) - gradient(path_derivative=True, detach=True)).abs().max() > 1e-3


def plain_guide(x: Tensor) -> None:
    with pyro.plate("data", len(x)):
        pyro.sample("z", Normal(0.0, 1.0))


def plain_model(x: Tensor) -> None:
    with pyro.plate("data", len(x)):
        pyro.sample("x", Normal(pyro.sample("z", Normal(0.0, 1.0)), 1.0), obs=x)


def global_model(x: Tensor) -> None:
    w = pyro.sample("w", Normal(0.0, 1.0))
    with pyro.plate("data", len(x)):
        pyro.sample("x", Normal(w * pyro.sample("z", Normal(0.0, 1.0)), 1.0), obs=x)


def global_guide(x: Tensor) -> None:
    pyro.sample("w", Normal(0.0, 1.0))
    plain_guide(x)


def other_plate(x: Tensor) -> None:
    with pyro.plate("rows", len(x)):
        pyro.sample("x", Normal(pyro.sample("z", Normal(0.0, 1.0)), 1.0), obs=x)


def empty_guide(x: Tensor) -> None:
    pass


@pytest.mark.parametrize(
    ("model", "guide", "message"),
    [
        (global_model, global_guide, "site 'w' stands outside plate 'data'"),
        (other_plate, plain_guide, "outside plate 'data'"),
        (plain_model, empty_guide, "latent sites differ"),
    ],
)
def test_what_would_give_a_wrong_bound_is_refused(
    model: Callable[..., Any], guide: Callable[..., Any], message: str
) -> None:
    with pytest.raises((ValueError, RuntimeError), match=message):
        densities(model, guide, torch.zeros(3))


def test_a_latent_site_of_the_guide_alone_is_refused() -> None:
    def guide(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", Normal(0.0, 1.0)), pyro.sample("extra", Normal(0.0, 1.0))

    with pytest.raises(ValueError, match="latent sites differ"):
        densities(plain_model, guide, torch.zeros(3))


def test_a_posterior_that_hides_its_parameters_is_refused() -> None:
    def guide(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", Normal(0.0, 1.0).has_rsample_(value=False))

    with pytest.raises(PyrovaeError, match="not reparametrised"):
        ELBO().differentiable_loss(plain_model, guide, torch.zeros(3))


SLOPE, NOISE = 0.8, 0.6


def deep_model(x: Tensor) -> None:
    """Two stochastic layers: b ~ N(0, 1), a ~ N(0.8 b, 0.6), x ~ N(a, 0.6)."""
    with pyro.plate("data", len(x)):
        b = pyro.sample("b", Normal(torch.zeros((), dtype=x.dtype), 1.0))
        a = pyro.sample("a", Normal(SLOPE * b, NOISE))
        pyro.sample("x", Normal(a, NOISE), obs=x)


def deep_guide(x: Tensor, widen: float = 1.0) -> None:
    """Draws a given x, then b given a: the exact posterior at widen = 1."""
    prior = SLOPE**2 + NOISE**2
    gain, back = prior / (prior + NOISE**2), SLOPE / prior
    with pyro.plate("data", len(x)):
        a = pyro.sample("a", Normal(gain * x, widen * math.sqrt(prior * (1 - gain))))
        pyro.sample("b", Normal(back * a, widen * math.sqrt(1 - back * SLOPE)))


X = torch.linspace(-2, 2, 5, dtype=torch.double)
DEEP = Normal(torch.zeros(5, dtype=torch.double), math.sqrt(SLOPE**2 + 2 * NOISE**2)).log_prob(X)


@pytest.mark.parametrize("objective", [ELBO(), ELBO(particles=3), IWAE(particles=4)], ids=repr)
def test_two_stochastic_layers_are_exact_at_their_posterior(objective: Objective) -> None:
    torch.testing.assert_close(objective.per_datum(deep_model, deep_guide, X), DEEP, rtol=0, atol=1e-10)
    wide = objective.per_datum(deep_model, lambda x: deep_guide(x, 1.5), X)
    assert (wide - DEEP).abs().max() > 1e-3


def test_two_stochastic_layers_with_a_wrong_guide() -> None:
    torch.manual_seed(0)
    reach = IWAE(particles=500).per_datum(deep_model, lambda x: deep_guide(x, 1.5), X.repeat(200)).view(200, 5)
    analytic, sampled = (
        kind(particles=50).per_datum(deep_model, lambda x: deep_guide(x, 1.5), X.repeat(200)).view(200, 5)
        for kind in (AnalyticELBO, ELBO)
    )
    assert score(reach, DEEP) < 4.5
    assert score(sampled, DEEP) > 20
    assert score(analytic - sampled) < 4.5


@pytest.mark.parametrize("objective", SEPARATE, ids=repr)
def test_masks_leave_data_out_and_scales_weigh_them(objective: Objective) -> None:
    vae, x = example()
    keep: Any = torch.tensor([True, False, True, True, False])

    def weighed(handler: Callable[[Any], Any]) -> Tensor:
        return seeded(lambda: objective.per_datum(handler(vae.model), handler(vae.guide), x)).detach()

    whole = weighed(lambda program: program)
    torch.testing.assert_close(weighed(lambda program: poutine.mask(mask=keep)(program)), whole * keep)
    if isinstance(objective, ELBO | AnalyticELBO):
        torch.testing.assert_close(weighed(lambda program: poutine.scale(program, scale=3.0)), 3 * whole)


def test_bounds_stay_below_the_quadrature_in_mean() -> None:
    vae, x = example()
    exact = quadrature(vae, x)
    torch.manual_seed(0)
    for objective in (ELBO(), AnalyticELBO(), IWAE(particles=3)):
        found = objective.per_datum(vae.model, vae.guide, x.repeat(500, 1)).detach().view(500, 5)
        assert (found.mean(0) < exact + 4 * found.std(0) / math.sqrt(500)).all()


def test_number_of_particles_is_checked() -> None:
    with pytest.raises(PyrovaeError, match="particles = 0"):
        ELBO(particles=0)


def test_conditional_bounds_do_not_score_labels() -> None:
    vae = VAE(GaussianMixture(1, 3, labels=True), Gaussian(bent, 1, (3,), 3), DiagonalNormal(bent, 1, (3,), 3)).double()
    sites = densities(vae.model, vae.guide, torch.zeros(5, 3, dtype=torch.double), Y)
    assert set(sites.model) == {"x", "z"}
