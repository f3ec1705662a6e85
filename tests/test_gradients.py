"""Path derivatives against exact gradients by quadrature, their noise in closed form, and what the section says."""

import math
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pyro
import pytest
import torch
from pyro import poutine
from pyro.distributions import Normal
from small_models import bent, curved_vae, linear, linear_vae, score
from torch import Tensor, nn

from pyrovae import (
    ELBO,
    IWAE,
    STL,
    VAE,
    Dataset,
    DiagonalNormal,
    DReG,
    Flat,
    Gaussian,
    GaussianMixture,
    InverseAutoregressive,
    Point,
    PyrovaeError,
    Split,
    StandardNormal,
    Vamp,
)
from pyrovae.evaluation.gradients import (
    Quality,
    gradients,
    gradients_of,
    groups_of,
    moments,
    pure_noise,
    qualities,
    quality,
    ranked,
)
from pyrovae.evaluation.judged import Judged, NotApplicable
from pyrovae.figures.gradients import signal_to_noise
from pyrovae.objectives import Objective, dreg
from pyrovae.training import engines
from pyrovae.training.engines import ENGINES

WRONG: dict[str, Any] = {"shift": 0.2, "widen": 1.5}
PRIORS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "mixture": (GaussianMixture, {"components": 3}),
    "vamp": (Vamp, {"pseudo_inputs": 3}),
}


@pytest.fixture(autouse=True)
def own_store() -> Iterator[None]:
    with pyro.get_param_store().scope():
        yield


def example(prior: str = "vamp") -> tuple[VAE, Tensor]:
    kind, options = PRIORS[prior]
    return curved_vae(kind, n=3, **options)


# The gradient is that of the bound


def exact(vae: VAE, x: Tensor, particles: int, beta: float = 1.0, scale: float = 1.0) -> Tensor:
    """Returns the gradient of the mean bound of one or two particles, integrated over z on a grid."""
    z, width = torch.linspace(-9, 9, 361, dtype=torch.double)[:, None], 18 / 360
    log_q = vae.posterior(x).log_prob(z[:, None])
    log_prior = vae.prior().log_prob(z)[:, None]
    log_w = vae.likelihood(z[:, None]).log_prob(x) + beta * (log_prior - scale * log_q)
    mass = log_q.exp() * width
    assert (mass.sum(0) - 1).abs().max() < 1e-9
    if particles == 1:
        bound = (mass * log_w).sum(0)
    else:
        bound = (mass[:, None] * mass * (torch.logaddexp(log_w[:, None], log_w) - math.log(2))).sum((0, 1))
    return flat(torch.autograd.grad(bound.mean(), list(vae.parameters())))


def flat(tensors: Any) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def drawn(vae: Any, objective: Objective, parameters: Any, x: Tensor, repeats: int = 40, copies: int = 1200) -> Tensor:
    """Returns gradients of the bound of many copies of the data, shape ``(repeats, parameters)``."""
    torch.manual_seed(0)
    return torch.stack(list(gradients_of(vae, objective, list(parameters), repeats, x.repeat(copies, 1))))


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("beta", [1.0, 0.4])
@pytest.mark.parametrize(("kind", "particles"), [(STL, 1), (DReG, 2)])
def test_every_parameter_has_the_gradient_of_the_bound(
    kind: Any, particles: int, beta: float, prior: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mutations: the factor w, which forgets beta, its sign, the factor for the decoder too, or by parameter and not by
    path, which is wrong for the encoder that a VampPrior shares; STL at beta = 1; log q with its parameters.
    """
    vae, x = example(prior)
    expected = exact(vae, x, particles, beta)
    found = drawn(vae, kind(particles=particles, beta=beta), vae.parameters(), x)
    assert score(found, expected) < 4.5
    assert score(found, exact(vae, x, particles, beta + 0.1)) > 8
    if kind is DReG:  # half of it: the path derivative with the weights of the IWAE
        monkeypatch.setattr(dreg, "weigh_path", lambda *given: None)
        assert score(drawn(vae, kind(particles=particles, beta=beta), vae.parameters(), x), expected) > 8


def test_the_path_is_weighed_by_what_the_program_makes_of_log_q() -> None:
    """Mutation: the site's scale is left out of the factor."""
    vae, x = example("mixture")
    scaled = SimpleNamespace(model=vae.model, guide=poutine.scale(vae.guide, 0.3))
    found = drawn(scaled, DReG(particles=2), vae.parameters(), x)
    assert score(found, exact(vae, x, 2, scale=0.3)) < 4.5
    assert score(found, exact(vae, x, 2)) > 8


@pytest.mark.parametrize("beta", [1.0, 0.4])
def test_one_particle_makes_dreg_of_stl(beta: float) -> None:
    vae, x = example()
    both = [drawn(vae, kind(particles=1, beta=beta), vae.parameters(), x, 2, 1) for kind in (STL, DReG)]
    torch.testing.assert_close(*both, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("kind", "same"), [(STL, ELBO), (DReG, IWAE)])
def test_values_and_the_gradients_of_the_model_are_those_of_the_plain_bound(kind: Any, same: Any) -> None:
    """Mutation: the factor for the decoder, too."""
    vae, x = example("mixture")
    found, plain = (drawn(vae, each(particles=5), groups_of(vae)["likelihood"], x, 2, 1) for each in (kind, same))
    torch.testing.assert_close(found, plain, rtol=1e-10, atol=1e-10)
    values = []
    for objective in (kind(particles=5, beta=0.4), same(particles=5, beta=0.4)):
        torch.manual_seed(1)
        values.append(objective.differentiable_loss(vae.model, vae.guide, x).item())
        torch.manual_seed(1)
        values.append(objective.loss(vae.model, vae.guide, x))
    assert values == pytest.approx([values[0]] * 4, rel=1e-12)


@pytest.mark.parametrize("kind", [STL, DReG])
def test_every_engine_takes_the_same_steps(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A factor of the first batch, fixed in the graph, would show in the next."""
    monkeypatch.setattr(engines, "EAGER_FIRST", 2)
    ends = {}
    for name, make_step in ENGINES.items():
        vae, x = example()
        torch.manual_seed(0)
        with pyro.get_param_store().scope():
            engine = make_step(vae, kind(particles=4, beta={"schedule": "linear", "steps": 5}), lambda step: 0.01, None)
            for _ in range(6):
                engine.step(x)
        assert not getattr(engine, "reason", "")
        ends[name] = vae.state_dict()
    for end in ends.values():
        torch.testing.assert_close(end, ends["eager"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [STL, DReG])
def test_a_frozen_encoder_is_no_hindrance(kind: Any) -> None:
    vae, x = example("mixture")
    vae.eval().posterior.requires_grad_(requires_grad=False)
    kind(particles=3).differentiable_loss(vae.model, vae.guide, x).backward()
    assert all(p.grad is not None for p in vae.likelihood.parameters())


# What is refused


@pytest.mark.parametrize("kind", [STL, DReG])
def test_a_density_at_own_draws_only_is_refused(kind: Any) -> None:
    vae = VAE(StandardNormal(2), Gaussian(bent, 2, (4,)), InverseAutoregressive(bent, 2, (4,)))
    with pytest.raises(PyrovaeError, match="a path derivative inverts the posterior's flow") as error:
        kind().check(vae)
    assert "'flow'" in error.value.hint


def test_dreg_reads_one_latent_site() -> None:
    """Its factor would reach z1 through z2 once more."""

    def guide(x: Tensor, *, observed: bool = False) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z1", Normal(pyro.param("loc", torch.tensor(0.0)), 1.0))
            z = pyro.sample("z2", Normal(z, 1.0))
            if observed:
                pyro.sample("x", Normal(z, 1.0), obs=x)

    model = partial(guide, observed=True)

    STL().differentiable_loss(model, guide, torch.zeros(3))
    with pytest.raises(PyrovaeError, match="reads one latent site, the programs have z1, z2"):
        DReG().differentiable_loss(model, guide, torch.zeros(3))


# How much of it is noise


def test_at_the_exact_posterior_nothing_moves_the_posterior() -> None:
    """Mutation: log q keeps its parameters."""
    model = linear_vae()
    encoder, decoder = (groups_of(model.vae)[part] for part in ("posterior", "likelihood"))
    for objective in (STL(), STL(particles=4), DReG(particles=4)):
        assert drawn(model.vae, objective, encoder, model.x, 2, 1).abs().max() < 1e-9
        assert drawn(model.vae, objective, decoder, model.x, 2, 1).abs().max() > 0.01
    for objective in (ELBO(), IWAE(particles=4)):
        assert drawn(model.vae, objective, encoder, model.x, 2, 1).abs().max() > 0.01


def test_more_particles_clear_the_gradient_of_dreg_and_drown_that_of_the_iwae() -> None:
    """Rates of Rainforth et al. (2018) and Tucker et al. (2019): sixteen times the particles make a factor of four.

    Mutations: the ratio upside down; the same K throughout; columns of another part.
    """
    model = linear_vae(n=64, **WRONG)
    torch.manual_seed(0)
    kinds: dict[str, Any] = {"iwae": IWAE, "dreg": DReG}
    found = qualities(model.vae, groups_of(model.vae), kinds, [8, 128], 100, model.x)
    change = {
        part: {name: each[1].ratio / each[0].ratio for name, each in columns.items()} for part, columns in found.items()
    }
    assert change["posterior"]["iwae"] < 0.5
    assert 3 < change["posterior"]["dreg"] < 6
    assert all(3 < change["likelihood"][name] < 6 for name in kinds)


def normals(repeats: int, parameters: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Returns draws, and of which ratios and standard deviations they are."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(repeats, parameters, generator=generator, dtype=torch.double)
    ratio, scale = torch.linspace(0.5, 2, parameters).double(), torch.linspace(0.1, 3, parameters).double()
    return scale * (noise - ratio), ratio, scale


def test_ratio_and_variance_of_known_noise() -> None:
    """Mutations: the mean without its modulus; the variance over R; what does not vary counts."""
    draws, ratio, scale = normals(100, 400)
    constant = torch.full((100, 7), 0.1, dtype=torch.double)
    found = quality(moments(iter(torch.cat([draws, constant, 0 * constant], 1)), 100))
    assert found.ratio == pytest.approx((draws.mean(0).abs() / draws.std(0)).mean().item(), rel=1e-9)
    assert found.variance == pytest.approx(draws.var(0).sum().item(), rel=1e-9)
    assert abs(found.ratio - ratio.mean()) < 0.03
    assert abs(found.variance - scale.square().sum()) < 5 * found.variance_error


def test_errors_are_as_wide_as_estimates_scatter() -> None:
    """Mutations: the spread without its factor; of the blocks themselves, and not of what they leave."""
    found = [quality(moments(iter(normals(95, 3, seed)[0]), 95)) for seed in range(150)]
    for value, error in ((0, 1), (2, 3)):
        columns = torch.tensor(found, dtype=torch.double)
        spread, told = columns[:, value].std(), columns[:, error].square().mean().sqrt()
        assert 0.8 < told / spread < 1.25


def data(model: Any) -> Dataset:
    splits = [Split(part.float()) for part in (model.x, model.x[:4], model.x[:4])]
    return Dataset("toy", *splits, "real")


def test_the_variance_at_the_exact_posterior_is_that_of_the_score() -> None:
    """By the encoder's bias alone, d log q / d loc = e / s and d log q / d raw = (e^2 - 1) slope, e ~ N(0, 1).

    Mutations: the sum over the batch instead of its mean; the same noise again; another K; K as it is given.
    """
    model, repeats = linear_vae(n=8), 160
    model.vae.eval().requires_grad_(requires_grad=False)
    bias = model.vae.posterior.encoder.layers[0].bias.requires_grad_()
    scale = model.vae.posterior(model.x).stddev[0].detach()
    slope = 1 - (bias.detach()[2:] / math.log(1e4)).tanh().square()
    expected = ((1 / scale).square().sum() + 2 * slope.square().sum()).item() / 8
    torch.manual_seed(0)
    found = gradients(Judged(model.vae, data(model)), particles=[4, 1], repeats=repeats, batch=50).numbers
    assert list(found["variance"]) == ["posterior"]
    for name in ("elbo", "iwae"):
        values, errors = (found[key]["posterior"][name] for key in ("variance", "variance_standard_error"))
        for value, error, particles in zip(values, errors, (1, 4), strict=True):
            assert abs(value - expected / particles) < 4 * error < 0.5 * value
    for name in ("stl", "dreg"):
        assert max(found["variance"]["posterior"][name]) < 1e-20
    assert found["particles"] == [1, 4]
    assert found["rows"] == 8


def test_pure_noise_shows_what_is_said() -> None:
    generator = torch.Generator().manual_seed(2)
    noise = torch.randn(100, 20_000, generator=generator, dtype=torch.double)
    assert quality(moments(iter(noise), 100)).ratio == pytest.approx(pure_noise(100), rel=0.025)


# What the section says


def test_parts_share_no_parameter() -> None:
    """Mutation: a VampPrior's encoder counted as the prior's."""
    vae, _ = example()
    groups = groups_of(vae)
    assert {id(p) for p in groups["posterior"]} == {id(p) for p in vae.posterior.parameters()}
    assert sum(map(len, groups.values())) == len(list(vae.parameters()))
    vae.prior.requires_grad_(requires_grad=False)
    vae.likelihood.requires_grad_(requires_grad=True)
    assert list(groups_of(vae)) == ["likelihood"]


def test_the_section_names_the_best_and_leaves_everything_as_it_was() -> None:
    """Mutations: the best at the smallest K; gradients are left in the parameters."""
    vae, x = curved_vae(Vamp, n=20, pseudo_inputs=3)
    vae.eval()
    before = {name: (p, p.detach().clone()) for name, p in vae.named_parameters()}
    torch.manual_seed(0)
    found = gradients(Judged(vae, data(SimpleNamespace(x=x))), particles=(1, 8), repeats=20, batch=5)
    for name, p in vae.named_parameters():
        assert p is before[name][0]
        assert torch.equal(p, before[name][1])
        assert p.grad is None
        assert p.requires_grad
    assert not vae.training
    for part, columns in found.numbers["signal_to_noise"].items():
        best = max(columns, key=lambda name: columns[name][1])
        assert found.numbers["best"][part] == best
        sentence = next(said for said in found.sentences if said.startswith(f"{part}: "))
        assert f"at K = 8 has {best} {columns[best][1]:.2f} ± " in sentence
    assert found.numbers["rows"] == 5
    assert "the prior shares the posterior's parameters, which count as the posterior's" in found.sentences


def test_a_ratio_that_is_no_number_comes_last() -> None:
    columns = {
        name: [Quality(ratio, 0.0, 1.0, 0.0)] for name, ratio in (("a", math.nan), ("b", 0.0), ("c", 2.0), ("d", 1.0))
    }
    assert ranked(columns) == ["c", "d", "b", "a"]


def test_what_cannot_be_compared_is_named() -> None:
    vae = VAE(StandardNormal(2), Gaussian(linear, 2, (6,)), InverseAutoregressive(linear, 2, (6,), hidden=[4]))
    model = linear_vae(n=4)
    found = gradients(Judged(vae, data(model)), particles=[2], repeats=3, batch=2)
    assert set(found.numbers["left_out"]) == {"stl", "dreg"}
    assert set(found.numbers["variance"]["posterior"]) == {"elbo", "iwae"}
    assert "prior: no parameters of its own to train" in found.sentences
    assert any(said.startswith("dreg left out: a path derivative inverts") for said in found.sentences)


def test_a_point_has_no_noise() -> None:
    model = linear_vae(n=4)
    point = VAE(Flat(2), Gaussian(linear, 2, (6,)), Point(linear, 2, (6,)))
    improper = VAE(Flat(2), Gaussian(linear, 2, (6,)), DiagonalNormal(linear, 2, (6,)))
    with pytest.raises(NotApplicable, match="a point posterior has no noise"):
        gradients(Judged(point, data(model)))
    with pytest.raises(NotApplicable, match="Flat is improper"):
        gradients(Judged(improper, data(model)))
    with pytest.raises(NotApplicable, match="no number of particles"):
        gradients(Judged(model.vae, data(model)), particles=[])


def test_the_figure_has_a_panel_for_each_part_and_a_line_for_each_objective() -> None:
    """Mutation: errors of another part."""
    ratio = {"posterior": {"elbo": [1.0, 2.0], "iwae": [1.0, 0.5]}, "prior": {"elbo": [3.0, 4.0], "iwae": [3.0, 5.0]}}
    error = {part: {name: [0.1, 0.1 * len(part)] for name in columns} for part, columns in ratio.items()}
    figure = signal_to_noise([1, 64], ratio, error, floor=0.1)
    for axes, part in zip(figure.axes, ratio, strict=True):
        for container, values in zip(axes.containers, ratio[part].values(), strict=True):
            line, _, (bars,) = container
            assert list(line.get_ydata()) == values
            assert bars.get_segments()[1][1][1] - values[1] == pytest.approx(0.1 * len(part))
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["pure noise", "elbo", "iwae"]
