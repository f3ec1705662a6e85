"""Encoder and decoder for pictures ``(..., height, width)`` of any height and width, whatever their levels are made of.

Each level halves the picture, rounding up. The decoder walks the same sizes back and interpolates to each exactly, so
79 x 79 needs no padding by hand, and resize-then-convolve leaves no checkerboard (Odena, Dumoulin and Olah, 2016).
Between the coarsest feature maps and the code stands a perceptron with one hidden layer.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod
from typing import Literal, NamedTuple

from torch import Tensor, nn
from torch.nn.functional import interpolate

from pyrovae.errors import PyrovaeError
from pyrovae.networks.labels import append_label
from pyrovae.networks.layers import fan, function, keep_scale, linear_convolution
from pyrovae.networks.mlp import MLP
from pyrovae.networks.shapes import Shaped


class Style(NamedTuple):
    """What tells one picture network from another.

    Attributes:
        name: Of the network's row, for errors.
        level: Makes a level from its numbers of input and output features and its stride.
        activation: Function of the perceptron, and of the coarsest feature maps that a decoder starts from.
    """

    name: str
    level: Callable[[int, int, int], nn.Module]
    activation: Literal["silu", "gated"]


def picture_network(
    style: Style,
    in_shape: Sequence[int],
    out_shape: Sequence[int],
    classes: int,
    channels: Sequence[int],
    hidden: int,
) -> nn.Module:
    """Returns an encoder where the input is a picture, a decoder where only the output is one.

    Raises:
        PyrovaeError: Neither shape is a picture, or there is no level.
    """
    if max(len(in_shape), len(out_shape)) < 2:
        raise PyrovaeError(
            f"network '{style.name}' needs pictures (..., height, width), it was asked for {tuple(in_shape)} -> "
            f"{tuple(out_shape)}",
            hint="use the network 'mlp'",
        )
    if not channels:
        raise PyrovaeError(
            f"network '{style.name}' has no level: channels = []", hint="give one number a level, such as [32, 64]"
        )
    kind = PictureEncoder if len(in_shape) > 1 else PictureDecoder
    return keep_scale(kind(style, in_shape, out_shape, classes, channels, hidden), style.activation)


def halved(size: Sequence[int], levels: int) -> list[tuple[int, int]]:
    """Returns the picture's sizes from the finest to the coarsest level.

    Example:
        >>> halved((79, 79), 2)
        [(79, 79), (40, 40), (20, 20)]
    """
    height, width = size
    return [(-(-height // 2**level), -(-width // 2**level)) for level in range(levels + 1)]


class PictureEncoder(Shaped):
    """Picture to vector: a stride of 2 per level, then a perceptron."""

    def __init__(
        self,
        style: Style,
        in_shape: Sequence[int],
        out_shape: Sequence[int],
        classes: int,
        channels: Sequence[int],
        hidden: int,
    ) -> None:
        super().__init__(in_shape, out_shape, classes)
        self.planes = prod(in_shape[:-2])
        widths = [self.planes + classes, *channels]
        self.levels = nn.Sequential(*(style.level(a, b, 2) for a, b in pairwise(widths)))
        coarsest = (widths[-1], *halved(in_shape[-2:], len(channels))[-1])
        self.code = MLP(coarsest, out_shape, hidden=[hidden], activation=style.activation)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        batch = x.shape[: x.dim() - len(self.in_shape)]
        image = append_label(x.reshape(*batch, self.planes, *self.in_shape[-2:]), y, self.classes, event_dim=3)
        out: Tensor = self.code(self.levels(image.reshape(-1, *image.shape[-3:])))
        return out.reshape(*batch, *self.out_shape)


class PictureDecoder(Shaped):
    """Vector to picture: a perceptron, interpolation and a level per size, and a convolution at the end."""

    def __init__(
        self,
        style: Style,
        in_shape: Sequence[int],
        out_shape: Sequence[int],
        classes: int,
        channels: Sequence[int],
        hidden: int,
    ) -> None:
        super().__init__(in_shape, out_shape, classes)
        self.sizes = halved(out_shape[-2:], len(channels))[::-1]
        coarsest = (fan(style.activation) * channels[-1], *self.sizes[0])
        self.code = MLP(in_shape, coarsest, classes, hidden=[hidden], activation=style.activation)
        self.function = function(style.activation, dim=-3)
        widths = [*channels[::-1], channels[0]]
        self.levels = nn.ModuleList(style.level(a, b, 1) for a, b in pairwise(widths))
        self.out = linear_convolution(channels[0], prod(out_shape[:-2]))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        maps = self.function(self.code(z, y))
        image = maps.reshape(-1, *maps.shape[-3:])
        for level, size in zip(self.levels, self.sizes[1:], strict=True):
            image = level(interpolate(image, size=size))
        out: Tensor = self.out(image)
        return out.reshape(*maps.shape[:-3], *self.out_shape)
