"""The InfoVAE: part of the KL is exchanged for a distance between the aggregate posterior and the prior."""

import math
from typing import Annotated, Any, ClassVar

import torch
from pyro.distributions import TorchDistribution
from pyro.distributions.util import scale_and_mask
from torch import Tensor

from pyrovae.densities import Densities
from pyrovae.errors import PyrovaeError
from pyrovae.objectives.legality import blank_sites, check_batch, is_point, only_latent
from pyrovae.objectives.objective import Objective
from pyrovae.ranges import NonNegative, Range
from pyrovae.schedules import ScheduleSpec

NAME = "objective 'mmd'"
SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # of the kernels, times the width: near and far pairs both have a slope
WIDTH_DRAWS = 200  # fewest draws of the prior that the width is read from


class MMD(Objective):
    r"""InfoVAE: part of the KL becomes the MMD of q(z) to p(z); at alpha = 1 an MMD-VAE (Zhao et al., 2019).

    .. math:: \mathcal{L} = \mathbb{E}[\log p(x, y \mid z)]
        - \beta\,\bigl((1 - \alpha)\,\mathrm{KL}(q(z \mid x) \,\|\, p(z))
        + (\alpha + \lambda - 1)\,\mathrm{MMD}^2(q(z), p(z))\bigr)

    with :math:`q(z)` the mean of :math:`q(z \mid x)` over the data. MMD² is a pure number from 0 to 2, so
    :math:`\lambda` is in nats per datum. The kernel is the mean of inverse multiquadratics, whose slope does not vanish
    far away, for :math:`s` in 0.1 to 10,

    .. math:: k(z, z') = \operatorname{mean}_s \frac{s h}{s h + |z - z'|^2}

    where the width :math:`h` is the median squared distance of two draws of the prior (near 2 D for a standard normal):
    it follows the prior's units, not the encoder's, and heavy tails do not move it. The estimate is the unbiased
    U-statistic over different data of the batch, a share per datum whose mean is MMD²; it can be negative. Where the
    prior's draws have no gradient (mixtures), the KL alone trains the prior.

    With a point posterior, a proper prior and alpha = 1 it is a Wasserstein autoencoder (Tolstikhin et al., 2018).
    Validation reads the ELBO; for a point posterior, which has none, log p(x | z).

    Args:
        particles: Draws of z per datum.
        beta: Weight of both divergences, a number or a schedule.
        alpha: Share of the KL that is given up, 1 or less.
        lam: The paper's lambda; ``alpha + lam - 1`` nats is the weight of MMD².

    Raises:
        PyrovaeError: The weight of MMD² would be negative.

    Example:
        >>> MMD(alpha=0.5, lam=200)
        MMD(particles=1, beta=1, alpha=0.5, lam=200)
    """

    smallest_batch: ClassVar[int] = 2

    def __init__(
        self,
        *,
        particles: int = 1,
        beta: ScheduleSpec = 1.0,
        alpha: Annotated[float, Range(high=1)] = 0.0,
        lam: NonNegative = 100.0,
    ) -> None:
        super().__init__(particles=particles, beta=beta)
        if alpha + lam < 1:
            reason = f"objective.alpha + objective.lam - 1 = {alpha + lam - 1:g}, the weight of MMD², is negative"
            raise PyrovaeError(reason, hint=f"set objective.lam to {1 - alpha:g} or more", exit_code=2)
        self.alpha, self.lam = alpha, lam
        self.compares_densities = alpha < 1

    def shown(self) -> dict[str, float]:
        return {"alpha": self.alpha, "lam": self.lam}

    def bound(self, sites: Densities, beta: float | Tensor) -> Tensor:
        posterior, prior = only_latent(sites, NAME)
        check_batch(posterior.value.shape[1], NAME)
        distance = squared_mmd(posterior.value, draws(prior.distribution), width(prior.distribution))
        penalty = (self.alpha + self.lam - 1) * scale_and_mask(distance, posterior.scale, posterior.mask)
        if self.compares_densities:
            penalty = penalty + (1 - self.alpha) * sites.divergence
        return (sites.evidence - beta * penalty).mean(0)

    def judged(self, sites: Densities) -> Tensor:
        point = any(is_point(site.distribution) for site in sites.guide.values())
        return (sites.evidence if point else sites.log_weight()).mean(0)

    def check(self, vae: Any) -> None:
        super().check(vae)
        if sites := blank_sites(vae):
            check_trainable(vae.prior, only_latent(sites, NAME)[1].distribution, self)


def check_trainable(prior: Any, distribution: TorchDistribution, objective: MMD) -> None:
    """Raises where nothing would train the prior: no KL, and draws without a gradient."""
    learns = any(p.requires_grad for p in prior.parameters())
    if learns and not distribution.has_rsample and not objective.compares_densities:
        raise PyrovaeError(
            f"{NAME} with alpha = 1 trains a prior by its draws, and those of {type(prior).__name__} have no gradient",
            hint="set objective.alpha below 1, or prior.name = 'standard-normal'",
        )


def draws(prior: TorchDistribution) -> Tensor:
    return prior.rsample() if prior.has_rsample else prior.sample()


def width(prior: TorchDistribution) -> Tensor:
    """Returns the median squared distance of two draws, apart from those compared, which leaves their mean unbiased."""
    with torch.no_grad():
        z = prior.sample((math.ceil(WIDTH_DRAWS / prior.batch_shape.numel()),)).flatten(0, -2)
        return (z - z.roll(1, 0)).square().sum(-1).median()


def squared_mmd(z: Tensor, other: Tensor, width: Tensor | float) -> Tensor:
    r"""Returns each datum's share of the U-statistic of MMD², whose mean over the data is unbiased.

    .. math:: \frac{1}{n - 1} \sum_{j \ne i} k(z_i, z_j) + k(z'_i, z'_j) - 2\, k(z_i, z'_j)

    No pair of one datum is compared, so z_i and z'_i may depend on each other, as they do on its label.

    Args:
        z: Draws of the posterior, one per datum, shape ``(..., n, D)``.
        other: Draws of the prior, the same shape.
        width: Median squared distance h.

    Returns:
        Shape ``(..., n)``.
    """
    pairs = kernel(z, z, width) + kernel(other, other, width) - 2 * kernel(z, other, width)
    different = 1 - torch.eye(z.shape[-2], dtype=z.dtype, device=z.device)
    return (pairs * different).sum(-1) / (z.shape[-2] - 1)


def kernel(z: Tensor, other: Tensor, width: Tensor | float) -> Tensor:
    """Returns k of all pairs, shape ``(..., n, n)``."""
    square = z.square().sum(-1)[..., None] + other.square().sum(-1)[..., None, :] - 2 * z @ other.mT
    square = square.clamp(min=0)  # rounding
    return torch.stack([s * width / (s * width + square) for s in SCALES]).mean(0)
