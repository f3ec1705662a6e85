"""A normal posterior whose dimensions may be correlated."""

from collections.abc import Sequence

from pyro.distributions import MultivariateNormal, TorchDistribution
from torch import Tensor, nn

from pyrovae.distributions import bounded_scale, cholesky_factor
from pyrovae.networks import Network


class FullCovarianceNormal(nn.Module):
    """Normal with loc and Cholesky factor of the covariance read from x (Rezende, Mohamed and Wierstra, 2014).

    Args:
        network: Makes the encoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension D of z; the encoder returns D (D + 3) / 2 numbers.
        event_shape: Shape of one datum.
        classes: Number of classes the encoder reads; 0 reads none.

    Example:
        >>> import torch
        >>> from pyrovae import MLP
        >>> FullCovarianceNormal(MLP, 3, (8,))(torch.zeros(5, 8)).covariance_matrix.shape
        torch.Size([5, 3, 3])
    """

    def __init__(self, network: Network, latent_dim: int, event_shape: Sequence[int], classes: int = 0) -> None:
        super().__init__()
        self.classes = classes
        self.sizes = [latent_dim, latent_dim, latent_dim * (latent_dim - 1) // 2]
        self.encoder = network(event_shape, (sum(self.sizes),), classes)

    def forward(self, x: Tensor, y: Tensor | None = None) -> TorchDistribution:
        loc, raw_scale, below = self.encoder(x, y).split(self.sizes, -1)
        return MultivariateNormal(loc, scale_tril=cholesky_factor(bounded_scale(raw_scale), below))
