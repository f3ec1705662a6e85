"""Sound as magnitudes of frequencies in short windows, and back: the phases are found that fit them best.

Windows are Hann's and half of the first and of the last one lies outside, where all is silence. Silence, and not a
reflection as torch has it by default, since then the inverse is that of least squares for every sample, for which the
iteration of Griffin and Lim is proven to get worse at no step.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from pyrovae.data.binarize import stream

ITERATIONS = 100


class Fourier(NamedTuple):
    """A short-time Fourier transform in which a sine of amplitude 1 has magnitude 1 where it peaks.

    Attributes:
        window: Samples that one spectrum is taken of, an even number.
        hop: Samples from one spectrum to the next, at most half a window.

    Example:
        >>> fourier = Fourier(window=64, hop=16)
        >>> wave = torch.sin(torch.arange(160) * torch.pi / 4)
        >>> spectra = fourier.spectra(wave)
        >>> spectra.shape, round(spectra.abs().max().item(), 3)
        (torch.Size([33, 11]), 1.0)
        >>> bool(torch.allclose(fourier.waves(spectra, 160), wave, atol=1e-6))
        True
    """

    window: int
    hop: int

    @property
    def bins(self) -> int:
        """How many frequencies a spectrum has, from 0 to half the rate."""
        return self.window // 2 + 1

    def spectra(self, waves: Tensor) -> Tensor:
        """Returns the complex spectra of waves `(..., samples)`, shape `(..., bins, frames)`."""
        flat = waves.reshape(-1, waves.shape[-1])
        found = torch.stft(
            flat, self.window, self.hop, window=self._hann(waves), pad_mode="constant", return_complex=True
        )
        return found.reshape(*waves.shape[:-1], *found.shape[-2:]) / self._gain

    def waves(self, spectra: Tensor, samples: int) -> Tensor:
        """Returns the waves `(..., samples)` whose spectra are nearest to these `(..., bins, frames)`."""
        flat = spectra.reshape(-1, *spectra.shape[-2:]) * self._gain
        found = torch.istft(flat, self.window, self.hop, window=self._hann(spectra.real), length=samples)
        return found.reshape(*spectra.shape[:-2], samples)

    @property
    def _gain(self) -> float:
        return self.window / 4  # a Hann window sums to half its length, and a sine has two frequencies, one negative

    def _hann(self, like: Tensor) -> Tensor:
        return torch.hann_window(self.window, dtype=like.dtype, device=like.device)


def griffin_lim(magnitude: Tensor, fourier: Fourier, samples: int, *, iterations: int = ITERATIONS) -> Tensor:
    """Returns waves whose spectra have nearly these magnitudes (Griffin and Lim, 1984).

    From random phases, the same for each datum, the spectra of the nearest wave give the next phases, again and again:
    :func:`convergence` never grows.

    Args:
        magnitude: Not negative, shape `(..., bins, frames)`.
        fourier: The transform that they are magnitudes of.
        samples: How long the waves are.
        iterations: How often the phases are renewed.

    Example:
        >>> fourier, wave = Fourier(64, 16), torch.sin(torch.arange(320) * 0.7)
        >>> magnitude = fourier.spectra(wave).abs()
        >>> bool(convergence(magnitude, griffin_lim(magnitude, fourier, 320), fourier) < 0.05)
        True
    """
    start = torch.rand(magnitude.shape[-2:], generator=stream(0, "phases"), dtype=torch.float64)
    phase = (2 * torch.pi * start).to(magnitude)
    waves = fourier.waves(torch.polar(magnitude, phase.expand_as(magnitude)), samples)
    for _ in range(iterations):
        phase = fourier.spectra(waves).angle()
        waves = fourier.waves(torch.polar(magnitude, phase), samples)
    return waves


def convergence(magnitude: Tensor, waves: Tensor, fourier: Fourier) -> Tensor:
    r"""Returns the spectral convergence of waves to magnitudes, 0 where they fit, shape `(...,)`.

    .. math:: \| |F w| - m \| / \| m \|

    Norms are over all frequencies, the negative ones too: that is the distance which Griffin and Lim's iteration makes
    smaller.

    Args:
        magnitude: Shape `(..., bins, frames)`.
        waves: Shape `(..., samples)`.
        fourier: The transform F.
    """
    error = fourier.spectra(waves).abs() - magnitude
    return _norm(error, fourier) / _norm(magnitude, fourier)


def _norm(values: Tensor, fourier: Fourier) -> Tensor:
    weight = torch.full((fourier.bins, 1), 2.0, dtype=values.dtype)
    weight[[0, -1]] = 1  # frequency 0 is its own negative, and so is half the rate
    return (weight.to(values.device) * values.square()).sum((-1, -2)).sqrt()
