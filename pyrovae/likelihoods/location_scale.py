"""Likelihoods with a location and a scale, and what their scales are read from."""

from collections.abc import Sequence
from typing import Literal

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from pyrovae.distributions import bounded_scale, unbounded_scale
from pyrovae.likelihoods.likelihood import Likelihood
from pyrovae.networks import Network

Noise = Literal["fixed", "shared", "pixel"]


class LocationScale(Likelihood):
    """Base of likelihoods whose elements have a location, read from z, and a scale between 1e-4 and 1e4.

    Args:
        network: Makes the decoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension of z.
        event_shape: Shape of one datum.
        classes: Number of classes the decoder reads; 0 reads none.
        stack: Shape of the decoder's numbers per element, where they are not one location, and with
            ``noise = "pixel"`` one scale.
        noise: Whether the scale is fixed, one learned number, or read from z for each element.
        scale: To start from where it is learned: one near that of the data's noise, since it moves by about the
            learning rate a step on a logarithmic scale.
    """

    raw_scale: Tensor

    def __init__(
        self,
        network: Network,
        latent_dim: int,
        event_shape: Sequence[int],
        classes: int = 0,
        *stack: int,
        noise: Noise = "shared",
        scale: float = 0.1,
    ) -> None:
        super().__init__(network, latent_dim, event_shape, classes, *(stack or ((2,) if noise == "pixel" else ())))
        self.pixel = noise == "pixel"
        raw_scale = torch.tensor(unbounded_scale(scale))
        if noise == "fixed":
            self.register_buffer("raw_scale", raw_scale)
        else:
            self.raw_scale = nn.Parameter(raw_scale)

    def elements(self, numbers: Tensor) -> TorchDistribution:
        loc, *raw = numbers.unbind(self.axis) if self.pixel else (numbers,)
        return self.family(loc, self.scale(*raw))

    def family(self, loc: Tensor, scale: Tensor) -> TorchDistribution:
        """Returns the distributions of elements with these locations and scales."""
        raise NotImplementedError

    def scale(self, raw: Tensor | float = 0.0) -> Tensor:
        """Returns the scale, each element's own where the decoder gave it."""
        return bounded_scale(self.raw_scale + raw)
