"""Loss and gradients of a Pyro program as one flat graph: traced once per shape of batch, replayed at every step.

Pyro's handlers then cost nothing. Random operations stay in the graph and draw from the same generators in the same
order, so a replay is equal to a run of the programs, in float32 on a CPU to the last bit.
"""

from collections.abc import Callable
from typing import Any

import pyro
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.graph import CodeGen

from pyrovae.training.simplification import simplify, tensor_of

aten = torch.ops.aten


# Takes the parameters, beta and a batch, returns the loss and each parameter's gradient, if it has one.
Graph = Callable[..., list[Tensor | None]]

# The same kernels without the dispatch by schema, which takes as long as a small product.
DIRECT: dict[Any, Callable[..., Any]] = {
    aten.add.Tensor: torch.add,
    aten.addmm.default: torch.addmm,
    aten.div.Scalar: torch.div,
    aten.div.Tensor: torch.div,
    aten.exp.default: torch.exp,
    aten.expand.default: Tensor.expand,
    aten.log.default: torch.log,
    aten.mm.default: torch.mm,
    aten.mul.Scalar: torch.mul,
    aten.mul.Tensor: torch.mul,
    aten.neg.default: torch.neg,
    aten.pow.Tensor_Scalar: torch.pow,
    aten.relu.default: torch.relu,
    aten.sigmoid.default: torch.sigmoid,
    aten.sub.Tensor: torch.sub,
    aten.sum.dim_IntList: torch.sum,
    aten.t.default: torch.t,
    aten.tanh.default: torch.tanh,
    aten.unsqueeze.default: torch.unsqueeze,
    aten.view.default: Tensor.view,
}


ARITHMETIC = (aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor, aten.mul.Scalar, aten.div.Scalar)


class Loss(nn.Module):
    """A module and its objective as one, whose parameters can be exchanged for the duration of a call."""

    def __init__(self, module: nn.Module, objective: Any) -> None:
        super().__init__()
        self.module = module
        self.objective = objective

    def forward(self, beta: Tensor, *batch: Tensor) -> Tensor:
        loss: Tensor = self.objective.batch_loss(self.module, *batch, beta=beta)
        return loss


def trace(module: nn.Module, objective: Any, beta: Tensor, *batch: Tensor, compiled: bool = False) -> Graph:
    """Traces loss and gradients for batches of this shape.

    Args:
        module: A VAE or another system, in the mode (training or evaluation) that the graph shall have.
        objective: One of ours, whose ``batch_loss`` takes ``beta``.
        beta: Weight of the divergence, a tensor: what is a number is fixed in the graph.
        batch: What the objective reads.
        compiled: Compile the graph with ``torch.compile``. Noise still comes from torch's generators.

    Raises:
        Exception: Of many kinds, where the program reads numbers from tensors and decides by them.
    """
    loss_of = Loss(module, objective)
    names, parameters = zip(*trainable(loss_of).items(), strict=True)

    def flat(*given: Tensor) -> list[Tensor | None]:
        own, inputs = given[: len(names)], given[len(names) :]
        loss = functional_call(loss_of, dict(zip(names, own, strict=True)), inputs)
        return [loss.detach(), *torch.autograd.grad(loss, own, allow_unused=True)]

    # Validation reads numbers; what it would find, a first checked batch has, and a loss that is not finite shows.
    with pyro.get_param_store().scope(), pyro.validation_enabled(is_validate=False), torch.random.fork_rng():
        graph = make_fx(flat)(*parameters, beta, *batch)
    simplify(graph)
    if compiled:
        return torch.compile(graph, options={"fallback_random": True})
    call_directly(graph)
    return graph.forward


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """Returns the parameters that are trained by name, shared ones once."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def call_directly(graph: GraphModule) -> None:
    """Spares what a call costs besides its kernel: dispatch by schema, and trees of arguments."""
    for node in list(graph.graph.nodes):
        if node.target in ARITHMETIC:
            numbers_to_tensors(graph, node)
        node.target = DIRECT.get(node.target, node.target)
    graph.graph.set_codegen(CodeGen())
    graph.recompile()


def numbers_to_tensors(graph: GraphModule, node: Node) -> None:
    """Makes once the tensor that a call would make of a number each time."""
    value = tensor_of(node.args[0])
    if len(node.args) != 2 or isinstance(node.args[1], Node) or value is None or not value.dim() or node.kwargs:
        return
    name = f"number_{node.name}"
    # Not a buffer of the module: those are looked up in a dictionary, after all else.
    graph.__dict__[name] = torch.tensor(node.args[1], dtype=value.dtype)
    with graph.graph.inserting_before(node):
        node.args = (node.args[0], graph.graph.create_node("get_attr", name))
