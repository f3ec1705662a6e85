r"""Distributions of grey levels: integers, and a grid of levels over them.

A grey level is an integer :math:`k = 0, \dots, L - 1` for the distributions here, and the number
:math:`x = k / (L - 1)` for the programs; :class:`Grid` is the only place that knows of both.
"""

from typing import Any, ClassVar

import torch
from pyro import distributions as dist
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints
from torch.nn.functional import logsigmoid

from pyrovae.scalar import Scalar, Wrapper, wide


class OnGrid(constraints.Constraint):
    """Values k / (levels - 1) up to the rounding of float32."""

    is_discrete = True
    event_dim = 0

    def __init__(self, levels: int) -> None:
        self.top = levels - 1
        self.tolerance = levels * 2.0**-21  # four roundings of the largest level in float32
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        k = value * self.top
        return ((k - k.round()).abs() <= self.tolerance) & (k.round() >= 0) & (k.round() <= self.top)

    def __repr__(self) -> str:
        return f"OnGrid(levels={self.top + 1})"


class Grid(Wrapper):
    r"""Grey levels :math:`x = k / (L - 1)` of a distribution of integers k, with the same probabilities.

    Args:
        base: Distribution of 0, ..., levels - 1.
        levels: Their number L, at least 2.

    Example:
        >>> Grid(dist.Binomial(2, torch.tensor([0.5])), 3).log_prob(torch.tensor([[0.0], [0.5], [1.0]])).exp()
        tensor([[0.2500],
                [0.5000],
                [0.2500]])
    """

    def __init__(self, base: TorchDistribution, levels: int, *, validate_args: bool | None = None) -> None:
        self.levels = levels
        super().__init__(base, validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        return OnGrid(self.levels)

    @property
    def mean(self) -> Tensor:
        return self.base.mean / (self.levels - 1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.base.sample(sample_shape) / (self.levels - 1)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return self.base.log_prob((value * (self.levels - 1)).round())


class Categorical(dist.Categorical):
    """Pyro's categorical distribution, with a mean and with draws of its parameters' type, so that it has a grid."""

    @property
    def mean(self) -> Tensor:
        return self.probs @ torch.arange(self.probs.shape[-1], dtype=self.probs.dtype, device=self.probs.device)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return super().sample(torch.Size(sample_shape)).to(self.logits.dtype)


class Levels(Scalar):
    """Base of distributions of 0, ..., levels - 1."""

    def __init__(self, levels: int, *, validate_args: bool | None = None, **parameters: Tensor) -> None:
        self.levels = levels
        super().__init__(validate_args=validate_args, **parameters)

    @property
    def support(self) -> constraints.Constraint:
        return constraints.integer_interval(0, self.levels - 1)


class Binomial(Levels):
    r"""Binomial distribution of levels - 1 trials, whose coefficients are a table of float64 numbers.

    Pyro's takes three log-gammas per element: several times slower, and with fewer digits in float32.

    Args:
        logits: Log odds.
        levels: Number of levels, one more than of trials.

    Example:
        >>> Binomial(torch.zeros(1), 3).log_prob(torch.tensor([[0.0], [1.0], [2.0]])).exp().squeeze(-1)
        tensor([0.2500, 0.5000, 0.2500])
    """

    logits: Tensor
    arg_constraints: ClassVar = {"logits": constraints.real}

    def __init__(self, logits: Tensor, levels: int, *, validate_args: bool | None = None) -> None:
        super().__init__(levels, logits=logits, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return (self.levels - 1) * self.logits.sigmoid()

    def _log_prob(self, value: Tensor) -> Tensor:
        table = log_binomial_coefficients(self.logits, self.levels)
        ones, zeros = value * logsigmoid(self.logits), (self.levels - 1 - value) * logsigmoid(-self.logits)
        return table[value.long()] + ones + zeros

    def _draw(self, shape: torch.Size) -> Tensor:
        probs = self.logits.sigmoid().expand(shape)
        return torch.binomial(torch.full_like(probs, self.levels - 1), probs)


def log_binomial_coefficients(like: Tensor, levels: int) -> Tensor:
    """Returns log (n choose k) for n = levels - 1 and k = 0, ..., n, of the other tensor's type."""
    log_factorials = torch.lgamma(wide(torch.arange(levels, device=like.device).to(like.dtype)) + 1)
    return (log_factorials[-1] - log_factorials - log_factorials.flip(0)).to(like.dtype)


class DiscretizedLogistic(Levels):
    r"""Logistic distribution rounded to 0, ..., levels - 1; the outer levels take its tails (Salimans et al., 2017).

    With :math:`a, b = (k \mp 1/2 - \mu) / s`, the difference of two sigmoids is taken without cancellation:

    .. math:: \log(\sigma(b) - \sigma(a)) = \log \sigma(b) + \log \sigma(-a) + \log(1 - e^{-1/s})

    Args:
        loc: Location :math:`\mu` in levels.
        scale: Scale :math:`s` in levels.
        levels: Number of levels.

    Example:
        >>> p = DiscretizedLogistic(torch.tensor(2.0), torch.tensor(0.001), 3)
        >>> p.log_prob(torch.tensor([0.0, 1.0, 2.0])).round().abs()
        tensor([1500.,  500.,    0.])
    """

    loc: Tensor
    scale: Tensor
    arg_constraints: ClassVar = {"loc": constraints.real, "scale": constraints.positive}

    def __init__(self, loc: Tensor, scale: Tensor, levels: int, *, validate_args: bool | None = None) -> None:
        super().__init__(levels, loc=loc, scale=scale, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """E[k], the sum of P(k >= j) over j > 0, one level at a time: all at once would need 255 times the memory."""
        total = torch.zeros_like(self.loc)
        for j in range(1, self.levels):
            total = total + torch.sigmoid((self.loc - (j - 0.5)) / self.scale)
        return total

    def _log_prob(self, value: Tensor) -> Tensor:
        inner, top = (value > 0) & (value < self.levels - 1), self.levels - 1
        width = torch.log(-torch.expm1(-1 / self.scale))
        at_most = logsigmoid((value + 0.5 - self.loc) / self.scale)
        at_least = logsigmoid((self.loc - (value - 0.5)) / self.scale)
        outer = torch.where(value < top, at_most, 0.0) + torch.where(value > 0, at_least, 0.0)
        return outer + torch.where(inner, width, 0.0)

    def _draw(self, shape: torch.Size) -> Tensor:
        noise = torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device).logit()
        return (self.loc + self.scale * noise).round().clamp(0, self.levels - 1)


def discretized_logistic(loc: Tensor, scale: Tensor, levels: int) -> DiscretizedLogistic:
    """Returns the distribution of levels whose location and scale are given where white is 1."""
    return DiscretizedLogistic(loc * (levels - 1), scale * (levels - 1), levels)
