"""Networks that read the codes of characters."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pyrovae.networks.shapes import Network, Shaped


def one_hot(network: Network, levels: int) -> Network:
    """Makes a network that reads a unit vector for each code 1, 2, ... instead of the code, and zeros for the end.

    A network's first layer then has a column for each character, which is its embedding.

    Args:
        network: Any callable ``network(in_shape, out_shape, classes)``, a row of the table or a partial of one.
        levels: Number of codes, that of the end included.

    Returns:
        A callable of the same kind, which hands options on.

    Example:
        >>> from pyrovae.networks import gru
        >>> one_hot(gru, 30)((24,), (32,), hidden=16)
        OneHot(
          (24,) -> (32,)
          (network): SequenceEncoder(
            (24, 29) -> (32,)
            (gru): GRU(29, 16, batch_first=True)
            (head): Linear(in_features=16, out_features=32, bias=True)
          )
        )
    """
    return partial(OneHot, network, levels)


class OneHot(Shaped):
    """A network of unit vectors."""

    def __init__(
        self,
        network: Network,
        levels: int,
        in_shape: Sequence[int],
        out_shape: Sequence[int],
        classes: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(in_shape, out_shape, classes)
        self.levels = levels
        self.network = network((*in_shape, levels - 1), out_shape, classes, **options)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        out: Tensor = self.network(unit_vectors(x, self.levels), y)
        return out


def unit_vectors(x: Tensor, levels: int) -> Tensor:
    """Returns a unit vector for each code 1, 2, ... and zeros for 0, shape ``(*x.shape, levels - 1)``.

    Example:
        >>> unit_vectors(torch.tensor([2.0, 1.0, 0.0]), 3).tolist()
        [[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]
    """
    # Rows of a matrix, as in `append_label`: a traced graph cannot look at values.
    return torch.eye(levels, dtype=x.dtype, device=x.device)[:, 1:][x.long()]
