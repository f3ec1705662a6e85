"""Networks: plain modules that map one datum to one datum, ``(..., *in_shape) -> (..., *out_shape)``.

A part asks for its network as a callable ``network(in_shape, out_shape, classes)``, so that nobody computes sizes by
hand. Networks normalise nothing over the batch: a datum's output must not depend on its neighbours.
"""

from pyrovae.networks.characters import one_hot
from pyrovae.networks.conv import conv, gated_conv
from pyrovae.networks.counts import log_counts
from pyrovae.networks.gru import gru
from pyrovae.networks.mlp import MLP, gated_mlp
from pyrovae.networks.resnet import resnet
from pyrovae.networks.shapes import Network

NETWORKS: dict[str, Network] = {
    "mlp": MLP,
    "gated-mlp": gated_mlp,
    "conv": conv,
    "gated-conv": gated_conv,
    "resnet": resnet,
    "gru": gru,
}

__all__ = ["MLP", "NETWORKS", "Network", "conv", "gated_conv", "gated_mlp", "gru", "log_counts", "one_hot", "resnet"]
