"""What is wrong with an array, said before the first step of training, with the sample that shows it.

Each check reads one numpy array of shape `(n, *event_shape)` and what messages call it (`where`), a few rows at a time,
so that a file larger than memory can be checked as well. Checks run once, when a data set is made; afterwards nobody
looks again, and a NaN would only be seen as a loss that is not a number.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyrovae.errors import PyrovaeError

Array = NDArray[Any]

# How many elements a check looks at at a time.
PIECE = 2**20

# Whole numbers above this one are not all floats of 32 bits.
MAX_COUNT = 2**24

RENUMBER = "labels count from 0: np.unique(y, return_inverse=True)[1] renumbers them"


def to_array(values: Tensor | Array) -> Array:
    """Returns a tensor on any device as numpy, or the array itself."""
    if not isinstance(values, Tensor):
        return np.asarray(values)
    values = values.detach().cpu()
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()  # numpy has no bfloat16


def to_pixels(
    where: str,
    values: Tensor | Array,
    *,
    numbers: bool = False,
    missing: bool = False,
    floats: type = np.float32,
    stays: bool = False,
) -> Array:
    """Returns rows as uint8 where they are whole numbers 0..255 or booleans, else as finite float32.

    Args:
        where: What messages call the rows.
        values: Rows, of shape `(n, *event_shape)` with a non-empty event.
        numbers: Whether integers are numbers of any size, to be returned as floats, and not levels of grey.
        missing: Whether NaN is allowed among floats.
        floats: The type of what is returned as floats.
        stays: Whether bytes are returned as they are even where they are numbers, because their rows stay in a file.

    Raises:
        PyrovaeError: No rows, no event, another type, integers outside 0..255, or a value that is not finite.

    Example:
        >>> to_pixels("toy", np.array([[0, 255]])).dtype, to_pixels("toy", np.array([[0.5, -1.0]])).dtype
        (dtype('uint8'), dtype('float32'))
    """
    x = to_array(values)
    _check_shape(where, x)
    if x.dtype.kind not in "biuf":
        raise PyrovaeError(f"data set {where}: pixels are {x.dtype}, not numbers", hint="store uint8 or float32")
    if x.dtype.kind != "f" and (not numbers or (stays and x.dtype == np.uint8)):
        _check_bytes(where, x)
        return x.astype(np.uint8, copy=False)
    check_finite(where, x, missing=missing)
    return x.astype(floats, copy=False)


def first_row(x: Array, bad: Callable[[Array], Array]) -> int | None:
    """Returns the first row that holds an element which is bad, if one does.

    Example:
        >>> first_row(np.array([[1, 2], [3, 4], [5, 6]]), lambda piece: piece > 3)
        1
    """
    start = 0
    for piece in _pieces(x):
        rows = bad(piece).reshape(len(piece), -1).any(1)
        if rows.any():
            return start + int(rows.argmax())
        start += len(piece)
    return None


def _pieces(x: Array) -> Iterator[Array]:
    step = max(1, PIECE // max(1, x[:1].size))
    return (x[start : start + step] for start in range(0, len(x), step))


def first_value(x: Array, bad: Callable[[Array], Array]) -> tuple[int, Any] | None:
    """Returns the first row that holds a bad element, and this element."""
    row = first_row(x, bad)
    return None if row is None else (row, x[row][bad(x[row])][0])


def check_levels(where: str, x: Array, max_level: int) -> None:
    """Refuses a level above white.

    Raises:
        PyrovaeError: Names the first such sample and its level.
    """
    if not 1 <= max_level <= 255:
        raise PyrovaeError(f"data set {where}: max_level is {max_level}, not in 1..255", hint="bytes have 255")
    if max_level == 255 and x.dtype == np.uint8:
        return  # without reading a file that may be large
    found = first_value(x, lambda piece: piece > max_level)
    if found:
        message = f"data set {where}: sample {found[0]} has level {found[1]}, above max_level {max_level}"
        raise PyrovaeError(message, hint="max_level is the level of white: 255 for bytes")


def check_unit(where: str, x: Array, binarize: str) -> None:
    """Refuses to binarise what is not a probability.

    Raises:
        PyrovaeError: Names the first sample outside [0, 1] and its value.
    """
    found = first_value(x, outside_unit)
    if found:
        message = f"data set {where}: sample {found[0]} has pixel {found[1]}, outside [0, 1]"
        hint = f'divide bytes by 255 or store them as uint8; real-valued data need binarize = "none", not "{binarize}"'
        raise PyrovaeError(message, hint=hint)


def outside_unit(x: Array) -> Array:
    """Tells which elements are outside [0, 1]; NaN is not."""
    outside: Array = (x < 0) | (x > 1)
    return outside


def no_bit(x: Array) -> Array:
    """Tells which elements are neither 0 nor 1 nor NaN."""
    other: Array = (x != 0) & (x != 1) & (x == x)
    return other


def check_counts(where: str, values: Tensor | Array) -> None:
    """Refuses what is no count: fractions, negative numbers, and counts that float32 cannot tell apart.

    Raises:
        PyrovaeError: Names the first such sample and its value.

    Example:
        >>> check_counts("toy", np.array([[3.0, 100_000.0], [np.nan, 0.0]]))
    """
    x = to_array(values)
    if x.dtype.kind not in "biuf" or x.ndim < 2:
        return  # what `to_pixels` refuses
    found = first_value(
        x, lambda piece: (piece < 0) | (piece != np.trunc(piece)) & (piece == piece) | (piece > MAX_COUNT)
    )
    if found:
        message = f"data set {where}: sample {found[0]} has value {found[1]}, not a whole number 0..{MAX_COUNT}"
        raise PyrovaeError(message, hint='data.support = "real" takes any number')


def to_labels(where: str, values: Tensor | Array, rows: int, *, stays: bool = False) -> Array:
    """Returns labels as int64, one for each row, or as they are where they stay in a file.

    Raises:
        PyrovaeError: Another number of labels than `rows`, another type than integers, or a negative one.
    """
    y = to_array(values)
    if y.shape != (rows,):
        count = f"{len(y)} labels" if y.ndim == 1 else f"labels of shape {y.shape}"
        raise PyrovaeError(f"data set {where}: {rows} images but {count}", hint="give one integer label per image")
    if y.dtype.kind not in "biu":
        words = "classes, y = np.unique(y, return_inverse=True) numbers words; data.classes = [...] names the numbers"
        hint = "y.astype('int64')" if y.dtype.kind == "f" else words
        raise PyrovaeError(f"data set {where}: labels are {y.dtype}, not integers 0..C-1", hint=hint)
    row = first_row(y, lambda piece: piece < 0)
    if row is not None:
        raise PyrovaeError(f"data set {where}: sample {row} has label {y[row]}, not one of 0..C-1", hint=RENUMBER)
    return y if stays and y.dtype in (np.uint8, np.int64) else y.astype(np.int64)


def check_classes(where: str, y: Array, classes: tuple[str, ...]) -> None:
    """Refuses a label without a name.

    Raises:
        PyrovaeError: Names the first such sample and its label.
    """
    row = first_row(y, lambda piece: piece >= len(classes))
    if row is not None:
        message = f"data set {where}: sample {row} has label {y[row]}, not one of 0..{len(classes) - 1}"
        raise PyrovaeError(message, hint=RENUMBER)


def name_classes(where: str, *parts: Array) -> tuple[str, ...]:
    """Returns the names `"0"`, `"1"`, ... of labels that came without names.

    Raises:
        PyrovaeError: A number below the largest label does not occur, as in labels that count from 1.

    Example:
        >>> name_classes("toy", np.array([1, 0, 2]))
        ('0', '1', '2')
    """
    found = np.unique(np.concatenate([np.unique(piece) for y in parts for piece in _pieces(y)]))
    gap = int((found == np.arange(len(found))).argmin())  # 0 if there is none
    if found[gap] != gap:
        message = f"data set {where}: labels reach {found[-1]} but none is {gap}: not integers 0..C-1"
        raise PyrovaeError(message, hint=RENUMBER)
    return tuple(str(label) for label in found)


def _check_shape(where: str, x: Array) -> None:
    if x.ndim == 0 or x.size == 0:
        raise PyrovaeError(f"data set is empty: {where} has shape {x.shape}", hint="it needs 3 rows or more")
    if x.ndim < 2:
        raise PyrovaeError(f"data set {where}: shape {x.shape} has no event", hint="rows come first: (n, ...)")


def _check_bytes(where: str, x: Array) -> None:
    if x.dtype.kind == "b" or x.dtype == np.uint8:
        return
    if x.min() < 0 or x.max() > 255:
        message = f"data set {where}: integer pixels run from {x.min()} to {x.max()}, not within 0..255"
        raise PyrovaeError(message, hint='data.support = "count" takes counts of any size, "real" any number')


def check_finite(where: str, x: Array, *, missing: bool) -> None:
    """Refuses values that are infinite in float32, and NaN unless values may be missing; of no row all may be.

    Raises:
        PyrovaeError: Names the first such sample.
    """
    bad = _too_large if missing else _not_finite
    row = first_row(x, bad)
    if row is not None:
        count = int(bad(x[row]).sum())
        message = f"data set {where}: sample {row} has {count} non-finite pixel{'s' if count > 1 else ''}"
        mend = "drop or repair such rows: np.isfinite(x) finds them"
        absent = "" if missing else "; data.missing = true takes NaN for what was not observed"
        raise PyrovaeError(message, hint=mend + absent)
    row = first_row(x, _nothing) if missing else None
    if row is not None:
        raise PyrovaeError(f"data set {where}: sample {row} is NaN throughout", hint="drop such rows")


def _too_large(x: Array) -> Array:
    large: Array = np.abs(x.astype(np.float64)) > np.finfo(np.float32).max
    return large


def _nothing(x: Array) -> Array:
    return np.asarray(np.isnan(x).all(tuple(range(1, x.ndim)), keepdims=True))


def _not_finite(x: Array) -> Array:
    bad: Array = np.isnan(x) | _too_large(x)
    return bad
