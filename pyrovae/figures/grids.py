"""Data on a page: a plain grid, data above their reconstructions, and data by class."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from pyrovae.errors import PyrovaeError
from pyrovae.figures.arrays import same_length, to_array, to_batch
from pyrovae.figures.images import Range, to_image
from pyrovae.figures.layout import even_columns, lay_out

BREAK = 0.25  # extra space between groups of rows, in rows
WIDE = 20  # samples of a class side by side


def image_grid(
    images: ArrayLike,
    *,
    columns: int | None = None,
    labels: Sequence[object] | None = None,
    title: str = "",
    span: Range | None = None,
) -> Figure:
    """Draws data or samples row by row.

    Read: every picture has the same scale of brightness, so a pale one *is* pale.

    Args:
        images: Data, `(n, *event)`.
        columns: Pictures per row; by default about as many inches wide as high, with full rows if that can be.
        labels: One per datum, drawn above it, cut to its width.
        title: Say what they are: data, prior samples, ...
        span: The values drawn black and white; see `pyrovae.figures.images.value_range`.

    Example:
        >>> figure = image_grid(np.zeros((6, 1, 8, 8)), columns=3, title="samples of the prior")
        >>> len(figure.axes[0].images)
        6
    """
    batch = to_batch(images, "images")
    if labels is not None:
        same_length(images=len(batch), labels=len(labels))
    height, width = to_image(batch[0]).shape[:2]
    columns = columns or even_columns(len(batch), np.sqrt(len(batch) * height / width))
    places = [divmod(index, columns) for index in range(len(batch))]
    return lay_out(batch, places, span=span, labels=None if labels is None else _words(labels), title=title)


def reconstructions(
    originals: ArrayLike,
    reconstructed: ArrayLike,
    *,
    labels: Sequence[object] | None = None,
    columns: int | None = None,
    span: Range | None = None,
) -> Figure:
    """Draws each datum above its reconstruction.

    Read: what differs within a pair is what the latent code does not carry (or the likelihood averages away).

    Args:
        originals: Data x, `(n, *event)`.
        reconstructed: Their reconstructions, the same shape.
        labels: One per pair, drawn above the datum.
        columns: Pairs side by side; by default about ten, and fewer of wide events.
        span: The values drawn black and white, the same for both.

    Example:
        >>> len(reconstructions(np.zeros((4, 8, 8)), np.ones((4, 8, 8))).axes[0].images)
        8
    """
    above, below = to_batch(originals, "originals"), to_batch(reconstructed, "reconstructed")
    if above.shape != below.shape:
        raise PyrovaeError(f"'reconstructed' should have the shape of 'originals' {above.shape}, got {below.shape}")
    if labels is not None:
        same_length(originals=len(above), labels=len(labels))
    height, width = to_image(above[0]).shape[:2]
    columns = columns or even_columns(len(above), np.clip(10 * height / width, 1, 10))
    band, column = np.divmod(np.arange(len(above)), columns)
    top = band * (2 + BREAK)
    places = np.concatenate([np.stack([top, column], 1), np.stack([top + 1, column], 1)])
    rows = {float(row): "data" for row in top} | {float(row) + 1: "reconstruction" for row in top}
    words = None if labels is None else [*_words(labels), *[""] * len(below)]
    return lay_out(np.concatenate([above, below]), places, span=span, labels=words, rows=rows)


def pools(images_by_class: Mapping[str, ArrayLike], *, columns: int | None = None, span: Range | None = None) -> Figure:
    """Draws every sample of every class, one row per class, more where a class has many samples.

    Read: a row should look like one class and its pictures should differ; equal pictures mean a collapsed pool.

    Args:
        images_by_class: From the name of a class to its data, `(n_class, *event)`; an empty pool keeps its row.
        columns: Pictures per row; by default about twenty, with full rows if that can be.
        span: The values drawn black and white, the same for all classes.

    Example:
        >>> figure = pools({"cat": np.zeros((3, 8, 8)), "dog": np.ones((2, 8, 8))})
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['cat', 'dog']
    """
    arrays = {name: to_array(images) for name, images in images_by_class.items()}
    filled = [images for images in arrays.values() if len(images)]
    if len({images.shape[1:] for images in filled}) != 1:
        raise PyrovaeError("'images_by_class' should hold data of one event shape, and at least one datum")
    places, rows, top = [], {}, 0.0
    for name, images in arrays.items():
        wide = columns or even_columns(max(1, len(images)), WIDE)
        lines = max(1, -(-len(images) // wide))
        places += [(top + index // wide, index % wide) for index in range(len(images))]
        rows[top + (lines - 1) / 2] = name
        top += lines + BREAK
    return lay_out(np.concatenate(filled), places, span=span, rows=rows)


def _words(labels: Sequence[Any]) -> list[str]:
    """Returns labels as text; a tensor's or an array's as plain numbers."""
    return [str(to_array(label).item()) if hasattr(label, "item") else str(label) for label in labels]
