"""The importance-weighted bound, averaged over groups of particles and mixed with the ELBO where that is asked for."""

import math

from torch import Tensor

from pyrovae.densities import Densities
from pyrovae.errors import PyrovaeError
from pyrovae.objectives.objective import Objective
from pyrovae.ranges import Share
from pyrovae.schedules import ScheduleSpec


class IWAE(Objective):
    r"""Importance-weighted bound; also MIWAE (groups), CIWAE (elbo_share) (Burda et al., 2016; Rainforth et al., 2018).

    .. math:: \mathcal{L}_K = \mathbb{E}\left[\log \frac{1}{K} \sum_k w_k\right], \qquad
        \log w_k = \log p(x, y \mid z_k) - \beta\,(\log q(z_k \mid x) - \log p(z_k))

    K = 1 is the ELBO. A larger K tightens the bound and drowns the encoder's gradient in noise; MIWAE and CIWAE trade
    one for the other. MIWAE(M, K) is the mean of M such bounds: ``groups = M, particles = M * K``. CIWAE is
    ``elbo_share * ELBO + (1 - elbo_share) * IWAE``. The value is the bound itself, not the surrogate sum of normalised
    weights that some libraries log.

    Args:
        particles: Draws of z per datum, of all groups together.
        beta: Weight of the divergence within the importance weights, a number or a schedule.
        groups: Number of bounds of ``particles / groups`` draws each that are averaged (MIWAE).
        elbo_share: Weight of the ELBO in a convex combination (CIWAE).

    Raises:
        PyrovaeError: Particles that cannot be dealt out to the groups evenly.

    Example:
        >>> IWAE(particles=50), IWAE(particles=64, groups=8)
        (IWAE(particles=50, beta=1), IWAE(particles=64, beta=1, groups=8))
    """

    def __init__(
        self, *, particles: int = 5, beta: ScheduleSpec = 1.0, groups: int = 1, elbo_share: Share = 0.0
    ) -> None:
        super().__init__(particles=particles, beta=beta)
        check_groups(particles, groups)
        self.groups, self.elbo_share = groups, elbo_share

    def shown(self) -> dict[str, float]:
        shares = {"elbo_share": self.elbo_share} if self.elbo_share else {}
        return ({"groups": self.groups} if self.groups > 1 else {}) | shares

    def bound(self, sites: Densities, beta: float | Tensor) -> Tensor:
        log_weight = sites.log_weight(beta)
        bound = importance_bound(log_weight, self.groups)
        return bound + self.elbo_share * (log_weight.mean(0) - bound) if self.elbo_share else bound


def importance_bound(log_weight: Tensor, groups: int = 1) -> Tensor:
    """Returns the mean over groups of the log of the mean weight of each group.

    Args:
        log_weight: Shape ``(particles, n)``.
        groups: A divisor of the number of particles.

    Returns:
        Shape ``(n,)``.
    """
    grouped = log_weight.unflatten(0, (groups, -1))
    return (grouped.logsumexp(1) - math.log(grouped.shape[1])).mean(0)


def check_groups(particles: int, groups: int) -> None:
    if groups < 1 or particles % groups:
        raise PyrovaeError(
            f"objective.groups = {groups} does not divide objective.particles = {particles}",
            hint=f"particles is the total: set it to {max(groups, 1) * max(1, particles // max(groups, 1))}",
            exit_code=2,
        )
