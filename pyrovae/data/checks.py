"""What is wrong with an array, said before the first step of training, with the sample that shows it.

Each check reads one numpy array of shape `(n, *event_shape)` and what messages call it (`where`). Checks run once, when
a data set is made; afterwards nobody looks again, and a NaN would only be seen as a loss that is not a number.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pyrovae.errors import PyrovaeError

Array = NDArray[Any]

RENUMBER = "labels count from 0: np.unique(y, return_inverse=True)[1] renumbers them"


def to_array(values: Tensor | Array) -> Array:
    """Returns a tensor on any device as numpy, or the array itself."""
    if not isinstance(values, Tensor):
        return np.asarray(values)
    values = values.detach().cpu()
    return (values.float() if values.is_floating_point() else values).numpy()  # numpy has no bfloat16


def to_pixels(where: str, values: Tensor | Array) -> Array:
    """Returns rows as uint8 where they are whole numbers 0..255 or booleans, else as finite float32.

    Args:
        where: What messages call the rows.
        values: Rows, of shape `(n, *event_shape)` with a non-empty event.

    Raises:
        PyrovaeError: No rows, no event, another type, integers outside 0..255, or a value that is not finite.

    Example:
        >>> to_pixels("toy", np.array([[0, 255]])).dtype, to_pixels("toy", np.array([[0.5, -1.0]])).dtype
        (dtype('uint8'), dtype('float32'))
    """
    x = to_array(values)
    _check_shape(where, x)
    if x.dtype.kind in "iu":
        _check_bytes(where, x)
    elif x.dtype.kind not in "bf":
        raise PyrovaeError(f"data set {where}: pixels are {x.dtype}, not numbers", hint="store uint8 or float32")
    with np.errstate(over="ignore"):  # what overflows float32 is reported as not finite, below
        x = x.astype(np.float32 if x.dtype.kind == "f" else np.uint8, copy=False)
    _check_finite(where, x)
    return x


def check_levels(where: str, x: Array, max_level: int) -> None:
    """Refuses a byte above white.

    Raises:
        PyrovaeError: Names the first such sample and its level.
    """
    if not 1 <= max_level <= 255:
        raise PyrovaeError(f"data set {where}: max_level is {max_level}, not in 1..255", hint="bytes have 255")
    if x.dtype != np.uint8:
        raise PyrovaeError(f"data set {where}: max_level needs integer pixels, got {x.dtype}", hint="leave it out")
    row = _first_row(x > max_level)
    if row is not None:
        message = f"data set {where}: sample {row} has level {x[row].max()}, above max_level {max_level}"
        raise PyrovaeError(message, hint="max_level is the level of white: 255 for bytes")


def check_unit(where: str, x: Array, binarize: str) -> None:
    """Refuses to binarise what is not a probability.

    Raises:
        PyrovaeError: Names the first sample outside [0, 1] and its value.
    """
    outside = (x < 0) | (x > 1)
    row = _first_row(outside)
    if row is not None:
        message = f"data set {where}: sample {row} has pixel {x[row][outside[row]][0]}, outside [0, 1]"
        hint = f'divide bytes by 255 or store them as uint8; real-valued data need binarize = "none", not "{binarize}"'
        raise PyrovaeError(message, hint=hint)


def to_labels(where: str, values: Tensor | Array, rows: int) -> Array:
    """Returns labels as int64, one for each row.

    Raises:
        PyrovaeError: Another number of labels than `rows`, another type than integers, or a negative one.
    """
    y = to_array(values)
    if y.shape != (rows,):
        count = f"{len(y)} labels" if y.ndim == 1 else f"labels of shape {y.shape}"
        raise PyrovaeError(f"data set {where}: {rows} images but {count}", hint="give one integer label per image")
    if y.dtype.kind not in "biu":
        raise PyrovaeError(f"data set {where}: labels are {y.dtype}, not integers 0..C-1", hint="y.astype('int64')")
    row = _first_row(y < 0)
    if row is not None:
        raise PyrovaeError(f"data set {where}: sample {row} has label {y[row]}, not one of 0..C-1", hint=RENUMBER)
    return y.astype(np.int64)


def check_classes(where: str, y: Array, classes: tuple[str, ...]) -> None:
    """Refuses a label without a name.

    Raises:
        PyrovaeError: Names the first such sample and its label.
    """
    row = _first_row(y >= len(classes))
    if row is not None:
        message = f"data set {where}: sample {row} has label {y[row]}, not one of 0..{len(classes) - 1}"
        raise PyrovaeError(message, hint=RENUMBER)


def name_classes(where: str, y: Array) -> tuple[str, ...]:
    """Returns the names `"0"`, `"1"`, ... of labels that came without names.

    Raises:
        PyrovaeError: A number below the largest label does not occur, as in labels that count from 1.

    Example:
        >>> name_classes("toy", np.array([1, 0, 2]))
        ('0', '1', '2')
    """
    found = np.unique(y)
    gap = _first_row(found != np.arange(len(found)))
    if gap is not None:
        message = f"data set {where}: labels reach {found[-1]} but none is {gap}: not integers 0..C-1"
        raise PyrovaeError(message, hint=RENUMBER)
    return tuple(str(label) for label in found)


def _check_shape(where: str, x: Array) -> None:
    if x.ndim == 0 or x.size == 0:
        raise PyrovaeError(f"data set is empty: {where} has shape {x.shape}", hint="it needs 3 rows or more")
    if x.ndim < 2:
        raise PyrovaeError(f"data set {where}: shape {x.shape} has no event", hint="rows come first: (n, ...)")


def _check_bytes(where: str, x: Array) -> None:
    if x.min() < 0 or x.max() > 255:
        message = f"data set {where}: integer pixels run from {x.min()} to {x.max()}, not within 0..255"
        raise PyrovaeError(message, hint="store counts and other numbers as floats: x.astype('float32')")


def _check_finite(where: str, x: Array) -> None:
    bad = ~np.isfinite(x)
    row = _first_row(bad)
    if row is not None:
        count = int(bad[row].sum())
        message = f"data set {where}: sample {row} has {count} non-finite pixel{'s' if count > 1 else ''}"
        raise PyrovaeError(message, hint="drop or repair such rows: np.isfinite(x) finds them")


def _first_row(bad: NDArray[np.bool_]) -> int | None:
    rows = bad.reshape(len(bad), -1).any(1)
    return int(rows.argmax()) if rows.any() else None
