"""A data set in a few lines: what a reader checks before believing a number obtained on it."""

import numpy as np
import torch
from torch import Tensor

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
        "pixel mean": "" if data.alphabet else _mean(data),
        "alphabet": f"{len(data.alphabet)} characters: {data.alphabet}" if data.alphabet else "",
        "missing": _missing(data),
        "units": _units(data),
        "hashes": ", ".join(f"{name} {digest}" for name, digest in data.hashes().items()),
    }
    return "\n".join(f"{key:<13} {value}" for key, value in facts.items() if value)


def _classes(data: Dataset) -> str:
    if all(split.y is None for split in data):
        return "none"
    found = (piece.cpu().bincount(minlength=len(data.classes)) for split in data for piece in split.label_pieces())
    counts = torch.stack(list(found)).sum(0).tolist()
    listed = ", ".join(f"{name} {count}" for name, count in zip(data.classes, counts, strict=True))
    return f"{len(counts)}: {listed}" if len(counts) <= LISTED else f"{len(counts)}"


def _storage(data: Dataset) -> str:
    white = _white(data)
    stored = str(data.train.x.dtype).removeprefix("torch.") + (f" 0..{white}" if white else "")
    return stored if data.train.rows is None else f"{stored} in a memory-mapped file"


def _white(data: Dataset) -> int | None:
    """White in `train` as it is stored."""
    return 1 if data.binarize in ("static", "threshold") else data.max_level


def _binarisation(data: Dataset) -> str:
    return "dynamic (validation and test drawn once)" if data.binarize == "dynamic" else data.binarize


def _mean(data: Dataset) -> str:
    total, observed = 0.0, 0
    for piece in data.train.pieces():
        # numpy's sum, since torch's would first make a copy as float64, eight times as large as bytes.
        total += float(np.nansum(piece.cpu().numpy(), dtype=np.float64))
        observed += piece.numel() - _absent(piece)
    mean, white = total / observed, _white(data)
    return f"{mean / white:.4f} of white" if white else f"{mean:.4f}"


def _missing(data: Dataset) -> str:
    if not data.missing:
        return ""
    absent, size = sum(map(_absent, data.train.pieces())), len(data.train) * data.train.x[0].numel()
    return f"{100 * absent / size:.1f} % of the training values"


def _absent(piece: Tensor) -> int:
    return int(piece.isnan().count_nonzero()) if piece.is_floating_point() else 0


def _units(data: Dataset) -> str:
    if data.units is None:
        return ""
    names = ", ".join(data.units.columns[:LISTED]) + (", ..." if len(data.units.columns) > LISTED else "")
    changed = not bool((data.units.loc == 0).all() and (data.units.scale == 1).all())
    return ("standardised on train" if changed else "as in the file") + (f": {names}" if names else "")
