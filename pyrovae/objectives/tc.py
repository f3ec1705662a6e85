"""The beta-TCVAE: the KL in three parts, of which the total correlation has a weight of its own."""

import math
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from pyro.distributions.util import scale_and_mask
from torch import Tensor

from pyrovae.densities import Densities, Site
from pyrovae.errors import PyrovaeError
from pyrovae.objectives.legality import blank_sites, check_batch, only_latent, per_dimension
from pyrovae.objectives.objective import Objective
from pyrovae.ranges import NonNegative
from pyrovae.schedules import ScheduleSpec
from pyrovae.vae import reads

NAME = "objective 'tc'"


class TC(Objective):
    r"""Beta-TCVAE: weights of mutual information, total correlation and dimension-wise KL (Chen et al., 2018).

    .. math:: \mathcal{L} = \mathbb{E}[\log p(x \mid z)] - \alpha\, \mathrm{I}(x; z) - \beta\, \mathrm{TC}
        - \gamma\, \mathrm{KL}_{\mathrm{dim}}

    with the mutual information, the total correlation and the dimension-wise KL

    .. math:: \mathrm{I}(x; z) = \mathbb{E}\left[\log \frac{q(z \mid x)}{q(z)}\right], \quad
        \mathrm{TC} = \mathbb{E}\left[\log \frac{q(z)}{\prod_d q(z_d)}\right], \quad
        \mathrm{KL}_{\mathrm{dim}} = \mathbb{E}\left[\sum_d \log \frac{q(z_d)}{p(z_d)}\right].

    With :math:`\alpha = \beta = \gamma = 1` it is the ELBO, whatever q(z) is estimated to be. The aggregate posterior
    :math:`q(z) = \frac{1}{N} \sum_{j=1}^N q(z \mid x_j)` of all N training data is estimated from the n of a batch,
    :math:`\hat q(z_i) = \sum_j W_{ij}\, q(z_i \mid x_j)`, and likewise each :math:`q(z_d)`:

    * *stratified*: x_i, which z_i was drawn from, is in its batch with certainty and counts for itself alone,
      :math:`W_{ii} = 1/N`; the n - 1 others stand for N - 1 data, :math:`W_{ij} = \frac{N - 1}{N (n - 1)}`. The density
      is unbiased for batches drawn without replacement, and exact when the batch is all data. (The paper gives one of
      the others, any, a weight of its own; the mean over which one it is gives these, with no more variance.)
    * *weighted*: :math:`W_{ij} = \frac{1}{n N}`, biased downward; the paper's first choice.

    The logarithm of an unbiased estimate is biased still (Jensen), so the three terms are comparable at one batch size
    only, and may be negative. Memory: ``particles * n * n * latent_dim`` numbers.

    Args:
        size: N, number of training data.
        particles: Draws of z per datum.
        beta: Weight of the total correlation, a number or a schedule; validation reads the ELBO.
        alpha: Weight of the mutual information.
        gamma: Weight of the dimension-wise KL.
        estimator: Of the aggregate posterior.

    Example:
        >>> TC(60000, beta=6.0)
        TC(particles=1, beta=6, alpha=1, gamma=1)
    """

    smallest_batch: ClassVar[int] = 2

    def __init__(
        self,
        size: int,
        *,
        particles: int = 1,
        beta: ScheduleSpec = 6.0,
        alpha: NonNegative = 1.0,
        gamma: NonNegative = 1.0,
        estimator: Literal["stratified", "weighted"] = "stratified",
    ) -> None:
        super().__init__(particles=particles, beta=beta)
        self.size, self.alpha, self.gamma = size, alpha, gamma
        self.log_weights = ESTIMATORS[estimator]

    def shown(self) -> dict[str, float]:
        return {"alpha": self.alpha, "gamma": self.gamma}

    def bound(self, sites: Densities, beta: float | Tensor) -> Tensor:
        posterior, prior = only_latent(sites, NAME)
        information, correlation, dimensions = self.terms(posterior, prior)
        penalty = self.alpha * information + beta * correlation + self.gamma * dimensions
        return (sites.evidence - scale_and_mask(penalty, posterior.scale, posterior.mask)).mean(0)

    def judged(self, sites: Densities) -> Tensor:
        return sites.log_weight().mean(0)

    def terms(self, posterior: Site, prior: Site) -> tuple[Tensor, Tensor, Tensor]:
        """Returns mutual information, total correlation and dimension-wise KL at the draws, ``(particles, n)`` each."""
        q, p = per_dimension(posterior, "posterior", NAME), per_dimension(prior, "prior", NAME)
        z = posterior.value
        self.check_size(z.shape[1])
        every = q.log_prob(z.transpose(0, 1).unsqueeze(2))  # of z_i under q(z_d | x_j), shape (i, particles, j, d)
        log_w = self.log_weights(z.shape[1], self.size).to(z)[:, None, :]
        own = every.sum(-1).diagonal(dim1=0, dim2=2)
        joint = (log_w + every.sum(-1)).logsumexp(2).T
        marginals = (log_w[..., None] + every).logsumexp(2).sum(-1).T
        return own - joint, joint - marginals, marginals - p.log_prob(z).sum(-1)

    def check(self, vae: Any) -> None:
        super().check(vae)
        prior: Any = getattr(vae, "prior", None)
        if reads(prior):
            raise PyrovaeError(f"{NAME} needs one prior for all data, not one per class", hint="prior.labels = false")
        if sites := blank_sites(vae):
            for site, part in zip(only_latent(sites, NAME), ("posterior", "prior"), strict=True):
                per_dimension(site, part, NAME)

    def check_size(self, rows: int) -> None:
        check_batch(rows, NAME)
        if rows > self.size:
            raise PyrovaeError(f"a batch of {rows} out of {self.size} training data", hint="TC(len(dataset.train))")


def stratified(rows: int, size: int) -> Tensor:
    """Returns log W: 1 / N on the diagonal, (N - 1) / (N (n - 1)) beside it.

    Example:
        >>> (stratified(3, 9).exp() * 9).round().tolist()
        [[1.0, 4.0, 4.0], [4.0, 1.0, 4.0], [4.0, 4.0, 1.0]]
    """
    weights = torch.full((rows, rows), (size - 1) / (rows - 1), dtype=torch.double).fill_diagonal_(1.0)
    return weights.log() - math.log(size)


def weighted(rows: int, size: int) -> Tensor:
    """Returns log W: 1 / (n N) everywhere."""
    return torch.full((rows, rows), -math.log(rows * size), dtype=torch.double)


ESTIMATORS: dict[str, Callable[[int, int], Tensor]] = {"stratified": stratified, "weighted": weighted}
