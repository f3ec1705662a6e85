"""Rewriting of a traced graph that changes no bit of what it returns: what autograd and Pyro compute twice or for
nothing.

Every rule is exact in floating point: a sign commutes with products and with sums, a product with one is its factor.
Rules read a value where they stand, so a graph in which tensors are written over is left as it is.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.fx import Graph, GraphModule, Node

aten = torch.ops.aten

EMPTY = (aten.empty.memory_format, aten.empty_like.default, aten.empty_strided.default, aten.new_empty.default)
VIEWS = (aten.expand.default, aten.unsqueeze.default, aten.view.default, aten.alias.default, aten.squeeze.dim)
SUMS = (aten.add.Tensor, aten.sub.Tensor)
PRODUCTS = (aten.mul.Tensor, aten.mul.Scalar, aten.div.Tensor, aten.div.Scalar)
NOT_COMMUTATIVE = (aten.sub.Tensor, aten.div.Tensor, aten.div.Scalar)
# Of one number they give what they give of a whole tensor, to the last bit; a logarithm need not.
EXACT = (aten.neg.default, aten.pow.Tensor_Scalar, *SUMS, *PRODUCTS)


def simplify(graph: GraphModule) -> None:
    """Drops what nobody reads (Pyro's sums of log densities), what is computed twice, and what changes nothing."""
    if not overwrites(graph.graph):
        uniform: dict[Node, float] = {}
        for node in list(graph.graph.nodes):
            if node.op == "call_function":
                fold(node, uniform)
                improved = (better for rule in RULES if (better := rule(node, uniform)) is not None)
                if node not in uniform and (better := next(improved, None)) is not None:
                    node.replace_all_uses_with(better)
        share(graph.graph)
    graph.graph.eliminate_dead_code(is_impure_node=must_stay)
    graph.recompile()


def overwrites(graph: Graph) -> bool:
    """Tells whether a graph writes over a tensor that others read; noise is written into an empty one of its own."""
    return any(is_mutable(node) and not (of(node).target in EMPTY and len(of(node).users) == 1) for node in graph.nodes)


def share(graph: Graph) -> None:
    """Computes once what is computed twice from the same arguments."""
    known: dict[Any, Node] = {}
    for node in list(graph.nodes):
        if node.op == "get_attr":
            key: Any = node.target
        elif node.op == "call_function" and not must_stay(node) and node.target not in EMPTY:
            key = (node.target, repr(node.args), repr(sorted(node.kwargs.items())))
        else:
            continue
        if (first := known.setdefault(key, node)) is not node:
            node.replace_all_uses_with(first)


# ------------------------------------------------------------------------------------------------ one number alone


def fold(node: Node, uniform: dict[Node, float]) -> None:
    """Notes what all entries of a node are, where they are one number that is known beforehand.

    Autograd begins with ones, and scales of standard distributions are ones: neither is in the data.
    """
    if node.target is aten.ones_like.default:
        uniform[node] = 1.0
    elif node.target in VIEWS and of(node) in uniform:
        uniform[node] = uniform[of(node)]
    elif node.target is aten.log.default and uniform.get(of(node)) == 1.0:
        uniform[node] = 0.0
    elif node.target in EXACT and not node.kwargs:
        numbers = [uniform.get(part) if isinstance(part, Node) else part for part in node.args]
        if None not in numbers and (val := tensor_of(node)) is not None:
            entries = [torch.tensor(number, dtype=val.dtype) for number in numbers]
            uniform[node] = getattr(torch, node.target._schema.name.removeprefix("aten::"))(*entries).item()


def number_for_tensor(node: Node, uniform: dict[Node, float]) -> Node | None:
    """x * n with a number n, where all entries of the tensor are n: x * 1 = x / 1 = x - 0 = x, x * -1 = x / -1 = -x."""
    args: Any = node.args
    if node.target not in (*SUMS, *PRODUCTS) or node.kwargs:
        return None
    x, other = args if of(node) not in uniform or node.target in NOT_COMMUTATIVE else args[::-1]
    number = uniform.get(other) if isinstance(other, Node) else other
    if number is None or not alike(x, node):
        return None
    if number == (0.0 if node.target in SUMS else 1.0):
        return x if node.target is not aten.add.Tensor else None  # -0 + 0 is not -0
    if number == -1.0 and node.target in PRODUCTS:
        return before(node, aten.neg.default, x)
    return before(node, node.target, x, number) if isinstance(other, Node) else None


def power_of_one(node: Node, uniform: dict[Node, float]) -> Node | None:
    """x ** 1 = x, which is half of the derivative of a square."""
    is_idle = node.target is aten.pow.Tensor_Scalar and of(node, 1) == 1.0
    return of(node) if is_idle and alike(of(node), node) else None


# ------------------------------------------------------------------------------------------------ signs and views


def twice_undone(node: Node, uniform: dict[Node, float]) -> Node | None:
    """-(-x) = x, and a matrix that is transposed twice."""
    inner: Any = of(node) if node.args else None
    is_pair = node.target in (aten.neg.default, aten.t.default) and isinstance(inner, Node)
    return of(inner) if is_pair and inner.target is node.target else None


def sign_of_few(node: Node, uniform: dict[Node, float]) -> Node | None:
    """sum(-x) = -sum(x), and the sign of what is repeated is that of one of it."""
    inner: Any = of(node) if node.args else None
    if not isinstance(inner, Node):
        return None
    if node.target is aten.sum.dim_IntList and inner.target is aten.neg.default:
        total = before(node, node.target, of(inner), *node.args[1:], **node.kwargs)
        return before(node, aten.neg.default, total)
    if node.target is aten.neg.default and inner.target is aten.expand.default:
        return before(node, inner.target, before(node, aten.neg.default, of(inner)), *inner.args[1:])
    return None


def idle_view(node: Node, uniform: dict[Node, float]) -> Node | None:
    """A view of the shape that its input has."""
    if node.target is aten.alias.default:
        return of(node)
    is_view = node.target in (aten.view.default, aten.expand.default)
    return of(node) if is_view and alike(of(node), node) else None


def sum_of_one(node: Node, uniform: dict[Node, float]) -> Node | None:
    """A sum or mean over axes of length one, such as one particle's, is a view."""
    source = tensor_of(of(node)) if node.target in (aten.sum.dim_IntList, aten.mean.dim) and of(node, 1) else None
    if source is None or not source.is_contiguous() or node.kwargs or any(source.shape[d] != 1 for d in of(node, 1)):
        return None
    return before(node, aten.view.default, of(node), list(node.meta["val"].shape))


def view_of_view(node: Node, uniform: dict[Node, float]) -> Node | None:
    """The last of two shapes, of what lies in memory in order."""
    inner: Any = of(node) if node.args else None
    if node.target is not aten.view.default or inner.target is not aten.view.default:
        return None
    source = tensor_of(of(inner))
    if source is None or not source.is_contiguous():
        return None
    return of(inner) if alike(of(inner), node) else before(node, node.target, of(inner), of(node, 1))


RULES: tuple[Callable[[Node, dict[Node, float]], Node | None], ...] = (
    idle_view,
    sum_of_one,
    view_of_view,
    number_for_tensor,
    power_of_one,
    twice_undone,
    sign_of_few,
)


# ------------------------------------------------------------------------------------------------ nodes


def before(node: Node, target: Any, *args: Any, **kwargs: Any) -> Node:
    """Puts a call in front of a node."""
    graph = node.graph
    with graph.inserting_before(node):
        made = graph.call_function(target, args, kwargs)
    values = [shape_of(part) if isinstance(part, Node) else part for part in args]
    made.meta["val"] = None if any(value is None for value in values) else target(*values, **kwargs)
    return made


def shape_of(node: Node) -> Tensor | None:
    """Returns a tensor without content, like what a node returns."""
    value = tensor_of(node)
    if value is None:
        return None
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")


def of(node: Node, place: int = 0) -> Any:
    """Returns an argument of a call, by default the first one: a node, a number or a shape."""
    return node.args[place]


def tensor_of(node: Any) -> Tensor | None:
    """Returns shape and strides of what a node returns, where the trace has noted them."""
    value = node.meta.get("val") if isinstance(node, Node) else None
    return value if isinstance(value, Tensor) else None


def alike(one: Any, other: Node) -> bool:
    """Tells whether two nodes return tensors of one kind, shape and order in memory."""
    a, b = tensor_of(one), tensor_of(other)
    return a is not None and b is not None and (a.shape, a.stride(), a.dtype) == (b.shape, b.stride(), b.dtype)


def is_mutable(node: Node) -> bool:
    return isinstance(node.target, OpOverload) and node.target._schema.is_mutable


def must_stay(node: Node) -> bool:
    """Tells whether a node does more than return its value: noise that nobody reads moves a generator all the same."""
    if node.op != "call_function":
        return node.op in ("placeholder", "output")
    if not isinstance(node.target, OpOverload):
        return False
    return is_mutable(node) or torch.Tag.nondeterministic_seeded in node.target.tags
