"""What the decoder makes of chosen latent points: a plane of them, one dimension at a time, or the way between two
data.

The points are chosen here or by the caller, decoded by the caller, and drawn here:

    points = manifold_points(20)
    images = vae.likelihood(torch.as_tensor(points)).mean
    figure = manifold(images, 20, 20)
"""

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy.stats import norm

from pyrovae.errors import PyrovaeError
from pyrovae.figures.arrays import Array, same_length, to_array, to_batch
from pyrovae.figures.heat_maps import heat_maps
from pyrovae.figures.images import Range, say_range, to_image, value_range
from pyrovae.figures.layout import lay_out
from pyrovae.figures.style import GREY, RC, blank


def manifold_points(side: int, *, reach: float = 0.95) -> Array:
    """Returns a grid of standard-normal quantiles in the plane, `(side * side, 2)`, as the rows of a picture.

    Neighbours enclose equal prior mass. The first point is the top left one: z1 grows to the right, z2 upwards.

    Args:
        side: Points along each axis, 2 or more.
        reach: The prior mass between the first and the last point of an axis.

    Example:
        >>> manifold_points(2, reach=0.5).round(2).tolist()
        [[-0.67, 0.67], [0.67, 0.67], [-0.67, -0.67], [0.67, -0.67]]
    """
    if side < 2 or not 0 < reach < 1:
        raise PyrovaeError(f"'side' should be 2 or more and 'reach' inside (0, 1), got {side} and {reach}")
    axis = norm.ppf(np.linspace(0.5 - reach / 2, 0.5 + reach / 2, side))
    right, up = np.meshgrid(axis, axis[::-1])
    return np.stack([right.ravel(), up.ravel()], axis=1)


@rc_context(RC)
def manifold(
    images: ArrayLike,
    rows: int,
    columns: int,
    *,
    span: Range | None = None,
    names: Sequence[str] | None = None,
    scale: ArrayLike | None = None,
) -> Figure:
    """Draws a plane of the latent space, decoded: tiles without gaps or, of vectors, a map of each variable.

    Read: smooth change from tile to tile is a smooth decoder; a class with much area has much prior mass. Variables
    whose maps look alike move together.

    Args:
        images: Decoded points, `(rows * columns, *event)`, top row first, as `manifold_points` orders them.
        rows: Tiles from top to bottom.
        columns: Tiles from left to right.
        span: The values drawn black and white; a map has the range of its own variable.
        names: Of the variables, if the event is a vector; by default x and a number.
        scale: What counts as much for each variable: of more than 36, those that vary most in these units are drawn.

    Example:
        >>> manifold(np.zeros((6, 1, 8, 5)), 2, 3).axes[0].images[0].get_array().shape
        (16, 15)
    """
    batch = to_batch(images, "images")
    same_length(images=len(batch), tiles=rows * columns)
    if batch.ndim < 3:
        return heat_maps(batch.reshape(rows, columns, -1), names=names, scale=scale)
    span = span or value_range(batch)
    tiles = [to_image(event, span=span) for event in batch]
    page = np.concatenate([np.concatenate(tiles[row * columns :][:columns], axis=1) for row in range(rows)])
    inches = 7 / max(page.shape[:2])
    figure = blank(page.shape[1] * inches + 0.3, page.shape[0] * inches + 0.3)
    axes = figure.add_subplot()
    axes.imshow(page, cmap=GREY, vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[], xlabel="$z_1$ →", ylabel="$z_2$ →")
    axes.set_title(say_range(batch, span), fontsize=8)
    axes.spines[:].set_visible(False)
    return figure


def traversals(
    images: ArrayLike,
    *,
    dimensions: Sequence[int],
    values: ArrayLike,
    kl: ArrayLike | None = None,
    span: Range | None = None,
) -> Figure:
    """Draws what changes as one latent coordinate moves and the others stay.

    Read: a row that does not change is a dimension the decoder ignores; its KL should be near zero as well.

    Args:
        images: Decoded points, `(D, steps, *event)`.
        dimensions: The D moved coordinates, counted from 0 and named from 1, as in `latent_map`.
        values: The values they move through, `(steps,)`.
        kl: Their average KL to the prior in nats, `(D,)`.
        span: The values drawn black and white.

    Example:
        >>> figure = traversals(np.zeros((1, 3, 8, 8)), dimensions=[4], values=[-1, 0, 1], kl=[0.25])
        >>> figure.axes[0].get_yticklabels()[0].get_text()
        '$z_{5}$  0.25 nats'
    """
    batch, steps = to_batch(images, "images", leading=2), to_array(values)
    same_length(images=len(batch), dimensions=len(dimensions))
    same_length(steps=batch.shape[1], values=len(steps))
    notes = [""] * len(batch) if kl is None else [f"  {nats:.2f} nats" for nats in to_array(kl)]
    same_length(dimensions=len(dimensions), kl=len(notes))
    names = [f"$z_{{{index + 1}}}${note}" for index, note in zip(dimensions, notes, strict=True)]
    columns = {float(index): f"{value:.3g}" for index, value in enumerate(steps)}
    return _table(batch, names, columns, span)


def interpolation(images: ArrayLike, *, originals: ArrayLike | None = None, span: Range | None = None) -> Figure:
    """Draws the way from one latent point to another, decoded, one way per row.

    Read: pictures in the middle should look like data, not like two data laid over each other.

    Args:
        images: Decoded points, `(rows, steps, *event)`.
        originals: The data at both ends, `(rows, 2, *event)`, drawn outside the steps.
        span: The values drawn black and white.

    Example:
        >>> len(interpolation(np.zeros((2, 5, 8, 8)), originals=np.zeros((2, 2, 8, 8))).axes[0].images)
        14
    """
    batch = to_batch(images, "images", leading=2)
    steps = batch.shape[1]
    columns = {float(index): f"{share:.2g}" for index, share in enumerate(np.linspace(0, 1, steps))}
    if originals is None:
        return _table(batch, [], columns, span)
    ends = to_batch(originals, "originals", leading=2)
    if ends.shape != (len(batch), 2, *batch.shape[2:]):
        raise PyrovaeError(f"'originals' should have shape {(len(batch), 2, *batch.shape[2:])}, got {ends.shape}")
    apart = 0.25  # so that data and decoded pictures are not mistaken for each other
    columns = {
        0.0: "data",
        **{index + 1 + apart: name for index, name in columns.items()},
        steps + 1 + 2 * apart: "data",
    }
    return _table(np.concatenate([ends[:, :1], batch, ends[:, 1:]], axis=1), [], columns, span)


def _table(batch: Array, rows: Sequence[str], columns: dict[float, str], span: Range | None) -> Figure:
    """Lays out `(rows, columns, *event)` with a name for each row and each column."""
    places = [(row, column) for row in range(len(batch)) for column in columns]
    names = {float(row): name for row, name in enumerate(rows)}
    return lay_out(batch.reshape(-1, *batch.shape[2:]), places, span=span, rows=names, columns=columns)
