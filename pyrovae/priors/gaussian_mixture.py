"""A mixture of diagonal normals with learned weights, means and scales; with labels a pool of them per class."""

import torch
from pyro.distributions import Normal, TorchDistribution
from torch import nn

from pyrovae.distributions import bounded_scale
from pyrovae.priors.mixture import MixturePrior, classes_read


class GaussianMixture(MixturePrior):
    """Mixture of diagonal normals, all of it learned; with labels a pool per class (Jiang et al., 2017).

    Args:
        latent_dim: Dimension of z.
        classes: Number of classes of the data.
        labels: A pool per class; by default where the data have classes and ``components`` is not given.
        components: Number of components in all, with labels a multiple of the number of classes; by default one per
            class with labels, 10 without.
        spread: Standard deviation of the means at the start. Pools that start apart stay purer: once classes overlap,
            a decoder has no reason to keep them apart.

    Raises:
        PyrovaeError: Labels without classes, or components that cannot be shared out equally among the classes.

    Example:
        >>> prior = GaussianMixture(2, classes=10)
        >>> prior(torch.tensor([3, 3, 7])).batch_shape, prior().batch_shape
        (torch.Size([3]), torch.Size([]))
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
        labels = bool(classes) and components is None if labels is None else labels
        classes = classes_read(classes, labels=labels)
        size = components if components is not None else classes or 10
        super().__init__(size, classes)
        self.loc = nn.Parameter(spread * torch.randn(size, latent_dim))
        self.raw_scale = nn.Parameter(torch.zeros(size, latent_dim))

    def components(self) -> TorchDistribution:
        return Normal(self.loc, bounded_scale(self.raw_scale)).to_event(1)
