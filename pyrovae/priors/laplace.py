"""The sparse relative of the standard normal."""

import math

import torch
from pyro.distributions import Laplace, TorchDistribution
from torch import Tensor, nn


class StandardLaplace(nn.Module):
    r"""Independent Laplace distributions around 0, sharper and with heavier tails than normals (Barello et al., 2018).

    .. math:: p(z) = \prod_d \frac{1}{2b} e^{-|z_d| / b}

    The scale is not learned: the decoder's first layer can take any of it over.

    Args:
        latent_dim: Dimension of z.
        scale: b; by default that of unit variance, as the standard normal has.

    Example:
        >>> StandardLaplace(3, scale=1.0)().log_prob(torch.zeros(3)).exp()
        tensor(0.1250)
    """

    classes = 0
    loc: Tensor

    def __init__(self, latent_dim: int, *, scale: float = math.sqrt(0.5)) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("loc", torch.zeros(latent_dim), persistent=False)

    def forward(self, y: Tensor | None = None) -> TorchDistribution:
        return Laplace(self.loc, torch.full_like(self.loc, self.scale)).to_event(1)
