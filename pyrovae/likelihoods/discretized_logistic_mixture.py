"""The likelihood of grey levels as intervals of a mixture of logistic distributions."""

from collections.abc import Sequence

import torch
from pyro import distributions as dist
from torch import Tensor

from pyrovae.discrete import Grid, discretized_logistic
from pyrovae.likelihoods.likelihood import check_levels
from pyrovae.likelihoods.location_scale import LocationScale, Noise
from pyrovae.networks import Network


class DiscretizedLogisticMixture(LocationScale):
    """Independent grey levels, each from its own mixture of discretized logistics (Salimans et al., 2017).

    Channels of a colour are independent given z, unlike in the paper, whose channels read those before them. Components
    start spread evenly between black and white.

    Args:
        network: Makes the decoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension of z.
        event_shape: Shape of one datum.
        levels: Number of grey levels.
        classes: Number of classes the decoder reads; 0 reads none.
        components: Number of logistics per element.
        noise: Whether the scale is fixed, one learned number, or read from z for each pixel and component.
        scale: Of each logistic density, where white is 1, to start from where it is learned; see :class:`Gaussian`.

    Raises:
        PyrovaeError: The data have no grey levels.

    Example:
        >>> from pyrovae import MLP
        >>> DiscretizedLogisticMixture(MLP, 2, (1, 8, 8), 256)(torch.zeros(5, 2)).event_shape
        torch.Size([1, 8, 8])
    """

    accepts = ("levels", "binary")
    measure = "mass"
    start: Tensor

    def __init__(
        self,
        network: Network,
        latent_dim: int,
        event_shape: Sequence[int],
        levels: int,
        classes: int = 0,
        *,
        components: int = 5,
        noise: Noise = "pixel",
        scale: float = 0.1,
    ) -> None:
        levels = check_levels("discretized-logistic-mixture", levels)
        stack = (3 if noise == "pixel" else 2, components)
        super().__init__(network, latent_dim, event_shape, classes, *stack, noise=noise, scale=scale)
        self.levels = levels
        self.register_buffer("start", (torch.arange(components) + 0.5) / components)

    def elements(self, numbers: Tensor) -> Grid:
        weights, loc, *raw = numbers.movedim(self.axis, -1).unbind(self.axis - 1)
        components = discretized_logistic(self.start + loc, self.scale(*raw), self.levels)
        return Grid(dist.MixtureSameFamily(dist.Categorical(logits=weights), components), self.levels)
