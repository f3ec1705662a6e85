"""Residual encoder and decoder for pictures."""

from collections.abc import Sequence

from torch import Tensor, nn

from pyrovae.networks.layers import convolution, linear_convolution
from pyrovae.networks.pictures import Style, picture_network
from pyrovae.ranges import Natural


def resnet(
    in_shape: Sequence[int],
    out_shape: Sequence[int],
    classes: int = 0,
    *,
    channels: Sequence[int] = (32, 64),
    blocks: Natural = 1,
    hidden: int = 256,
) -> nn.Module:
    """Residual blocks without normalisation, for pictures of any size (He, Zhang, Ren and Sun, 2016).

    An encoder where the input is a picture, a decoder where only the output is one. The paper normalises over the
    batch, which would make a datum depend on its neighbours; here weighted sums keep the scale instead.

    Args:
        in_shape: Shape of one input.
        out_shape: Shape of one output.
        classes: Number of classes read beside the input; 0 reads none.
        channels: Feature maps of each level, the finest first.
        blocks: Residual blocks of each level, two convolutions each.
        hidden: Width of the layer between the feature maps and the code.

    Raises:
        PyrovaeError: Neither shape is a picture, or there are no channels.

    Example:
        >>> import torch
        >>> resnet((3, 64, 64), (32,), channels=[16, 32, 64])(torch.zeros(4, 3, 64, 64)).shape
        torch.Size([4, 32])
    """

    def level(inputs: int, outputs: int, stride: int) -> nn.Module:
        resized = linear_convolution(inputs, outputs, stride=stride)
        return nn.Sequential(resized, *(Residual(outputs, blocks) for _ in range(blocks)), nn.SiLU())

    return picture_network(Style("resnet", level, "silu"), in_shape, out_shape, classes, channels, hidden)


class Residual(nn.Module):
    r"""One of B blocks in a row, :math:`\sqrt{B / (B + 1)}\, x + \sqrt{1 / (B + 1)}\, f(x)`.

    The squares of the weights sum to one, so the sum is as large as x and f(x) are; 0.6 of x or more reaches the end of
    the row, however long it is.
    """

    def __init__(self, features: int, blocks: int) -> None:
        super().__init__()
        self.keep, self.add = (blocks / (blocks + 1)) ** 0.5, (1 / (blocks + 1)) ** 0.5
        inner = convolution(features, features, "silu")
        self.branch = nn.Sequential(nn.SiLU(), *inner, linear_convolution(features, features))

    def forward(self, x: Tensor) -> Tensor:
        return self.keep * x + self.add * self.branch(x)

    def extra_repr(self) -> str:
        return f"{self.keep:.3f} x + {self.add:.3f} branch(x)"
