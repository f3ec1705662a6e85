"""What each latent dimension carries, and whether draws of the prior lie where codes do."""

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from pyrovae.figures.style import PALETTE, RC, blank


@rc_context(RC)
def dimension_use(variance: ArrayLike, kl: ArrayLike | None = None, *, threshold: float = 0.01) -> Figure:
    """Draws the variance of each dimension's codes, largest first, and its KL where there is one.

    Args:
        variance: Var_x(E[z_d | x]), shape ``(latent_dim,)``.
        kl: KL(q(z_d | x) || p(z_d)), mean over data, in nats, likewise.
        threshold: Above it a unit is active (Burda et al., 2016).

    Example:
        >>> len(dimension_use([0.9, 0.001], [1.2, 0.0]).axes)
        2
    """
    values = np.asarray(variance, dtype=float)
    order = values.argsort()[::-1]
    rows = 1 if kl is None else 2
    figure = blank(min(11.0, 3.0 + 0.18 * len(values)), 1.8 * rows)
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    colours = [PALETTE[0] if value > threshold else PALETTE[3] for value in values[order]]
    axes[0].bar(range(len(values)), values[order], color=colours)
    axes[0].set(yscale="log", ylabel="variance of E[z | x]")
    axes[0].axhline(threshold, color=PALETTE[2], linewidth=0.8)
    axes[0].set_title(f"{int((values > threshold).sum())} of {len(values)} dimensions active")
    if kl is not None:
        axes[1].bar(range(len(values)), np.asarray(kl, dtype=float)[order], color=colours)
        axes[1].set_ylabel("KL, nats")
    axes[-1].set_xlabel("latent dimension, by variance")
    axes[-1].set_xticks([])
    return figure


@rc_context(RC)
def code_densities(codes: ArrayLike, drawn: ArrayLike) -> Figure:
    """Draws histograms of log q(z) under the aggregate posterior: of codes of other data, and of draws of the prior.

    Read: what is drawn to the left of all codes decodes from where the decoder has never been.

    Args:
        codes: log q(z) of held-out codes, nats, shape ``(n,)``.
        drawn: log q(z) of draws of the prior, likewise.

    Example:
        >>> code_densities([0.0, 1.0], [-1.0, 0.5]).axes[0].get_ylabel()
        'share'
    """
    values = {"codes of held-out data": np.asarray(codes), "draws of the prior": np.asarray(drawn)}
    # What lies further out than nearly all of both would leave the rest in one bar.
    low, high = np.quantile(np.concatenate(list(values.values())), [0.005, 1.0])
    edges = np.linspace(low, high if high > low else low + 1, 50).tolist()
    figure = blank(6, 3)
    axes = figure.add_subplot()
    for (name, numbers), colour in zip(values.items(), PALETTE, strict=False):
        weights = np.full(len(numbers), 1 / len(numbers))
        axes.hist(np.clip(numbers, low, high), edges, weights=weights, alpha=0.55, color=colour, label=name)
    axes.set(xlabel="log q(z) under the aggregate posterior, nats", ylabel="share")
    axes.legend()
    return figure
