"""The variational Rényi bound."""

import math

from torch import Tensor

from pyrovae.densities import Densities
from pyrovae.objectives.objective import Objective
from pyrovae.ranges import AnyNumber
from pyrovae.schedules import ScheduleSpec


class Renyi(Objective):
    r"""Variational Rényi bound; alpha = 0 is the IWAE, alpha = 1 the ELBO (Li and Turner, 2016).

    .. math:: \mathcal{L}_\alpha = \frac{1}{1 - \alpha}\,
        \mathbb{E}\left[\log \frac{1}{K} \sum_k w_k^{1 - \alpha}\right]

    It falls as alpha rises. From alpha = 0 on it is a lower bound of log p(x); below, the largest weights win, up to
    their maximum at alpha = -inf (VR-max), and it may exceed log p(x): validation then reads it at alpha = 0.

    Args:
        particles: Draws of z per datum; with one of them every alpha gives the ELBO.
        beta: Weight of the divergence within the importance weights, a number or a schedule.
        alpha: Order, any number; in Python also ``-math.inf``.

    Example:
        >>> Renyi(alpha=0.5, particles=10)
        Renyi(particles=10, beta=1, alpha=0.5)
    """

    def __init__(self, *, particles: int = 5, beta: ScheduleSpec = 1.0, alpha: AnyNumber = 0.5) -> None:
        super().__init__(particles=particles, beta=beta)
        self.alpha = alpha

    def shown(self) -> dict[str, float]:
        return {"alpha": self.alpha}

    def bound(self, sites: Densities, beta: float | Tensor) -> Tensor:
        return power_mean(sites.log_weight(beta), 1 - self.alpha)

    def judged(self, sites: Densities) -> Tensor:
        return power_mean(sites.log_weight(), 1 - max(self.alpha, 0.0))


def power_mean(log_weight: Tensor, power: float) -> Tensor:
    """Returns the log of the power mean of the weights over the first dimension.

    It is taken relative to the weight that counts most, by functions that are exact near 0, so that it goes over into
    the mean of the logs without a loss of digits as the power goes to 0.

    Example:
        >>> import torch
        >>> w = torch.tensor([1.0, 3.0])
        >>> [round(power_mean(w.log(), p).exp().item(), 4) for p in (2, 1, 1e-6, 0, math.inf)]
        [2.2361, 2.0, 1.7321, 1.7321, 3.0]
    """
    if power == 0:
        return log_weight.mean(0)
    if math.isinf(power):
        return log_weight.amax(0)
    largest = (log_weight.amax(0) if power > 0 else log_weight.amin(0)).detach()
    return largest + (power * (log_weight - largest)).expm1().mean(0).log1p() / power
