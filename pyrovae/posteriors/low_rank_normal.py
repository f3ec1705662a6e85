"""A normal posterior with a few directions of correlation: between the diagonal and the full covariance."""

from collections.abc import Sequence

import torch
from pyro.distributions import LowRankMultivariateNormal, TorchDistribution
from torch import Tensor, nn

from pyrovae.distributions import bounded_scale
from pyrovae.networks import Network

REACH = 10.0  # correlations above 0.99; beyond it float32's differences of large squares cost tenths of a nat


class LowRankNormal(nn.Module):
    r"""Normal with covariance S (I + F F') S, S diagonal, F of a few columns, read from x (Ong, Nott and Smith, 2018).

    The rows of F carry their scale, so that a correlation means the same at every scale.

    Args:
        network: Makes the encoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension D of z; the encoder returns D (rank + 2) numbers.
        event_shape: Shape of one datum.
        classes: Number of classes the encoder reads; 0 reads none.
        rank: Number of columns of F.

    Example:
        >>> from pyrovae import MLP
        >>> LowRankNormal(MLP, 3, (8,), rank=1)(torch.zeros(5, 8)).covariance_matrix.shape
        torch.Size([5, 3, 3])
    """

    def __init__(
        self, network: Network, latent_dim: int, event_shape: Sequence[int], classes: int = 0, *, rank: int = 4
    ) -> None:
        super().__init__()
        self.classes = classes
        self.sizes = [latent_dim, latent_dim, latent_dim * rank]
        self.rank = rank
        self.encoder = network(event_shape, (sum(self.sizes),), classes)

    def forward(self, x: Tensor, y: Tensor | None = None) -> TorchDistribution:
        loc, raw_scale, columns = self.encoder(x, y).split(self.sizes, -1)
        scale = bounded_scale(raw_scale)
        factor = REACH * torch.tanh(columns.unflatten(-1, (-1, self.rank)) / REACH)
        return LowRankMultivariateNormal(loc, scale.unsqueeze(-1) * factor, scale.square())
