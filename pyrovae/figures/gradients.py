"""How clean each objective's gradient is, against the number of particles."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator
from numpy.typing import ArrayLike

from pyrovae.figures.style import FAINT, MARKERS, PALETTE, RC, blank

Curves = Mapping[str, Mapping[str, ArrayLike]]
TITLES = {"posterior": "Posterior (encoder)", "likelihood": "Likelihood (decoder)", "prior": "Prior"}


@rc_context(RC)
def signal_to_noise(particles: Sequence[int], ratio: Curves, error: Curves, *, floor: float = 0.0) -> Figure:
    """Draws a panel for each part of the VAE and in it a line for each objective; both axes are logarithmic.

    Args:
        particles: Numbers of draws of z per datum, increasing.
        ratio: Signal-to-noise ratio of the gradient by part and objective, shape ``(len(particles),)`` each.
        error: Its standard error, likewise.
        floor: What pure noise would show, a grey line; nothing at 0.

    Example:
        >>> figure = signal_to_noise([1, 8], {"prior": {"elbo": [0.5, 1.4]}}, {"prior": {"elbo": [0.1, 0.1]}})
        >>> figure.axes[0].get_title(loc="left"), figure.axes[0].get_xlabel()
        ('Prior', 'particles K')
    """
    figure = blank(1.0 + 2.7 * len(ratio), 3.2)
    panels = figure.subplots(1, len(ratio), squeeze=False)[0]
    for axes, (part, curves) in zip(panels, ratio.items(), strict=True):
        axes.set_title(TITLES.get(part, part))
        draw(axes, particles, curves, error[part], floor)
    panels[0].set_ylabel("signal-to-noise ratio of the gradient")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def draw(
    axes: Axes, particles: Sequence[int], curves: Mapping[str, ArrayLike], error: Mapping[str, ArrayLike], floor: float
) -> None:
    """Draws the lines of one part, a little apart from each other where they would lie on one another."""
    if floor:
        axes.axhline(floor, color=FAINT, linestyle="--", linewidth=1.0, zorder=0, label="pure noise")
    for number, (name, values) in enumerate(curves.items()):
        apart = 1.04 ** (number - (len(curves) - 1) / 2)
        axes.errorbar(
            np.asarray(particles) * apart, np.asarray(values, dtype=float), np.asarray(error[name], dtype=float),
            color=PALETTE[number % len(PALETTE)], marker=MARKERS[number % len(MARKERS)], markersize=4.5,
            elinewidth=0.8, label=name,
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="particles K")
    axes.xaxis.set(major_locator=FixedLocator(list(particles)), minor_locator=NullLocator())
    axes.xaxis.set_major_formatter(lambda size, _: f"{size:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
