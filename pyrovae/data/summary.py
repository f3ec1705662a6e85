"""A data set in eight lines: what a reader checks before believing a number obtained on it."""

import torch

from pyrovae.data.dataset import SPLITS, Dataset

# More classes than this are counted, not listed: the line is read by people.
LISTED = 20


def summary(data: Dataset) -> str:
    """Returns sizes, event shape, classes, support, binarisation, mean and hashes, one line each.

    Args:
        data: Any data set, on any device.
    """
    facts = {
        "name": data.name,
        "sizes": ", ".join(f"{len(split)} {name}" for name, split in zip(SPLITS, data, strict=True)),
        "event shape": str(data.event_shape),
        "classes": _classes(data),
        "support": f"{data.support}, stored as {_storage(data)}",
        "binarisation": f"{_binarisation(data)}, seed {data.seed}",
        "pixel mean": _mean(data),
        "hashes": ", ".join(f"{name} {digest}" for name, digest in data.hashes().items()),
    }
    return "\n".join(f"{key:<13} {value}" for key, value in facts.items())


def _classes(data: Dataset) -> str:
    labels = [split.y for split in data if split.y is not None]
    if not labels:
        return "none"
    counts = torch.cat(labels).bincount(minlength=len(data.classes)).tolist()
    listed = ", ".join(f"{name} {count}" for name, count in zip(data.classes, counts, strict=True))
    return f"{len(counts)}: {listed}" if len(counts) <= LISTED else f"{len(counts)}"


def _storage(data: Dataset) -> str:
    return "float32" if data.max_level is None else f"uint8 0..{data.max_level}"


def _binarisation(data: Dataset) -> str:
    return "dynamic (validation and test drawn once)" if data.binarize == "dynamic" else data.binarize


def _mean(data: Dataset) -> str:
    mean = data.train.x.sum(dtype=torch.float64).item() / data.train.x.numel()
    return f"{mean:.4f}" if data.max_level is None else f"{mean / data.max_level:.4f} of white"
