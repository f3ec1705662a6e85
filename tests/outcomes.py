"""What comes out of a training, without the clock: two that should be equal are compared to the last bit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyrovae import Checkpoints, storage

BYTES = ("checkpoint.pt", "evaluation.json", "log_marginal.npy")


def plain(content: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yields what a state holds, without the clock."""
    if isinstance(content, dict | list | tuple):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            if key != "seconds":
                yield from plain(value, f"{path}/{key}")
    else:
        yield path, content


def same(a: Any, b: Any) -> list[str]:
    """Returns where two states differ, to the last bit."""
    one, other = dict(plain(a)), dict(plain(b))
    unlike = set(one) ^ set(other)
    for key in set(one) & set(other):
        x, y = one[key], other[key]
        equal = torch.equal(x, y) if isinstance(x, Tensor) else x == y or (x != x and y != y)
        unlike |= set() if equal else {key}
    return sorted(unlike)


def outcome(run: Path) -> dict[str, Any]:
    """Returns what two runs of the same experiment have in common: weights, last state, record and numbers."""
    checkpoints = Checkpoints(run)
    files = {name: (run / name).read_bytes() for name in BYTES}
    rows = storage.read_rows(run / "metrics.jsonl")
    return files | {"rows": rows, "names": checkpoints.names(), "state": checkpoints.latest()}


def left_over(run: Path) -> list[str]:
    """Returns the hidden files of a run, which only a writer that was killed leaves; the lock is not one of them."""
    return sorted(path.name for path in run.rglob(".*") if path.name != ".lock")
