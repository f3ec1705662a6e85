"""The likelihood of text."""

from collections.abc import Sequence
from math import prod
from typing import Annotated

import torch
from torch import Tensor, nn

from pyrovae.errors import PyrovaeError
from pyrovae.likelihoods.likelihood import Likelihood
from pyrovae.networks import Network
from pyrovae.ranges import Range
from pyrovae.strings import Strings


class AutoregressiveCategorical(Likelihood):
    r"""Characters drawn one after another by a recurrent unit that reads z at every step (Bowman et al., 2016).

    .. math:: p(x \mid z) = \prod_t p(x_t \mid x_{<t}, z)

    up to the end of the text, which is a code of its own; what fills it up costs nothing. The decoder maps z to the
    numbers that the state starts from and that are read beside each character. Text has no mean: :math:`E[x \mid z]` is
    the text of the likeliest character after another.

    Such a likelihood can do without z, and then the posterior collapses to the prior. What is left out of the
    characters before (``word_dropout``) has to be told by z.

    Args:
        network: Makes the decoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension of z.
        event_shape: Shape of one datum, ``(L,)``.
        levels: Number of codes, that of the end included.
        classes: Number of classes the decoder reads; 0 reads none.
        hidden: Width of the state.
        embedding: Numbers that stand for a character, and those that the decoder gives.
        word_dropout: Share of characters that are hidden from those after them, in training only.

    Raises:
        PyrovaeError: The data are no text.

    Example:
        >>> from pyrovae import MLP
        >>> p = AutoregressiveCategorical(MLP, 2, (6,), 4)(torch.zeros(5, 2))
        >>> p.log_prob(p.sample()).shape
        torch.Size([5])
    """

    accepts = ("characters",)
    measure = "mass"
    independent = False

    def __init__(
        self,
        network: Network,
        latent_dim: int,
        event_shape: Sequence[int],
        levels: int,
        classes: int = 0,
        *,
        hidden: int = 128,
        embedding: int = 32,
        word_dropout: Annotated[float, Range(0, 1)] = 0.0,
    ) -> None:
        check_text(levels)
        nn.Module.__init__(self)
        self.classes, self.event_shape, self.levels = classes, tuple(event_shape), levels
        self.word_dropout = word_dropout
        self.decoder = network((latent_dim,), (embedding,), classes)
        self.embedding = nn.Embedding(levels, embedding)
        self.start = nn.Linear(embedding, hidden)
        self.gru = nn.GRU(2 * embedding, hidden, batch_first=True)
        self.head = nn.Linear(hidden, levels)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Strings:
        return Strings(self.decoder(z, y), self.event_shape, self.levels, self.score, self.step)

    def score(self, context: Tensor, codes: Tensor) -> Tensor:
        """Returns logits of every code of texts, shape ``(*batch, L, levels)``, from those before it.

        Args:
            context: What the decoder gives, shape ``(*batch, embedding)``.
            codes: Texts, int64, of a shape that can be expanded to ``(*batch, L)``.
        """
        before = self.embedding(torch.cat([torch.zeros_like(codes[..., :1]), codes[..., :-1]], -1))
        if self.training and self.word_dropout:
            shown = torch.rand(before.shape[:-1], device=before.device) >= self.word_dropout
            before = before * shown.unsqueeze(-1)
        steps, batch = prod(self.event_shape), context.shape[:-1]
        rows = context.reshape(batch.numel(), -1)
        read = before.expand(*batch, steps, -1).reshape(len(rows), steps, -1)
        inputs = torch.cat([read, rows.unsqueeze(1).expand(-1, steps, -1)], -1)
        states, _ = self.gru(inputs, self.begin(rows))
        return self.head(states).reshape(*batch, steps, self.levels)

    def step(self, context: Tensor, code: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Returns logits of the next code of n texts, shape ``(n, levels)``, and the state after it."""
        inputs = torch.cat([self.embedding(code), context], -1).unsqueeze(1)
        states, state = self.gru(inputs, self.begin(context) if state is None else state)
        return self.head(states.squeeze(1)), state

    def begin(self, context: Tensor) -> Tensor:
        return self.start(context).tanh().unsqueeze(0)


def check_text(levels: int | None) -> None:
    """Refuses data without an alphabet.

    Raises:
        PyrovaeError: They have none.
    """
    if not levels or levels < 3:
        raise PyrovaeError(
            "likelihood.name = 'autoregressive-categorical' scores text, which these data are not",
            hint="data.name = 'text' reads text",
        )
