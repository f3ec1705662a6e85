"""From one datum to pixels.

A datum of any event shape becomes one picture, so that every figure works for every data set:

| event shape | picture |
|---|---|
| `(H, W)`, `(1, H, W)` | grey |
| `(3, H, W)` | colour |
| `(D,)` | a strip of D bars that rise (or hang) from zero |
| `(C, H, W)`, other C | the C channels side by side, grey |

Brightness is comparable within a figure and between figures of unit data: the range of values shown is [0, 1] ([0,
255] for bytes), widened only as far as the data demand, and one for all pictures of a figure. Counts and other data
with long tails would be black but for a few pixels: values far beyond nearly all others are clipped.
"""

import numpy as np
from numpy.typing import ArrayLike

from pyrovae.figures.arrays import Array, to_array

Range = tuple[float, float]

UNIT: Range = (0.0, 1.0)
RARE, FAR = 0.005, 2.0  # so few of the values that are not zero, if so many times as far as the others, are clipped
STRIP = (128, 384)  # pixels of a bar strip, height and greatest width
PAPER, BAR, ZERO = 0.93, 0.25, 0.6  # grey levels of a bar strip


def value_range(images: ArrayLike) -> Range:
    """Returns the values drawn black and white: [0, 1], or [0, 255] for bytes, widened to hold nearly all values.

    Example:
        >>> value_range([0.2, 0.4]), value_range([-2.0, 3.0]), value_range(np.array([7], dtype=np.uint8))
        ((0.0, 1.0), (-2.0, 3.0), (0.0, 255.0))
        >>> value_range([0] * 5000 + [1, 2, 3] * 100 + [900])
        (0.0, 3.0)
    """
    array = to_array(images)
    values = array[np.isfinite(array)].astype(float)
    top = 255.0 if array.dtype == np.uint8 else 1.0
    return 0.0 - _reach(-values, 0.0), _reach(values, top)


def _reach(values: Array, least: float) -> float:
    """Returns the greatest value, or that of nearly all values where the few others are far beyond."""
    greatest = float(np.max(values, initial=least))
    # of those on this side of zero: many data are mostly zero
    beyond = values[values > 0]
    usual = max(least, float(np.quantile(beyond, 1 - RARE, method="lower"))) if beyond.size else least
    return usual if greatest > FAR * usual > 0 else greatest


def say_range(images: Array, span: Range) -> str:
    """Says which values are black and white, or at the ends of a bar, unless they are 0 and 1.

    Example:
        >>> say_range(np.array([[0, 2]]), (0.0, 1.5)), say_range(np.zeros((1, 2, 2)), (0.0, 1.0))
        ('bottom: 0, top: 1.5 or more', '')
    """
    if span == UNIT:
        return ""
    dark, bright = ("black", "white") if images.ndim > 2 else ("bottom", "top")
    less, more = " or less" * bool((images < span[0]).any()), " or more" * bool((images > span[1]).any())
    return f"{dark}: {span[0]:.4g}{less}, {bright}: {span[1]:.4g}{more}"


def to_image(event: ArrayLike, *, span: Range | None = None) -> Array:
    """Returns the picture of one datum, `(H, W)` or `(H, W, 3)` in [0, 1], as the table above lays down.

    Args:
        event: One datum, channels first.
        span: The values shown as 0 and 1; by default `value_range(event)`. Values outside are clipped.

    Example:
        >>> to_image(np.zeros((3, 4, 5))).shape, to_image(np.zeros((2, 4, 5))).shape, to_image(np.zeros(6)).shape
        ((4, 5, 3), (4, 10), (128, 384))
    """
    low, high = span or value_range(event)
    unit = np.clip((to_array(event).astype(float) - low) / (high - low), 0, 1)
    if unit.ndim < 2:
        return _bars(unit.reshape(-1), float(np.clip(-low / (high - low), 0, 1)))
    if unit.ndim == 2:
        return unit
    if unit.shape[0] == 3 and unit.ndim == 3:
        return np.nan_to_num(unit).transpose(1, 2, 0)
    return np.concatenate(unit.reshape(-1, *unit.shape[-2:]), axis=1)


def _bars(levels: Array, zero: float) -> Array:
    """Rasters one bar per value, from the level of zero to the value's own; longer vectors are averaged in runs."""
    height, widest = STRIP
    if len(levels) > widest:
        levels = np.array([run.mean() for run in np.array_split(levels, widest)])
    rows = ((np.arange(height)[::-1] + 0.5) / height)[:, None]
    inside = (rows >= np.minimum(levels, zero)) & (rows <= np.maximum(levels, zero))
    width = widest // len(levels)
    picture = np.where(inside, BAR, PAPER).repeat(width, axis=1)
    if width > 3:
        # a hairline between neighbours; narrower bars read as an outline and would be half gap
        picture[:, width - 1 :: width] = PAPER
    picture[min(int((1 - zero) * height), height - 1)] = ZERO
    return picture
