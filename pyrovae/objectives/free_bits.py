r"""Free bits: the first ``free_bits`` nats of each latent dimension's KL cost nothing.

.. math:: \sum_d \max\Big(\lambda,\ \frac{1}{n} \sum_i \mathrm{KL}(q(z_d \mid x_i) \,\|\, p(z_d))\Big)

The maximum is of the mean over the batch, as in the paper: a dimension may tell much of some data and nothing of
others, and pays for what it tells on average. A maximum per datum would let each of them have :math:`\lambda` nats and
charge for what varies. It needs the closed form: a sampled KL :math:`\hat k` has
:math:`\mathbb{E}\max(\lambda, \hat k) \ge \max(\lambda, \mathbb{E}\,\hat k)`, a bias that grows as the KL gets small.
"""

from typing import Any

from pyro.distributions.util import scale_and_mask
from torch import Tensor
from torch.distributions import kl_divergence

from pyrovae.densities import Densities, Site, total
from pyrovae.errors import PyrovaeError
from pyrovae.objectives.legality import per_dimension

NAME = "objective.free_bits"


def same_order(sites: Densities) -> bool:
    """Tells whether both programs draw in one order; only then do KLs add up, as those of q(z2 | z1) and p(z2 | z1)."""
    return [name for name in sites.model if name in sites.guide] == list(sites.guide)


def floored(sites: Densities, free_bits: float) -> Tensor:
    """Returns the divergence with its floor, shape ``(particles, n)``: its mean over both is the one above.

    A dimension above the floor gives each datum its own KL, one below gives each the floor.

    Raises:
        PyrovaeError: Prior and posterior do not factorise over dimensions, or their KL has no closed form.
    """
    if not same_order(sites):
        raise PyrovaeError(f"{NAME}: model and guide draw in different orders", hint=f"{NAME} = 0")
    return total(floored_site(site, sites.model[name], free_bits) for name, site in sites.guide.items())


def floored_site(posterior: Site, prior: Site, free_bits: float) -> Tensor:
    divergence = closed_form(per_dimension(posterior, "posterior", NAME), per_dimension(prior, "prior", NAME))
    above = divergence.mean((0, 1), keepdim=True) > free_bits
    return scale_and_mask(divergence.where(above, free_bits).sum(-1), posterior.scale, posterior.mask)


def closed_form(posterior: Any, prior: Any) -> Tensor:
    """Returns KL(q(z_d | x) || p(z_d)), shape ``(particles, n, latent_dim)``."""
    try:
        return kl_divergence(posterior, prior)
    except NotImplementedError:
        names = f"{type(posterior).__name__} to {type(prior).__name__}"
        reason = f"{NAME} needs a KL in closed form, and that of {names} is sampled: its floor would be biased"
        raise PyrovaeError(
            reason, hint="prior.name = 'standard-normal' with posterior.name = 'diagonal-normal'"
        ) from None
