"""A normal posterior whose dimensions may be correlated."""

from collections.abc import Sequence

import torch
from pyro.distributions import MultivariateNormal, TorchDistribution
from torch import Tensor, nn

from pyrovae.distributions import bounded_scale
from pyrovae.networks import Network


class FullCovarianceNormal(nn.Module):
    """Normal with loc and Cholesky factor of the covariance read from x (Rezende, Mohamed and Wierstra, 2014).

    Args:
        network: Makes the encoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension D of z; the encoder returns D (D + 3) / 2 numbers.
        event_shape: Shape of one datum.
        classes: Number of classes the encoder reads; 0 reads none.

    Example:
        >>> from pyrovae import MLP
        >>> FullCovarianceNormal(MLP, 3, (8,))(torch.zeros(5, 8)).covariance_matrix.shape
        torch.Size([5, 3, 3])
    """

    below: Tensor

    def __init__(self, network: Network, latent_dim: int, event_shape: Sequence[int], classes: int = 0) -> None:
        super().__init__()
        self.classes, self.latent_dim = classes, latent_dim
        self.register_buffer("below", torch.tril_indices(latent_dim, latent_dim, -1), persistent=False)
        self.encoder = network(event_shape, (2 * latent_dim + self.below.shape[1],), classes)

    def forward(self, x: Tensor, y: Tensor | None = None) -> TorchDistribution:
        dim = self.latent_dim
        loc, raw_scale, correlation = self.encoder(x, y).split([dim, dim, self.below.shape[1]], -1)
        scale = bounded_scale(raw_scale)
        # Rows carry their scale, so that a correlation means the same at every scale.
        factor = torch.eye(dim, dtype=x.dtype, device=x.device).expand(*loc.shape, dim).clone()
        factor[..., self.below[0], self.below[1]] = correlation
        return MultivariateNormal(loc, scale_tril=scale.unsqueeze(-1) * factor)
