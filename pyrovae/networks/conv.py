"""Convolutional encoder and decoder, and the pair whose features are gated."""

from collections.abc import Sequence
from typing import Literal

from torch import nn

from pyrovae.networks.layers import convolution
from pyrovae.networks.pictures import Style, picture_network
from pyrovae.ranges import Natural


def conv(
    in_shape: Sequence[int],
    out_shape: Sequence[int],
    classes: int = 0,
    *,
    channels: Sequence[int] = (32, 64),
    hidden: int = 256,
) -> nn.Module:
    """Convolutional encoder, or decoder by resizing and convolving, for pictures of any size (Kulkarni et al., 2015).

    An encoder where the input is a picture, a decoder where only the output is one.

    Args:
        in_shape: Shape of one input.
        out_shape: Shape of one output.
        classes: Number of classes read beside the input; 0 reads none.
        channels: Feature maps of each level, the finest first.
        hidden: Width of the layer between the feature maps and the code.

    Raises:
        PyrovaeError: Neither shape is a picture, or there are no channels.

    Example:
        >>> import torch
        >>> conv((16,), (3, 32, 32))(torch.zeros(4, 2, 16)).shape
        torch.Size([4, 2, 3, 32, 32])
    """
    return picture_network(plain("conv", "silu"), in_shape, out_shape, classes, channels, hidden)


def gated_conv(
    in_shape: Sequence[int],
    out_shape: Sequence[int],
    classes: int = 0,
    *,
    channels: Sequence[int] = (32, 64),
    blocks: Natural = 1,
    hidden: int = 300,
) -> nn.Module:
    """Convolutions whose features are gated, for pictures of any size (Tomczak and Welling, 2018).

    An encoder where the input is a picture, a decoder where only the output is one. Nothing is
    normalised.

    Args:
        in_shape: Shape of one input.
        out_shape: Shape of one output.
        classes: Number of classes read beside the input; 0 reads none.
        channels: Feature maps of each level, the finest first.
        blocks: Convolutions of each level beside the one that changes its size.
        hidden: Width of the layer between the feature maps and the code.

    Raises:
        PyrovaeError: Neither shape is a picture, or there are no channels.

    Example:
        >>> import torch
        >>> gated_conv((79, 79), (32,))(torch.zeros(4, 79, 79)).shape
        torch.Size([4, 32])
    """
    return picture_network(plain("gated-conv", "gated", blocks), in_shape, out_shape, classes, channels, hidden)


def plain(name: str, activation: Literal["silu", "gated"], blocks: int = 0) -> Style:
    """Returns levels of one convolution that changes the number of features, and ``blocks`` that keep it."""

    def level(inputs: int, outputs: int, stride: int) -> nn.Module:
        first = convolution(inputs, outputs, activation, stride=stride)
        more = [part for _ in range(blocks) for part in convolution(outputs, outputs, activation)]
        return nn.Sequential(*first, *more)

    return Style(name, level, activation)
