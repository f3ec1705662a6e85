"""The likelihood of real data with normal noise."""

from pyro import distributions as dist
from torch import Tensor

from pyrovae.likelihoods.location_scale import LocationScale


class Gaussian(LocationScale):
    """Independent normal pixels; noise fixed, learned and shared, or learned per pixel (Rybkin et al., 2021).

    Its numbers are densities for any data: those of grey levels or counts can be had as high as the scale is small.
    A learned scale stays between 1e-4 and 1e4, so that constant pixels cannot drive the density to infinity.

    Args:
        network: Makes the decoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension of z.
        event_shape: Shape of one datum.
        classes: Number of classes the decoder reads; 0 reads none.
        noise: Whether the standard deviation is fixed, one learned number, or read from z for each pixel.
        scale: Standard deviation, to start from where it is learned: one near that of the data's noise, since it
            moves by about the learning rate a step on a logarithmic scale.

    Example:
        >>> import torch
        >>> from pyrovae import MLP
        >>> Gaussian(MLP, 2, (8,), noise="fixed", scale=0.5)(torch.zeros(5, 2)).stddev.unique()
        tensor([0.5000])
    """

    accepts = ("real", "unit", "levels", "count", "binary")
    measure = "density"

    def family(self, loc: Tensor, scale: Tensor) -> dist.Normal:
        return dist.Normal(loc, scale)
