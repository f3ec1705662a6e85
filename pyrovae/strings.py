r"""Distributions of strings: codes 1, 2, ... of characters, ended and filled up by 0.

.. math:: p(x) = \prod_{t \le T} p(x_t \mid x_{<t}), \quad T = \text{the first } t \text{ with } x_t = 0, \text{ or } L

What follows the end is no choice and costs nothing, so the probabilities of all strings of up to L characters sum to 1.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

# Logits of the next code from the context, the code before and a state (None to start): shapes (n, F), (n,), any.
Step = Callable[[Tensor, Tensor, Any], tuple[Tensor, Any]]
# Logits of all codes from the context, (*batch, F), and the string, (..., L): (*batch, L, levels).
Score = Callable[[Tensor, Tensor], Tensor]


class Ended(constraints.Constraint):
    """Strings of codes 0, ..., levels - 1 with nothing but 0 after the first 0."""

    is_discrete = True

    def __init__(self, levels: int, event_dim: int) -> None:
        self.levels, self._event_dim = levels, event_dim
        super().__init__()

    @property
    def event_dim(self) -> int:  # type: ignore[override]  # a number in torch, which differs between strings here
        return self._event_dim

    def check(self, value: Tensor) -> Tensor:
        codes = value.flatten(value.dim() - self.event_dim)
        whole = (codes >= 0) & (codes < self.levels) & (codes == codes.trunc())
        return (whole & (alive(codes) | (codes == 0))).all(-1)


class Strings(TorchDistribution):
    """Strings whose characters are drawn one after another, each from what came before it and a context.

    Args:
        context: What the characters are drawn from beside each other, shape ``(*batch, F)``.
        event_shape: Shape of one string; of several dimensions, the last one runs fastest.
        levels: Number of codes, that of the end included.
        score: Logits of all codes of a string at once.
        step: Logits of one code after another.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    has_enumerate_support = False

    def __init__(
        self,
        context: Tensor,
        event_shape: Sequence[int],
        levels: int,
        score: Score,
        step: Step,
        *,
        validate_args: bool | None = None,
    ) -> None:
        self.context, self.levels, self.score, self.step = context, levels, score, step
        super().__init__(context.shape[:-1], torch.Size(event_shape), validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        return Ended(self.levels, len(self.event_shape))

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Strings":
        new = copy.copy(self)
        new._batch_shape = torch.Size(batch_shape)
        new.context = self.context.expand(*batch_shape, self.context.shape[-1])
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        codes = value.flatten(value.dim() - len(self.event_shape)).long()
        batch = torch.broadcast_shapes(codes.shape[:-1], self.batch_shape)
        logits = self.score(self.context.expand(*batch, -1), codes)
        chosen = logits.log_softmax(-1).gather(-1, codes.expand(*batch, -1).unsqueeze(-1)).squeeze(-1)
        return (chosen * alive(codes)).sum(-1)

    @property
    def mean(self) -> Tensor:
        """The string of the likeliest code after another: strings have no mean, and the likeliest one is not known."""
        return self._draw(self.batch_shape, greedy)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self._draw(torch.Size(sample_shape) + self.batch_shape, drawn)

    @torch.no_grad()
    def _draw(self, batch: torch.Size, choose: Callable[[Tensor], Tensor]) -> Tensor:
        context = self.context.expand(*batch, -1).reshape(batch.numel(), -1)
        code, state = torch.zeros(len(context), dtype=torch.long, device=context.device), None
        codes: list[Tensor] = []
        for _ in range(self.event_shape.numel()):
            logits, state = self.step(context, code, state)
            ended = (code == 0) & bool(codes)
            code = torch.where(ended, 0, choose(logits))
            codes.append(code)
        return torch.stack(codes, -1).to(self.context.dtype).reshape(*batch, *self.event_shape)


def greedy(logits: Tensor) -> Tensor:
    return logits.argmax(-1)


def drawn(logits: Tensor) -> Tensor:
    return torch.distributions.Categorical(logits=logits).sample()


def alive(codes: Tensor) -> Tensor:
    """Tells which codes are part of the string: up to the first 0, which is its end.

    Example:
        >>> alive(torch.tensor([2, 0, 0])).tolist()
        [True, True, False]
    """
    ends = codes.eq(0)
    return ends.cumsum(-1) - ends.long() == 0
