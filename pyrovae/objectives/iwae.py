"""The importance-weighted bound."""

import math

from torch import Tensor

from pyrovae.densities import Densities
from pyrovae.objectives.objective import Objective
from pyrovae.schedules import ScheduleSpec


class IWAE(Objective):
    r"""Importance-weighted bound with K particles; K = 1 is the ELBO (Burda, Grosse and Salakhutdinov, 2016).

    .. math:: \mathcal{L}_K = \mathbb{E}\left[\log \frac{1}{K} \sum_k w_k\right], \qquad
        \log w_k = \log p(x, y \mid z_k) - \beta\,(\log q(z_k \mid x) - \log p(z_k))

    Its value is the bound itself, not the surrogate sum of normalised weights that some libraries log.

    Example:
        >>> IWAE(particles=50)
        IWAE(particles=50, beta=1)
    """

    def __init__(self, *, particles: int = 5, beta: ScheduleSpec = 1.0) -> None:
        super().__init__(particles=particles, beta=beta)

    def bound(self, sites: Densities, beta: float | Tensor) -> Tensor:
        return sites.log_weight(beta).logsumexp(0) - math.log(self.num_particles)
