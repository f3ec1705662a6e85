"""From one datum to pixels, and from many data to cells on a page.

A datum of any event shape becomes one picture, so that every figure works for every data set:

| event shape | picture |
|---|---|
| `(H, W)`, `(1, H, W)` | grey |
| `(3, H, W)` | colour |
| `(D,)` | a strip of D bars that rise (or hang) from zero |
| `(C, H, W)`, other C | the C channels side by side, grey |

Brightness is comparable within a figure and between figures of unit data: the range of values shown is [0, 1] ([0, 255] for
bytes), widened only as far as the data demand, and one for all pictures of a figure.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from pyrovae.figures.arrays import Array, to_array
from pyrovae.figures.style import GREY, RC, blank

Range = tuple[float, float]

STRIP = (128, 384)  # pixels of a bar strip, height and greatest width
PAPER, BAR, ZERO = 0.93, 0.25, 0.6  # grey levels of a bar strip
GAP = 0.08  # between cells, as a fraction of a cell's side
LABEL_POINTS = 7


def value_range(images: ArrayLike) -> Range:
    """Returns the values drawn black and white: [0, 1], or [0, 255] for bytes, widened to hold all finite values.

    Example:
        >>> value_range([0.2, 0.4]), value_range([-2.0, 3.0]), value_range(np.array([7], dtype=np.uint8))
        ((0.0, 1.0), (-2.0, 3.0), (0.0, 255.0))
    """
    array = to_array(images)
    finite = array[np.isfinite(array)]
    top = 255.0 if array.dtype == np.uint8 else 1.0
    return float(np.min(finite, initial=0.0)), float(np.max(finite, initial=top))


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


@rc_context(RC)
def lay_out(
    images: Array,
    places: ArrayLike,
    *,
    span: Range | None = None,
    labels: Sequence[str] | None = None,
    rows: Mapping[float, str] | None = None,
    columns: Mapping[float, str] | None = None,
    title: str = "",
) -> Figure:
    """Draws each datum in its cell of one page; the common ground of all image figures.

    One axes holds all pictures: a grid of hundreds of axes takes seconds to lay out, a grid of pictures does not.

    Args:
        images: Data, `(n, *event)`.
        places: Row and column of each datum, `(n, 2)`; fractions leave a gap.
        span: The values shown as black and white; by default those of `value_range(images)`.
        labels: A few characters above each datum.
        rows: Names at the left, by row.
        columns: Names at the bottom, by column.
        title: Above all.
    """
    span = span or value_range(images)
    pictures = [to_image(event, span=span) for event in images]
    places = np.asarray(places, dtype=float)
    # cells of unit area: neither a tall nor a wide event is dwarfed
    cell = np.sqrt(np.array(pictures[0].shape[:2]) / np.array(pictures[0].shape[1::-1]))
    inches = float(np.clip(5 / (places[:, 1].max() + 1) / cell[1], 0.45, 2))
    words = list(labels or [""] * len(pictures))
    corners = places * (cell + GAP)
    corners[:, 0] += _label_room(places[:, 0], words) * 1.5 * LABEL_POINTS / 72 / inches
    height, width = corners.max(axis=0) + cell
    margins = (0.9 if rows else 0.2, 0.2 + 0.3 * bool(title) + 0.3 * bool(columns))
    figure = blank(width * inches + margins[0], height * inches + margins[1])
    axes = figure.add_subplot()
    for picture, word, (y, x) in zip(pictures, words, corners, strict=True):
        axes.imshow(picture, extent=(x, x + cell[1], y + cell[0], y), cmap=GREY, vmin=0, vmax=1)
        _write(axes, _shorten(word, cell[1] * inches), x + cell[1] / 2, y)
    axes.set(xlim=(0, width), ylim=(height, 0), title=title)
    middles = {row: np.interp(row, *_sorted(places[:, 0], corners[:, 0])) + cell[0] / 2 for row in rows or {}}
    axes.set_yticks(list(middles.values()), list((rows or {}).values()))
    axes.set_xticks([column * (cell[1] + GAP) + cell[1] / 2 for column in columns or {}], list((columns or {}).values()))
    # a page that will be shrunk to the width of a screen needs larger names
    axes.tick_params(length=0, labelsize=max(8, width * inches))
    axes.spines[:].set_visible(False)
    return figure


def _shorten(text: str, inches: float) -> str:
    """Cuts a label to the width of its cell, at about half an em a letter."""
    room = max(2, int(inches * 72 / (0.55 * LABEL_POINTS)))
    return text if len(text) <= room else text[: room - 1] + "…"
