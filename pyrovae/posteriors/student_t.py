"""A mean-field posterior with heavy tails, which keep importance weights bounded."""

from collections.abc import Sequence
from typing import Annotated

from pyro.distributions import StudentT, TorchDistribution
from torch import Tensor, nn

from pyrovae.distributions import bounded_scale
from pyrovae.errors import PyrovaeError
from pyrovae.networks import Network
from pyrovae.ranges import Range

MOST = 1e3  # beyond it float32's normaliser and entropy cancel to noise


class DiagonalStudentT(nn.Module):
    """Student's t with independent dimensions; its heavy tails bound importance weights (Domke and Sheldon, 2018).

    The degrees of freedom are not learned: a bound would let them grow wherever p(z | x) is nearly normal.

    Args:
        network: Makes the encoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension of z.
        event_shape: Shape of one datum.
        classes: Number of classes the encoder reads; 0 reads none.
        df: Degrees of freedom, above 2, where variances are finite, and at most 1000, which is as good as a normal.

    Raises:
        PyrovaeError: ``df`` is outside that.

    Example:
        >>> import torch
        >>> from pyrovae import MLP
        >>> DiagonalStudentT(MLP, 16, (8,), df=4)(torch.zeros(5, 8)).batch_shape
        torch.Size([5])
    """

    def __init__(
        self,
        network: Network,
        latent_dim: int,
        event_shape: Sequence[int],
        classes: int = 0,
        *,
        df: Annotated[float, Range(2, 1e3)] = 5.0,
    ) -> None:
        super().__init__()
        if not 2 < df <= MOST:
            raise PyrovaeError(f"posterior.df = {df:g}", hint=f"give a number above 2 and at most {MOST:g}")
        self.classes, self.df = classes, df
        self.encoder = network(event_shape, (2 * latent_dim,), classes)

    def forward(self, x: Tensor, y: Tensor | None = None) -> TorchDistribution:
        loc, raw_scale = self.encoder(x, y).chunk(2, -1)
        return StudentT(self.df, loc, bounded_scale(raw_scale)).to_event(1)
