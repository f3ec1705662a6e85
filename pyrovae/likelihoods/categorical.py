"""The likelihood of few grey levels, each with a probability of its own."""

from collections.abc import Sequence

from torch import Tensor

from pyrovae import discrete
from pyrovae.errors import PyrovaeError
from pyrovae.likelihoods.likelihood import Likelihood, check_levels
from pyrovae.networks import Network

MOST = 256  # the decoder gives as many numbers per element


class Categorical(Likelihood):
    """Independent grey levels, each level with a probability of its own (van den Oord et al., 2016).

    The decoder gives one number per element and level; at equal numbers the model is uniform: 8 bits per dimension at
    256 levels.

    Args:
        network: Makes the decoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension of z.
        event_shape: Shape of one datum.
        levels: Number of grey levels, at most 256.
        classes: Number of classes the decoder reads; 0 reads none.

    Raises:
        PyrovaeError: The data have no grey levels, or too many.

    Example:
        >>> import torch
        >>> from pyrovae import MLP
        >>> Categorical(MLP, 2, (1, 8, 8), 4).decoder(torch.zeros(5, 2)).shape
        torch.Size([5, 4, 1, 8, 8])
    """

    accepts = ("levels", "binary")
    measure = "mass"

    def __init__(
        self, network: Network, latent_dim: int, event_shape: Sequence[int], levels: int, classes: int = 0
    ) -> None:
        levels = check_levels("categorical", levels)
        if levels > MOST:
            raise PyrovaeError(
                f"likelihood.name = 'categorical' on {levels} grey levels: {MOST} at most",
                hint="likelihood.name = 'discretized-logistic' has two numbers per element, whatever the levels",
            )
        super().__init__(network, latent_dim, event_shape, classes, levels)
        self.levels = levels

    def elements(self, numbers: Tensor) -> discrete.Grid:
        return discrete.Grid(discrete.Categorical(logits=numbers.movedim(self.axis, -1)), self.levels)
