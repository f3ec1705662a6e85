"""Distributions of counts that share a total."""

import copy
from typing import Any, ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from pyrovae.scalar import wide


class Whole(constraints.Constraint):
    """Counts 0, 1, 2, ... of any total."""

    is_discrete = True

    def __init__(self, event_dim: int) -> None:
        self._event_dim = event_dim
        super().__init__()

    @property
    def event_dim(self) -> int:  # type: ignore[override]  # a number in torch, which differs between data here
        return self._event_dim

    def check(self, value: Tensor) -> Tensor:
        whole = (value >= 0) & (value == value.trunc())
        return whole.flatten(value.dim() - self.event_dim).all(-1)


class Multinomial(TorchDistribution):
    r"""Counts given their total, each drawn into one of the elements, independent of the others.

    .. math:: \log p(x \mid N) = \log N! - \sum_d \log x_d! + \sum_d x_d \log p_d, \quad N = \sum_d x_d

    The sum is in float64: the first two terms of many counts are large and nearly equal.

    Args:
        logits: Of the elements, shape ``(*batch, *event)``.
        event_dim: Number of dimensions of the event.
        total: Counts of a draw; scored counts bring their own.

    Example:
        >>> p = Multinomial(torch.zeros(2), 1, 3)
        >>> p.log_prob(torch.tensor([[2.0, 1.0], [1.0, 0.0]])).exp(), p.mean
        (tensor([0.3750, 0.5000]), tensor([1.5000, 1.5000]))
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}

    def __init__(self, logits: Tensor, event_dim: int, total: int, *, validate_args: bool | None = None) -> None:
        self.logits, self.total = logits, total
        place = logits.dim() - event_dim
        super().__init__(logits.shape[:place], logits.shape[place:], validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        return Whole(len(self.event_shape))

    @property
    def log_shares(self) -> Tensor:
        """Logarithms of the elements' shares in float64, flattened, shape ``(*batch, elements)``."""
        return wide(self.logits.flatten(len(self.batch_shape))).log_softmax(-1)

    @property
    def mean(self) -> Tensor:
        return self._shaped(self.total * self.log_shares.exp())

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Multinomial":
        new = copy.copy(self)
        new._batch_shape = torch.Size(batch_shape)
        new.logits = self.logits.expand(*batch_shape, *self.event_shape)
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        x = wide(value.flatten(value.dim() - len(self.event_shape)))
        ways = (x.sum(-1) + 1).lgamma() - (x + 1).lgamma().sum(-1)
        return (ways + (x * self.log_shares).sum(-1)).to(self.logits.dtype)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        with torch.no_grad():
            probs = self.log_shares.exp()
            drawn = torch.distributions.Multinomial(self.total, probs).sample(torch.Size(sample_shape))
        return drawn.to(self.logits.dtype).reshape(shape)

    def _shaped(self, values: Tensor) -> Tensor:
        return values.to(self.logits.dtype).unflatten(-1, self.event_shape)
