"""What training needs of a loss, whatever it trains: a sum over a batch, and where its schedules are."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn


class Criterion(ABC):
    """A loss of a module and a batch, summed over the batch; one backward pass gives every parameter its gradient.

    Attributes:
        smallest_batch: Fewest data that it can be computed of.
        betas: Decays of Adam's means of gradients and of their squares.
        warmup: Steps before selection looks at validation data; where it is infinite nothing is selected, and the last
            weights stay.
        traceable: Whether it computes the same at every step. One whose loss depends on numbers of Python, such as a
            phase of the training, runs eagerly.
        reads_targets: Whether batches have a third tensor, the targets, see :class:`pyrovae.data.Dataset`.
        step: Steps taken, which the engine counts.

    Example:
        >>> import torch
        >>> class Squares(Criterion):
        ...     def batch_loss(self, module, *batch, beta=None):
        ...         return (module(batch[0]) ** 2).sum()
        >>> Squares().batch_loss(nn.Identity(), torch.tensor([1.0, 2.0]))
        tensor(5.)
    """

    smallest_batch: ClassVar[int] = 1
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: float = 0
    traceable: bool = True
    reads_targets: bool = False
    step: int = 0

    @abstractmethod
    def batch_loss(self, module: nn.Module, *batch: Any, beta: float | Tensor | None = None) -> Tensor:
        """Returns the loss summed over the batch, with a gradient."""

    def schedule(self, step: int) -> float:
        """Returns beta of a step: 1, unless the loss has such a weight."""
        return 1.0

    def restarts(self, step: int) -> bool:
        """Tells whether the optimizer forgets its means before this step, because the loss is another one from then."""
        return False

    @property
    def beta(self) -> float:
        """Beta of this step."""
        return self.schedule(self.step)
