"""Networks: plain modules that map one datum to one datum, ``(..., *in_shape) -> (..., *out_shape)``.

A part asks for its network as a callable ``network(in_shape, out_shape, classes)``, so that nobody computes sizes by
hand. Networks normalise nothing over the batch: a datum's output must not depend on its neighbours.
"""

from collections.abc import Callable

from torch import nn

from pyrovae.networks.conv import conv
from pyrovae.networks.mlp import MLP

Network = Callable[..., nn.Module]

NETWORKS: dict[str, Network] = {"mlp": MLP, "conv": conv}

__all__ = ["MLP", "NETWORKS", "Network", "conv"]
