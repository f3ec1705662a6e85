"""How log p(x) - ELBO splits into what the guide's family loses and what its encoder loses."""

from collections.abc import Mapping

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from pyrovae.figures.style import INK, PALETTE, RC, blank

Number = tuple[float, ...]  # a mean and its standard error


@rc_context(RC)
def stacked_gaps(gaps: Mapping[str, tuple[Number, Number]]) -> Figure:
    """Draws both gaps of each split one after the other, each with its standard error.

    Read: a long first part asks for a richer posterior, a long second one for a better encoder; one that is longer on
    test data than on training data, for an encoder that generalises better (Cremer et al., 2018).

    Args:
        gaps: By split the approximation and the amortisation gap, each a mean and its standard error, in nats.

    Example:
        >>> len(stacked_gaps({"test": ((2.0, 0.1), (1.0, 0.2))}).axes[0].patches)
        2
    """
    figure = blank(6.5, 1.2 + 0.45 * len(gaps))
    axes = figure.add_subplot()
    values = np.array(list(gaps.values()))  # (splits, 2 gaps, mean and error)
    starts = np.zeros(len(gaps))
    for number, name in enumerate(("approximation", "amortisation")):
        mean, error = values[:, number].T
        axes.barh(range(len(gaps)), mean, 0.6, starts, color=PALETTE[number], label=name)
        # two heights, so that the errors of a small gap do not cover those of the other
        height = np.arange(len(gaps)) + 0.15 * (2 * number - 1)
        axes.errorbar(starts + mean, height, xerr=error, fmt="none", ecolor=INK, elinewidth=1, capsize=2)
        starts = starts + mean
    axes.set_yticks(range(len(gaps)), list(gaps))
    axes.invert_yaxis()
    axes.set_xlabel("log p(x) - ELBO, nats per datum; lines are standard errors over data")
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, handlelength=1)
    return figure
