"""The likelihood of counts that vary as little as chance allows."""

from pyro import distributions as dist
from torch import Tensor

from pyrovae.likelihoods.counts import Counts
from pyrovae.scalar import Widened


class Poisson(Counts):
    """Independent Poisson counts, whose variance is their mean (Poisson, 1837).

    Args:
        network: Makes the decoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension of z.
        event_shape: Shape of one datum.
        classes: Number of classes the decoder reads; 0 reads none.
        rate: Expected count to start from; 1e-4 to 1e4 times as much can be reached.

    Example:
        >>> import torch
        >>> from pyrovae import MLP
        >>> Poisson(MLP, 2, (8,), rate=50.0)(torch.zeros(5, 2)).mean.shape
        torch.Size([5, 8])
    """

    def elements(self, numbers: Tensor) -> Widened:
        return Widened(dist.Poisson(self.rate(numbers)), numbers.dtype)
