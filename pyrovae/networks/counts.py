"""Networks that read counts."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor

from pyrovae.networks.shapes import Network, Shaped


def log_counts(network: Network) -> Network:
    """Makes a network that reads log(1 + x) of counts x instead of x, as scVI does (Lopez et al., 2018).

    Labels are read as they are, and nothing else is done to x: at -1 and below, the logarithm is no number.

    Args:
        network: Any callable ``network(in_shape, out_shape, classes)``, a row of the table or a partial of one.

    Returns:
        A callable of the same kind, which hands options on.

    Example:
        >>> from pyrovae import MLP
        >>> log_counts(MLP)((5,), (2,), hidden=[])
        LogCounts(
          (5,) -> (2,)
          (network): MLP(
            (5,) -> (2,)
            (layers): Sequential(
              (0): Linear(in_features=5, out_features=2, bias=True)
            )
          )
        )
    """
    return partial(LogCounts, network)


class LogCounts(Shaped):
    """A network of log(1 + x)."""

    def __init__(
        self, network: Network, in_shape: Sequence[int], out_shape: Sequence[int], classes: int = 0, **options: Any
    ) -> None:
        super().__init__(in_shape, out_shape, classes)
        self.network = network(in_shape, out_shape, classes, **options)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        out: Tensor = self.network(x.log1p(), y)
        return out
