"""Ranks of true values among draws of a posterior: level where the posterior is right."""

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy import stats

from pyrovae.figures.style import FAINT, INK, PALETTE, RC, blank

LEVEL = 0.05  # share of right posteriors that leave a band
BINS, PANELS = 20, 12


@rc_context(RC)
def rank_histograms(ranks: ArrayLike, draws: int, names: Sequence[str]) -> Figure:
    """Draws a histogram of ranks for each of the first twelve quantities, and the band in which level ones stay.

    Read: a valley is a posterior that is too narrow, a hill one that is too wide, a slope one that is shifted (Talts et
    al., 2018). All bins of a quantity stay in the band in 95 % of cases at least.

    Args:
        ranks: Of the true values, 0 to L, shape ``(n, quantities)``.
        draws: Number L of draws that they are ranks among.
        names: Of the quantities.

    Example:
        >>> len(rank_histograms(np.arange(200).reshape(100, 2) % 10, 9, ["z0", "z1"]).axes)
        2
    """
    values = np.asarray(ranks)[:, :PANELS]
    edges = np.linspace(-0.5, draws + 0.5, min(BINS, draws + 1) + 1)
    share = np.histogram(np.arange(draws + 1), edges)[0] / (draws + 1)
    low, high = stats.binom.interval(1 - LEVEL / len(share), len(values), share)
    columns = min(4, values.shape[1])
    rows = -(-values.shape[1] // columns)
    figure = blank(0.6 + 1.9 * columns, 0.6 + 1.3 * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in panels[values.shape[1] :]:
        axes.remove()
    for axes, column, name in zip(panels, values.T, names, strict=False):
        axes.stairs(high, edges, baseline=low, fill=True, color=FAINT, alpha=0.5)
        axes.stairs(np.histogram(column, edges)[0], edges, baseline=None, color=PALETTE[0], linewidth=1.2)
        axes.set_title(name, fontsize=8)
        axes.set_ylim(bottom=0)
    figure.supxlabel(f"rank of the true value among {draws} draws", fontsize=9)
    figure.supylabel("simulated data", fontsize=9)
    return figure


@rc_context(RC)
def ecdf_differences(ranks: ArrayLike, draws: int, names: Sequence[str]) -> Figure:
    """Draws by how much the distribution function of ranks is above the uniform one, and Kolmogorov's band.

    Read: all lines together stay in the band in 95 % of cases at least; those that leave it have a colour, the first
    ones a name.

    Args:
        ranks: Of the true values, 0 to L, shape ``(n, quantities)``.
        draws: Number L of draws that they are ranks among.
        names: Of the quantities.

    Example:
        >>> len(ecdf_differences(np.arange(200).reshape(100, 2) % 10, 9, ["z0", "z1"]).axes[0].lines)
        3
    """
    values = np.asarray(ranks)
    uniform = (np.arange(draws + 1) + 1) / (draws + 1)
    counts = np.stack([np.bincount(column, minlength=draws + 1) for column in values.T])
    difference = counts.cumsum(1) / len(values) - uniform
    reach = stats.kstwo.ppf(1 - LEVEL / len(names), len(values))
    figure = blank(6, 3.4)
    axes = figure.add_subplot()
    axes.axhspan(-reach, reach, color=FAINT, alpha=0.35, linewidth=0)
    axes.axhline(0, color=INK, linewidth=0.6)
    outside = [index for index, line in enumerate(difference) if np.abs(line).max() > reach]
    for index, line in enumerate(difference):
        named = index in outside[: len(PALETTE)]
        colour, label = (PALETTE[outside.index(index)], names[index]) if named else (PALETTE[8], None)
        axes.plot(uniform, line, color=colour, label=label, linewidth=1.4 if named else 0.7, zorder=2 + named)
    axes.set(xlabel="rank of the true value, as a share of the draws", ylabel="ECDF - uniform", xlim=(0, 1))
    if outside:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
