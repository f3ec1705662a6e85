"""What likelihoods share: a decoder, and independent elements given its numbers."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from pyrovae.errors import PyrovaeError
from pyrovae.networks import Network

Measure = Literal["mass", "density"]


class Likelihood(nn.Module):
    """Base of the likelihoods: a new one says in ``elements`` what the decoder's numbers mean.

    Args:
        network: Makes the decoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension of z.
        event_shape: Shape of one datum.
        classes: Number of classes the decoder reads; 0 reads none.
        stack: Shape of the numbers that the decoder gives for each element, if they are more than one: its output
            has shape ``(*stack, *event_shape)``.

    Attributes:
        accepts: Supports of data that it can score, the one it was made for first.
        measure: What its numbers are, see :mod:`pyrovae.likelihoods`.
        independent: Whether elements are independent given z, so that missing ones can be left out.
        given: What it takes from x and does not score, such as the total of counts.
        axis: Last dimension of ``stack`` in the decoder's output.
    """

    accepts: ClassVar[tuple[str, ...]]
    measure: ClassVar[Measure]
    independent: ClassVar[bool] = True
    given: ClassVar[str] = ""

    def __init__(
        self, network: Network, latent_dim: int, event_shape: Sequence[int], classes: int = 0, *stack: int
    ) -> None:
        super().__init__()
        self.classes, self.event_shape = classes, tuple(event_shape)
        self.axis = -len(self.event_shape) - 1
        self.decoder = network((latent_dim,), (*stack, *event_shape), classes)

    def forward(self, z: Tensor, y: Tensor | None = None) -> TorchDistribution:
        return self.elements(self.decoder(z, y)).to_event(len(self.event_shape))

    def elements(self, numbers: Tensor) -> TorchDistribution:
        """Returns the one-dimensional distributions of the elements, batch shape ``(..., *event_shape)``."""
        raise NotImplementedError


def check_levels(name: str, levels: int | None) -> int:
    """Returns the number of grey levels of the data.

    Raises:
        PyrovaeError: They have none.
    """
    if not levels or levels < 2:
        raise PyrovaeError(
            f"likelihood.name = '{name}' scores grey levels, which these data have not",
            hint="likelihood.name = 'gaussian' scores any data",
        )
    return levels
