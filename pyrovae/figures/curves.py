"""What happened during training, epoch by epoch. All losses are per datum, in nats."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pyrovae.errors import PyrovaeError
from pyrovae.figures.arrays import Array
from pyrovae.figures.style import FAINT, INK, PALETTE, RC, blank

# panel: its title, its unit, and the keys of a record it draws
PANELS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "loss": ("Loss", "nats per datum", ("train_loss", "validation_loss")),
    "terms": ("Rate and distortion", "nats per datum", ("rate", "distortion")),
    "beta": ("Beta", "", ("beta",)),
    "learning_rate": ("Learning rate", "", ("learning_rate",)),
}
FEW = 30  # epochs up to which every one gets a dot; a single epoch would be invisible without


@rc_context(RC)
def training_curves(records: Sequence[Mapping[str, float]], *, best_epoch: int | None = None) -> Figure:
    """Draws loss, rate and distortion, beta and learning rate over epochs.

    Read: validation loss that rises while train loss falls is overfitting; a rate that stays at zero is posterior
    collapse.

    Args:
        records: One mapping per epoch with any of `epoch`, `train_loss`, `validation_loss`, `rate`, `distortion`,
        `beta`,
            `learning_rate`; what is missing or not finite is left out.
        best_epoch: The epoch to mark; by default that of the lowest validation loss.

    Example:
        >>> figure = training_curves([{"epoch": 1, "train_loss": 9.0}, {"epoch": 2, "train_loss": 7.0}])
        >>> [axes.get_title(loc="left") for axes in figure.axes]
        ['Loss', 'Rate and distortion', 'Beta', 'Learning rate']
    """
    if not records:
        raise PyrovaeError("'records' is empty: nothing to draw", hint="train for at least one epoch")
    epochs = _epochs(records)
    figure = blank(11.5, 3.4)
    panels = figure.subplot_mosaic([["loss", "terms", "beta"], ["loss", "terms", "learning_rate"]])
    for panel, (title, unit, keys) in PANELS.items():
        _draw(panels[panel], epochs, {key: _series(records, key) for key in keys})
        panels[panel].set_title(title)
        panels[panel].set_ylabel(unit if panels[panel].lines else "")
    for panel in ("loss", "terms", "learning_rate"):
        panels[panel].set_xlabel("epoch")
    panels["beta"].tick_params(labelbottom=False)
    _mark_best(panels["loss"], epochs, _series(records, "validation_loss"), best_epoch)
    return figure


def _series(records: Sequence[Mapping[str, float]], key: str) -> Array:
    """Reads one key of every record; nan where it is missing, null or infinite, which leaves a hole in the line."""
    values = np.array([np.nan if record.get(key) is None else record[key] for record in records], dtype=float)
    return np.where(np.isfinite(values), values, np.nan)


def _epochs(records: Sequence[Mapping[str, float]]) -> Array:
    """Reads the epochs; records without one are counted from 1."""
    epochs = _series(records, "epoch")
    return np.where(np.isnan(epochs), np.arange(1, len(records) + 1), epochs)


def _draw(axes: Axes, epochs: Array, curves: Mapping[str, Array]) -> None:
    """Draws the recorded curves of one panel, or says that there are none."""
    recorded = {key: values for key, values in curves.items() if not np.isnan(values).all()}
    marker = "o" if len(epochs) <= FEW else ""
    for index, (key, values) in enumerate(recorded.items()):
        axes.plot(epochs, values, marker=marker, markersize=3, color=PALETTE[index], label=_name(key))
    if not recorded:
        axes.text(0.5, 0.5, "not recorded", transform=axes.transAxes, ha="center", va="center", color=FAINT)
        axes.set(xticks=[], yticks=[])
        return
    # the same span in every panel, also where a curve starts late; one epoch alone gets room on both sides
    margin = 0.03 * np.ptp(epochs) or 1.0
    axes.set_xlim(epochs.min() - margin, epochs.max() + margin)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    axes.grid(axis="y", color=FAINT, linewidth=0.4)
    if axes.lines and len(curves) > 1:
        _legend(axes)


def _legend(axes: Axes) -> None:
    """Names the curves on the line of the title, where the names can cover no curve."""
    axes.legend(
        loc="lower right", bbox_to_anchor=(1.02, 0.99), ncols=3, handlelength=1, columnspacing=1, handletextpad=0.4
    )


def _name(key: str) -> str:
    return key.removesuffix("_loss").replace("_", " ")


def _mark_best(axes: Axes, epochs: Array, losses: Array, best_epoch: int | None) -> None:
    """Rings the best validation loss and names it in the legend."""
    at = np.flatnonzero((epochs == best_epoch) & ~np.isnan(losses))
    if best_epoch is None and not np.isnan(losses).all():
        at = np.array([np.nanargmin(losses)])
    if at.size == 0:
        return
    epoch, loss = epochs[at[0]], losses[at[0]]
    ring: dict[str, Any] = {
        "marker": "o",
        "markersize": 8,
        "markerfacecolor": "none",
        "markeredgecolor": INK,
        "linestyle": "",
    }
    axes.plot([epoch], [loss], label=f"best {loss:.5g} at {epoch:g}", **ring)
    _legend(axes)
