"""A recurrent encoder and decoder of sequences."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from pyrovae.errors import PyrovaeError
from pyrovae.networks.labels import append_label
from pyrovae.networks.shapes import Shaped


def gru(in_shape: Sequence[int], out_shape: Sequence[int], classes: int = 0, *, hidden: int = 128) -> nn.Module:
    """Gated recurrent unit over a sequence of vectors, as encoder or decoder (Cho et al., 2014).

    An encoder where the input is a sequence ``(..., steps, features)``, a decoder where only the output is one. The
    encoder gives a linear map of its state after the last vector that is not all zero: what fills a short sequence up
    changes nothing. A decoder that reads what it has already drawn is part of a likelihood, see
    :class:`pyrovae.likelihoods.AutoregressiveCategorical`.

    Args:
        in_shape: Shape of one input.
        out_shape: Shape of one output.
        classes: Number of classes read beside the input; 0 reads none.
        hidden: Width of the state.

    Raises:
        PyrovaeError: Neither shape is a sequence of vectors.

    Example:
        >>> gru((24, 30), (32,))(torch.zeros(4, 2, 24, 30)).shape
        torch.Size([4, 2, 32])
    """
    if max(len(in_shape), len(out_shape)) < 2:
        raise PyrovaeError(
            f"network 'gru' needs sequences (..., steps, features), it was asked for {tuple(in_shape)} -> "
            f"{tuple(out_shape)}",
            hint="use the network 'mlp'",
        )
    kind = SequenceEncoder if len(in_shape) > 1 else SequenceDecoder
    return kind(in_shape, out_shape, classes, hidden)


class SequenceEncoder(Shaped):
    """Sequence to vector: the state after the last vector that is not all zero, and a linear map."""

    def __init__(self, in_shape: Sequence[int], out_shape: Sequence[int], classes: int, hidden: int) -> None:
        super().__init__(in_shape, out_shape, classes)
        self.start = nn.Parameter(hidden**-0.5 * (2 * torch.rand(hidden) - 1))
        self.gru = nn.GRU(in_shape[-1], hidden, batch_first=True)
        self.head = nn.Linear(hidden + classes, prod(out_shape))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        batch = x.shape[: x.dim() - len(self.in_shape)]
        sequences = x.reshape(batch.numel(), prod(self.in_shape[:-1]), self.in_shape[-1])
        start = self.start.expand(len(sequences), 1, -1)
        states, _ = self.gru(sequences, start.transpose(0, 1).contiguous())
        started = torch.cat([start, states], 1)
        state = (started * last(sequences).unsqueeze(-1)).sum(1).reshape(*batch, self.gru.hidden_size)
        out: Tensor = self.head(append_label(state, y, self.classes, event_dim=1))
        return out.unflatten(-1, self.out_shape)


def last(sequences: Tensor) -> Tensor:
    """Marks how many vectors come before those at the end that are all zero, shape ``(n, steps + 1)``.

    Example:
        >>> last(torch.tensor([[[0.0], [2.0], [0.0]], [[0.0], [0.0], [0.0]]]))
        tensor([[0., 0., 1., 0.],
                [1., 0., 0., 0.]])
    """
    used = sequences.ne(0).any(-1)
    reached = used.flip(1).cumsum(1).flip(1).gt(0)  # a vector that is used comes here or later
    edges = torch.cat([torch.ones_like(reached[:, :1]), reached, torch.zeros_like(reached[:, :1])], 1)
    return (edges[:, :-1] & ~edges[:, 1:]).to(sequences)


class SequenceDecoder(Shaped):
    """Vector to sequence: read at every step, by a state that starts from it."""

    def __init__(self, in_shape: Sequence[int], out_shape: Sequence[int], classes: int, hidden: int) -> None:
        super().__init__(in_shape, out_shape, classes)
        size = prod(in_shape) + classes
        self.start = nn.Linear(size, hidden)
        self.gru = nn.GRU(size, hidden, batch_first=True)
        self.head = nn.Linear(hidden, out_shape[-1])

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        batch = z.shape[: z.dim() - len(self.in_shape)]
        code = append_label(z.flatten(z.dim() - len(self.in_shape)), y, self.classes, event_dim=1)
        code = code.reshape(batch.numel(), code.shape[-1])
        steps = code.unsqueeze(1).expand(-1, prod(self.out_shape[:-1]), -1)
        states, _ = self.gru(steps, self.start(code).tanh().unsqueeze(0))
        out: Tensor = self.head(states)
        return out.reshape(*batch, *self.out_shape)
