"""Convolutional encoder and decoder for images ``(..., height, width)`` of any height and width.

Each level halves the picture, rounding up. The decoder walks the same sizes back and interpolates to each exactly, so
79 x 79 needs no padding by hand, and resize-then-convolve leaves no checkerboard (Odena, Dumoulin and Olah, 2016).
"""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import Tensor, nn
from torch.nn.functional import interpolate, silu

from pyrovae.errors import PyrovaeError
from pyrovae.networks.labels import append_label


def conv(
    in_shape: Sequence[int],
    out_shape: Sequence[int],
    classes: int = 0,
    *,
    channels: Sequence[int] = (32, 64),
    hidden: int = 256,
) -> nn.Module:
    """Returns a convolutional encoder where the input is a picture, a decoder where only the output is one.

    Args:
        in_shape: Shape of one input.
        out_shape: Shape of one output.
        classes: Number of classes read beside the input; 0 reads none.
        channels: Feature maps of each level, the finest first.
        hidden: Width of the layer between the feature maps and the code.

    Raises:
        PyrovaeError: Neither shape is a picture.

    Example:
        >>> import torch
        >>> conv((16,), (3, 32, 32))(torch.zeros(4, 2, 16)).shape
        torch.Size([4, 2, 3, 32, 32])
    """
    if max(len(in_shape), len(out_shape)) < 2:
        raise PyrovaeError(
            f"network 'conv' needs pictures (..., height, width), it was asked for {tuple(in_shape)} -> "
            f"{tuple(out_shape)}",
            hint="use the network 'mlp'",
        )
    kind = ConvEncoder if len(in_shape) > 1 else ConvDecoder
    return kind(in_shape, out_shape, classes, channels, hidden)


def halved(size: Sequence[int], levels: int) -> list[tuple[int, int]]:
    """Returns the picture's sizes from the finest to the coarsest level.

    Example:
        >>> halved((79, 79), 2)
        [(79, 79), (40, 40), (20, 20)]
    """
    height, width = size
    return [(-(-height // 2**level), -(-width // 2**level)) for level in range(levels + 1)]


class ConvEncoder(nn.Module):
    """Picture to vector: a stride-2 convolution per level, then two linear layers."""

    def __init__(
        self, in_shape: Sequence[int], out_shape: Sequence[int], classes: int, channels: Sequence[int], hidden: int
    ) -> None:
        super().__init__()
        self.in_shape, self.out_shape, self.classes = tuple(in_shape), tuple(out_shape), classes
        widths = [prod(in_shape[:-2]) + classes, *channels]
        self.levels = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths))
        coarsest = halved(in_shape[-2:], len(channels))[-1]
        self.hidden = nn.Linear(widths[-1] * prod(coarsest), hidden)
        self.out = nn.Linear(hidden, prod(out_shape))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        batch = x.shape[: x.dim() - len(self.in_shape)]
        image = append_label(x.reshape(*batch, -1, *self.in_shape[-2:]), y, self.classes, event_dim=3)
        image = image.flatten(0, len(batch) - 1) if batch else image[None]
        for level in self.levels:
            image = silu(level(image))
        out: Tensor = self.out(silu(self.hidden(image.flatten(1))))
        return out.reshape(*batch, *self.out_shape)


class ConvDecoder(nn.Module):
    """Vector to picture: two linear layers, then interpolation and a convolution per level."""

    def __init__(
        self, in_shape: Sequence[int], out_shape: Sequence[int], classes: int, channels: Sequence[int], hidden: int
    ) -> None:
        super().__init__()
        self.in_shape, self.out_shape, self.classes = tuple(in_shape), tuple(out_shape), classes
        self.sizes = halved(out_shape[-2:], len(channels))[::-1]
        self.channels = channels[-1]
        widths = [*channels[::-1], channels[0]]
        self.hidden = nn.Linear(prod(in_shape) + classes, hidden)
        self.spread = nn.Linear(hidden, widths[0] * prod(self.sizes[0]))
        self.levels = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.out = nn.Conv2d(widths[-1], prod(out_shape[:-2]), 3, padding=1)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        flat = append_label(z, y, self.classes, event_dim=1)
        batch = flat.shape[:-1]
        image = silu(self.spread(silu(self.hidden(flat)))).reshape(-1, self.channels, *self.sizes[0])
        for level, size in zip(self.levels, self.sizes[1:], strict=True):
            image = silu(level(interpolate(image, size=size)))
        out: Tensor = self.out(image)
        return out.reshape(*batch, *self.out_shape)
