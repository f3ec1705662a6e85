"""A posterior that bends a normal by an inverse autoregressive flow."""

from collections.abc import Sequence

from pyrovae.flows import autoregressive_flow
from pyrovae.networks import Network
from pyrovae.posteriors.flow import FlowedNormal


class InverseAutoregressive(FlowedNormal):
    """Diagonal normal through an inverse autoregressive flow, density at its own draws only (Kingma et al., 2016).

    Args:
        network: Makes the encoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension of z.
        event_shape: Shape of one datum.
        classes: Number of classes the encoder reads; 0 reads none.
        layers: Number of autoregressive layers, in turn forwards and backwards through the dimensions.
        hidden: Widths of the hidden layers of each layer's network.
        context: How many numbers the encoder tells the flow about x.

    Example:
        >>> import torch
        >>> from pyrovae import MLP
        >>> q = InverseAutoregressive(MLP, 2, (8,))(torch.zeros(5, 8))
        >>> q.log_prob(q.rsample()).shape
        torch.Size([5])
        >>> q.log_prob(torch.zeros(5, 2))
        Traceback (most recent call last):
        pyrovae.errors.PyrovaeError: an inverse autoregressive flow knows ...
    """

    density = "own-draws"

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
        flow = autoregressive_flow(latent_dim, context, layers=layers, hidden=hidden)
        super().__init__(network, latent_dim, event_shape, classes, context, flow)
