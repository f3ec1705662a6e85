"""Sounds as pictures: log-mel spectrograms, and the way back to sound.

A picture has a row for each band of the mel scale, the highest on top, and a column for each window. Its values are
decibels: 0 is a sine of full amplitude, and silence is -60. Bands are triangles over the spectrum's magnitudes whose
centres lie equally apart on the mel scale (Stevens, Volkmann and Newman, 1937) and whose neighbours add up to one.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import log10
from typing import Any

import torch
from torch import Tensor

from pyrovae.data.fourier import Fourier, griffin_lim
from pyrovae.errors import PyrovaeError

SILENCE = -60.0  # decibels
FLOOR = 10 ** (SILENCE / 20)
# Decimals of a decibel. Transforms differ in their last bits from machine to machine, the hashes of data must not.
DECIMALS = 2
CHUNK = 256  # sounds transformed at once
STEPS = 100  # from bands to frequencies


@dataclass(frozen=True)
class Spectrograms:
    """How sounds of one length become pictures `(1, mels, frames)`, and pictures sounds.

    With magnitudes m of the Fourier transform and bands B, a picture is 20 log10(B m + 0.001), in decibels.

    Args:
        rate: Samples a second.
        samples: Of each sound, a multiple of `hop`.
        mels: Bands, from 0 to half the rate.
        window: Samples that one column is taken of.
        hop: Samples from one column to the next.

    Raises:
        PyrovaeError: Windows leave gaps or have no middle, a sound is shorter than one, or a band holds no frequency.

    Example:
        >>> spectrograms = Spectrograms(samples=640)
        >>> spectrograms.event_shape
        (1, 40, 9)
        >>> tone = torch.sin(torch.arange(640) * 0.8)
        >>> picture = spectrograms.pictures(tone[None])
        >>> round(picture.min().item()), round(picture.max().item())
        (-60, 2)
        >>> spectrograms.waves(picture).shape, Spectrograms.from_dict(spectrograms.to_dict()) == spectrograms
        (torch.Size([1, 640]), True)
    """

    rate: int = 8000
    samples: int = 5120
    mels: int = 40
    window: int = 256
    hop: int = 80

    def __post_init__(self) -> None:
        if self.window % 2:  # no sample would be its middle
            hint = f"data.window = {self.window + 1}; powers of 2 are fastest"
            raise PyrovaeError(f"data.window = {self.window} is odd", hint=hint, exit_code=2)
        if 2 * self.hop > self.window:
            message = f"data.hop = {self.hop} is more than half of data.window = {self.window}"
            raise PyrovaeError(message, hint=f"data.hop = {max(1, self.window // 4)} is usual", exit_code=2)
        if self.samples < self.window:
            message = f"{self.samples} samples of each sound are fewer than data.window = {self.window}"
            raise PyrovaeError(message, hint="set a larger data.seconds", exit_code=2)
        empty = (self.bands().sum(1) == 0).nonzero()
        if len(empty):
            message = f"data.mels = {self.mels}: band {int(empty[0])} holds no frequency of a window of {self.window}"
            raise PyrovaeError(message, hint="set a smaller data.mels or a larger data.window", exit_code=2)

    @property
    def fourier(self) -> Fourier:
        """The transform that the bands are of."""
        return Fourier(self.window, self.hop)

    @property
    def event_shape(self) -> tuple[int, int, int]:
        """Shape of one picture."""
        return 1, self.mels, 1 + self.samples // self.hop

    def pictures(self, waves: Tensor) -> Tensor:
        """Returns sounds `(n, samples)` as pictures `(n, 1, mels, frames)`, float32, in decibels."""
        return torch.cat([self._pictures(some.double()) for some in waves.split(CHUNK)])

    def waves(self, pictures: Tensor) -> Tensor:
        """Returns pictures `(n, 1, mels, frames)` as sounds `(n, samples)` whose phases are Griffin and Lim's."""
        found = (griffin_lim(self.magnitudes(some), self.fourier, self.samples) for some in pictures.split(CHUNK))
        return torch.cat(list(found))

    def magnitudes(self, pictures: Tensor) -> Tensor:
        """Returns magnitudes `(n, bins, frames)`, not negative, whose bands are nearly those of pictures.

        Many magnitudes have the same bands. Lee and Seung's (2001) products, which never increase the squared
        distance, start from the smooth ones and keep them not negative.
        """
        bands = self.bands().to(pictures)
        heard = (10 ** (pictures.squeeze(-3).flip(-2) / 20) - FLOOR).clamp(min=0)
        target, overlap = bands.T @ heard, bands.T @ bands
        found = target
        for _ in range(STEPS):
            found = found * target / (overlap @ found).clamp(min=torch.finfo(found.dtype).tiny)
        return found

    def bands(self) -> Tensor:
        """Returns the weight of each frequency in each band, the lowest first, shape `(mels, bins)`, float64."""
        centres = self.centres()
        frequency = torch.linspace(0, self.rate / 2, self.fourier.bins, dtype=torch.float64)
        rising = (frequency - centres[:-2, None]) / centres.diff()[:-1, None]
        falling = (centres[2:, None] - frequency) / centres.diff()[1:, None]
        return torch.minimum(rising, falling).clamp(min=0)

    def centres(self) -> Tensor:
        """Returns the bands' centres in hertz, and the ends 0 and half the rate around them, shape `(mels + 2,)`."""
        highest = 2595 * log10(1 + self.rate / 1400)
        mel = torch.linspace(0, highest, self.mels + 2, dtype=torch.float64)
        return 700 * (10 ** (mel / 2595) - 1)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain numbers, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Spectrograms":
        """Returns what `to_dict` described."""
        return cls(**values)

    def _pictures(self, waves: Tensor) -> Tensor:
        heard = self.bands().to(waves) @ self.fourier.spectra(waves).abs()
        return (20 * (heard + FLOOR).log10()).round(decimals=DECIMALS).flip(-2).unsqueeze(-3).float()
