"""The traced graph is the program: loss and gradients to the last bit, for whatever the tables compose."""

from itertools import product
from types import MethodType

import pyro
import pytest
import torch
from compositions import FACTORS, LABELS, ROWS_OF_TABLES, Composition, build, cover, data, objective_of, support_of
from torch import Tensor

from pyrovae import ELBO, VAE
from pyrovae.densities import Densities
from pyrovae.objectives import Objective
from pyrovae.training import engines
from pyrovae.training.engines import Eager, Traced
from pyrovae.training.tracing import trace

ONE = torch.tensor(1.0, dtype=torch.float64)
EVERY = [
    Composition(prior=prior, posterior=posterior, objective=objective, labels=labels)
    for prior, posterior, objective, labels in product(
        FACTORS["prior"], FACTORS["posterior"], FACTORS["objective"], ["unlabelled"]
    )
]


# Networks for pictures take seconds to trace: each of them is met in ROWS_OF_TABLES.
PAIRS = [c for c in cover("prior", "posterior", "likelihood", "objective", "labels") if not c.clashes]


def programs(composition: Composition) -> tuple[VAE, Objective, list[Tensor]]:
    vae = build(*composition[:3], labels=composition.labels, network=composition.network)
    x, y = data(support_of(composition.likelihood))
    return vae, objective_of(composition.objective), [x, y] if any(LABELS[composition.labels]) else [x]


def eager(vae: VAE, objective: Objective, beta: Tensor, *batch: Tensor) -> tuple[Tensor, list[Tensor | None]]:
    """Returns loss and gradients as Pyro and autograd give them."""
    parameters = list(vae.parameters())
    with pyro.get_param_store().scope():
        loss = objective.differentiable_loss(vae.model, vae.guide, *batch, beta=beta)
        return loss.detach(), list(torch.autograd.grad(loss, parameters, allow_unused=True))


def differences(composition: Composition) -> list[str]:
    """Traces on one batch, and replays with other data, other weights and another beta."""
    vae, objective, batch = programs(composition)
    graph = trace(vae, objective, ONE, *batch)
    with torch.no_grad():
        for parameter in vae.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    beta, batch = 0.25 * ONE, [tensor.roll(1, 0) for tensor in batch]
    torch.manual_seed(1)
    loss, gradients = eager(vae, objective, beta, *batch)
    noise = torch.rand(3)
    torch.manual_seed(1)
    with torch.no_grad():
        replayed, *found = graph(*vae.parameters(), beta, *batch)
    assert replayed is not None
    wrong = [] if torch.equal(loss, replayed) else [f"loss {loss} {replayed}"]
    wrong += [] if torch.equal(noise, torch.rand(3)) else ["another amount of noise was drawn"]
    for (name, _), a, b in zip(vae.named_parameters(), gradients, found, strict=True):
        if not (a is None and b is None) and not (a is not None and b is not None and torch.equal(a, b)):
            wrong.append(name)
    return wrong


@pytest.mark.parametrize("composition", ROWS_OF_TABLES, ids="-".join)
def test_every_row_is_traced_exactly(composition: Composition) -> None:
    """Mutations: `simplify` drops noise that nobody reads; beta goes in as a number."""
    assert differences(composition) == []


@pytest.mark.slow
@pytest.mark.parametrize("composition", PAIRS, ids="-".join)
def test_every_pair_of_rows_is_traced_exactly(composition: Composition) -> None:
    assert differences(composition) == []


@pytest.mark.slow
@pytest.mark.parametrize("prior", FACTORS["prior"])
def test_every_prior_posterior_and_objective_is_traced_exactly(prior: str) -> None:
    wanted = [c for c in EVERY if c.prior == prior and not c.clashes]
    assert wanted
    assert {c: wrong for c in wanted if (wrong := differences(c))} == {}


# Where a program is more than its tensors


class Decides(ELBO):
    """Reads a number from a tensor and decides by it."""

    def bound(self, sites: Densities, beta: float | Tensor) -> Tensor:
        bound = super().bound(sites, beta)
        return bound if bound.sum().item() < 0 else 2 * bound


class Counts(ELBO):
    """Changes with every call, which a graph cannot know."""

    calls = 0

    def bound(self, sites: Densities, beta: float | Tensor) -> Tensor:
        self.calls += 1
        return self.calls * super().bound(sites, beta)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traces after two batches, not after as many as pay."""
    monkeypatch.setattr(engines, "EAGER_FIRST", 2)


def steps(engine: type[Eager], objective: Objective, count: int = 7) -> tuple[list[float], Eager]:
    vae, x = build(), data()[0]
    torch.manual_seed(0)
    with pyro.get_param_store().scope():
        made = engine(vae, objective, lambda step: 0.01)
        return [made.step(x) for _ in range(count)], made


@pytest.mark.parametrize("kind", [Decides, Counts])
def test_what_cannot_be_traced_runs_eagerly_and_says_so_once(
    kind: type[Objective], capsys: pytest.CaptureFixture[str]
) -> None:
    """Mutation: without `check` the graph of `Counts` goes on with the number of its first call."""
    found, engine = steps(Traced, kind())
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("warning: the program cannot be traced and runs eagerly: ")
    if kind is Decides:
        assert found == steps(Eager, kind())[0]
    assert isinstance(engine, Traced)
    assert engine.reason


def test_a_shape_is_traced_once_and_from_its_third_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    traced: list[int] = []

    def watched(vae: VAE, objective: Objective, beta: Tensor, *batch: Tensor, compiled: bool) -> object:
        traced.append(len(batch[0]))
        return trace(vae, objective, beta, *batch, compiled=compiled)

    monkeypatch.setattr("pyrovae.training.engines.trace", watched)
    vae, x = build(), data()[0]
    engine = Traced(vae, ELBO(), lambda step: 0.01)
    with pyro.get_param_store().scope():
        for rows in (6, 6, 5, 6, 6, 5, 6):
            engine.step(x[:rows])
    assert traced == [6]


def test_a_graph_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody reads is gone: without `simplify` the graph has a fifth more nodes."""
    vae, objective, batch = programs(Composition())
    small = trace(vae, objective, ONE, *batch)
    monkeypatch.setattr("pyrovae.training.tracing.simplify", lambda graph: None)
    whole = trace(vae, objective, ONE, *batch)
    count = [len(graph.__self__.graph.nodes) for graph in (small, whole) if isinstance(graph, MethodType)]
    assert count[0] < 0.85 * count[1]


def test_the_engines_give_the_same_weights_to_the_last_bit() -> None:
    (a, one), (b, other) = (steps(engine, ELBO()) for engine in (Traced, Eager))
    assert a == b
    for (name, p), q in zip(one.parameters.items(), other.parameters.values(), strict=True):
        assert torch.equal(p, q), name
