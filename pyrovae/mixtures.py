r"""Mixtures that stay cheap with hundreds of components.

A mixture of K components over z in R^D is :math:`p(z) = \sum_k w_k\, p_k(z)`, the *responsibilities* are
:math:`p(k \mid z) = w_k p_k(z) / p(z)`.
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
from torch import Tensor
from torch.distributions import constraints

from pyrovae.distributions import is_diagonal_normal
from pyrovae.scalar import wide

FAR = -60.0  # log weight below the nearest component, where a component is dropped: e^-60 is under a float64's rounding

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
        # Widened before they are centred: the difference of two float32 numbers has lost what float64 would keep.
        centre = wide(self.loc.mean(0).detach())
        value, loc = wide(value) - centre, wide(self.loc) - centre
        precision = wide(self.scale).pow(-2)
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


def mixture(logits: Tensor, components: TorchDistribution) -> Mixture:
    """Returns the cheapest mixture of these components: matrix products where they are diagonal normals."""
    if is_diagonal_normal(components):
        return DiagonalNormalMixture(logits, components.base_dist.loc, components.base_dist.scale)
    if isinstance(components, MultivariateNormal):
        return CorrelatedNormalMixture(logits, components)
    return Mixture(logits, components)
