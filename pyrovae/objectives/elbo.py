"""The evidence lower bound with the divergence sampled."""

from typing import Any

from torch import Tensor

from pyrovae.densities import Densities
from pyrovae.objectives.free_bits import floored
from pyrovae.objectives.legality import blank_sites
from pyrovae.objectives.objective import Objective
from pyrovae.ranges import NonNegative
from pyrovae.schedules import ScheduleSpec


class ELBO(Objective):
    r"""Evidence lower bound, divergence sampled; with beta != 1 a beta-VAE (Kingma and Welling, 2014).

    .. math:: \mathcal{L} = \mathbb{E}_{q(z \mid x)}[\log p(x, y \mid z)
        - \beta\,(\log q(z \mid x) - \log p(z))]

    At the exact posterior and beta = 1 every draw gives log p(x): the estimate has no variance.

    Args:
        particles: Draws of z per datum.
        beta: Weight of the divergence, a number or a schedule.
        free_bits: Nats of each latent dimension's KL, a mean over the batch, that cost nothing; above 0 the KL is the
            closed form, which prior and posterior must have per dimension (Kingma et al., 2016).

    Example:
        >>> ELBO(beta={"schedule": "linear", "steps": 2000})
        ELBO(particles=1, beta=0)
    """

    def __init__(self, *, particles: int = 1, beta: ScheduleSpec = 1.0, free_bits: NonNegative = 0.0) -> None:
        super().__init__(particles=particles, beta=beta)
        self.free_bits = free_bits
        self.autoencodes = not free_bits

    def shown(self) -> dict[str, float]:
        return {"free_bits": self.free_bits} if self.free_bits else {}

    def divergence(self, sites: Densities) -> Tensor:
        """Returns log q(z | x) - log p(z), or what has its mean, shape ``(particles, n)``."""
        return sites.divergence

    def bound(self, sites: Densities, beta: float | Tensor) -> Tensor:
        divergence = floored(sites, self.free_bits) if self.free_bits else self.divergence(sites)
        return (sites.evidence - beta * divergence).mean(0)

    def judged(self, sites: Densities) -> Tensor:
        return (sites.evidence - self.divergence(sites)).mean(0)

    def check(self, vae: Any) -> None:
        super().check(vae)
        if self.free_bits and (sites := blank_sites(vae)):
            floored(sites, self.free_bits)
