r"""What mixture priors share: learned weights, the exact marginal, and one pool of components per class.

.. math:: p(z) = \sum_k w_k\, p_k(z), \qquad p(y) = \sum_{k \in y} w_k, \qquad
    p(z \mid y) = \sum_{k \in y} \frac{w_k}{p(y)}\, p_k(z)

With C classes, component k belongs to class :math:`\lfloor k C / K \rfloor`: equal groups in order.
"""

from abc import ABC, abstractmethod

import torch
from pyro.distributions import Categorical, Normal, TorchDistribution
from torch import Tensor, nn

from pyrovae.distributions import Mixture, is_diagonal_normal, mixture
from pyrovae.errors import PyrovaeError


class MixturePrior(nn.Module, ABC):
    """Mixture of K components with learned weights; its subclasses only say what the components are.

    Args:
        size: Number of components K.
        classes: Number of classes C whose pools the components form; 0 reads no labels.

    Raises:
        PyrovaeError: The components cannot be shared out equally among the classes.
    """

    def __init__(self, size: int, classes: int = 0) -> None:
        super().__init__()
        if size < 1 or (classes and size % classes):
            raise PyrovaeError(
                f"{size} components cannot form {classes} pools of equal size" if classes else f"{size} components",
                hint="give a multiple of the number of classes, or labels = false",
            )
        self.classes = classes
        self.logits = nn.Parameter(torch.zeros(size))

    @abstractmethod
    def components(self) -> TorchDistribution:
        """Returns the components as one distribution, batch shape ``(K,)``."""

    def forward(self, y: Tensor | None = None) -> TorchDistribution:
        components = self.components()
        if y is None or not self.classes:
            return mixture(self.logits, components)
        if len(self.logits) == self.classes and is_diagonal_normal(components):
            # The pool is one normal, whose divergences have closed forms that a mixture's have not.
            return Normal(components.base_dist.loc[y], components.base_dist.scale[y]).to_event(1)
        return mixture(self.logits.masked_fill(~self.members(y), -torch.inf), components)

    def labels(self) -> Categorical:
        """Returns p(y), the weights of the pools."""
        return Categorical(logits=self.logits.unflatten(0, (self.classes, -1)).logsumexp(-1))

    def responsibilities(self, z: Tensor) -> Tensor:
        """Returns p(component | z), shape ``(*batch, K)``."""
        marginal = self()
        assert isinstance(marginal, Mixture)
        return marginal.responsibilities(z)

    def freeze_weights(self) -> None:
        """Keeps p(y) as it is, for programs that do not score y; weights within a pool still learn."""
        if len(self.logits) == self.classes:
            weights = self.logits.detach()
            del self.logits
            self.register_buffer("logits", weights)

    def members(self, y: Tensor) -> Tensor:
        """Returns which components belong to each label, shape ``(*y.shape, K)``."""
        size = len(self.logits)
        return torch.arange(size, device=y.device) // (size // self.classes) == y.unsqueeze(-1)
