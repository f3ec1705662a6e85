"""Draws of p(z | x) of one datum by NUTS: beside those of its guide, and chain by chain."""

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from pyrovae.figures.style import FAINT, PALETTE, RC, blank

MOST = 40  # dimensions drawn: those whose means differ most
PANELS = 12
BINS = 20


@rc_context(RC)
def posterior_intervals(nuts: ArrayLike, guide: ArrayLike) -> Figure:
    """Draws the central 50 % and 90 % and the median of each latent dimension, of NUTS and of the guide.

    Read: a guide whose lines are shorter is too sure; one whose dots are elsewhere is wrong.

    Args:
        nuts: Draws of z by NUTS, shape ``(draws, D)``.
        guide: Draws of the guide, likewise; their numbers may differ.

    Example:
        >>> draws = np.random.default_rng(0).normal(size=(100, 3))
        >>> posterior_intervals(draws, draws + 1).axes[0].get_ylabel()
        'z'
    """
    samples = {"NUTS": np.asarray(nuts, dtype=float), "guide": np.asarray(guide, dtype=float)}
    means = [draws.mean(0) for draws in samples.values()]
    off = np.abs(means[1] - means[0]) / samples["NUTS"].std(0)
    shown = np.sort(off.argsort()[::-1][:MOST])
    figure = blank(max(4.0, 1.5 + 0.3 * len(shown)), 3.2)
    axes = figure.add_subplot()
    for number, (name, draws) in enumerate(samples.items()):
        place, colour = np.arange(len(shown)) + (0.36 * number - 0.18), PALETTE[number]
        low, left, middle, right, high = np.quantile(draws[:, shown], [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
        axes.vlines(place, low, high, color=colour, linewidth=1.2)
        axes.vlines(place, left, right, color=colour, linewidth=4)
        axes.plot(place, middle, "o", color="white", markeredgecolor=colour, markersize=4, label=name)
    axes.set_xticks(range(len(shown)), [str(index) for index in shown])
    axes.set(xlabel="latent dimension", ylabel="z")
    axes.set_xlim(-0.6, len(shown) - 0.4)
    axes.set_title("central 50 % and 90 %, median", pad=16)
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 0.98), ncols=2, handletextpad=0.2, borderaxespad=0)
    return figure


@rc_context(RC)
def chain_ranks(draws: ArrayLike) -> Figure:
    """Draws, for each latent dimension, how the ranks of one chain's draws among all are spread.

    Read: chains that agree have level lines; one that sticks somewhere has a peak (Vehtari et al., 2021).

    Args:
        draws: Of z, shape ``(chains, draws, D)``; the first twelve dimensions are shown.

    Example:
        >>> len(chain_ranks(np.random.default_rng(0).normal(size=(4, 100, 3))).axes)
        3
    """
    values = np.asarray(draws, dtype=float)[..., :PANELS]
    chains, size, dims = values.shape
    ranks = rankdata(values.reshape(-1, dims), axis=0).reshape(values.shape)
    bins = min(BINS, size)
    columns = min(4, dims)
    rows = -(-dims // columns)
    figure = blank(0.6 + 1.9 * columns, 0.5 + 1.3 * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in panels[dims:]:
        axes.remove()
    for dimension, axes in enumerate(panels[:dims]):
        axes.axhline(size / bins, color=FAINT, linewidth=0.8)
        for number in range(chains):
            counts, edges = np.histogram(ranks[number, :, dimension], bins, (0, chains * size))
            axes.stairs(counts, edges, baseline=None, color=PALETTE[number % len(PALETTE)], linewidth=1)
        axes.set_title(f"z{dimension}", fontsize=8)
        axes.set_ylim(bottom=0)
    figure.supxlabel(f"rank among the draws of {chains} chains, a line each", fontsize=9)
    figure.supylabel("draws", fontsize=9)
    return figure
