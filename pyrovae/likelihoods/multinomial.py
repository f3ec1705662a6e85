"""The likelihood of counts whose total is given."""

from collections.abc import Sequence

from torch import Tensor

from pyrovae import counted
from pyrovae.likelihoods.likelihood import Likelihood
from pyrovae.networks import Network


class Multinomial(Likelihood):
    """Counts given their total, such as the words of a text of known length (Miao, Yu and Blunsom, 2016).

    A datum's total is no choice of the model: what is bounded is log p(x | total). A count more of one element is one
    less of the others, so none can be missing.

    Args:
        network: Makes the decoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension of z.
        event_shape: Shape of one datum.
        classes: Number of classes the decoder reads; 0 reads none.
        total: Counts of a datum that is drawn, and of the mean; those that are scored bring their own.

    Example:
        >>> import torch
        >>> from pyrovae import MLP
        >>> Multinomial(MLP, 2, (8,), total=40)(torch.zeros(5, 2)).sample().sum(-1)
        tensor([40., 40., 40., 40., 40.])
    """

    accepts = ("count", "binary")
    measure = "mass"
    independent = False
    given = "total"

    def __init__(
        self, network: Network, latent_dim: int, event_shape: Sequence[int], classes: int = 0, *, total: int = 10
    ) -> None:
        super().__init__(network, latent_dim, event_shape, classes)
        self.total = total

    def forward(self, z: Tensor, y: Tensor | None = None) -> counted.Multinomial:
        return counted.Multinomial(self.decoder(z, y), len(self.event_shape), self.total)
