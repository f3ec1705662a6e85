"""From many data to cells on one page: the common ground of all figures made of pictures.

One axes holds all pictures, each at its own place: a grid of hundreds of axes takes seconds to lay out, a grid of
pictures does not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from pyrovae.figures.arrays import Array
from pyrovae.figures.images import Range, say_range, to_image, value_range
from pyrovae.figures.style import GREY, RC, blank

GAP = 0.08  # between cells of unit area
INCHES = (0.45, 2.0)  # side of the smallest and the largest cell
LABEL_POINTS = 7
OFF = 1.5  # factor by which a page may be wider or narrower than wanted if that fills its last row


def even_columns(count: int, ideal: float) -> int:
    """Returns a number of columns near `ideal` that leaves no row, or only the last one, with a few cells.

    Example:
        >>> even_columns(64, 9.5), even_columns(20, 20), even_columns(61, 7.8)
        (8, 20, 8)
    """
    divisors = [columns for columns in range(1, count + 1) if count % columns == 0]
    # rounded, so that of two that are equally near the larger wins: screens are wide
    off, nearest = min((round(abs(log(columns / ideal)), 9), -columns) for columns in divisors)
    return -nearest if off <= log(OFF) else ceil(count / ceil(count / ideal))


@dataclass(frozen=True)
class Cells:
    """Where cells lie, in units of their side: `height` and `width` of one, and `room` above each of the `labelled`
    rows."""

    height: float
    width: float
    room: float
    labelled: Array

    def top(self, row: float) -> float:
        """Returns the upper edge of a row; a fraction of a row leaves a gap."""
        return row * (self.height + GAP) + self.room * np.count_nonzero(self.labelled <= row)

    def left(self, column: float) -> float:
        """Returns the left edge of a column."""
        return column * (self.width + GAP)


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
    """Draws each datum in its cell of one page.

    Args:
        images: Data, `(n, *event)`.
        places: Row and column of each datum, `(n, 2)`; fractions leave a gap.
        span: The values shown as black and white; by default those of `value_range(images)`. They are written
            below the page, unless they are 0 and 1.
        labels: A few characters above each datum; a row whose labels are all empty gets no room for them.
        rows: Names at the left, by row.
        columns: Names at the bottom, by column.
        title: Above all.
    """
    span, rows, columns = span or value_range(images), rows or {}, columns or {}
    pictures = [to_image(event, span=span) for event in images]
    places, words = np.asarray(places, dtype=float), list(labels or [""] * len(images))
    cells, inches = _cells(pictures[0], places, words)
    height = cells.top(places[:, 0].max()) + cells.height
    width = cells.left(places[:, 1].max()) + cells.width
    margins = 0.2 + 0.7 * bool(rows), 0.2 + 0.3 * bool(title) + 0.3 * bool(columns)
    figure = blank(width * inches + margins[0], height * inches + margins[1])
    axes = figure.add_subplot()
    for picture, word, (row, column) in zip(pictures, words, places, strict=True):
        _put(axes, picture, shorten(word, cells.width * inches), cells.top(row), cells.left(column), cells)
    axes.set(xlim=(0, width), ylim=(height, 0), title=title)
    axes.set_yticks([cells.top(row) + cells.height / 2 for row in rows], list(rows.values()))
    axes.set_xticks([cells.left(column) + cells.width / 2 for column in columns], list(columns.values()))
    # a wide page will be shrunk to a screen, and its names with it
    size = max(8, width * inches)
    axes.tick_params(length=0, labelsize=size)
    axes.set_xlabel(say_range(images, span), loc="right", fontsize=size)
    axes.spines[:].set_visible(False)
    return figure


def _cells(picture: Array, places: Array, words: Sequence[str]) -> tuple[Cells, float]:
    """Chooses the cells of a page and how many inches their unit is."""
    # of unit area, so that neither a tall nor a wide event is dwarfed
    height, width = picture.shape[:2] / np.sqrt(picture.shape[0] * picture.shape[1])
    inches = float(np.clip(5 / (places[:, 1].max() + 1) / width, *INCHES))
    labelled = np.unique([row for row, word in zip(places[:, 0], words, strict=True) if word])
    return Cells(height, width, 1.5 * LABEL_POINTS / 72 / inches, labelled), inches


def _put(axes: Axes, picture: Array, word: str, top: float, left: float, cells: Cells) -> None:
    """Draws one picture and the word above it."""
    extent = (left, left + cells.width, top + cells.height, top)
    axes.imshow(picture, extent=extent, cmap=GREY, vmin=0, vmax=1)
    if word:
        axes.text(left + cells.width / 2, top - 0.02, word, ha="center", va="bottom", fontsize=LABEL_POINTS)


def shorten(text: str, inches: float) -> str:
    """Cuts a label to the width of its cell, at about half an em a letter."""
    room = max(2, int(inches * 72 / (0.55 * LABEL_POINTS)))
    return text if len(text) <= room else text[: room - 1] + "…"
