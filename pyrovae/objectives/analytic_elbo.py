"""The evidence lower bound with the divergence in closed form, where there is one."""

from torch import Tensor
from torch.distributions import kl_divergence

from pyrovae.densities import Densities, Site, total
from pyrovae.objectives.objective import Objective


class AnalyticELBO(Objective):
    r"""Evidence lower bound, KL in closed form where registered, else sampled (Kingma and Welling, 2014).

    .. math:: \mathcal{L} = \mathbb{E}_{q(z \mid x)}[\log p(x, y \mid z)] - \beta\, \mathrm{KL}(q(z \mid x) \,\|\, p(z))

    Example:
        >>> AnalyticELBO(particles=4)
        AnalyticELBO(particles=4, beta=1)
    """

    def bound(self, sites: Densities, beta: float | Tensor) -> Tensor:
        divergence = total(kl(site, sites.model[name]) for name, site in sites.guide.items())
        return (sites.evidence - beta * divergence).mean(0)


def kl(posterior: Site, prior: Site) -> Tensor:
    """Returns KL(q || p) per particle and datum; a site that depends on another one's draw keeps its particles."""
    try:
        return kl_divergence(posterior.distribution, prior.distribution)
    except NotImplementedError:
        return posterior.log_prob - prior.log_prob
