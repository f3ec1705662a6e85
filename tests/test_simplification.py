"""Simplified graphs return the same bits with fewer calls; one whose tensors are written over stays as it is."""

import copy
from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from pyrovae.training.adam import SETTLE, Adam, norm_of
from pyrovae.training.simplification import simplify
from pyrovae.training.tracing import call_directly

Function = Callable[[Tensor], Tensor]
X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


def made(function: Function) -> GraphModule:
    graph = make_fx(function)(X)
    simplify(graph)
    return graph


def calls(graph: GraphModule) -> Counter[str]:
    """Counts the calls of each operation."""
    return Counter(node.target.__name__.partition(".")[0] for node in graph.graph.nodes if node.op == "call_function")


FEWER: dict[str, tuple[Function, dict[str, int]]] = {
    "x * 1": (lambda x: x.exp() * torch.ones_like(x), {"exp": 1}),
    "x / -1": (lambda x: x.exp() / -torch.ones_like(x), {"exp": 1, "neg": 1}),
    "x - log 1": (lambda x: x.exp() - torch.ones_like(x).log(), {"exp": 1}),
    "x / (2 * 1 ** 2)": (lambda x: x.exp() / (2 * torch.ones_like(x) ** 2), {"exp": 1, "div": 1}),
    "(1 + 1) * x": (lambda x: (torch.ones_like(x) + torch.ones_like(x)) * x.exp(), {"exp": 1, "mul": 1}),
    "x ** 1": (lambda x: x.exp().pow(1.0), {"exp": 1}),
    "-(-x)": (lambda x: x.exp().neg().neg(), {"exp": 1}),
    "x.T.T": (lambda x: x.exp().t().t(), {"exp": 1}),
    "sum(-x)": (lambda x: (-x.exp()).sum(-1), {"exp": 1, "sum": 1, "neg": 1}),
    "-(x repeated)": (lambda x: -x[:1].exp().expand(3, 4), {"slice": 1, "exp": 1, "neg": 1, "expand": 1}),
    "a view of a view": (lambda x: x.exp().view(12).view(2, 6), {"exp": 1, "view": 1}),
    "a view and back": (lambda x: x.exp().view(12).view(3, 4), {"exp": 1}),
    "a sum of one": (lambda x: x.exp().unsqueeze(0).sum(0), {"exp": 1, "unsqueeze": 1, "view": 1}),
    "twice": (lambda x: x.exp() / (x.exp() + 1), {"exp": 1, "add": 1, "div": 1}),
    "unread": (lambda x: (x.log(), x.exp())[1], {"exp": 1}),
}


@pytest.mark.parametrize("name", FEWER)
def test_a_rule_spares_calls_and_changes_no_bit(name: str) -> None:
    """Mutation: the rule is taken out of the table, or returns the other of its factors."""
    function, expected = FEWER[name]
    graph = made(function)
    assert torch.equal(graph(X), function(X))
    assert calls(graph) == expected
    call_directly(graph)
    assert torch.equal(graph.forward(X), function(X))


STAYS: dict[str, Function] = {
    "a sum of all": lambda x: x.exp().unsqueeze(0).sum(()),
    "a power of integers": lambda x: x.exp().to(torch.int64).pow(1.0),
    "a factor that broadcasts": lambda x: x[:1].exp() * torch.ones_like(x),
    "different constants": lambda x: x.exp() * 2.0 + x.exp() * 3.0,
    "a transposed view": lambda x: x.exp().t().reshape(12).view(3, 4),
}


@pytest.mark.parametrize("name", STAYS)
def test_what_is_no_rule_stays(name: str) -> None:
    function = STAYS[name]
    assert torch.equal(made(function)(X), function(X))
    assert made(function)(X).dtype == function(X).dtype


def test_noise_is_drawn_twice_where_the_program_draws_twice() -> None:
    """Mutation: calls of the same arguments are shared, random ones too; or the empty tensors that noise fills."""

    def noise(x: Tensor) -> Tensor:
        return torch.empty(2).normal_() - torch.empty(2).normal_() + torch.rand(2) - torch.rand(2)

    torch.manual_seed(1)
    expected = noise(X)
    graph = made(noise)
    torch.manual_seed(1)
    assert torch.equal(graph(X), expected)


def test_a_tensor_that_is_written_over_is_read_where_it_is_read() -> None:
    """Mutation: rules are applied whatever the graph writes."""

    def twice(x: Tensor) -> Tensor:
        y = x.exp()
        seen = y.view(12)
        before = seen + 1
        y.mul_(2)
        return before - (seen + 1)

    assert torch.equal(made(twice)(X), twice(X))


# ------------------------------------------------------------------------------------------------ the optimizer


def test_adam_moves_as_torchs_own_does() -> None:
    """To the last bit, where a gradient is missing now and then, and after a state was loaded.

    Mutations: the moments of the parameters with gradients are those of others; the loaded state is not looked at.
    """
    start = [torch.randn(5, 3), torch.randn(7), torch.randn(2)]
    ours, theirs = ([torch.nn.Parameter(w.clone()) for w in start] for _ in range(2))
    adam, own = Adam(ours), torch.optim.Adam(theirs, lr=1.0, fused=True)
    for step in range(12):
        rate = 0.1 / (1 + step)
        for place, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            given = place != 1 or step in (2, 3, 7)
            a.grad = torch.randn_like(a) if given else None
            b.grad = None if a.grad is None else a.grad.clone()
        own.param_groups[0]["lr"] = rate
        own.step()
        adam.move(rate)
        if step == 8:
            adam.load_state_dict(copy.deepcopy(adam.state_dict()))
        pairs = list(zip(ours, theirs, strict=True))
        moments = [(adam.state[a][key], own.state[b][key]) for a, b in pairs for key in adam.state[a]]
        assert all(torch.equal(a, b) for a, b in [*pairs, *moments]), step


def test_moments_of_gradients_that_have_ceased_never_become_denormal() -> None:
    """And the weights are those of an optimizer that lets them.

    Mutations: `settle` does nothing; it takes 1e-3 for tiny.
    """
    ours, theirs = (torch.nn.Parameter(torch.full((50,), 0.3)) for _ in range(2))
    adam, own = Adam([ours]), torch.optim.Adam([theirs], lr=1e-3, fused=True)
    smallest = torch.finfo(torch.float32).tiny
    for step in range(1, 1201):
        gradient = torch.logspace(-9, 2, 50) * (step < 20)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        own.step()
        adam.move(1e-3)
        if step % SETTLE == 0:
            adam.settle()
        moments = adam.state[ours]["exp_avg"].abs()
        assert not ((moments > 0) & (moments < smallest)).any(), step
    denormal = own.state[theirs]["exp_avg"].abs()
    assert ((denormal > 0) & (denormal < smallest)).any()
    assert torch.equal(ours, theirs)


def test_the_norm_is_that_of_all_gradients() -> None:
    gradients = [torch.randn(4, 5).t(), torch.randn(3), torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)]
    expected = torch.linalg.vector_norm(torch.cat([g.double().flatten() for g in gradients]))
    assert norm_of(gradients).item() == pytest.approx(float(expected), rel=1e-6)
