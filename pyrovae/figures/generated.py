"""Samples beside real data: the training data nearest to them, and the spectra of both."""

from collections.abc import Mapping

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from pyrovae.figures.arrays import same_length, to_array, to_batch
from pyrovae.figures.images import Range
from pyrovae.figures.layout import lay_out
from pyrovae.figures.style import FAINT, PALETTE, RC, blank


def beside_nearest(samples: ArrayLike, nearest: ArrayLike, *, distance: ArrayLike, span: Range | None = None) -> Figure:
    """Draws samples above the training data that are nearest to them.

    Read: pairs that are equal are copies; a model that has learned a distribution makes neighbours, not copies.

    Args:
        samples: Draws of a model, ``(n, *event)``.
        nearest: The training datum of each, the same shape.
        distance: Between them, shape ``(n,)``, written above.
        span: The values drawn black and white, the same for both.

    Example:
        >>> figure = beside_nearest(np.zeros((3, 8, 8)), np.ones((3, 8, 8)), distance=[8.0, 8.0, 8.0])
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['sample', 'nearest']
    """
    above, below = to_batch(samples, "samples"), to_batch(nearest, "nearest")
    apart = to_array(distance)
    same_length(samples=len(above), nearest=len(below), distance=len(apart))
    columns = np.arange(len(above))
    places = np.concatenate([np.stack([np.full(len(above), row), columns], 1) for row in (0, 1)])
    words = [*(f"{value:.3g}" for value in apart), *[""] * len(below)]
    title = "samples nearest to training data, and the distance"
    rows = {0.0: "sample", 1.0: "nearest"}
    return lay_out(np.concatenate([above, below]), places, span=span, labels=words, rows=rows, title=title)


@rc_context(RC)
def spectra(frequency: ArrayLike, power: Mapping[str, ArrayLike]) -> Figure:
    """Draws the radially averaged power of pictures over frequency, one curve a set.

    Read: a curve that falls below that of the data at the right is blur, one that stays above is noise.

    Args:
        frequency: Cycles per pixel, up to 1/2, shape ``(rings,)``.
        power: By name of the set, mean squared modulus of the Fourier transform, shape ``(rings,)``.

    Example:
        >>> figure = spectra([0.25, 0.5], {"data": [2.0, 1.0], "samples": [2.0, 0.5]})
        >>> len(figure.axes[0].lines)
        3
    """
    figure = blank(6, 3.8)
    axes = figure.add_subplot()
    axes.axvline(0.25, color=FAINT, linewidth=0.8, zorder=0)
    for index, (name, values) in enumerate(power.items()):
        axes.plot(to_array(frequency), to_array(values), "o-", markersize=3, color=PALETTE[index], label=name)
    axes.set(yscale="log", xlabel="frequency, cycles per pixel", ylabel="power")
    axes.set_title("Spectra; sharpness counts what is right of the grey line")
    axes.legend()
    return figure
