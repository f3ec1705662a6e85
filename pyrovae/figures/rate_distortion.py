"""Rate against distortion of several models: what each pays for its reconstructions."""

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from pyrovae.figures.style import FAINT, PALETTE, RC, blank


@rc_context(RC)
def rate_distortion(rate: ArrayLike, distortion: ArrayLike, *, names: Sequence[str]) -> Figure:
    """Draws one point a model, joined in the order of rates; along a grey line minus the ELBO, their sum, is equal.

    Args:
        rate: KL(q(z | x) || p(z)), nats per datum, shape ``(models,)`` (Alemi et al., 2018).
        distortion: -E[log p(x | z)], nats per datum, likewise.
        names: What to write beside each point.

    Example:
        >>> figure = rate_distortion([1.0, 5.0], [90.0, 80.0], names=["beta 4", "beta 1"])
        >>> figure.axes[0].get_xlabel()
        'rate, nats per datum'
    """
    points = np.stack([np.asarray(rate, dtype=float), np.asarray(distortion, dtype=float)], 1)
    order = points[:, 0].argsort()
    figure = blank(6, 4.2)
    axes = figure.add_subplot()
    axes.plot(*points[order].T, "o-", color=PALETTE[0])
    for index in order:
        axes.annotate(
            names[index], points[index], xytext=(6, 5), textcoords="offset points", fontsize=RC["legend.fontsize"]
        )
    axes.margins(0.15)
    low, high = axes.get_xlim()
    reach = axes.get_ylim()
    for total in np.unique(points.sum(1).round(6)):
        axes.plot([low, high], [total - low, total - high], color=FAINT, linewidth=0.8, zorder=0)
    axes.set(xlim=(low, high), ylim=reach)
    axes.set(xlabel="rate, nats per datum", ylabel="distortion, nats per datum")
    axes.set_title("Rate and distortion; along grey lines the ELBO is equal")
    return figure
