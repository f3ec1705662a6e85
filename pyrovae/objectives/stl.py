"""The evidence lower bound by its path derivative, whose noise fades as the posterior gets exact."""

from typing import Any

from torch import Tensor

from pyrovae.densities import Densities, Program, densities
from pyrovae.distributions import detached
from pyrovae.objectives.legality import blank_sites
from pyrovae.objectives.objective import Objective, require_rsample
from pyrovae.schedules import ScheduleSpec


class STL(Objective):
    r"""Sticking the landing: the ELBO, whose gradient leaves out the score of the draws (Roeder et al., 2017).

    .. math:: \nabla_\phi \mathcal{L} = \mathbb{E}\left[\frac{1}{K} \sum_k
        \frac{\partial \log w_k}{\partial z_k} \frac{\partial z_k}{\partial \phi}\right], \qquad
        \log w_k = \log p(x, y \mid z_k) - \beta\,(\log q(z_k \mid x) - \log p(z_k))

    The ELBO's own estimate has :math:`-\beta\, \nabla_\phi \log q_\phi(z_k \mid x)` at fixed z besides, whose mean
    is 0: both are unbiased. At the exact posterior and beta = 1 log w does not depend on z, and every draw gives the
    posterior's parameters the gradient 0. Those that a VampPrior shares with it still get the prior's share,
    :math:`\beta\, \nabla_\phi \log p_\phi(z_k)` at fixed z, which has noise of its own. All other parameters get what
    the ELBO gives them.

    Args:
        particles: Draws of z per datum.
        beta: Weight of the divergence, a number or a schedule.

    Example:
        >>> STL(particles=4)
        STL(particles=4, beta=1)
    """

    def __init__(self, *, particles: int = 1, beta: ScheduleSpec = 1.0) -> None:
        super().__init__(particles=particles, beta=beta)

    def bound(self, sites: Densities, beta: float | Tensor) -> Tensor:
        return sites.log_weight(beta).mean(0)

    def differentiable_loss(
        self, model: Program, guide: Program, *batch: Any, beta: float | Tensor | None = None
    ) -> Tensor:
        """Returns the loss of the ELBO, with the gradient of the path through z for the posterior's parameters."""
        sites = densities(model, guide, *batch, particles=self.num_particles, path_derivative=True)
        require_rsample(sites)
        return -self.bound(sites, self.beta if beta is None else beta).sum()

    def check(self, vae: Any) -> None:
        super().check(vae)
        check_path(blank_sites(vae))


def check_path(sites: Densities | None) -> None:
    """Refuses a posterior whose density is known at its own draws only, along with its gradient.

    Raises:
        PyrovaeError: There is no twin of its density without gradient.
    """
    for site in sites.guide.values() if sites else ():
        detached(site.distribution)
