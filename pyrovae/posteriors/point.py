"""The posterior of a plain autoencoder."""

from collections.abc import Sequence

from pyro.distributions import Delta, TorchDistribution
from torch import Tensor, nn

from pyrovae.networks import Network


class Point(nn.Module):
    """One code per datum, all of q(z | x) at one point, as in plain autoencoders (Hinton and Salakhutdinov, 2006).

    It has no density: log q is 0 at the code by convention, so that only log p(x | z) is left beside a flat prior, and
    nothing that weighs draws by q applies.

    Args:
        network: Makes the encoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension of z.
        event_shape: Shape of one datum.
        classes: Number of classes the encoder reads; 0 reads none.

    Example:
        >>> import torch
        >>> from pyrovae import MLP
        >>> q = Point(MLP, 3, (8,))(torch.zeros(5, 8))
        >>> q.log_prob(q.rsample())
        tensor([0., 0., 0., 0., 0.])
    """

    density = "nowhere"

    def __init__(self, network: Network, latent_dim: int, event_shape: Sequence[int], classes: int = 0) -> None:
        super().__init__()
        self.classes = classes
        self.encoder = network(event_shape, (latent_dim,), classes)

    def forward(self, x: Tensor, y: Tensor | None = None) -> TorchDistribution:
        return Delta(self.encoder(x, y), event_dim=1)
