"""The multilayer perceptron, for any shape of input and output."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Literal

from torch import Tensor, nn

from pyrovae.networks.labels import append_label

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "softplus": nn.Softplus, "silu": nn.SiLU}


class MLP(nn.Module):
    """Multilayer perceptron on the flattened datum.

    Args:
        in_shape: Shape of one input.
        out_shape: Shape of one output.
        classes: Number of classes read beside the input; 0 reads none.
        hidden: Widths of the hidden layers; none of them makes the network linear.
        activation: Function between the layers.

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
        activation: Literal["relu", "tanh", "softplus", "silu"] = "relu",
    ) -> None:
        super().__init__()
        self.in_shape, self.out_shape, self.classes = tuple(in_shape), tuple(out_shape), classes
        widths = [prod(in_shape) + classes, *hidden, prod(out_shape)]
        layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), ACTIVATIONS[activation]())]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        flat = x.flatten(x.dim() - len(self.in_shape))
        out: Tensor = self.layers(append_label(flat, y, self.classes, event_dim=1))
        return out.unflatten(-1, self.out_shape)
