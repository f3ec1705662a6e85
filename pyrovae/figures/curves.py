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
SCHEDULED = ("beta", "learning_rate")  # drawn if they change, stated if they do not
FEW = 30  # epochs up to which every one gets a dot; a single epoch would be invisible without


@rc_context(RC)
def training_curves(records: Sequence[Mapping[str, float]], *, best: int | None = None) -> Figure:
    """Draws loss, rate and distortion over epochs, beta and learning rate too if they change.

    Read: validation loss that rises while train loss falls is overfitting; a rate that stays at zero is posterior
    collapse.

    Args:
        records: One mapping per epoch with any of `epoch`, `train_loss`, `validation_loss`, `rate`, `distortion`,
            `beta`, `learning_rate`; what is missing or not finite is left out.
        best: The epoch whose weights were kept; by default that of the lowest validation loss since beta has its last
            value, which is all that the records tell of the end of a warm-up.

    Example:
        >>> figure = training_curves([{"epoch": 1, "train_loss": 9.0}, {"epoch": 2, "train_loss": 7.0}])
        >>> [axes.get_title(loc="left") for axes in figure.axes]
        ['Loss', 'Rate and distortion']
    """
    if not records:
        raise PyrovaeError("'records' is empty: nothing to draw", hint="train for at least one epoch")
    epochs, series = epochs_of(records), {key: series_of(records, key) for *_, keys in PANELS.values() for key in keys}
    values = {key: np.unique(series[key][~np.isnan(series[key])]) for key in SCHEDULED}
    moving = [key for key in SCHEDULED if len(values[key]) > 1]
    figure = blank(11.5 if moving else 8.5, 3.4)
    # two that move share a column, one alone has it whole
    panels = figure.subplot_mosaic([["loss", "terms", *moving[:1]], ["loss", "terms", *moving[-1:]]])
    for panel, axes in panels.items():
        title, unit, keys = PANELS[panel]
        draw_curves(axes, epochs, {key: series[key] for key in keys})
        axes.set(title=title, ylabel=unit if axes.lines else "", xlabel="epoch")
    if len(moving) == 2:
        panels["beta"].tick_params(labelbottom=False)
        panels["beta"].set_xlabel("")
    still = [f"{_name(key)} {values[key][0]:g}" for key in SCHEDULED if len(values[key]) == 1]
    figure.supxlabel(", ".join(still), fontsize=8)
    eligible = _settled(series["beta"]) if best is None else epochs == best
    _mark_kept(panels["loss"], epochs, series["validation_loss"], eligible)
    return figure


def series_of(records: Sequence[Mapping[str, float]], key: str) -> Array:
    """Reads one key of every record; nan where it is missing, null or infinite, which leaves a hole in the line."""
    values = np.array([np.nan if record.get(key) is None else record[key] for record in records], dtype=float)
    return np.where(np.isfinite(values), values, np.nan)


def epochs_of(records: Sequence[Mapping[str, float]]) -> Array:
    """Reads the epochs; records without one are counted from 1."""
    epochs = series_of(records, "epoch")
    return np.where(np.isnan(epochs), np.arange(1, len(records) + 1), epochs)


def draw_curves(axes: Axes, epochs: Array, curves: Mapping[str, Array]) -> None:
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


def _settled(beta: Array) -> Array:
    """Returns which epochs have beta's last value, and so have all after them."""
    changes = np.flatnonzero(np.diff(np.nan_to_num(beta)))
    return np.arange(len(beta)) > (changes[-1] if changes.size else -1)


def _mark_kept(axes: Axes, epochs: Array, losses: Array, eligible: Array) -> None:
    """Rings the lowest validation loss among the eligible epochs and names it in the legend."""
    among = np.where(eligible, losses, np.nan)
    if np.isnan(among).all():
        return
    at = np.nanargmin(among)
    epoch, loss = epochs[at], losses[at]
    ring: dict[str, Any] = {
        "marker": "o",
        "markersize": 8,
        "markerfacecolor": "none",
        "markeredgecolor": INK,
        "linestyle": "",
    }
    axes.plot([epoch], [loss], label=f"kept: {loss:.5g} at {epoch:g}", **ring)
    _legend(axes)
