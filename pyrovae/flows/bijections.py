r"""Increasing functions of one number, with parameters that a network returns: what a flow applies to each dimension.

They return the function's value and its log slope, of the forward function in both directions.
"""

import torch
from torch import Tensor, nn

LOG_SCALE_REACH = (
    2.0  # a layer stretches by e^2 at most: what a float32 loses on the way back stays below e^2 per layer
)
START = 0.1  # of the network's last layer: near the identity, with a gradient in every parameter from the first step


class Affine:
    r"""Shift and scale, :math:`z = t + x e^s` with :math:`|s| < 2` (Dinh, Sohl-Dickstein and Bengio, 2017).

    Example:
        >>> Affine().forward(torch.tensor(3.0), torch.tensor([1.0, 0.0]))
        (tensor(4.), tensor(0.))
    """

    parameters = 2

    def forward(self, x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        shift, log_scale = shift_and_log_scale(raw)
        return shift + x * log_scale.exp(), log_scale

    def inverse(self, z: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        shift, log_scale = shift_and_log_scale(raw)
        return (z - shift) * (-log_scale).exp(), log_scale


def shift_and_log_scale(raw: Tensor) -> tuple[Tensor, Tensor]:
    shift, raw_scale = raw.unbind(-1)
    return shift, LOG_SCALE_REACH * torch.tanh(raw_scale / LOG_SCALE_REACH)


def near_zero(layer: nn.Module) -> None:
    """Shrinks a network's last layer, so that its bijections start near the identity."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(START)
