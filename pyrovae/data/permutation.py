"""A random order of rows that nobody has to write down: a permutation that is computed, not stored.

A list of the rows of a file in random order takes 8 bytes a row, more than some rows themselves. Here a number below
the size is a cell (i // b, i % b) of a grid of a x b cells, about as many as numbers. Rounds of a Feistel cipher add to
one half of the pair a random number that depends on the other half: whatever these numbers are, each round can be
undone. A result that is one of the few cells beyond the size is enciphered again, until it is not.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyrovae.errors import PyrovaeError

Words = NDArray[np.uint64]

# 4 rounds pass the tests of grids of 32 x 32 cells and more; the fewer the cells, the less a round changes.
ROUNDS, SMALL_ROUNDS, SMALL = 8, 24, 1024

# Numbers that are enciphered together: their intermediate results stay in the processor's cache.
BLOCK = 8192

# SplitMix64's finalizer (Steele, Lea and Flood, 2014, with Stafford's constants), of which the upper half is read.
SHIFTS = np.uint64(30), np.uint64(27)
FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
HALF = np.uint64(32)


class Permutation:
    """A pseudo-random permutation of 0..size-1 as a function of its key, in memory that does not depend on the size.

    A generalised Feistel cipher with cycle walking (Black and Rogaway, 2002, "Ciphers with Arbitrary Finite Domains"),
    the same on every platform. It takes some 50 ns a number.

    Args:
        size: How many numbers are permuted, 1 to 2**62.
        key: One whole number from 0, or several, such as (seed, epoch): each key has an order of its own.

    Raises:
        PyrovaeError: The size is out of its range, or a key is negative.

    Example:
        >>> order = Permutation(10, (0, 1))
        >>> len(order), order[torch.tensor([3, 0])].tolist()
        (10, [5, 9])
        >>> sorted(order[torch.arange(10)].tolist())
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """

    def __init__(self, size: int, key: int | tuple[int, ...]) -> None:
        if not 1 <= size <= 2**62:
            raise PyrovaeError(f"a permutation of {size} numbers", hint="give a size of 1 to 2**62")
        self.size, self.key = size, key
        height = math.isqrt(size - 1) + 1  # the root of size, rounded up
        self._grid = np.uint64(height), np.uint64(-(-size // height))
        self._keys = round_keys(key, rounds(size))

    def __len__(self) -> int:
        return self.size

    def __repr__(self) -> str:
        return f"Permutation({self.size}, {self.key})"

    def __getitem__(self, index: Tensor) -> Tensor:
        """Returns where the permutation sends each number of an int64 tensor of any shape, on the CPU.

        Raises:
            IndexError: A number is not one of 0..size-1.
        """
        numbers = index.cpu().contiguous().numpy().reshape(-1).view(np.uint64)
        if numbers.size and numbers.max() >= self.size:  # as words without sign, negative numbers are the largest
            raise IndexError(f"index out of range for {self!r}")
        blocks = [self._walk(numbers[start : start + BLOCK]) for start in range(0, numbers.size, BLOCK)]
        return torch.from_numpy(np.concatenate([numbers[:0], *blocks]).view(np.int64)).reshape(index.shape)

    def _walk(self, numbers: Words) -> Words:
        found = self._encipher(numbers)
        outside = np.flatnonzero(found >= self.size)
        while outside.size:
            found[outside] = self._encipher(found[outside])
            outside = outside[found[outside] >= self.size]
        return found

    def _encipher(self, numbers: Words) -> Words:
        height, width = self._grid
        left = numbers // width
        right = numbers - left * width
        for first, second in self._keys:
            left = add(left, right, first, height)
            right = add(right, left, second, width)
        return left * width + right


class Tail:
    """The numbers that a permutation puts at its end, from a position on: what is left after the first were taken.

    Args:
        permutation: The order of all numbers.
        start: How many are taken.

    Example:
        >>> tail = Tail(Permutation(5, 0), 2)
        >>> len(tail), tail[torch.tensor([0, 2])].tolist(), [part.tolist() for part in tail.ascending(3)]
        (3, [0, 4], [[0], [3, 4]])
    """

    def __init__(self, permutation: Permutation, start: int) -> None:
        self.permutation, self.start = permutation, start

    def __len__(self) -> int:
        return len(self.permutation) - self.start

    def __getitem__(self, index: Tensor) -> Tensor:
        """Returns the numbers at positions of the tail, int64, of any shape.

        Raises:
            IndexError: There is no such position.
        """
        if index.numel() and index.min() < 0:  # -1 would be the last one that was taken
            raise IndexError(f"negative position in the tail of {self.permutation!r}")
        return self.permutation[index + self.start]

    def ascending(self, step: int) -> Iterator[Tensor]:
        """Yields the same numbers from the smallest to the largest, at most so many at a time.

        What is kept in memory for it is the numbers that were taken.
        """
        taken = self.permutation[torch.arange(self.start)].sort().values
        for first in range(0, len(self.permutation), step):
            span = torch.arange(first, min(first + step, len(self.permutation)))
            low, high = torch.searchsorted(taken, torch.tensor([first, first + len(span)])).tolist()
            left = torch.ones(len(span), dtype=torch.bool)
            left[taken[low:high] - first] = False
            yield span[left]


def rounds(size: int) -> int:
    """Returns how many rounds leave nothing of the order of so many numbers."""
    return SMALL_ROUNDS if size < SMALL else ROUNDS


def round_keys(key: int | tuple[int, ...], count: int) -> Words:
    """Returns the key of each round, in pairs.

    Raises:
        PyrovaeError: A key is negative.

    Example:
        >>> round_keys(3, 4).tolist() == round_keys((3,), 4).tolist() != round_keys((3, 0), 4).tolist()
        True
    """
    numbers = key if isinstance(key, tuple) else (key,)
    if min(numbers) < 0:
        raise PyrovaeError(f"key {key} of a permutation is negative", hint="give whole numbers from 0")
    # The number of keys comes first: `SeedSequence` takes (3,) and (3, 0) for the same.
    drawn = np.random.SeedSequence([len(numbers), *numbers]).generate_state(count, np.uint64)
    return drawn.astype(np.uint64, copy=False).reshape(-1, 2)


def add(half: Words, other: Words, key: np.uint64, modulus: np.uint64) -> Words:
    """Adds to one half of each pair a random number that the other half and the key decide.

    Args:
        half: Numbers below the modulus.
        other: The other halves.
        key: Of the round.
        modulus: What the sum is reduced by, at most 2**32.

    Example:
        >>> other = np.arange(3, dtype=np.uint64)
        >>> add(np.zeros(3, dtype=np.uint64), other, np.uint64(1), np.uint64(10)).tolist()
        [3, 8, 1]
    """
    x = other + key
    for shift, factor in zip(SHIFTS, FACTORS, strict=True):
        x ^= x >> shift
        x *= factor
    # The upper half as a fraction of 2**32, times the modulus: a division would take longer than all of this.
    x >>= HALF
    x *= modulus
    x >>= HALF
    x += half
    return np.minimum(x, x - modulus)  # below 0 means beyond 2**63
