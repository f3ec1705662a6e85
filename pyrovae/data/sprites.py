"""Sprites: pictures that five known factors determine, one for each combination, as in dSprites (Matthey et al., 2017).

A sprite is white on black: a square, an ellipse with axes 2 : 1, or a heart, which is a square on its corner with half
a disc on each upper side. Its factors are the columns of `factor_grid`, `FACTORS` in this order:

- `shape`: 0, 1 or 2, an index of `SHAPES`;
- `scale`: the side of the square in quarters of the picture. At one scale all shapes have one area, so that the area
  does not tell the shape;
- `orientation`: counter-clockwise from upright, in units of the turn after which the shape looks the same: a quarter
  of the square, half of the ellipse, a whole one of the heart. From 0 up to 1, which would be 0 again;
- `pos_x`, `pos_y`: the centroid, from 0 (left, top) to 1 (right, bottom). At the ends the largest sprite still fits.

dSprites turns every shape once around, and holds each square four times and each ellipse twice. Here no two
combinations have the same picture, so that a code that names the picture can name the factors.
"""

from collections.abc import Callable
from dataclasses import replace
from math import pi, sqrt
from pathlib import Path
from typing import Annotated

import numpy as np

from pyrovae.data.binarize import Binarize
from pyrovae.data.checks import Array
from pyrovae.data.dataset import Dataset
from pyrovae.data.make import make_dataset
from pyrovae.errors import PyrovaeError
from pyrovae.ranges import Natural, Range

SHAPES = ("square", "ellipse", "heart")
FACTORS = ("shape", "scale", "orientation", "pos_x", "pos_y")

# How often a shape looks the same within a turn.
SYMMETRY = (4, 2, 1)

# Side of the square at scale 1, and distance of the outermost centroid from the edge, in sides of the picture. The
# ellipse reaches furthest from its centroid.
SIDE = 0.25
LONG, SHORT = sqrt(2 / pi), 1 / sqrt(2 * pi)
MARGIN = SIDE * LONG

# The heart: a square of this side on its corner, and the height of the centroid above the square's middle.
HEART = 1 / sqrt(1 + pi / 4)
LIFT = sqrt(2) * (pi * HEART**2 / 8) * (HEART / 2 + 2 * HEART / (3 * pi))

Distance = Callable[[Array, Array], Array]

# Pictures that are rendered at once: few enough for a processor's cache.
BLOCK = 32


def sprites(
    data_dir: str | Path | None = None,
    *,
    size: Annotated[int, Range(16)] = 64,
    scales: int = 4,
    orientations: int = 8,
    positions: int = 10,
    binarize: Binarize = "threshold",
    validation: float = 0.1,
    test: float = 0.1,
    seed: Natural = 0,
) -> Dataset:
    """Generated squares, ellipses and hearts, one picture for each combination of five factors (Matthey et al., 2017).

    By default 9,600 pictures in 39 MB, drawn in a second. The label is the shape; each split has its `factors`.

    Args:
        data_dir: Not read: the pictures are computed.
        size: Height and width.
        scales: How many scales, from 0.5 to 1.
        orientations: How many orientations, over the turn after which the shape looks the same.
        positions: How many places in either direction.
        binarize: How grey edges become zeros and ones: under `threshold`, white where more than half is covered.
        validation: Rows to select on: a fraction below 1, or a number.
        test: Rows to report on, likewise.
        seed: Names the split and the noise of what is binarised once.

    Example:
        >>> data = sprites(size=16, scales=1, orientations=4, positions=5)
        >>> [len(split) for split in data], data.event_shape, data.classes
        ([240, 30, 30], (1, 16, 16), ('square', 'ellipse', 'heart'))
    """
    factors = factor_grid(scales=scales, orientations=orientations, positions=positions)
    pictures = make_dataset(
        "sprites",
        render(factors, size),
        factors[:, 0].astype(np.int64),
        test=test,
        validation=validation,
        classes=SHAPES,
        max_level=255,
        binarize=binarize,
        seed=seed,
    )
    known = sprite_factors(
        scales=scales, orientations=orientations, positions=positions, validation=validation, test=test, seed=seed
    )
    train, chosen, reported = (replace(shown, factors=rows.x) for shown, rows in zip(pictures, known, strict=True))
    return replace(pictures, train=train, validation=chosen, test=reported)


def sprite_factors(
    *,
    scales: int = 4,
    orientations: int = 8,
    positions: int = 10,
    validation: float = 0.1,
    test: float = 0.1,
    seed: Natural = 0,
) -> Dataset:
    """Returns the factors of `sprites(...)` with the same options, split alike: row i of a split is its row i.

    The rows of x are the columns `FACTORS`; y is the shape, as there.

    Example:
        >>> factors = sprite_factors(scales=1, orientations=4, positions=5)
        >>> [len(split) for split in factors], factors.event_shape
        ([240, 30, 30], (5,))
    """
    factors = factor_grid(scales=scales, orientations=orientations, positions=positions)
    labels = factors[:, 0].astype(np.int64)
    # The split depends on the seed and on the number of rows only.
    return make_dataset(
        "sprites' factors", factors, labels, test=test, validation=validation, classes=SHAPES, seed=seed
    )


def factor_grid(*, scales: int = 4, orientations: int = 8, positions: int = 10) -> Array:
    """Returns every combination of the factors once, the last one varying fastest.

    Returns:
        Values of shape `(3 * scales * orientations * positions**2, 5)`, with the columns `FACTORS`.

    Example:
        >>> factor_grid(scales=2, orientations=1, positions=1)[:3]
        array([[0. , 0.5, 0. , 0.5, 0.5],
               [0. , 1. , 0. , 0.5, 0.5],
               [1. , 0.5, 0. , 0.5, 0.5]])
    """
    place = _spaced(0, 1, positions)
    axes = (np.arange(3), _spaced(0.5, 1, scales), np.arange(orientations) / orientations, place, place)
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(FACTORS)).astype(np.float64)


def render(factors: Array, size: int = 64) -> Array:
    """Draws sprites with smooth edges: a level is 255 times the share of the pixel within a straight outline.

    Args:
        factors: Values of shape `(n, 5)`, on the grid or between, with the columns `FACTORS`.
        size: Height and width.

    Returns:
        Levels as uint8, of shape `(n, 1, size, size)`.

    Raises:
        PyrovaeError: `factors` has other columns, or names no shape.

    Example:
        >>> render(np.array([[0, 0.6, 0, 0.5, 0.5]]), size=16)[0, 0, 6:10, 6:10]
        array([[ 19,  51,  51,  19],
               [ 51, 255, 255,  51],
               [ 51, 255, 255,  51],
               [ 19,  51,  51,  19]], dtype=uint8)
    """
    if factors.shape[1:] != (len(FACTORS),) or not np.isin(factors[:, 0], range(len(SHAPES))).all():
        raise PyrovaeError(f"'factors' are no rows of {', '.join(FACTORS)}", hint="factor_grid() returns such rows")
    x = np.zeros((len(factors), 1, size, size), dtype=np.uint8)
    for shape, distance in enumerate((_square, _ellipse, _heart)):
        rows = np.flatnonzero(factors[:, 0] == shape)
        for block in np.split(rows, range(BLOCK, len(rows), BLOCK)):
            if len(block):
                lines, columns, levels = _draw(factors[block, 1:], 2 * pi / SYMMETRY[shape], distance, size)
                x[block[:, None, None], 0, lines, columns] = levels
    return x


def _draw(factors: Array, turn: float, distance: Distance, size: int) -> tuple[Array, Array, Array]:
    """Returns the pixels around each sprite, by line and column, and their levels."""
    scale, orientation, pos_x, pos_y = factors.T[:, :, None, None]
    x, y, side = _centroid(pos_x) * size, _centroid(pos_y) * size, SIDE * scale * size
    columns, lines = _around(x, side, size), _around(y, side, size).swapaxes(1, 2)
    right, up = (columns + 0.5 - x) / side, (y - lines - 0.5) / side
    cosine, sine = np.cos(turn * orientation), np.sin(turn * orientation)
    # Turning the sprite is turning the pixels back.
    away = side * distance(cosine * right + sine * up, cosine * up - sine * right)
    # Edges through the middle of a pixel are common here; rounding keeps their level from hanging on the last bit.
    return lines, columns, np.rint(255 * np.clip(0.5 - away.round(6), 0, 1))


def _around(centroid: Array, side: Array, size: int) -> Array:
    width = min(size, 4 + int(2 * LONG * side.max()))
    return np.clip(np.floor(centroid - width / 2), 0, size - width).astype(np.int64) + np.arange(width)


def _spaced(low: float, high: float, count: int) -> Array:
    return np.linspace(low, high, count) if count > 1 else np.array([(low + high) / 2])


def _centroid(position: Array) -> Array:
    return MARGIN + (1 - 2 * MARGIN) * position


# Distances to the outline of an upright sprite of area 1 with its centroid at 0, negative inside; u to the right, v up.


def _square(u: Array, v: Array, side: float = 1.0) -> Array:
    over, above = abs(u) - side / 2, abs(v) - side / 2
    return _length(np.maximum(over, 0), np.maximum(above, 0)) + np.minimum(np.maximum(over, above), 0)


def _ellipse(u: Array, v: Array) -> Array:
    # To first order: how far a point is outside, divided by how fast that grows. (k - 1) k / |grad k^2 / 2| is exact
    # for circles; the small number says that the centre is inside.
    k, slope = _length(u / LONG, v / SHORT), _length(u / LONG**2, v / SHORT**2)
    return (k - 1) * (k + 1e-9) / (slope + 1e-9)


def _heart(u: Array, v: Array) -> Array:
    v = v + LIFT
    p, q, radius = (v + u) / sqrt(2), (v - u) / sqrt(2), HEART / 2  # along the sides of the square
    discs = np.minimum(_length(p - radius, q), _length(p, q - radius)) - radius
    return np.minimum(_square(p, q, HEART), discs)


def _length(a: Array, b: Array) -> Array:
    return np.sqrt(a * a + b * b)  # five times faster than `hypot`, which minds overflow
