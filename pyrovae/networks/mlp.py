"""The multilayer perceptron, for any shape of input and output."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Literal

from torch import Tensor, nn

from pyrovae.networks.labels import append_label
from pyrovae.networks.layers import dense, keep_scale
from pyrovae.networks.shapes import Shaped


class MLP(Shaped):
    """Multilayer perceptron on the flattened datum (Rumelhart, Hinton and Williams, 1986).

    Args:
        in_shape: Shape of one input.
        out_shape: Shape of one output.
        classes: Number of classes read beside the input; 0 reads none.
        hidden: Widths of the hidden layers; none of them makes the network linear.
        activation: Function between the layers; ``gated`` multiplies each feature by a sigmoid of the same input.

    Example:
        >>> import torch
        >>> MLP((1, 28, 20), (2, 16), hidden=[32])(torch.zeros(3, 5, 1, 28, 20)).shape
        torch.Size([3, 5, 2, 16])
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        out_shape: Sequence[int],
        classes: int = 0,
        *,
        hidden: Sequence[int] = (400, 400),
        activation: Literal["relu", "tanh", "softplus", "silu", "gated"] = "relu",
    ) -> None:
        super().__init__(in_shape, out_shape, classes)
        *between, last = pairwise([prod(in_shape) + classes, *hidden, prod(out_shape)])
        layers = [part for pair in between for part in dense(*pair, activation)]
        self.layers = nn.Sequential(*layers, nn.Linear(*last))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        flat = x.flatten(x.dim() - len(self.in_shape))
        out: Tensor = self.layers(append_label(flat, y, self.classes, event_dim=1))
        return out.unflatten(-1, self.out_shape)


def gated_mlp(
    in_shape: Sequence[int], out_shape: Sequence[int], classes: int = 0, *, hidden: Sequence[int] = (300, 300)
) -> nn.Module:
    r"""Multilayer perceptron whose hidden features are gated, the network of VampPrior (Tomczak and Welling, 2018).

    .. math:: h = (W x + b) \odot \sigma(V x + c)

    Args:
        in_shape: Shape of one input.
        out_shape: Shape of one output.
        classes: Number of classes read beside the input; 0 reads none.
        hidden: Widths of the hidden layers.

    Example:
        >>> gated_mlp((4,), (2,), classes=3, hidden=[8])
        MLP(
          (4,) and 3 classes -> (2,)
          (layers): Sequential(
            (0): Linear(in_features=7, out_features=16, bias=True)
            (1): GLU(dim=-1)
            (2): Linear(in_features=8, out_features=2, bias=True)
          )
        )
    """
    network = MLP(in_shape, out_shape, classes, hidden=hidden, activation="gated")
    return keep_scale(network, "gated")
