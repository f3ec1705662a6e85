"""What distributions of one number share: parameters expanded by name, and float64 where digits would be lost."""

import copy
from typing import Any, ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.utils import broadcast_all


def wide(value: Tensor) -> Tensor:
    """Returns the value in float64, for small differences of large numbers; MPS has none and keeps float32."""
    return value if value.device.type == "mps" else value.double()


class Scalar(TorchDistribution):
    """Base of one-dimensional distributions: their parameters are broadcast, and expanded by name."""

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}

    def __init__(self, *, validate_args: bool | None = None, **parameters: Any) -> None:
        self._names = tuple(parameters)
        self.__dict__.update(zip(parameters, broadcast_all(*parameters.values()), strict=True))
        super().__init__(getattr(self, self._names[0]).shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Scalar":
        new = copy.copy(self)
        new._batch_shape = torch.Size(batch_shape)
        new.__dict__.update({name: getattr(self, name).expand(batch_shape) for name in self._names})
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return self._log_prob(value)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with torch.no_grad():
            return self._draw(self._extended_shape(torch.Size(sample_shape)))

    def _log_prob(self, value: Tensor) -> Tensor:
        raise NotImplementedError

    def _draw(self, shape: torch.Size) -> Tensor:
        raise NotImplementedError


class Wrapper(TorchDistribution):
    """Base of distributions that see another one in their own way."""

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}

    def __init__(self, base: TorchDistribution, *, validate_args: bool | None = None) -> None:
        self.base = base
        super().__init__(base.batch_shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Wrapper":
        new = copy.copy(self)
        new.base, new._batch_shape = self.base.expand(batch_shape), torch.Size(batch_shape)
        return new


class Widened(Wrapper):
    r"""A distribution with float64 parameters, for the programs one of a narrower type.

    The probabilities of counts are small differences of large numbers: in float32,
    :math:`k \log \lambda - \lambda - \log k!` is wrong by a whole nat at :math:`k = 10^6`.

    Args:
        base: Distribution with parameters in float64.
        dtype: What draws, means and log densities are given in.

    Example:
        >>> from pyro import distributions as dist
        >>> rate = torch.tensor([1e6])
        >>> Widened(dist.Poisson(rate.double()), rate.dtype).log_prob(rate)
        tensor([-7.8267])
    """

    def __init__(self, base: TorchDistribution, dtype: torch.dtype, *, validate_args: bool | None = None) -> None:
        self.dtype = dtype
        super().__init__(base, validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint | None:
        return self.base.support

    @property
    def mean(self) -> Tensor:
        return self.base.mean.to(self.dtype)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.base.sample(sample_shape).to(self.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.base.log_prob(wide(value)).to(self.dtype)
