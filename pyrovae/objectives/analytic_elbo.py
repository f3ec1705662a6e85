"""The evidence lower bound with the divergence in closed form, where there is one."""

from pyro.distributions.util import scale_and_mask
from torch import Tensor
from torch.distributions import kl_divergence

from pyrovae.densities import Densities, Site, total
from pyrovae.objectives.elbo import ELBO
from pyrovae.objectives.free_bits import same_order
from pyrovae.ranges import NonNegative
from pyrovae.schedules import ScheduleSpec


class AnalyticELBO(ELBO):
    r"""Evidence lower bound, KL in closed form where registered, else sampled (Kingma and Welling, 2014).

    .. math:: \mathcal{L} = \mathbb{E}_{q(z \mid x)}[\log p(x, y \mid z)] - \beta\, \mathrm{KL}(q(z \mid x) \,\|\, p(z))

    Args:
        particles: Draws of z per datum.
        beta: Weight of the divergence, a number or a schedule.
        free_bits: As for :class:`ELBO` (Kingma et al., 2016).

    Example:
        >>> AnalyticELBO(particles=4)
        AnalyticELBO(particles=4, beta=1)
    """

    def __init__(self, *, particles: int = 1, beta: ScheduleSpec = 1.0, free_bits: NonNegative = 0.0) -> None:
        super().__init__(particles=particles, beta=beta, free_bits=free_bits)
        self.autoencodes = False  # a point has no KL, whatever is registered for it

    def divergence(self, sites: Densities) -> Tensor:
        if not same_order(sites):
            return sites.divergence
        return total(kl(site, sites.model[name]) for name, site in sites.guide.items())


def kl(posterior: Site, prior: Site) -> Tensor:
    """Returns KL(q || p) per particle and datum; a site that depends on another one's draw keeps its particles."""
    try:
        closed = kl_divergence(posterior.distribution, prior.distribution)
    except NotImplementedError:
        return posterior.log_prob - prior.log_prob
    return scale_and_mask(closed, posterior.scale, posterior.mask)
