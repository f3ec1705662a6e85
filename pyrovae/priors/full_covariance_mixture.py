"""A mixture of normals whose dimensions may be correlated, each component in its own way."""

import torch
from pyro.distributions import MultivariateNormal, TorchDistribution
from torch import nn

from pyrovae.distributions import bounded_scale, cholesky_factor
from pyrovae.priors.gaussian_mixture import GaussianMixture


class FullCovarianceMixture(GaussianMixture):
    """Mixture of normals with full covariances, all of it learned; with labels pools (Johnson et al., 2016).

    Args:
        latent_dim: Dimension D of z; a component has D (D + 3) / 2 parameters.
        classes: Number of classes of the data.
        labels: A pool per class; by default where the data have classes and ``components`` is not given.
        components: Number of components in all; by default one per class with labels, 10 without.
        spread: Standard deviation of the means at the start.

    Raises:
        PyrovaeError: Labels without classes, or components that cannot be shared out equally among the classes.

    Example:
        >>> FullCovarianceMixture(2, components=5)()
        CorrelatedNormalMixture(components: 5, event_shape: (2,))
    """

    def __init__(
        self,
        latent_dim: int,
        classes: int = 0,
        *,
        labels: bool | None = None,
        components: int | None = None,
        spread: float = 1.0,
    ) -> None:
        super().__init__(latent_dim, classes, labels=labels, components=components, spread=spread)
        self.below = nn.Parameter(torch.zeros(len(self.logits), latent_dim * (latent_dim - 1) // 2))

    def components(self) -> TorchDistribution:
        return MultivariateNormal(self.loc, scale_tril=cholesky_factor(bounded_scale(self.raw_scale), self.below))
