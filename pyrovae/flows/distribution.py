"""A flow of layers, and the distribution it makes of a base."""

import copy
from typing import Any, ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn
from torch.distributions import constraints

from pyrovae.seeding import seeded

DRAWS = 128  # of each sign, for a mean that has no closed form


class Flow(nn.Module):
    """Layers one after the other, the first one next to the base."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Returns z = f(x; h) and ``log |det df/dx|``, shapes ``(*batch, D)`` and ``(*batch)``."""
        log_det = x.new_zeros(())
        for layer in self.layers:
            x, term = layer(x, context)
            log_det = log_det + term
        return x, log_det

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Returns x with f(x; h) = z, and ``log |det df/dx|`` there."""
        log_det = z.new_zeros(())
        for layer in reversed(self.layers):
            z, term = layer.inverse(z, context)  # type: ignore[operator]
            log_det = log_det + term
        return z, log_det


class FlowDistribution(TorchDistribution):
    r"""Distribution of z = f(x; h) for x from a base (Rezende and Mohamed, 2015).

    .. math:: \log p(z) = \log p_0(f^{-1}(z; h)) - \log |\det \partial f / \partial x|

    A draw remembers where it came from, so its own density needs no inverse. Pyro's transform modules do so as well,
    but keep the memory in the module: a VAE could not be copied after a step, and a draw made without a graph would
    hand its constants to a later gradient. Here it belongs to one distribution and is used only with the graph it has.

    Args:
        base: Distribution of x, event shape ``(D,)``; its batch shape is that of the context, or ends in it.
        flow: Module with ``forward(x, context)`` and ``inverse(z, context)``, both with the log determinant.
        context: What the flow is conditioned on, shape ``(*batch, H)``.

    Example:
        >>> from pyro.distributions import Normal
        >>> from pyrovae.flows import coupling_flow
        >>> p = FlowDistribution(Normal(torch.zeros(3), 1.0).to_event(1), coupling_flow(3, layers=2))
        >>> z = p.rsample((5,))
        >>> torch.allclose(p.log_prob(z), p.log_prob(z.clone()), atol=1e-5)
        True
    """

    arg_constraints: ClassVar = {}
    support = constraints.real_vector
    _draw: tuple[Any, ...] = (None, None, None, False)

    def __init__(
        self,
        base: TorchDistribution,
        flow: nn.Module,
        context: Tensor | None = None,
        *,
        validate_args: bool | None = None,
    ) -> None:
        self.base, self.flow, self.context = base, flow, context
        self.has_rsample = base.has_rsample
        super().__init__(base.batch_shape, base.event_shape, validate_args=validate_args)

    def __repr__(self) -> str:
        return f"FlowDistribution(batch_shape: {tuple(self.batch_shape)}, event_shape: {tuple(self.event_shape)})"

    @property
    def mean(self) -> Tensor:
        """Mean of draws from the same noise, of both signs, for each datum (a code depends on its datum alone)."""
        with seeded(0):
            half = torch.randn(DRAWS, *self.event_shape)
        noise = torch.cat([half, -half]).to(self.base.mean)
        noise = noise.view(len(noise), *(1,) * len(self.batch_shape), *self.event_shape)
        z: Tensor = self.flow(self.base.mean + self.base.stddev * noise, self.context)[0]
        return z.mean(0)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "FlowDistribution":
        new = copy.copy(self)
        new._batch_shape = torch.Size(batch_shape)
        new.base = self.base.expand(new._batch_shape)
        return new

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        x = self.base.rsample(sample_shape)
        z: Tensor
        z, log_det = self.flow(x, self.context)
        self._draw = z, x, log_det, torch.is_grad_enabled()
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        x, log_det = self._origin(value)
        log_prob: Tensor = self.base.log_prob(x) - log_det
        return log_prob

    def _origin(self, value: Tensor) -> Any:
        """Returns x and the log determinant, those of the draw where the value is the last one."""
        z, x, log_det, graph = self._draw
        if value is z and graph >= torch.is_grad_enabled():
            return x, log_det
        return self.flow.inverse(value, self.context)  # type: ignore[operator]
