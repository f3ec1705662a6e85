"""The evidence lower bound with the divergence in closed form, where there is one."""

from pyro.distributions.util import scale_and_mask
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
        # Site by site the closed forms add up only if both programs draw in one order, as q(z2 | z1) and p(z2 | z1) do.
        same_order = [name for name in sites.model if name in sites.guide] == list(sites.guide)
        divergence = (
            total(kl(site, sites.model[name]) for name, site in sites.guide.items()) if same_order else sites.divergence
        )
        return (sites.evidence - beta * divergence).mean(0)


def kl(posterior: Site, prior: Site) -> Tensor:
    """Returns KL(q || p) per particle and datum; a site that depends on another one's draw keeps its particles."""
    try:
        closed = kl_divergence(posterior.distribution, prior.distribution)
    except NotImplementedError:
        return posterior.log_prob - prior.log_prob
    return scale_and_mask(closed, posterior.scale, posterior.mask)
