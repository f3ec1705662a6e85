"""The likelihood of binary data."""

from pyro import distributions as dist
from torch import Tensor

from pyrovae.likelihoods.likelihood import Likelihood


class Bernoulli(Likelihood):
    """Independent binary pixels from logits, for data that are 0 or 1 (Kingma and Welling, 2014).

    Grey pixels are refused: scored as if they were binary they give a number that bounds nothing.

    Args:
        network: Makes the decoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension of z.
        event_shape: Shape of one datum.
        classes: Number of classes the decoder reads; 0 reads none.

    Example:
        >>> import torch
        >>> from pyrovae import MLP
        >>> Bernoulli(MLP, 16, (1, 28, 28))(torch.zeros(5, 16)).event_shape
        torch.Size([1, 28, 28])
    """

    accepts = ("binary",)
    measure = "mass"

    def elements(self, numbers: Tensor) -> dist.TorchDistribution:
        return dist.Bernoulli(logits=numbers)
