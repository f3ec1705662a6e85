"""From arrays to a `Dataset`: check, split, binarise, in this order and by named seeds.

The split is a permutation drawn by `torch.Generator`, whose stream is the same on every platform; of rows that stay in
a file it is computed and not stored, since it could be as large as the file. The test rows are the first of it, the
validation rows come next: asking for another validation size leaves the test rows alone, and choosing another
binarisation leaves all three.
"""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import torch
from torch import Generator, Tensor

from pyrovae.data.binarize import Binarize, binarize_once, check_binarize, stream
from pyrovae.data.checks import Array, check_classes, check_counts, name_classes, to_labels, to_pixels
from pyrovae.data.dataset import SPLITS, Dataset, Split, Support
from pyrovae.data.permutation import Permutation, Tail
from pyrovae.data.supports import Part, resolve
from pyrovae.data.units import Units, fit_units, identity
from pyrovae.errors import PyrovaeError, did_you_mean

Values = Tensor | Array


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
    support: Support | None = None,
    missing: bool = False,
    standardise: bool = False,
    columns: tuple[str, ...] = (),
    alphabet: str = "",
    copy: bool = True,
) -> Dataset:
    """Checks arrays, splits them and binarises or standardises them.

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
        support: What kind of numbers x holds: `binary`, `levels`, `unit`, `count`, `real` or `characters`; read from
            the values by default, which never finds counts or characters.
        missing: Whether NaN stands for what was not observed, and stays; otherwise it is an error.
        standardise: Whether to give each element mean 0 and standard deviation 1 over the training rows.
        columns: The names of the elements, for data whose event is one row of a table.
        alphabet: The characters 1, 2, ... whose codes x holds, for texts.
        copy: Whether to copy the training rows; without, they stay where x and y hold them, as in a memory-mapped file,
            and the split is another one.

    Raises:
        PyrovaeError: The data are empty, not finite, outside their range, or too few to split; labels are missing or
            not 0..C-1; pixels are to be binarised that are not grey; `binarize` is not known.

    Example:
        >>> data = make_dataset("toy", torch.arange(40).reshape(10, 4), validation=2, test=0.3)
        >>> [len(split) for split in data], data.event_shape, data.support
        ([5, 2, 3], (4,), 'levels')
    """
    check_binarize(binarize)
    _check_support(name, support, binarize, standardise=standardise)
    _check_alphabet(name, support, alphabet)
    _check_copy(name, binarize, copy=copy, standardise=standardise)
    kind: Support | None = "real" if standardise else support
    how = {
        "numbers": kind in ("count", "real"),
        "missing": missing,
        "floats": np.float64 if standardise else np.float32,
        "stays": not copy,
    }
    parts = [_part(name, x, y, kind, how)]
    if isinstance(test, tuple):
        parts.append(_part(f"{name} (test)", *test, kind, how))
    parts, kind, max_level = resolve(parts, kind, max_level, binarize)
    classes = _check_labels(parts, classes)
    splits = _split(parts, validation, 0 if isinstance(test, tuple) else test, seed)
    if binarize != "none":
        splits = _binarize(splits, binarize, max_level, seed)
        kind = "binary"
    (train, chosen, reported), units = _standardise(name, splits, columns, standardise=standardise)
    return Dataset(
        name, train, chosen, reported, kind, classes, max_level, binarize, seed, missing, units, alphabet=alphabet
    )


def _check_support(name: str, support: str | None, binarize: str, *, standardise: bool) -> None:
    if support is not None and support not in get_args(Support):
        hint = did_you_mean(support, get_args(Support))
        raise PyrovaeError(f"unknown support '{support}'", hint=hint, exit_code=2)
    if standardise and (support not in (None, "real") or binarize != "none"):
        named = f"data.support = '{support}'" if binarize == "none" else f"data.binarize = '{binarize}'"
        message = f"data set {name}: data.standardise makes real numbers, which {named} contradicts"
        raise PyrovaeError(message, hint="set data.standardise = false", exit_code=2)


def _check_alphabet(name: str, support: str | None, alphabet: str) -> None:
    if (support == "characters") != bool(alphabet):
        message = f"data set {name}: codes of characters come with their alphabet, and with data.support = 'characters'"
        raise PyrovaeError(message, hint="data.name = 'text' reads texts and makes both", exit_code=2)


def _check_copy(name: str, binarize: str, *, copy: bool, standardise: bool) -> None:
    if not copy and (standardise or binarize in ("static", "threshold")):
        what = "data.standardise" if standardise else f"data.binarize = '{binarize}'"
        message = f"data set {name}: {what} would copy the training rows, which are to stay in their file"
        raise PyrovaeError(message, hint="write a file of what it gives, or set data.memory_map = false", exit_code=2)


def _part(where: str, x: Values, y: Values | None, support: Support | None, how: Mapping[str, Any]) -> Part:
    if support == "count":
        check_counts(where, x)
    pixels = to_pixels(where, x, **how)
    labels = None if y is None else to_labels(where, y, len(pixels), stays=how["stays"])
    return Part(where, pixels, labels, stays=how["stays"])


def _check_labels(parts: list[Part], classes: tuple[str, ...]) -> tuple[str, ...]:
    labels = {part.where: part.y for part in parts if part.y is not None}
    where = parts[0].where
    if len(labels) not in (0, len(parts)):
        raise PyrovaeError(f"data set {where}: only one of training and test rows has labels", hint="give both or none")
    if not labels:
        return ()
    classes = tuple(classes) or name_classes(where, *labels.values())
    for place, y in labels.items():
        check_classes(place, y, classes)
    return classes


def _split(parts: list[Part], validation: float, test: float, seed: int) -> list[Split]:
    """Returns train, validation and test; a published test set, the second part, keeps its order."""
    whole, *published = parts
    n = len(whole.x)
    n_validation = _count(whole.where, "validation", validation, n)
    n_test = 0 if published else _count(whole.where, "test", test, n)
    if n <= n_validation + n_test:
        held = f"{n_validation} validation" + (f" and {n_test} test" if n_test else "")
        raise PyrovaeError(f"data set {whole.where}: {n} rows are too few for {held} rows", hint="hold out fewer rows")
    held_out, train = _order(whole, n_test + n_validation, stream(seed, "split"))
    reported = _rows(published[0], np.arange(len(published[0].x))) if published else _rows(whole, held_out[:n_test])
    return [train, _rows(whole, held_out[n_test:]), reported]


def _order(part: Part, held_out: int, generator: Generator) -> tuple[Array, Split]:
    """Returns which rows are held out, in their order, and the split of all others."""
    n = len(part.x)
    if part.stays:
        order = Permutation(n, generator.initial_seed())
        return order[torch.arange(held_out)].numpy(), _rows_in_file(part, Tail(order, held_out))
    first, others = np.split(torch.randperm(n, generator=generator).numpy(), [held_out])
    return first, _rows(part, others)


def _count(name: str, split: str, size: float, n: int) -> int:
    count = max(1, round(size * n)) if 0 < size < 1 else size
    if not (count >= 1 and count % 1 == 0):
        message = f"data set {name}: {split} = {size} is neither a fraction nor a number of rows"
        raise PyrovaeError(message, hint="write 0.1 for a tenth or 200 for two hundred", exit_code=2)
    return int(count)


def _rows_in_file(part: Part, rows: Tail) -> Split:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch cannot protect an array that must not be written to
        return Split(torch.from_numpy(part.x), None if part.y is None else torch.from_numpy(part.y), rows)


def _rows(part: Part, index: Array) -> Split:
    # Indexing with an array copies: what the caller does to x and y afterwards does not reach the data set.
    return Split(torch.from_numpy(part.x[index]), None if part.y is None else torch.from_numpy(part.y[index]).long())


def _binarize(splits: list[Split], rule: Binarize, max_level: int | None, seed: int) -> list[Split]:
    def once(name: str, split: Split) -> Split:
        if rule == "dynamic" and name == "train":
            return split  # drawn at every visit, by `Dataset.batch`
        return replace(split, x=binarize_once(split.x, rule, max_level, seed=seed, purpose=name))

    return [once(name, split) for name, split in zip(SPLITS, splits, strict=True)]


def _standardise(
    name: str, splits: list[Split], columns: tuple[str, ...], *, standardise: bool
) -> tuple[list[Split], Units | None]:
    """Returns the splits in the units that the training rows alone decide."""
    if not standardise:
        return splits, identity(tuple(splits[0].x.shape[1:]), columns) if columns else None
    units = fit_units(name, splits[0].x, columns)
    # Only now float32: a column of dates would have lost its digits before.
    return [replace(split, x=units.to_model(split.x).float()) for split in splits], units
