r"""What mixture priors share: learned weights, the exact marginal, and one pool of components per class.

.. math:: p(z) = \sum_k w_k\, p_k(z), \qquad p(y) = \sum_{k \in y} w_k, \qquad
    p(z \mid y) = \sum_{k \in y} \frac{w_k}{p(y)}\, p_k(z)

With C classes, component k belongs to class :math:`\lfloor k C / K \rfloor`: equal groups in order.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from pyro.distributions import Categorical, TorchDistribution
from torch import Tensor, nn

from pyrovae.errors import PyrovaeError
from pyrovae.mixtures import Mixture, mixture, pick


class MixturePrior(nn.Module, ABC):
    """Mixture of K components with learned weights; its subclasses only say what the components are.

    Args:
        size: Number of components K.
        classes: Number of classes C whose pools the components form; 0 reads no labels.

    Raises:
        PyrovaeError: The components cannot be shared out equally among the classes.
    """

    size_key: ClassVar = "components"  # the option that counts the components
    frozen: Tensor | None

    def __init__(self, size: int, classes: int = 0) -> None:
        super().__init__()
        check_size(self.size_key, size, classes)
        self.classes = classes
        self.register_buffer("frozen", None)
        self.logits = nn.Parameter(torch.zeros(size))

    @abstractmethod
    def components(self) -> TorchDistribution:
        """Returns the components as one distribution, batch shape ``(K,)``."""

    def forward(self, y: Tensor | None = None) -> TorchDistribution:
        components = self.components()
        if y is None or not self.classes:
            return mixture(self.weights(), components)
        # A pool of one component is that component, whose divergences have closed forms that a mixture's have not.
        alone = pick(components, y) if len(self.logits) == self.classes else None
        return alone or mixture(self.weights().masked_fill(~self.members(y), -torch.inf), components)

    def weights(self) -> Tensor:
        """Returns the components' unnormalised log weights, shape ``(K,)``."""
        if self.frozen is None:
            return self.logits
        return (self.frozen.unsqueeze(-1) + self.logits.unflatten(0, (self.classes, -1)).log_softmax(-1)).flatten()

    def labels(self) -> Categorical:
        """Returns p(y), the weights of the pools."""
        return Categorical(logits=self.weights().unflatten(0, (self.classes, -1)).logsumexp(-1))

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
        else:
            # The gradient of p(y) is zero, but steps that are scaled by number, as Adam's, would let it drift.
            self.frozen = self.labels().logits.detach()

    def members(self, y: Tensor) -> Tensor:
        """Returns which components belong to each label, shape ``(*y.shape, K)``."""
        size = len(self.logits)
        return torch.arange(size, device=y.device) // (size // self.classes) == y.unsqueeze(-1)


def check_size(key: str, size: int, classes: int) -> None:
    if size < 1:
        raise PyrovaeError(f"prior.{key} = {size}, but {size} components are no mixture", hint="give 1 or more")
    if classes and size % classes:
        raise PyrovaeError(
            f"prior.{key} = {size} with prior.labels = true: {size} components cannot form {classes} pools of "
            "equal size",
            hint=f"set it to {max(1, round(size / classes)) * classes}, or prior.labels to false",
        )


def classes_read(classes: int, *, labels: bool) -> int:
    """Returns the number of classes whose pools a prior forms: the data's with labels, none without."""
    if labels and not classes:
        raise PyrovaeError("prior.labels = true, but the data have no labels", hint="set prior.labels to false")
    return classes if labels else 0
