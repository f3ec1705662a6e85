r"""Stacked denoising autoencoders with two heads: the state and the place of a text.

Each layer is an autoencoder of its input, part of which is set to 0 (Vincent et al., 2010):

.. math:: h = \sigma(W \tilde x + b), \qquad \hat x = \sigma(W^\top h + c)

The decoders are dropped after pretraining, so they share the weights of their encoders. Both heads read the last layer.
Liu and Inkpen (2015) placed users by such a network, from the words they write.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyrovae.ranges import Natural, NonNegative, Range
from pyrovae.sphere import to_degrees, to_vectors

Rate = Annotated[float, Range(0, 1, open_high=True)]


def stack_options(
    *,
    hidden: Sequence[int] = (200, 100, 100),
    corruption: Rate = 0.3,
    dropout: Rate = 0.2,
    pretrain: Natural = 2,
    location: NonNegative = 1.0,
) -> dict[str, Any]:
    """Options of a stack of denoising autoencoders and of what trains it.

    Args:
        hidden: Units of each layer.
        corruption: Share of a layer's input that is set to 0 while the layer is pretrained.
        dropout: Share of the units of each layer that are left out in fine-tuning (Srivastava et al., 2014).
        pretrain: Epochs for each layer alone, of those of ``train.epochs``; 0 for none.
        location: Weight of the squared error of the place beside the cross entropy of the state.
    """
    network = {"hidden": hidden, "corruption": corruption, "dropout": dropout}
    return network | {"pretrain": pretrain, "location": location}


class DenoisingLayer(nn.Module):
    """A denoising autoencoder with tied weights, of elements in [0, 1] (Vincent et al., 2010).

    Args:
        size: Elements of its input.
        hidden: Units.
        corruption: Share of its input that is set to 0 in training.

    Example:
        >>> layer = DenoisingLayer(6, 4)
        >>> layer(torch.ones(2, 6)).shape, layer.reconstruction_loss(torch.ones(2, 6)).shape
        (torch.Size([2, 4]), torch.Size([]))
    """

    def __init__(self, size: int, hidden: int, *, corruption: float = 0.3) -> None:
        super().__init__()
        self.corruption = corruption
        self.weight = nn.Parameter(torch.empty(hidden, size))
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.decoder_bias = nn.Parameter(torch.zeros(size))
        # Four times Glorot and Bengio's (2010) range for tanh, of which a sigmoid has a quarter of the slope.
        nn.init.xavier_uniform_(self.weight, gain=4.0)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the code, shape ``(n, hidden)``."""
        return functional.linear(x, self.weight, self.bias).sigmoid()

    def corrupted(self, x: Tensor) -> Tensor:
        """Returns x with elements set to 0 at random, in training."""
        return x * (torch.rand_like(x) >= self.corruption) if self.training and self.corruption else x

    def reconstruction_loss(self, x: Tensor) -> Tensor:
        """Returns the cross entropy of x given the code of what is left of it, in nats, summed over all of x."""
        logits = functional.linear(self(self.corrupted(x)), self.weight.T, self.decoder_bias)
        return functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")


class StackedAutoencoder(nn.Module):
    """A stack of denoising autoencoders under a head for the class and one for the place.

    The place is predicted as a vector, in units of the training data: less their mean, over their spread, so that the
    squared error of the mean place is 1.

    Args:
        event_shape: Shape of one datum.
        classes: How many states.
        hidden: Units of each layer.
        corruption: Share of a layer's input that is set to 0 while it is pretrained.
        dropout: Share of each layer's units that are left out in fine-tuning.

    Example:
        >>> stack = StackedAutoencoder((6,), 3, hidden=(5, 4))
        >>> [part.shape for part in stack(torch.ones(2, 6))], stack.eval().predict(torch.ones(2, 6))[1].shape
        ([torch.Size([2, 3]), torch.Size([2, 3])], torch.Size([2, 2]))
    """

    loc: Tensor
    scale: Tensor

    def __init__(
        self,
        event_shape: Sequence[int],
        classes: int,
        *,
        hidden: Sequence[int] = (200, 100, 100),
        corruption: float = 0.3,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.event_shape, self.classes, self.dropout = tuple(event_shape), classes, dropout
        sizes = pairwise([prod(event_shape), *hidden])
        self.layers = nn.ModuleList(DenoisingLayer(*size, corruption=corruption) for size in sizes)
        self.state_head = nn.Linear(hidden[-1], classes)
        self.place_head = nn.Linear(hidden[-1], 3)
        self.register_buffer("loc", torch.zeros(3))
        self.register_buffer("scale", torch.ones(()))

    @torch.no_grad()
    def start_from(self, x: Tensor, degrees: Tensor) -> None:
        """Takes over how frequent the features of training data are, and mean and spread of their places in degrees.

        The first decoder starts at the frequencies (Hinton, 2012, "A Practical Guide to Training Restricted Boltzmann
        Machines"): nearly all elements are 0, and the codes would first of all learn to say so.
        """
        frequency = (x.double().sum(0) + 1) / (len(x) + 2)
        self.layers[0].decoder_bias.copy_(frequency.logit().flatten())  # type: ignore[operator]
        vectors = to_vectors(degrees.double())
        self.loc.copy_(vectors.mean(0))
        self.scale.copy_((vectors - vectors.mean(0)).square().sum(1).mean().sqrt().clamp(min=1e-6))

    def codes(self, x: Tensor, depth: int) -> Tensor:
        """Returns what layer ``depth`` reads, without any noise."""
        for layer in self.layers[:depth]:
            x = layer(x)
        return x

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the logits of the states, shape ``(n, classes)``, and the scaled place, shape ``(n, 3)``."""
        for layer in self.layers:
            x = functional.dropout(layer(x), self.dropout, self.training)
        return self.state_head(x), self.place_head(x)

    def scaled(self, degrees: Tensor) -> Tensor:
        """Returns places in the units of the head."""
        return (to_vectors(degrees) - self.loc) / self.scale

    @torch.no_grad()
    def predict(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the most probable state, shape ``(n,)``, and the place in degrees, shape ``(n, 2)``."""
        logits, place = self(x)
        return logits.argmax(1), to_degrees(place * self.scale + self.loc)
