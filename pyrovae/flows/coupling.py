"""Coupling flows: half of the dimensions stay, and say how the others move. Exact, one pass in both directions."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from pyrovae.errors import PyrovaeError
from pyrovae.flows.bijections import Affine, near_zero
from pyrovae.flows.distribution import Flow
from pyrovae.networks import MLP


class Coupling(nn.Module):
    """One layer: the first half of the dimensions in ``order`` and the context set the bijections of the second half.

    What sets them does not move, so that the inverse asks the network the same question.
    """

    order: Tensor
    undo: Tensor

    def __init__(self, order: Tensor, context: int, hidden: Sequence[int], bijection: Affine) -> None:
        super().__init__()
        self.kept, self.bijection = len(order) // 2, bijection
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("undo", order.argsort(), persistent=False)
        moved = len(order) - self.kept
        self.network = MLP(
            (self.kept + context,), (moved, bijection.parameters), hidden=list(hidden), activation="silu"
        )
        near_zero(self.network.layers[-1])

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._move(x, context, self.bijection.forward)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._move(z, context, self.bijection.inverse)

    def _move(
        self, value: Tensor, context: Tensor | None, bijection: Callable[..., tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor]:
        kept, moved = value.index_select(-1, self.order).tensor_split([self.kept], -1)
        moved, log_slope = bijection(moved, self.network(with_context(kept, context)))
        kept = kept.expand(*moved.shape[:-1], -1)
        return torch.cat([kept, moved], -1).index_select(-1, self.undo), log_slope.sum(-1)


def with_context(value: Tensor, context: Tensor | None) -> Tensor:
    """Appends the context to each point; their batch shapes broadcast."""
    if context is None:
        return value
    batch = torch.broadcast_shapes(value.shape[:-1], context.shape[:-1])
    return torch.cat([value.expand(*batch, -1), context.expand(*batch, -1)], -1)


def orders(dim: int, layers: int) -> list[Tensor]:
    """Returns the order of dimensions of each layer: every second one is reversed, every pair is riffled anew.

    A pair of layers moves every dimension; riffling (evens, then odds) parts those that stood in one half.

    Example:
        >>> [order.tolist() for order in orders(4, 4)]
        [[0, 1, 2, 3], [3, 2, 1, 0], [0, 2, 1, 3], [3, 1, 2, 0]]
    """
    order, result = torch.arange(dim), []
    for layer in range(layers):
        result.append(order.flip(0) if layer % 2 else order)
        order = torch.cat([order[::2], order[1::2]]) if layer % 2 else order
    return result


def coupling_flow(dim: int, context: int = 0, *, layers: int = 4, hidden: Sequence[int] = (64, 64)) -> Flow:
    """Returns a coupling flow over ``dim`` dimensions, near the identity (Dinh, Sohl-Dickstein and Bengio, 2017).

    Args:
        dim: Number of dimensions.
        context: Size of the context that every layer reads; 0 reads none.
        layers: Number of layers; two of them move every dimension once.
        hidden: Widths of the hidden layers of each layer's network.

    Raises:
        PyrovaeError: There is one dimension only, so that nothing could say how it moves.

    Example:
        >>> z, log_det = coupling_flow(5)(torch.zeros(7, 5))
        >>> z.shape, log_det.shape
        (torch.Size([7, 5]), torch.Size([7]))
    """
    if dim < 2:
        raise PyrovaeError(
            f"vae.latent_dim = {dim}: a coupling flow moves some dimensions by others, it needs 2 or more",
            hint="set vae.latent_dim to 2, or use the prior 'gaussian-mixture', the posterior 'diagonal-normal'",
        )
    return Flow(*(Coupling(order, context, hidden, Affine()) for order in orders(dim, layers)))
