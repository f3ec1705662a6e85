"""What is told apart: other data by their log p(x), factors by the dimensions of a code."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from pyrovae.figures.arrays import to_array, to_batch
from pyrovae.figures.style import HEAT, PALETTE, RC, blank

BINS = 60
FURTHEST = 0.005  # share of the lowest values that would leave the others in one bar, and share the first
IDLE = 0.05  # of a factor's entropy, below which a dimension is about none


@rc_context(RC)
def score_histograms(log_prob: Mapping[str, ArrayLike]) -> Figure:
    """Draws histograms of log p(x) of several sets of data on one axis.

    Read: where other data lie to the right of the VAE's own, they look more probable, and no threshold finds them.

    Args:
        log_prob: By name of the set, nats, shape ``(n,)``.

    Example:
        >>> figure = score_histograms({"mnist": [-90.0, -100.0], "fashion-mnist": [-300.0, -400.0]})
        >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        ['mnist, 2 test data', 'fashion-mnist, 2 test data']
    """
    values = {name: to_array(numbers).astype(float) for name, numbers in log_prob.items()}
    together = to_batch(np.concatenate(list(values.values())), "log_prob")
    low, high = np.quantile(together, [FURTHEST, 1.0])
    edges = np.linspace(low, high if high > low else low + 1, BINS).tolist()
    figure = blank(6, 3)
    axes = figure.add_subplot()
    for index, (name, numbers) in enumerate(values.items()):
        weights = np.full(len(numbers), 1 / len(numbers))
        label = f"{name}, {len(numbers)} test data"
        axes.hist(np.clip(numbers, low, high), edges, weights=weights, alpha=0.55, color=PALETTE[index], label=label)
    axes.set(xlabel="log p(x), nats", ylabel="share")
    axes.legend()
    return figure


@rc_context(RC)
def information_map(told: ArrayLike, factors: Sequence[str]) -> Figure:
    """Draws what each latent dimension tells of each factor, ordered by what they tell most of; idle ones come last.

    Read: one bright field in each row and column is a disentangled code; a row with several, a factor that is spread.

    Args:
        told: I(z_j; v) / H(v), shape ``(factors, latent_dim)``.
        factors: Their names.

    Example:
        >>> figure = information_map([[0.1, 0.9], [0.8, 0.0]], ["shape", "scale"])
        >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
        ['2', '1']
    """
    values = to_batch(told, "told", leading=2)
    about = np.where(values.max(0) > IDLE, values.argmax(0), len(values))
    order = np.lexsort((-values.max(0), about))
    figure = blank(max(3.6, 1.8 + 0.36 * len(order)), 1.1 + 0.36 * len(values))
    axes = figure.add_subplot()
    picture = axes.imshow(values[:, order], cmap=HEAT, vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(order)), [str(index + 1) for index in order])
    axes.set_yticks(range(len(values)), factors)
    axes.set_xlabel("latent dimension")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.colorbar(picture, ax=axes, label="I(z; v) / H(v)", ticks=[0, 0.5, 1])
    return figure
