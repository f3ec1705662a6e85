"""The likelihood of grey levels as intervals of a logistic distribution."""

from collections.abc import Sequence

from torch import Tensor

from pyrovae.discrete import Grid, discretized_logistic
from pyrovae.likelihoods.likelihood import check_levels
from pyrovae.likelihoods.location_scale import LocationScale, Noise
from pyrovae.networks import Network


class DiscretizedLogistic(LocationScale):
    """Independent grey levels, the intervals of a logistic density, outer ones with its tails (Kingma et al., 2016).

    Args:
        network: Makes the decoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension of z.
        event_shape: Shape of one datum.
        levels: Number of grey levels.
        classes: Number of classes the decoder reads; 0 reads none.
        noise: Whether the scale is fixed, one learned number, or read from z for each pixel.
        scale: Of the logistic density, where white is 1, to start from where it is learned; see :class:`Gaussian`.

    Raises:
        PyrovaeError: The data have no grey levels.

    Example:
        >>> import torch
        >>> from pyrovae import MLP
        >>> DiscretizedLogistic(MLP, 2, (1, 8, 8), 256)(torch.zeros(5, 2)).support
        IndependentConstraint(OnGrid(levels=256), 3)
    """

    accepts = ("levels", "binary")
    measure = "mass"

    def __init__(
        self,
        network: Network,
        latent_dim: int,
        event_shape: Sequence[int],
        levels: int,
        classes: int = 0,
        *,
        noise: Noise = "shared",
        scale: float = 0.1,
    ) -> None:
        levels = check_levels("discretized-logistic", levels)
        super().__init__(network, latent_dim, event_shape, classes, noise=noise, scale=scale)
        self.levels = levels

    def family(self, loc: Tensor, scale: Tensor) -> Grid:
        return Grid(discretized_logistic(0.5 + loc, scale, self.levels), self.levels)
