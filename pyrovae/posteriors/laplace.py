"""A mean-field posterior with a sharp peak and exponential tails."""

from collections.abc import Sequence

from pyro.distributions import Laplace, TorchDistribution
from torch import Tensor, nn

from pyrovae.distributions import bounded_scale
from pyrovae.networks import Network


class DiagonalLaplace(nn.Module):
    """Laplace with independent dimensions, loc and scale read from x; sharper than a normal (Shi et al., 2019).

    Args:
        network: Makes the encoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension of z.
        event_shape: Shape of one datum.
        classes: Number of classes the encoder reads; 0 reads none.

    Example:
        >>> import torch
        >>> from pyrovae import MLP
        >>> DiagonalLaplace(MLP, 16, (1, 28, 28))(torch.zeros(5, 1, 28, 28)).batch_shape
        torch.Size([5])
    """

    def __init__(self, network: Network, latent_dim: int, event_shape: Sequence[int], classes: int = 0) -> None:
        super().__init__()
        self.classes = classes
        self.encoder = network(event_shape, (2 * latent_dim,), classes)

    def forward(self, x: Tensor, y: Tensor | None = None) -> TorchDistribution:
        loc, raw_scale = self.encoder(x, y).chunk(2, -1)
        return Laplace(loc, bounded_scale(raw_scale)).to_event(1)
