"""The likelihood of real data with Laplace noise."""

from pyro import distributions as dist
from torch import Tensor

from pyrovae.likelihoods.location_scale import LocationScale


class Laplace(LocationScale):
    """Independent Laplace pixels, whose location is their median: an absolute error (Laplace, 1774).

    Its numbers are densities for any data, those of grey levels and counts too.

    Args:
        network: Makes the decoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension of z.
        event_shape: Shape of one datum.
        classes: Number of classes the decoder reads; 0 reads none.
        noise: Whether the scale is fixed, one learned number, or read from z for each pixel.
        scale: Mean absolute deviation, to start from where it is learned; see :class:`Gaussian`.

    Example:
        >>> import torch
        >>> from pyrovae import MLP
        >>> Laplace(MLP, 2, (8,), noise="fixed", scale=0.5)(torch.zeros(5, 2)).base_dist.scale.unique()
        tensor([0.5000])
    """

    accepts = ("real", "unit", "levels", "count", "binary")
    measure = "density"

    def family(self, loc: Tensor, scale: Tensor) -> dist.Laplace:
        return dist.Laplace(loc, scale)
