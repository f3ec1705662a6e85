"""What likelihoods of counts share: a bounded rate."""

from collections.abc import Sequence

from torch import Tensor

from pyrovae.distributions import bounded_scale
from pyrovae.likelihoods.likelihood import Likelihood
from pyrovae.networks import Network
from pyrovae.scalar import wide


class Counts(Likelihood):
    """Base of likelihoods of counts, whose rates lie between 1e-4 and 1e4 times the one they start from.

    Args:
        network: Makes the decoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension of z.
        event_shape: Shape of one datum.
        classes: Number of classes the decoder reads; 0 reads none.
        stack: Shape of the decoder's numbers per element, where they are more than the rate.
        rate: Expected count to start from.
    """

    accepts = ("count", "binary")
    measure = "mass"

    def __init__(
        self,
        network: Network,
        latent_dim: int,
        event_shape: Sequence[int],
        classes: int = 0,
        *stack: int,
        rate: float = 1.0,
    ) -> None:
        super().__init__(network, latent_dim, event_shape, classes, *stack)
        self.start = rate

    def rate(self, raw: Tensor) -> Tensor:
        """Returns expected counts in float64."""
        return self.start * bounded_scale(wide(raw))
