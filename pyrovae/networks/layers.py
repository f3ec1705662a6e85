r"""Layers, each a linear map and the function after it, and the weights they start from.

A *gated* layer is :math:`(W x + b) \odot \sigma(V x + c)` (Dauphin et al., 2017): one map to twice as many features,
and a function that multiplies one half by the sigmoid of the other.
"""

from typing import Any

from torch import nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
    "silu": nn.SiLU,
    "gated": nn.GLU,
}
GAINS = {"silu": 1.5588, "gated": 1.7267}  # of a normal input with this scale, the function's second moment is 1


def fan(activation: str) -> int:
    """Returns how many features the function reads for each one it returns.

    Example:
        >>> fan("silu"), fan("gated")
        (1, 2)
    """
    return 2 if activation == "gated" else 1


def function(activation: str, *, dim: int) -> nn.Module:
    """Returns the function as a module; a gate finds its halves along ``dim``."""
    return nn.GLU(dim) if activation == "gated" else ACTIVATIONS[activation]()


def dense(inputs: int, outputs: int, activation: str) -> list[nn.Module]:
    return [nn.Linear(inputs, fan(activation) * outputs), function(activation, dim=-1)]


def convolution(inputs: int, outputs: int, activation: str, *, stride: int = 1) -> list[nn.Module]:
    """Returns a 3 x 3 convolution, which halves a picture at stride 2, rounding up, and the function after it.

    Example:
        >>> import torch
        >>> nn.Sequential(*convolution(1, 8, "gated", stride=2))(torch.zeros(2, 1, 79, 5)).shape
        torch.Size([2, 8, 40, 3])
    """
    return [linear_convolution(inputs, fan(activation) * outputs, stride=stride), function(activation, dim=-3)]


def linear_convolution(inputs: int, outputs: int, *, stride: int = 1) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)


def keep_scale(network: nn.Module, activation: str) -> nn.Module:
    """Draws initial weights so that features are about as large as the datum at any depth (after He et al., 2015).

    PyTorch's own shrink them by half a layer and more, until a fresh decoder hardly reads its code. They stay in the
    last layer, whose small outputs make a calm start.
    """
    layers: list[Any] = [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    for layer in layers[:-1]:
        nn.init.normal_(layer.weight, std=GAINS[activation] / layer.weight[0].numel() ** 0.5)
        nn.init.zeros_(layer.bias)
    return network
