"""Paths through latent space, decoded, and how evenly x moves along them."""

from collections.abc import Mapping

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from pyrovae.figures.arrays import same_length, to_array, to_batch
from pyrovae.figures.images import Range
from pyrovae.figures.layout import lay_out
from pyrovae.figures.style import FAINT, PALETTE, RC, blank

APART = 0.3  # of a row, between pairs
RARE = 0.9  # quantile over pairs of what is drawn dashed


def ways(images: Mapping[str, ArrayLike], *, span: Range | None = None) -> Figure:
    """Draws the same pairs joined by several paths, one path a row, one block a pair.

    Read: down a column, what the paths make of the same share of the way; pictures in the middle should look like data.

    Args:
        images: Decoded points by name of the path, ``(pairs, points, *event)``.
        span: The values drawn black and white.

    Example:
        >>> figure = ways({"linear": np.zeros((2, 5, 8, 8)), "fade": np.ones((2, 5, 8, 8))})
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['linear', 'fade', 'linear', 'fade']
    """
    batches = {name: to_batch(values, name, leading=2) for name, values in images.items()}
    same_length(**{name: len(batch) for name, batch in batches.items()})
    together = np.stack(list(batches.values()), axis=1)  # (pairs, paths, points, *event)
    pairs, paths, points = together.shape[:3]
    rows = np.add.outer(np.arange(pairs) * (paths + APART), np.arange(paths)).ravel()
    places = [(row, column) for row in rows for column in range(points)]
    names = dict(zip(rows.tolist(), [*batches] * pairs, strict=True))
    columns = {float(i): f"{share:.2g}" for i, share in enumerate(np.linspace(0, 1, points))}
    return lay_out(together.reshape(-1, *together.shape[3:]), places, span=span, rows=names, columns=columns)


@rc_context(RC)
def step_sizes(sizes: Mapping[str, Mapping[str, ArrayLike]]) -> Figure:
    """Draws how far x moves with each step, over the mean step of its path: mean over pairs, dashed a tenth above.

    Read: a flat line at 1 is even; a peak in the middle is a jump between two kinds of x; dashed far above the line,
    jumps that each pair has elsewhere.

    Args:
        sizes: By kind of the pairs and name of the path, shape ``(pairs, steps)``.

    Example:
        >>> figure = step_sizes({"of one class": {"linear": [[1.0, 1.0, 2.0]]}})
        >>> figure.axes[0].get_title(loc="left"), len(figure.axes[0].lines)
        ('of one class', 3)
    """
    figure = blank(4.2 * len(sizes) + 0.6, 3)
    panels = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for axes, (kind, each) in zip(panels, sizes.items(), strict=True):
        axes.axhline(1, color=FAINT, linewidth=0.8, zorder=0)
        for colour, (name, values) in zip(PALETTE, each.items(), strict=False):
            steps = to_array(values).astype(float)
            even = steps / np.maximum(steps.mean(1, keepdims=True), np.finfo(float).tiny)
            middle = (np.arange(steps.shape[1]) + 0.5) / steps.shape[1]
            axes.plot(middle, even.mean(0), color=colour, label=name)
            axes.plot(middle, np.quantile(even, RARE, axis=0), "--", color=colour, linewidth=0.8)
        axes.set(title=kind, xlabel="share of the path (dashed: 9 of 10 pairs are below)")
    panels[0].set_ylim(bottom=0)  # last, since the panels share what is largest in any
    panels[0].set_ylabel("step of x over the mean one")
    panels[-1].legend()
    return figure
