"""The likelihood of numbers in [0, 1]."""

from torch import Tensor

from pyrovae import continuous
from pyrovae.likelihoods.likelihood import Likelihood


class ContinuousBernoulli(Likelihood):
    """Independent densities on [0, 1] that lean to either end (Loaiza-Ganem and Cunningham, 2019).

    Binary data are refused: their density has no upper bound. On grey levels it is a density of the level's number in
    [0, 1], not its probability.

    Args:
        network: Makes the decoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension of z.
        event_shape: Shape of one datum.
        classes: Number of classes the decoder reads; 0 reads none.

    Example:
        >>> import torch
        >>> from pyrovae import MLP
        >>> ContinuousBernoulli(MLP, 16, (1, 28, 28))(torch.zeros(5, 16)).event_shape
        torch.Size([1, 28, 28])
    """

    accepts = ("unit", "levels")
    measure = "density"

    def elements(self, numbers: Tensor) -> continuous.ContinuousBernoulli:
        return continuous.ContinuousBernoulli(numbers)
