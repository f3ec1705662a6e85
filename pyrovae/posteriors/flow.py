"""A normal read from x and bent by a flow that reads x as well."""

from collections.abc import Sequence

from pyro.distributions import Normal, TorchDistribution
from torch import Tensor, nn

from pyrovae.distributions import bounded_scale
from pyrovae.flows import FlowDistribution, coupling_flow
from pyrovae.networks import Network


class FlowedNormal(nn.Module):
    """What flow posteriors share: one encoder returns loc and scale of the base and the context of the flow."""

    density = "everywhere"

    def __init__(
        self, network: Network, latent_dim: int, event_shape: Sequence[int], classes: int, context: int, flow: nn.Module
    ) -> None:
        super().__init__()
        self.classes, self.sizes = classes, [latent_dim, latent_dim, context]
        self.encoder = network(event_shape, (sum(self.sizes),), classes)
        self.flow = flow

    def forward(self, x: Tensor, y: Tensor | None = None) -> TorchDistribution:
        loc, raw_scale, context = self.encoder(x, y).split(self.sizes, -1)
        return FlowDistribution(Normal(loc, bounded_scale(raw_scale)).to_event(1), self.flow, context)


class FlowPosterior(FlowedNormal):
    """Diagonal normal through a coupling flow that reads x, density cheap everywhere (Rezende and Mohamed, 2015).

    Args:
        network: Makes the encoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension of z, 2 or more.
        event_shape: Shape of one datum.
        classes: Number of classes the encoder reads; 0 reads none.
        layers: Number of coupling layers.
        hidden: Widths of the hidden layers of each coupling layer's network.
        context: How many numbers the encoder tells the flow about x.

    Raises:
        PyrovaeError: z has one dimension.

    Example:
        >>> import torch
        >>> from pyrovae import MLP
        >>> FlowPosterior(MLP, 2, (8,))(torch.zeros(5, 8)).rsample().shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        network: Network,
        latent_dim: int,
        event_shape: Sequence[int],
        classes: int = 0,
        *,
        layers: int = 4,
        hidden: Sequence[int] = (64, 64),
        context: int = 32,
    ) -> None:
        flow = coupling_flow(latent_dim, context, layers=layers, hidden=hidden)
        super().__init__(network, latent_dim, event_shape, classes, context, flow)
