"""Noise of one's own: what judges or draws must not disturb the noise of a training that goes on around it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds torch inside the block and restores every generator (CPU and CUDA) after it.

    Example:
        >>> with seeded(0):
        ...     first = torch.rand(1)
        >>> with seeded(0):
        ...     bool(torch.rand(1) == first)
        True
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
