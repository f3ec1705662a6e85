"""The likelihood of real data with normal noise."""

from collections.abc import Sequence
from typing import Literal

import torch
from pyro import distributions as dist
from torch import Tensor, nn

from pyrovae.distributions import bounded_scale, unbounded_scale
from pyrovae.networks import Network


class Gaussian(nn.Module):
    """Independent normal pixels; noise fixed, learned and shared, or learned per pixel (Rybkin et al., 2021).

    A learned scale stays between 1e-4 and 1e4, so that constant pixels cannot drive the density to infinity.

    Args:
        network: Makes the decoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension of z.
        event_shape: Shape of one datum.
        classes: Number of classes the decoder reads; 0 reads none.
        noise: Whether the standard deviation is fixed, one learned number, or read from z for each pixel.
        scale: Standard deviation, to start from where it is learned: one near that of the data's noise, since it
            moves by about the learning rate a step on a logarithmic scale.

    Example:
        >>> from pyrovae import MLP
        >>> Gaussian(MLP, 2, (8,), noise="fixed", scale=0.5)(torch.zeros(5, 2)).stddev.unique()
        tensor([0.5000])
    """

    accepts = ("binary", "unit", "real")
    measure = "density"
    raw_scale: Tensor

    def __init__(
        self,
        network: Network,
        latent_dim: int,
        event_shape: Sequence[int],
        classes: int = 0,
        *,
        noise: Literal["fixed", "shared", "pixel"] = "shared",
        scale: float = 0.1,
    ) -> None:
        super().__init__()
        self.classes, self.event_shape = classes, tuple(event_shape)
        self.pixel = noise == "pixel"
        self.decoder = network((latent_dim,), (2, *event_shape) if self.pixel else event_shape, classes)
        raw_scale = torch.tensor(unbounded_scale(scale))
        if noise == "fixed":
            self.register_buffer("raw_scale", raw_scale)
        else:
            self.raw_scale = nn.Parameter(raw_scale)

    def forward(self, z: Tensor, y: Tensor | None = None) -> dist.TorchDistribution:
        loc, raw_scale = self.decoder(z, y), self.raw_scale
        if self.pixel:
            loc, raw_pixel = loc.unbind(-len(self.event_shape) - 1)
            raw_scale = raw_scale + raw_pixel
        return dist.Normal(loc, bounded_scale(raw_scale)).to_event(len(self.event_shape))
