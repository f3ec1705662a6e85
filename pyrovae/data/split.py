"""Rows for one purpose, in memory or left where they are in a file."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

import torch
from torch import Tensor

# How many elements are copied at a time by what reads a whole split.
PIECE = 2**20


@dataclass(frozen=True, eq=False)
class Split:
    """Rows that are used for one purpose.

    Args:
        x: Data, uint8 or float32, of shape `(n, *event_shape)`.
        y: Labels of the split's rows, int64, or None.
        rows: Which rows of `x` are the split's, int64, where `x` is a memory-mapped file; all of them by default.

    Example:
        >>> split = Split(torch.arange(10).reshape(5, 2), rows=torch.tensor([4, 0, 2]))
        >>> len(split), split.take(torch.tensor([0, 2])).x.tolist()
        (3, [[8, 9], [4, 5]])
    """

    x: Tensor
    y: Tensor | None = None
    rows: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x if self.rows is None else self.rows)

    def __repr__(self) -> str:
        kind = f"{(len(self), *self.x.shape[1:])} {self.x.dtype}"
        return f"Split({kind}{'' if self.y is None else ', labelled'}{'' if self.rows is None else ', memory-mapped'})"

    def take(self, index: Tensor) -> "Split":
        """Returns a copy of the rows of an index, int64, of shape `(n,)`."""
        # `index_select` gathers whole rows: 16 times faster here than indexing with brackets.
        y = None if self.y is None else self.y.index_select(0, index.to(self.y.device))
        index = index.to(self.x.device)
        return Split(self.x.index_select(0, index if self.rows is None else self.rows[index]), y)

    def whole(self) -> "Split":
        """Returns all rows in memory: the split itself, unless its rows are in a file."""
        return self if self.rows is None else self.take(torch.arange(len(self)))

    def pieces(self) -> Iterator[Tensor]:
        """Yields x in order, few rows at a time."""
        step = max(1, PIECE // max(1, self.x[:1].numel()))
        for start in range(0, len(self), step):
            piece = slice(start, start + step)
            yield self.x[piece] if self.rows is None else self.x.index_select(0, self.rows[piece])

    def hash(self) -> str:
        """Returns the first 12 hexadecimal digits of the SHA-256 of the bytes of x, then y."""
        digest = sha256()
        for piece in self.pieces():
            digest.update(piece.cpu().contiguous().numpy().data)
        if self.y is not None:
            digest.update(self.y.cpu().contiguous().numpy().data)
        return digest.hexdigest()[:12]

    def to(self, device: torch.device | str) -> "Split":
        """Returns the same rows on another device; a memory-mapped x stays where it is."""
        y = None if self.y is None else self.y.to(device)
        return Split(self.x.to(device) if self.rows is None else self.x, y, self.rows)
