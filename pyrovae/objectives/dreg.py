"""The importance-weighted bound, whose gradient for the posterior does not drown in noise as particles are added."""

from typing import Any

import torch
from pyro.distributions.util import scale_and_mask
from torch import Tensor

from pyrovae.densities import Densities, Program, Site, densities
from pyrovae.objectives.iwae import importance_bound
from pyrovae.objectives.legality import blank_sites, only_latent
from pyrovae.objectives.objective import Objective, require_rsample
from pyrovae.objectives.stl import check_path
from pyrovae.schedules import ScheduleSpec

NAME = "objective 'dreg'"


class DReG(Objective):
    r"""Doubly reparametrised gradient: the IWAE, by the path through z alone (Tucker et al., 2019).

    With the bound and the weights of :class:`IWAE`, :math:`\tilde w_k = w_k / \sum_j w_j`,

    .. math:: \nabla_\theta \mathcal{L}_K = \mathbb{E}\left[\sum_k \tilde w_k\, \nabla_\theta \log w_k\right], \qquad
        \nabla_\phi \mathcal{L}_K = \mathbb{E}\left[\sum_k \tilde w_k\,(1 - \beta + \beta\,\tilde w_k)\,
        \frac{\partial \log w_k}{\partial z_k} \frac{\partial z_k}{\partial \phi}\right]

    The paper has beta = 1, where :math:`\tilde w_k^2` stands in the second. It comes from the score of the draws,
    weighed by :math:`-\beta\,\tilde w_k`, which is reparametrised once more, with
    :math:`\partial \tilde w_k / \partial z_k = \tilde w_k (1 - \tilde w_k)\, \partial \log w_k / \partial z_k`. A
    larger K then raises the signal-to-noise ratio of the posterior's gradient, which falls for the IWAE. K = 1 is
    :class:`STL`.

    The factor belongs to the path through z and not to a parameter, so the gradient is unbiased for those that a
    VampPrior shares with the posterior, too: they get the first sum where log p(z) reads them and the second through z.

    Args:
        particles: Draws of z per datum.
        beta: Weight of the divergence within the importance weights, a number or a schedule.

    Raises:
        PyrovaeError: In a step or a check, several latent sites, whose draws depend on each other.

    Example:
        >>> DReG(particles=50)
        DReG(particles=50, beta=1)
    """

    def __init__(self, *, particles: int = 5, beta: ScheduleSpec = 1.0) -> None:
        super().__init__(particles=particles, beta=beta)

    def bound(self, sites: Densities, beta: float | Tensor) -> Tensor:
        return importance_bound(sites.log_weight(beta))

    def differentiable_loss(
        self, model: Program, guide: Program, *batch: Any, beta: float | Tensor | None = None
    ) -> Tensor:
        """Returns the loss of the IWAE, with the doubly reparametrised gradient for the posterior's parameters."""
        sites = densities(model, guide, *batch, particles=self.num_particles, path_derivative=True)
        require_rsample(sites)
        beta = self.beta if beta is None else beta
        log_weight = sites.log_weight(beta)
        weigh_path(only_latent(sites, NAME)[0], log_weight.detach().softmax(0), beta)
        return -importance_bound(log_weight).sum()

    def check(self, vae: Any) -> None:
        super().check(vae)
        if sites := blank_sites(vae):
            only_latent(sites, NAME)
            check_path(sites)


def weigh_path(site: Site, weight: Tensor, beta: float | Tensor) -> None:
    """Multiplies what will flow back through the draws by 1 - beta + beta w.

    Args:
        site: Of the guide.
        weight: Normalised weights, shape ``(particles, n)``; backward multiplies the path by them once by itself.
        beta: Weight of log q in log w, before the scale and the mask that the program sets.
    """
    share = scale_and_mask(beta * torch.ones_like(weight), site.scale, site.mask)
    factor = (1 - share + share * weight).reshape(*weight.shape, *(1 for _ in site.distribution.event_shape))
    if site.value.requires_grad:  # not where the whole encoder is frozen
        site.value.register_hook(lambda gradient: factor * gradient)
