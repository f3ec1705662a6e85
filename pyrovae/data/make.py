"""From arrays to a `Dataset`: check, split, binarise, in this order and by named seeds.

The split is a permutation drawn by `torch.Generator`, whose stream is the same on every platform. The test rows are the
first of it, the validation rows come next: asking for another validation size leaves the test rows alone, and
choosing another binarisation leaves all three.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pyrovae.data.binarize import Binarize, binarize_once, check_binarize, stream
from pyrovae.data.checks import Array, check_classes, check_levels, check_unit, name_classes, to_labels, to_pixels
from pyrovae.data.dataset import SPLITS, Dataset, Split
from pyrovae.errors import PyrovaeError

Values = Tensor | Array


@dataclass(frozen=True)
class _Part:
    """Rows that came together, as numpy, and what messages call them."""

    where: str
    x: Array
    y: Array | None


def make_dataset(
    name: str,
    x: Values,
    y: Values | None = None,
    *,
    test: float | tuple[Values, Values | None] = 0.1,
    validation: float = 0.1,
    classes: tuple[str, ...] = (),
    max_level: int | None = None,
    binarize: Binarize = "none",
    seed: int = 0,
) -> Dataset:
    """Checks arrays, splits them and binarises what is binarised once.

    Integers within 0..255 and booleans are stored as bytes, floats as float32; floats that are all 0 or 1 become
    bytes as well.

    Args:
        name: What messages and manifests call the data set.
        x: Rows, of shape `(n, *event_shape)`.
        y: Labels 0..C-1, of shape `(n,)`.
        test: How many rows to report on, as a fraction below 1 or a number, or a published test set `(x, y)`.
        validation: How many rows to select on, likewise.
        classes: Names of the labels; `"0"`, `"1"`, ... by default.
        max_level: White in integer pixels; 1 if all are 0 or 1, else 255 by default.
        binarize: How grey pixels become zeros and ones.
        seed: Names the permutation and the noise of what is binarised once.

    Raises:
        PyrovaeError: The data are empty, not finite, outside their range, or too few to split; labels are missing or
            not 0..C-1; pixels are to be binarised that are not grey; `binarize` is not known.

    Example:
        >>> data = make_dataset("toy", torch.arange(40).reshape(10, 4), validation=2, test=0.3)
        >>> [len(split) for split in data], data.event_shape, data.support
        ([5, 2, 3], (4,), 'unit')
    """
    check_binarize(binarize)
    parts = [_part(name, x, y)]
    if isinstance(test, tuple):
        parts.append(_part(f"{name} (test)", *test))
    parts, max_level = _to_levels(parts, max_level, binarize)
    classes = _check_labels(parts, classes)
    splits = _split(parts, validation, 0 if isinstance(test, tuple) else test, seed)
    if binarize != "none":
        splits = _binarize(splits, binarize, max_level, seed)
        max_level = max_level if binarize == "dynamic" else 1
    train, chosen, reported = splits
    return Dataset(name, train, chosen, reported, classes, max_level, binarize, seed)


def _part(where: str, x: Values, y: Values | None) -> _Part:
    pixels = to_pixels(where, x)
    return _Part(where, pixels, None if y is None else to_labels(where, y, len(pixels)))


def _to_levels(parts: list[_Part], white: int | None, binarize: Binarize) -> tuple[list[_Part], int | None]:
    """Returns all parts in one unit, and white in this unit (None for floats)."""
    _check_alike(parts)
    if white is None and all(bool(((part.x == 0) | (part.x == 1)).all()) for part in parts):
        return [replace(part, x=part.x.astype(np.uint8, copy=False)) for part in parts], 1
    if white is None and parts[0].x.dtype == np.uint8:
        white = 255
    for part in parts:
        if white is not None:
            check_levels(part.where, part.x, white)
        elif binarize != "none":
            check_unit(part.where, part.x, binarize)
    return parts, white


def _check_alike(parts: list[_Part]) -> None:
    where, train, test = parts[0].where, parts[0].x, parts[-1].x
    if (train.shape[1:], train.dtype) != (test.shape[1:], test.dtype):
        ours, theirs = (f"{x.shape[1:]} {x.dtype}" for x in (train, test))
        raise PyrovaeError(f"data set {where}: training rows are {ours}, test rows {theirs}", hint="make them alike")


def _check_labels(parts: list[_Part], classes: tuple[str, ...]) -> tuple[str, ...]:
    labels = {part.where: part.y for part in parts if part.y is not None}
    where = parts[0].where
    if len(labels) not in (0, len(parts)):
        raise PyrovaeError(f"data set {where}: only one of training and test rows has labels", hint="give both or none")
    if not labels:
        return ()
    classes = tuple(classes) or name_classes(where, np.concatenate(list(labels.values())))
    for place, y in labels.items():
        check_classes(place, y, classes)
    return classes


def _split(parts: list[_Part], validation: float, test: float, seed: int) -> list[Split]:
    """Returns train, validation and test; a published test set, the second part, keeps its order."""
    whole, *published = parts
    n = len(whole.x)
    n_validation = _count(whole.where, "validation", validation, n)
    n_test = 0 if published else _count(whole.where, "test", test, n)
    if n <= n_validation + n_test:
        held = f"{n_validation} validation" + (f" and {n_test} test" if n_test else "")
        raise PyrovaeError(f"data set {whole.where}: {n} rows are too few for {held} rows", hint="hold out fewer rows")
    order = torch.randperm(n, generator=stream(seed, "split")).numpy()
    held_out, train = np.split(order, [n_test + n_validation])
    reported = _rows(published[0], np.arange(len(published[0].x))) if published else _rows(whole, held_out[:n_test])
    return [_rows(whole, train), _rows(whole, held_out[n_test:]), reported]


def _count(name: str, split: str, size: float, n: int) -> int:
    count = max(1, round(size * n)) if 0 < size < 1 else size
    if not (count >= 1 and count % 1 == 0):
        message = f"data set {name}: {split} = {size} is neither a fraction nor a number of rows"
        raise PyrovaeError(message, hint="write 0.1 for a tenth or 200 for two hundred", exit_code=2)
    return int(count)


def _rows(part: _Part, index: Array) -> Split:
    # Indexing with an array copies: what the caller does to x and y afterwards does not reach the data set.
    return Split(torch.from_numpy(part.x[index]), None if part.y is None else torch.from_numpy(part.y[index]))


def _binarize(splits: list[Split], rule: Binarize, max_level: int | None, seed: int) -> list[Split]:
    def once(name: str, split: Split) -> Split:
        if rule == "dynamic" and name == "train":
            return split  # drawn at every visit, by `Dataset.batch`
        return Split(binarize_once(split.x, rule, max_level, seed=seed, purpose=name), split.y)

    return [once(name, split) for name, split in zip(SPLITS, splits, strict=True)]
