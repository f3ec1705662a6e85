r"""What Pyro's families lack: mixtures that stay cheap with hundreds of components, scales that cannot run away, and
divergences from a diagonal normal in closed form.

Notation: a mixture of K components over z in R^D is :math:`p(z) = \sum_k w_k\, p_k(z)`, the
*responsibilities* are :math:`p(k \mid z) = w_k p_k(z) / p(z)`.
"""

import copy
import math
from typing import Any, ClassVar

import torch
from pyro.distributions import (
    Categorical,
    Independent,
    Laplace,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    StudentT,
    TorchDistribution,
)
from torch import Tensor, nn
from torch import distributions as families
from torch.distributions import Distribution, Transform, constraints, register_kl

from pyrovae.errors import PyrovaeError
from pyrovae.seeding import seeded

SCALE_REACH = math.log(1e4)  # a bounded scale lies between 1e-4 and 1e4
FAR = -60.0  # log weight below the nearest component, where a component is dropped: e^-60 is under a float64's rounding


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


# Families that are their parameters and nothing else, so that one of a batch can be picked.
PARAMETERS: dict[type, tuple[str, ...]] = {
    Normal: ("loc", "scale"),
    Laplace: ("loc", "scale"),
    StudentT: ("df", "loc", "scale"),
    MultivariateNormal: ("loc", "scale_tril"),
    LowRankMultivariateNormal: ("loc", "cov_factor", "cov_diag"),
}


def pick(components: TorchDistribution, index: Tensor) -> TorchDistribution | None:
    """Returns the components with these numbers, batch shape that of the index; nothing where a family hides them.

    Example:
        >>> pick(Normal(torch.arange(5.0), 1.0), torch.tensor([3, 3, 0])).mean
        tensor([3., 3., 0.])
    """
    if isinstance(components, Independent):
        base = pick(components.base_dist, index)
        return None if base is None else base.to_event(components.reinterpreted_batch_ndims)
    names = PARAMETERS.get(type(components), ())
    given = {name: getattr(components, name)[index] for name in names}
    return type(components)(**given) if given else None


class Mixture(TorchDistribution):
    r"""Mixture of any K components of one family, :math:`p(z) = \sum_k w_k\, p_k(z)`.

    Pyro's ``MixtureSameFamily`` has a support that NUTS cannot transform; this one has its components' support.

    Args:
        logits: Unnormalised log weights, shape ``(*batch, K)``; ``-inf`` leaves a component out.
        components: Distribution with batch shape ``(K,)`` and event shape ``(D,)``.

    Example:
        >>> from pyro.distributions import MultivariateNormal
        >>> two = MultivariateNormal(torch.tensor([[-2.0, 0.0], [2.0, 0.0]]), torch.eye(2))
        >>> Mixture(torch.zeros(2), two).log_prob(torch.zeros(5, 2)).shape
        torch.Size([5])
    """

    arg_constraints: ClassVar = {"log_weights": constraints.independent(constraints.real, 1)}

    def __init__(self, logits: Tensor, components: TorchDistribution, *, validate_args: bool | None = None) -> None:
        self.log_weights = logits - logits.logsumexp(-1, keepdim=True)
        self.components = components
        super().__init__(logits.shape[:-1], components.event_shape, validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint | None:
        return self.components.support

    @property
    def mean(self) -> Tensor:
        return (self.log_weights.exp().unsqueeze(-1) * self.components.mean).sum(-2)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Mixture":
        new = copy.copy(self)
        new._batch_shape = torch.Size(batch_shape)
        new.log_weights = self.log_weights.expand(*batch_shape, -1)
        return new

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with torch.no_grad():
            index = Categorical(logits=self.log_weights).sample(sample_shape)
            return self._draw(index)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        joint = self._joint(value)
        nearest = joint.amax(-1, keepdim=True).detach()
        # Far components would underflow to denormal numbers, which slow the matrix products of the backward pass.
        near = (joint - nearest).clamp(min=FAR)
        return (nearest.squeeze(-1) + near.logsumexp(-1)).to(value.dtype)

    def responsibilities(self, value: Tensor) -> Tensor:
        """Returns p(k | z), shape ``(*batch, K)``."""
        return self._joint(value).softmax(-1).to(value.dtype)

    def _joint(self, value: Tensor) -> Tensor:
        """Returns log w_k + log p_k(z), shape ``(*batch, K)``."""
        return self.log_weights + self.components.log_prob(value.unsqueeze(-2))

    def _draw(self, index: Tensor) -> Tensor:
        chosen = pick(self.components, index)
        if chosen is not None:
            return chosen.sample()
        draws = self.components.sample(index.shape)
        index = index[..., None, None].expand(*index.shape, 1, draws.shape[-1])
        return draws.gather(-2, index).squeeze(-2)


class DiagonalNormalMixture(Mixture):
    r"""Mixture of K diagonal normals, whose log density is two matrix products instead of a ``(batch, K, D)`` tensor.

    .. math:: \sum_d \frac{(z_d - m_{kd})^2}{s_{kd}^2} = (z^2)^\top p_k - 2 z^\top (m_k p_k) + m_k^\top (m_k p_k),
        \quad p_{kd} = s_{kd}^{-2}

    The three terms cancel where scales are small, so they are centred and summed in float64 (on MPS, which has none,
    in float32: scales below about 0.01 lose digits there).

    Args:
        logits: Unnormalised log weights, shape ``(*batch, K)``; ``-inf`` leaves a component out.
        loc: Means, shape ``(K, D)``.
        scale: Standard deviations, shape ``(K, D)``.

    Example:
        >>> DiagonalNormalMixture(torch.zeros(500), torch.randn(500, 50), torch.ones(500, 50))
        DiagonalNormalMixture(components: 500, event_shape: (50,))
    """

    def __init__(self, logits: Tensor, loc: Tensor, scale: Tensor, *, validate_args: bool | None = None) -> None:
        self.loc, self.scale = loc, scale  # first: a refused argument is reported with the repr
        super().__init__(logits, Normal(loc, scale).to_event(1), validate_args=validate_args)

    def __repr__(self) -> str:
        return f"DiagonalNormalMixture(components: {len(self.loc)}, event_shape: {tuple(self.event_shape)})"

    def _joint(self, value: Tensor) -> Tensor:
        wide = torch.float32 if value.device.type == "mps" else torch.float64
        # Widened before they are centred: the difference of two float32 numbers has lost what float64 would keep.
        centre = self.loc.mean(0).detach().to(wide)
        value, loc = value.to(wide) - centre, self.loc.to(wide) - centre
        precision = self.scale.to(wide).pow(-2)
        pull = loc * precision
        square = value.square() @ precision.T - 2 * (value @ pull.T) + (loc * pull).sum(-1)
        norm = self.scale.log().sum(-1) + 0.5 * math.log(2 * math.pi) * loc.shape[-1]
        return (self.log_weights - norm) - 0.5 * square


class CorrelatedNormalMixture(Mixture):
    r"""Mixture of K normals with full covariances :math:`L_k L_k^\top`, whose log density is one batch of K products.

    .. math:: (z - m_k)^\top (L_k L_k^\top)^{-1} (z - m_k) = \lVert L_k^{-1} z - L_k^{-1} m_k \rVert^2

    Each factor is inverted once, whatever the number of z: triangular solves of every z are slower, mainly backwards.

    Args:
        logits: Unnormalised log weights, shape ``(*batch, K)``; ``-inf`` leaves a component out.
        components: ``MultivariateNormal`` with batch shape ``(K,)`` and event shape ``(D,)``.

    Example:
        >>> CorrelatedNormalMixture(torch.zeros(3), MultivariateNormal(torch.zeros(3, 2), torch.eye(2)))
        CorrelatedNormalMixture(components: 3, event_shape: (2,))
    """

    def __repr__(self) -> str:
        return (
            f"CorrelatedNormalMixture(components: {len(self.components.loc)}, event_shape: {tuple(self.event_shape)})"
        )

    def _joint(self, value: Tensor) -> Tensor:
        loc, factor = self.components.loc, self.components.scale_tril
        dim = loc.shape[-1]
        inverse = torch.linalg.solve_triangular(factor, torch.eye(dim).to(factor).expand_as(factor), upper=False)
        white = inverse @ (value.reshape(-1, dim).T - loc.unsqueeze(-1))  # (K, D, N)
        square = white.square().sum(-2).T.reshape(*value.shape[:-1], len(loc))
        norm = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1) + 0.5 * math.log(2 * math.pi) * dim
        return (self.log_weights - norm) - 0.5 * square


def is_diagonal_normal(distribution: Any) -> bool:
    return isinstance(distribution, Independent) and isinstance(distribution.base_dist, Normal)


def mixture(logits: Tensor, components: TorchDistribution) -> Mixture:
    """Returns the cheapest mixture of these components: matrix products where they are diagonal normals."""
    if is_diagonal_normal(components):
        return DiagonalNormalMixture(logits, components.base_dist.loc, components.base_dist.scale)
    if isinstance(components, MultivariateNormal):
        return CorrelatedNormalMixture(logits, components)
    return Mixture(logits, components)


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


def expectation(distribution: TorchDistribution, draws: int = 256) -> Tensor:
    """Returns the mean, of a fixed seed's draws where it has no closed form, as a flow's has not.

    Example:
        >>> expectation(Normal(torch.zeros(3), 1.0).to_event(1))
        tensor([0., 0., 0.])
    """
    try:
        return distribution.mean
    except NotImplementedError:
        with seeded(0):
            return distribution.sample((draws,)).mean(0)
