"""Noise of one's own: what judges or draws must not disturb the noise of a training that goes on around it.

And the state of every generator that a training may draw from, as plain values that a checkpoint can hold.
"""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
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


def seed_all(seed: int) -> None:
    """Seeds torch's, Python's and NumPy's global generators, of which a user's own part may draw from any.

    Example:
        >>> seed_all(3)
        >>> first = torch.rand(1), random.random(), np.random.rand()
        >>> seed_all(3)
        >>> first == (torch.rand(1), random.random(), np.random.rand())
        True
    """
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(np.random.SeedSequence(seed).generate_state(4))  # noqa: NPY002


def rank_seed(seed: int, rank: int) -> int:
    """Returns the seed of one process of several: that of the experiment for the first, unrelated ones for the others.

    Example:
        >>> rank_seed(7, 0), rank_seed(7, 1) == rank_seed(7, 2)
        (7, False)
    """
    (state,) = np.random.SeedSequence([seed, rank]).generate_state(1, np.uint64)
    return int(state) % 2**63 if rank else seed


def torch_generators() -> dict[str, Any]:
    """Returns the states of torch's global generators; quick enough for every step."""
    states: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        states["mps"] = torch.mps.get_rng_state()
    return states


def generators() -> dict[str, Any]:
    """Returns the states of torch's, Python's and NumPy's global generators, as tensors and plain values.

    Parts of this package draw from torch alone; a user's own part may draw from the others.

    Example:
        >>> before = generators()
        >>> first = torch.rand(1), random.random(), np.random.rand()
        >>> restore_generators(before)
        >>> first == (torch.rand(1), random.random(), np.random.rand())
        True
    """
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002
    return torch_generators() | {
        "python": [version, torch.from_numpy(np.array(words, dtype=np.int64)), gauss],
        "numpy": [name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), int(position), int(has_gauss), cached],
    }


def restore_generators(states: Mapping[str, Any]) -> None:
    """Sets generators to states that were returned above; those that are not among them, or not here, are left."""
    torch.set_rng_state(states["cpu"])
    if torch.cuda.is_available() and torch.cuda.device_count() == len(states.get("cuda", ())):
        torch.cuda.set_rng_state_all(states["cuda"])
    if torch.backends.mps.is_available() and "mps" in states:
        torch.mps.set_rng_state(states["mps"])
    if "python" in states:
        version, words, gauss = states["python"]
        random.setstate((version, tuple(words.tolist()), gauss))
    if "numpy" in states:
        name, keys, position, has_gauss, cached = states["numpy"]
        np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))  # noqa: NPY002
