"""What a prior learns by, where encoder and decoder stay as they are."""

from typing import Any

from torch import Tensor

from pyrovae.densities import Densities, total
from pyrovae.objectives.objective import Objective


class PriorFit(Objective):
    r"""Log density of the codes under the prior, the part of the ELBO that depends on it.

    .. math:: \mathbb{E}_{q(z \mid x)}[\log p(z)]

    with labels :math:`\log p(z, y)`. Its largest value over all priors is reached by the aggregate posterior (Hoffman
    and Johnson, 2016). It compares no densities of the guide, so codes may be points; it is no row of the table, since
    nothing else learns by it.

    Example:
        >>> PriorFit()
        PriorFit(particles=1, beta=1)
    """

    compares_densities = False

    def bound(self, sites: Densities, beta: float | Tensor) -> Tensor:
        """Returns log p(z), or log p(z, y), per datum, shape ``(n,)``; beta weighs nothing here."""
        return total(site.log_prob for name, site in sites.model.items() if name != "x").mean(0)

    def check(self, vae: Any) -> None:
        """Takes any VAE: what cannot be trained together does not move here."""
