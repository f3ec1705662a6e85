"""Inverse autoregressive flows: every dimension moves by those before it; one pass to draw, one per dimension back."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from pyrovae.errors import PyrovaeError
from pyrovae.flows.bijections import Affine, near_zero
from pyrovae.flows.coupling import with_context
from pyrovae.flows.distribution import Flow


class MaskedLinear(nn.Module):
    """Linear layer in which an output of degree d reads inputs up to degree d (Germain et al., 2015).

    The weights are those that exist, not a full matrix under a mask: no parameter is one that nothing can train.

    Args:
        inputs: Degrees of the inputs, shape ``(I,)``.
        outputs: Degrees of the outputs, shape ``(O,)``.
    """

    position: Tensor

    def __init__(self, inputs: Tensor, outputs: Tensor) -> None:
        super().__init__()
        self.shape = len(outputs), len(inputs)
        (position,) = torch.where((outputs[:, None] >= inputs).flatten())
        reach = 1 / math.sqrt(len(inputs))
        self.register_buffer("position", position, persistent=False)
        self.weight = nn.Parameter(torch.empty(len(position)).uniform_(-reach, reach))
        self.bias = nn.Parameter(torch.empty(len(outputs)).uniform_(-reach, reach))

    def forward(self, x: Tensor) -> Tensor:
        full = self.weight.new_zeros(math.prod(self.shape)).index_copy(0, self.position, self.weight)
        return linear(x, full.view(self.shape), self.bias)


class Autoregressive(nn.Module):
    """One layer: dimension d moves by the context and by dimensions 1 to d - 1, in reverse where ``reverse``."""

    invertible = False  # in one pass

    def __init__(self, dim: int, context: int, hidden: Sequence[int], *, reverse: bool) -> None:
        super().__init__()
        self.bijection = Affine()
        degree = torch.arange(1, dim + 1).flip(0) if reverse else torch.arange(1, dim + 1)
        inputs = torch.cat([degree, torch.zeros(context, dtype=torch.long)])
        widths = [torch.linspace(0, dim - 1, width).round().long() for width in hidden]
        # One less: a dimension reads what is strictly before it.
        outputs = (degree - 1).repeat_interleave(self.bijection.parameters)
        self.layers = nn.ModuleList(MaskedLinear(*pair) for pair in pairwise([inputs, *widths, outputs]))
        near_zero(self.layers[-1])

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_slope = self.bijection.forward(x, self.raw(x, context))
        return z, log_slope.sum(-1)

    def raw(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Returns the parameters of each dimension's bijection, shape ``(*batch, D, 2)``."""
        value = with_context(x, context)
        for layer in self.layers[:-1]:
            value = silu(layer(value))
        out: Tensor = self.layers[-1](value)
        return out.unflatten(-1, (-1, self.bijection.parameters))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        raise PyrovaeError(
            "an inverse autoregressive flow knows the density of its own last rsample() only: at any other z it takes "
            "one pass per dimension",
            hint="use the posterior 'flow', whose density is cheap everywhere",
        )


def autoregressive_flow(dim: int, context: int = 0, *, layers: int = 4, hidden: Sequence[int] = (64, 64)) -> Flow:
    """Returns an inverse autoregressive flow, near the identity (Kingma et al., 2016).

    Args:
        dim: Number of dimensions.
        context: Size of the context that every layer reads; 0 reads none.
        layers: Number of layers; every second one goes through the dimensions in reverse.
        hidden: Widths of the hidden layers of each layer's network.

    Example:
        >>> z, log_det = autoregressive_flow(5)(torch.zeros(7, 5))
        >>> z.shape, log_det.shape
        (torch.Size([7, 5]), torch.Size([7]))
    """
    return Flow(*(Autoregressive(dim, context, hidden, reverse=bool(layer % 2)) for layer in range(layers)))
