"""What kind of numbers x holds: read from the values, or named and then checked against them.

Without a name, zeros and ones are `binary`, bytes are grey `levels`, floats within [0, 1] are `unit`, others `real`.
Counts look like any of these in some data set, so they have to be named.
"""

from dataclasses import dataclass, replace

import numpy as np

from pyrovae.data.binarize import Binarize
from pyrovae.data.checks import Array, check_levels, check_unit, first_row, first_value, no_bit, outside_unit
from pyrovae.data.dataset import Support
from pyrovae.errors import PyrovaeError

# What is wrong with a value under a support that was named: the test, and what the value should have been.
OUTSIDE = {
    "binary": (no_bit, "not 0 or 1"),
    "unit": (outside_unit, "outside [0, 1]"),
    "levels": (lambda x: (x < 0) | (x != np.trunc(x)) & (x == x), "not a level 0, 1, 2, ..."),
}

FROM_VALUES = "leave data.support out to have it read from the values"


@dataclass(frozen=True)
class Part:
    """Rows that came together, as numpy, and what messages call them."""

    where: str
    x: Array
    y: Array | None
    stays: bool = False  # in its file, so that it is not converted either


def resolve(
    parts: list[Part], named: Support | None, white: int | None, binarize: Binarize
) -> tuple[list[Part], Support, int | None]:
    """Returns all parts in one unit, their support before any binarisation, and white in this unit (None for floats).

    Args:
        parts: Checked rows, uint8 or float32.
        named: What the user says they are; read from the values by default.
        white: The level of white, where the user says so.
        binarize: How grey pixels will become zeros and ones.

    Raises:
        PyrovaeError: The values are not what they are said to be.
    """
    check_alike(parts)
    if binarize != "none":
        _check_binary(parts[0].where, named, binarize)
        named = None  # the name is that of the zeros and ones to come
    if named is None:
        return _guess(parts, white, binarize)
    return _check_named(parts, named, white)


def check_alike(parts: list[Part]) -> None:
    """Refuses test rows that differ in shape or type from the training rows.

    Raises:
        PyrovaeError: Says what both are.
    """
    where, train, test = parts[0].where, parts[0].x, parts[-1].x
    if (train.shape[1:], train.dtype) != (test.shape[1:], test.dtype):
        ours, theirs = (f"{x.shape[1:]} {x.dtype}" for x in (train, test))
        raise PyrovaeError(f"data set {where}: training rows are {ours}, test rows {theirs}", hint="make them alike")


def _check_binary(where: str, named: Support | None, binarize: Binarize) -> None:
    if named not in (None, "binary"):
        message = f"data set {where}: data.support = '{named}', but data.binarize = '{binarize}' makes zeros and ones"
        raise PyrovaeError(message, hint='leave data.support out, or set data.binarize = "none"', exit_code=2)


def _guess(parts: list[Part], white: int | None, binarize: Binarize) -> tuple[list[Part], Support, int | None]:
    if white is None and all(first_row(part.x, no_bit) is None for part in parts):
        return _to_bytes(parts), "binary", 1
    if white is None and parts[0].x.dtype == np.uint8:
        white = 255
    for part in parts:
        if white is not None:
            check_levels(part.where, part.x, white)
            _check_integers(part)
        elif binarize != "none":
            check_unit(part.where, part.x, binarize)
    if white is not None:
        return parts, "binary" if white == 1 else "levels", white
    return parts, "unit" if all(first_row(part.x, outside_unit) is None for part in parts) else "real", None


def _check_named(parts: list[Part], named: Support, white: int | None) -> tuple[list[Part], Support, int | None]:
    grey = named == "levels" or (named == "unit" and parts[0].x.dtype == np.uint8)
    if white is not None and not grey:
        message = f"data set {parts[0].where}: data.max_level has no meaning for data.support = '{named}'"
        raise PyrovaeError(message, hint="leave one of them out", exit_code=2)
    for part in parts:
        check_values(part.where, part.x, "levels" if grey else named)
    if grey:
        parts = _to_bytes(parts)
        for part in parts:
            check_levels(part.where, part.x, white or 255)
        return parts, named, white or 255
    return (_to_bytes(parts), named, 1) if named == "binary" else (parts, named, None)


def _check_integers(part: Part) -> None:
    if part.x.dtype != np.uint8:
        message = f"data set {part.where}: max_level needs integer pixels, got {part.x.dtype}"
        raise PyrovaeError(message, hint='leave it out, or set data.support = "levels"')


def check_values(where: str, x: Array, named: Support, hint: str = FROM_VALUES) -> None:
    """Refuses values that are not what they are said to be, for supports that not every number is of.

    Raises:
        PyrovaeError: Names the first such sample and its value.
    """
    if named not in OUTSIDE or (named == "levels" and x.dtype == np.uint8):
        return
    bad, verdict = OUTSIDE[named]
    found = first_value(x, bad)
    if found:
        message = f"data set {where}: sample {found[0]} has value {found[1]}, {verdict} (data.support = '{named}')"
        raise PyrovaeError(message, hint=hint)


def _to_bytes(parts: list[Part]) -> list[Part]:
    """Returns whole numbers within 0..255 as uint8; floats stay if any is missing or too large."""
    if any(
        part.stays or part.x.dtype == np.uint8 or first_row(part.x, lambda x: ~(x <= 255)) is not None for part in parts
    ):
        return parts
    return [replace(part, x=part.x.astype(np.uint8)) for part in parts]
