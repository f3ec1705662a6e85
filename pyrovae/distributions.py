"""What Pyro's families lack: scales that cannot run away, closed-form divergences from a diagonal normal, twins without
gradient, masks, and means where there is no formula.
"""

import copy
import math
from typing import Any

import torch
from pyro.distributions import (
    Independent,
    Normal,
    TorchDistribution,
)
from torch import Tensor, nn
from torch import distributions as families
from torch.distributions import Distribution, Transform, register_kl

from pyrovae.errors import PyrovaeError

SCALE_REACH = math.log(1e4)  # a bounded scale lies between 1e-4 and 1e4


def bounded_scale(raw: Tensor) -> Tensor:
    r"""Maps any real number to a scale in (1e-4, 1e4), like ``exp`` near zero and never infinite.

    .. math:: \sigma = \exp(h \tanh(r / h)), \quad h = \log 10^4

    The slope at 0 is that of ``exp``; unlike a clamp, it is nowhere zero before rounding.

    Example:
        >>> bounded_scale(torch.tensor([-1e6, 0.0, 1e6])).log10().round()
        tensor([-4.,  0.,  4.])
    """
    return torch.exp(SCALE_REACH * torch.tanh(raw / SCALE_REACH))


def unbounded_scale(scale: float) -> float:
    """Inverts :func:`bounded_scale`: the raw number to start a parameter at.

    Raises:
        PyrovaeError: The scale is outside (1e-4, 1e4).

    Example:
        >>> round(bounded_scale(torch.tensor(unbounded_scale(0.1))).item(), 6)
        0.1
    """
    if not 1e-4 < scale < 1e4:
        raise PyrovaeError(f"scale = {scale:g}", hint="give a number above 1e-4 and below 1e4")
    return SCALE_REACH * math.atanh(math.log(scale) / SCALE_REACH)


def cholesky_factor(scale: Tensor, below: Tensor) -> Tensor:
    """Returns a Cholesky factor whose rows carry their scale, so that a correlation means the same at every scale.

    Args:
        scale: The diagonal, above 0, shape ``(*batch, D)``.
        below: What stands below it before rows are scaled, row by row, shape ``(*batch, D (D - 1) / 2)``.

    Example:
        >>> cholesky_factor(torch.tensor([1.0, 3.0]), torch.tensor([0.5]))
        tensor([[1.0000, 0.0000],
                [1.5000, 3.0000]])
    """
    dim = scale.shape[-1]
    rows, columns = torch.tril_indices(dim, dim, -1, device=scale.device)
    factor = torch.eye(dim, dtype=scale.dtype, device=scale.device).expand(*scale.shape, dim).clone()
    factor[..., rows, columns] = below
    return scale.unsqueeze(-1) * factor


def is_diagonal_normal(distribution: Any) -> bool:
    return isinstance(distribution, Independent) and isinstance(distribution.base_dist, Normal)


def cross_entropy(p: Distribution, q: families.Normal) -> Tensor:
    r"""Returns minus the mean of log q under p by dimension, exact for a normal q and any p of finite variance."""
    return 0.5 * p.variance / q.variance - q.log_prob(p.mean)


@register_kl(families.StudentT, families.Normal)
def _kl_student_normal(p: families.StudentT, q: families.Normal) -> Tensor:
    return cross_entropy(p, q) - p.entropy()


@register_kl(families.MultivariateNormal, families.Independent)
@register_kl(families.LowRankMultivariateNormal, families.Independent)
def _kl_correlated_independent(p: Distribution, q: families.Independent) -> Tensor:
    if not is_diagonal_normal(q):
        raise NotImplementedError  # what torch raises for families without a closed form
    return cross_entropy(p, q.base_dist).sum(-1) - p.entropy()


def detached(value: Any) -> Any:
    """Returns a distribution's twin whose tensors carry no gradient, so that only the *path* through its sample does.

    Nested distributions, transforms and the modules of a flow are followed; transforms forget their cache, which would
    hand back the log density with the gradient that was to be cut. The originals keep their parameters.

    Raises:
        PyrovaeError: A flow's layer has no inverse, so that only the draw's own graph knows the density.

    Example:
        >>> loc = torch.zeros(3, requires_grad=True)
        >>> detached(Normal(loc, 1.0).to_event(1)).log_prob(torch.ones(3)).requires_grad
        False
    """
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
        return type(value)(detached(v) for v in value)
    if type(value) is dict:  # a module's parameters and submodules
        return {name: detached(v) for name, v in value.items()}
    if not isinstance(value, Distribution | Transform | nn.Module):
        return value
    if not getattr(value, "invertible", True):
        raise PyrovaeError(
            f"a path derivative inverts the posterior's flow, and '{type(value).__name__}' has no quick inverse",
            hint="use the posterior 'flow', or no path derivative",
        )
    twin = copy.copy(value)
    twin.__dict__.update({name: detached(v) for name, v in value.__dict__.items()})
    if isinstance(twin, Transform):
        twin._cached_x_y = (None, None)
        twin._inv = None
    return twin


def masked(distribution: Independent, observed: Tensor) -> TorchDistribution:
    """Returns the distribution of one datum's observed elements; the others count nothing.

    Args:
        distribution: Independent elements, event shape that of one datum.
        observed: Booleans, shape ``(n, *event_shape)``.

    Raises:
        PyrovaeError: The elements are not independent: nothing tells one element's share of the density.

    Example:
        >>> x = torch.tensor([[0.0, 9.0]])
        >>> masked(Normal(torch.zeros(1, 2), 1.0).to_event(1), x < 5).log_prob(x)
        tensor([-0.9189])
    """
    event_dim = len(distribution.event_shape)
    if not isinstance(distribution, Independent) or distribution.reinterpreted_batch_ndims != event_dim:
        raise PyrovaeError("missing values need a likelihood of independent elements", hint="set data.missing to false")
    elements: TorchDistribution = distribution.base_dist.mask(observed).to_event(event_dim)
    return elements
