"""The likelihood of few grey levels as numbers of successes."""

from collections.abc import Sequence

from torch import Tensor

from pyrovae import discrete
from pyrovae.likelihoods.likelihood import Likelihood, check_levels
from pyrovae.networks import Network


class Binomial(Likelihood):
    """Independent grey levels, each the number of successes of levels - 1 trials; no noise to learn (Bernoulli, 1713).

    Args:
        network: Makes the decoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension of z.
        event_shape: Shape of one datum.
        levels: Number of grey levels.
        classes: Number of classes the decoder reads; 0 reads none.

    Raises:
        PyrovaeError: The data have no grey levels.

    Example:
        >>> import torch
        >>> from pyrovae import MLP
        >>> Binomial(MLP, 2, (1, 8, 8), 17)(torch.zeros(5, 2)).support
        IndependentConstraint(OnGrid(levels=17), 3)
    """

    accepts = ("levels", "binary")
    measure = "mass"

    def __init__(
        self, network: Network, latent_dim: int, event_shape: Sequence[int], levels: int, classes: int = 0
    ) -> None:
        levels = check_levels("binomial", levels)
        super().__init__(network, latent_dim, event_shape, classes)
        self.levels = levels

    def elements(self, numbers: Tensor) -> discrete.Grid:
        return discrete.Grid(discrete.Binomial(numbers, self.levels), self.levels)
