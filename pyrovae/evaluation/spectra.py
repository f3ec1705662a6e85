r"""Sharpness of pictures by their Fourier spectra: how much of their energy lies at fine scales.

.. math:: s(x) = \frac{\sum_{|f| > 1/4} |\hat x(f)|^2}{\sum_{f \neq 0} |\hat x(f)|^2}

with frequencies f in cycles per pixel, so that 1/4 is half the Nyquist frequency. Decoders that average leave the fine
scales out; noise of the pixels fills them. Pictures are taken as periodic, real ones as well as samples.
"""

import math

import torch
from torch import Tensor

from pyrovae.evaluation.manifolds import Measured

FINE = 0.25  # cycles per pixel, half the Nyquist frequency
ROWS = 500  # pictures transformed at once


def sharpness(x: Tensor, data: Tensor) -> Measured:
    """Returns the share of spectral energy at fine scales in x over that in data: 1 where they are as sharp as those.

    The standard error is over the pictures of both, by the delta method.

    Args:
        x: Pictures, shape ``(n, ..., height, width)``.
        data: Real ones, shape ``(m, ..., height, width)``.

    Example:
        >>> torch.manual_seed(0)
        <torch._C.Generator object at ...>
        >>> data = torch.rand(100, 8, 8)
        >>> blurred = (data + data.roll(1, -1)) / 2
        >>> sharpness(data, data).value, sharpness(blurred, data).value < 1
        (1.0, True)
    """
    own, real = fine_share(x), fine_share(data)
    if not real.value:
        return Measured(math.nan, math.nan)
    ratio = own.value / real.value
    return Measured(ratio, math.hypot(own.standard_error, ratio * real.standard_error) / real.value)


def fine_share(x: Tensor) -> Measured:
    """Returns the share of the energy of all pictures, but for their means, above half the Nyquist frequency."""
    fine, whole = energies(x).unbind(1)
    total = whole.sum().item()
    if not total:
        return Measured(0.0, 0.0)
    value = fine.sum().item() / total
    return Measured(value, (fine - value * whole).std().item() * math.sqrt(len(x)) / total)


def energies(x: Tensor) -> Tensor:
    """Returns the energy of each picture at fine scales, and at all, shape ``(n, 2)``."""
    frequency = frequencies(x)
    return torch.cat(
        [
            torch.stack([(power * (frequency > FINE)).sum((1, 2)), (power * (frequency > 0)).sum((1, 2))], 1)
            for power in map(spectrum, x.split(ROWS))
        ]
    )


def radial(x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the mean power of pictures at each distance from frequency 0, and these frequencies up to Nyquist's.

    Returns:
        Frequencies in cycles per pixel, and power, both of shape ``(rings,)``; frequency 0 is left out.
    """
    side = min(x.shape[-2:])
    rings = (frequencies(x) * side).round().long().flatten()
    power = torch.stack([spectrum(rows).sum(0) for rows in x.split(ROWS)]).sum(0) / len(x)
    mean = torch.bincount(rings, power.flatten()) / torch.bincount(rings)
    wanted = torch.arange(1, side // 2 + 1)
    return wanted / side, mean[wanted]


def spectrum(x: Tensor) -> Tensor:
    """Returns the power of each picture, summed over its planes, shape ``(n, height, width)``, in double precision."""
    power = torch.fft.fft2(x.double()).abs().square()
    return power.reshape(len(x), -1, *x.shape[-2:]).sum(1)


def frequencies(x: Tensor) -> Tensor:
    """Returns the distance of each frequency from 0 in cycles per pixel, shape ``(height, width)``."""
    height, width = x.shape[-2:]
    return torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width))
