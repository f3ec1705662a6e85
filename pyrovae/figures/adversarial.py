"""How a game between two networks went, epoch by epoch."""

import math
from collections.abc import Mapping, Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pyrovae.errors import PyrovaeError
from pyrovae.figures.curves import draw_curves, epochs_of, series_of
from pyrovae.figures.style import FAINT, RC, blank

# panel: its title, its unit, and by the keys of a record that it draws, where they are if the two cannot be told apart
PANELS: dict[str, tuple[str, str, dict[str, float]]] = {
    "losses": ("Losses", "nats per datum", {"discriminator_loss": math.log(4), "generator_loss": math.log(2)}),
    "judged": ("Taken for real", "share of data", {"judged_real": 0.5, "judged_fake": 0.5}),
}


@rc_context(RC)
def game_curves(records: Sequence[Mapping[str, float]]) -> Figure:
    """Draws both losses of validation data over epochs, and the shares of real and generated data taken for real.

    Read: dotted lines are where a discriminator that cannot tell them apart would be. A discriminator's loss that runs
    to 0 is one that the generator has lost against; no loss says how good the samples are.

    Args:
        records: One mapping per epoch with any of `epoch`, `discriminator_loss`, `generator_loss`, `judged_real`,
            `judged_fake`.

    Example:
        >>> figure = game_curves([{"epoch": 1, "generator_loss": 0.7}])
        >>> [axes.get_title(loc="left") for axes in figure.axes]
        ['Losses', 'Taken for real']
    """
    if not records:
        raise PyrovaeError("'records' is empty: nothing to draw", hint="train for at least one epoch")
    figure = blank(8.5, 3.4)
    panels = figure.subplot_mosaic([list(PANELS)])
    for panel, (title, unit, keys) in PANELS.items():
        axes = panels[panel]
        draw_curves(axes, epochs_of(records), {key: series_of(records, key) for key in keys})
        axes.set(title=title, ylabel=unit if axes.lines else "", xlabel="epoch")
        mark_undecided(axes, set(keys.values()))
    panels["judged"].set_ylim(-0.05, 1.05)
    return figure


def mark_undecided(axes: Axes, values: set[float]) -> None:
    """Draws where curves are if nobody can tell real from generated data."""
    for value in values if axes.lines else ():
        axes.axhline(value, color=FAINT, linestyle=":", linewidth=1, zorder=0)
