"""A stack of autoencoders in pictures: how it was trained, and where it puts the test data."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pyrovae.errors import PyrovaeError
from pyrovae.figures.arrays import Array
from pyrovae.figures.style import FAINT, HEAT, INK, PALETTE, RC, blank, class_style

LINES = 100  # from a place to where it was put; more would be a ball of wool
CENTRAL = (0.02, 0.98)  # of latitudes and longitudes, which the map shows with a margin
DOT = 5


@rc_context(RC)
def greedy_curves(records: Sequence[Mapping[str, Any]], *, best: int | None = None) -> Figure:
    """Draws the loss of each phase in a panel of its own, whose scales differ, and what fine-tuning has reached.

    Read: a layer whose reconstruction still falls was pretrained too shortly; validation loss that rises in fine-tuning
    while train loss falls is overfitting.

    Args:
        records: One mapping per epoch with `epoch`, `phase`, `train_loss`, `validation_loss`, and in the last phase
            `accuracy` and `median_kilometres`.
        best: The epoch whose weights were kept.

    Example:
        >>> row = {"train_loss": 2.0, "validation_loss": 2.1}
        >>> tuned = row | {"epoch": 2, "phase": 1, "accuracy": 0.1, "median_kilometres": 900.0}
        >>> [axes.get_title(loc="left") for axes in greedy_curves([row | {"epoch": 1, "phase": 0}, tuned]).axes]
        ['Layer 1 alone', 'Fine-tuning', 'States right', 'Median error']
    """
    if not records:
        raise PyrovaeError("'records' is empty: nothing to draw", hint="train for at least one epoch")
    phases = sorted({record["phase"] for record in records})
    tuned = [record for record in records if "accuracy" in record]
    panels = [*phases, *(["accuracy", "median_kilometres"] if tuned else [])]
    figure = blank(2.6 * len(panels), 2.6)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        if panel in phases:
            _losses(axes, [record for record in records if record["phase"] == panel], panel, tuned)
        else:
            _reached(axes, tuned, panel, best)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))
        axes.grid(axis="y", color=FAINT, linewidth=0.4)
        axes.set_xlabel("epoch")
    return figure


def _losses(axes: Axes, rows: Sequence[Mapping[str, Any]], phase: int, tuned: Sequence[Mapping[str, Any]]) -> None:
    """Draws training and validation loss of one phase."""
    for key, color in zip(("train_loss", "validation_loss"), PALETTE, strict=False):
        line = [row[key] for row in rows]
        axes.plot(
            [row["epoch"] for row in rows], line, "o-", markersize=3, color=color, label=key.removesuffix("_loss")
        )
    last = bool(tuned) and phase == tuned[0]["phase"]
    axes.set_title("Fine-tuning" if last else f"Layer {phase + 1} alone")
    axes.set_ylabel("loss per datum" if last else "nats per datum")
    axes.legend()


def _reached(axes: Axes, tuned: Sequence[Mapping[str, Any]], key: str, best: int | None) -> None:
    """Draws what fine-tuning has reached on validation data, and rings the epoch that was kept."""
    scale = 100 if key == "accuracy" else 1
    values = {row["epoch"]: scale * row[key] for row in tuned}
    axes.plot(list(values), list(values.values()), "o-", markersize=3, color=PALETTE[1])
    if best is not None and best in values:
        ring: dict[str, Any] = {"markersize": 8, "markerfacecolor": "none", "color": INK}
        axes.plot([best], [values[best]], "o", **ring, label=f"kept: {values[best]:.3g}")
        axes.legend()
    axes.set_title("States right" if key == "accuracy" else "Median error")
    axes.set_ylabel("% of validation data" if key == "accuracy" else "km, validation data")


@rc_context(RC)
def place_map(
    places: Array, predicted: Array, kilometres: Array, states: Array, predicted_states: Array, background: Array
) -> Figure:
    """Draws where test data lie and where they were put.

    Read: on the left a line leads from a place to where it was put, in the colour of its error; lines that all lead to
    the middle say that the method knows little more than the mean. On the right a colour is a state, and the places in
    it are those whose state was told.

    Args:
        places: Latitude and longitude in degrees, shape `(n, 2)`.
        predicted: Where the data were put, likewise.
        kilometres: How far off that is, shape `(n,)`.
        states: Number of the state, shape `(n,)`.
        predicted_states: Number of the state that was said.
        background: Places of the training data, which show the country.

    Example:
        >>> at = np.array([[40.0, -100.0], [41.0, -90.0]])
        >>> figure = place_map(at, at[::-1], np.array([849.0, 849.0]), np.array([0, 1]), np.array([0, 0]), at)
        >>> [axes.get_title(loc="left") for axes in figure.axes[:2]]
        ['Where they were put', 'States told: 1 of 2']
    """
    figure = blank(12, 4)
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        axes.plot(*background[:, ::-1].T, ".", markersize=1, color=FAINT, zorder=0, rasterized=True)
        _frame(axes, np.concatenate([places, predicted, background]))
    _errors(figure, left, places, predicted, kilometres)
    told = states == predicted_states
    for state in np.unique(states[told]):
        style, rows = class_style(int(state)), told & (states == state)
        marks: dict[str, Any] = {"markersize": DOT, "markeredgewidth": 0, "marker": style.marker, "color": style.color}
        right.plot(*places[rows][:, ::-1].T, linestyle="", **marks)
    left.set_title("Where they were put")
    right.set_title(f"States told: {told.sum()} of {len(told)}")
    outside = _outside(right, places)
    figure.supxlabel(f"dots: training data; {outside} of {len(places)} test data lie beyond the edges", fontsize=8)
    return figure


def _errors(figure: Figure, axes: Axes, places: Array, predicted: Array, kilometres: Array) -> None:
    """Draws lines from places to where they were put."""
    off = np.maximum(kilometres, 1.0)
    low, high = off.min(), max(off.max(), off.min() * 1.01)
    norm = LogNorm(low, high)
    for at, put, distance in list(zip(places, predicted, off, strict=True))[:LINES]:
        axes.plot(*np.stack([at, put])[:, ::-1].T, linewidth=0.5, color=HEAT(norm(distance)))
    shown: dict[str, Any] = {"c": off[:LINES], "s": 9, "linewidths": 0, "cmap": HEAT, "norm": norm}
    dots = axes.scatter(places[:LINES, 1], places[:LINES, 0], **shown)
    axes.plot(*predicted[:LINES, ::-1].T, "+", markersize=4, markeredgewidth=0.6, color=INK, label="put here")
    axes.legend(loc="lower left")
    figure.colorbar(dots, ax=axes, label="km", shrink=0.7)


def _frame(axes: Axes, places: Array) -> None:
    """Shows the central part of the places, a degree to the east as long as one to the north in the middle of it."""
    low, high = np.quantile(places, CENTRAL, axis=0)
    margin = 0.08 * (high - low) + 1e-3
    (south, west), (north, east) = low - margin, high + margin
    axes.set(xlim=(west, east), ylim=(south, north), xlabel="longitude", ylabel="latitude")
    axes.set_aspect(1 / max(np.cos(np.radians((south + north) / 2)), 0.1))


def _outside(axes: Axes, places: Array) -> int:
    (west, east), (south, north) = axes.get_xlim(), axes.get_ylim()
    latitude, longitude = places.T
    return int(((latitude < south) | (latitude > north) | (longitude < west) | (longitude > east)).sum())
