"""The evidence lower bound with the divergence sampled."""

from torch import Tensor

from pyrovae.densities import Densities
from pyrovae.objectives.objective import Objective


class ELBO(Objective):
    r"""Evidence lower bound, divergence sampled; with beta != 1 a beta-VAE (Kingma and Welling, 2014).

    .. math:: \mathcal{L} = \mathbb{E}_{q(z \mid x)}[\log p(x, y \mid z)
        - \beta\,(\log q(z \mid x) - \log p(z))]

    At the exact posterior and beta = 1 every draw gives log p(x): the estimate has no variance.

    Example:
        >>> ELBO(beta={"schedule": "linear", "steps": 2000})
        ELBO(particles=1, beta=0)
    """

    def bound(self, sites: Densities, beta: float | Tensor) -> Tensor:
        return sites.log_weight(beta).mean(0)
