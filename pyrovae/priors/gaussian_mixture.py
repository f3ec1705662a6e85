"""A mixture of diagonal normals with learned weights, means and scales; with labels one pool per class."""

import torch
from pyro.distributions import Normal, TorchDistribution
from torch import nn

from pyrovae.distributions import bounded_scale
from pyrovae.errors import PyrovaeError
from pyrovae.priors.mixture import MixturePrior


class GaussianMixture(MixturePrior):
    """Mixture of diagonal normals, all of it learned; with labels one pool per class (Dilokthanakul et al., 2016).

    Args:
        latent_dim: Dimension of z.
        classes: Number of classes of the data.
        labels: One pool per class; by default where the data have classes and ``components`` is not given.
        components: Number of components without labels, 10 by default.
        spread: Standard deviation of the means at the start. Pools that start apart stay purer: once classes overlap,
            a decoder has no reason to keep them apart.

    Raises:
        PyrovaeError: Labels without classes, or a number of components other than that of the classes.

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
        check_pools(classes, components, labels=labels)
        size = classes if labels else 10 if components is None else components
        super().__init__(size, classes if labels else 0)
        self.loc = nn.Parameter(spread * torch.randn(size, latent_dim))
        self.raw_scale = nn.Parameter(torch.zeros(size, latent_dim))

    def components(self) -> TorchDistribution:
        return Normal(self.loc, bounded_scale(self.raw_scale)).to_event(1)


def check_pools(classes: int, components: int | None, *, labels: bool) -> None:
    if labels and not classes:
        raise PyrovaeError("prior.labels = true, but the data have no labels", hint="set prior.labels to false")
    if labels and components not in (None, classes):
        raise PyrovaeError(
            f"prior.components = {components} with prior.labels = true, but the data have {classes} classes",
            hint="leave prior.components out, or set prior.labels to false",
        )
