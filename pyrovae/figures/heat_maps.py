"""Vectors over a plane: one small map per variable. A page of hundreds of tiny strips of bars could not be read."""

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from pyrovae.figures.arrays import Array, same_length, to_array
from pyrovae.figures.layout import LABEL_POINTS, even_columns, shorten
from pyrovae.figures.style import HEAT, RC, blank

MOST = 36  # maps on a page
DECADE = 10.0  # times the lowest value: a map that reaches further has a logarithmic scale
INCHES = (1.25, 2.2)  # side of the smallest and the largest map


@rc_context(RC)
def heat_maps(planes: Array, *, names: Sequence[str] | None = None, scale: ArrayLike | None = None) -> Figure:
    """Draws each variable from its lowest value on the plane, dark, to its highest, bright; both are written below.

    The scale is logarithmic, and says so, where all values are above 0 and the highest is ten times the lowest or more.

    Args:
        planes: Values, `(rows, columns, D)`, top row first.
        names: Of the variables, D.
        scale: The unit in which the variation of each is judged if there are more than a page holds, `(D,)`.

    Example:
        >>> figure = heat_maps(np.arange(12.0).reshape(2, 2, 3), names=["age", "height", "weight"])
        >>> [(axes.get_title(loc="left"), axes.get_xlabel()) for axes in figure.axes][0]
        ('age', '0 to 9')
    """
    values = np.ma.masked_invalid(planes.astype(float))
    shown = _most_varying(values, scale)
    words = names or [f"$x_{{{index + 1}}}$" for index in range(values.shape[-1])]
    same_length(variables=values.shape[-1], names=len(words))
    columns = even_columns(len(shown), np.sqrt(len(shown)))
    rows, inches = -(-len(shown) // columns), float(np.clip(7 / columns, *INCHES))
    figure = blank(columns * inches + 0.3, rows * (inches + 0.35) + 0.6)
    for place, index in enumerate(shown, start=1):
        axes = figure.add_subplot(rows, columns, place)
        # two dollars in a user's name enclose no formula
        axes.set_title(shorten(words[index], inches), fontsize=LABEL_POINTS + 1, parse_math=not names)
        _draw(axes, values[..., index])
    which = "" if len(shown) == len(words) else f"the {len(shown)} of {len(words)} variables that vary most; "
    figure.suptitle(f"{which}dark is low, bright is high", fontsize=LABEL_POINTS + 1)
    figure.supxlabel("$z_1$ →", fontsize=9)
    figure.supylabel("$z_2$ →", fontsize=9)
    return figure


def _most_varying(values: np.ma.MaskedArray, scale: ArrayLike | None) -> list[int]:
    """Returns the variables that a page has room for, in their own order."""
    unit = np.ones(values.shape[-1]) if scale is None else to_array(scale).reshape(-1)
    same_length(variables=values.shape[-1], scale=len(unit))
    spread = (values.std(axis=(0, 1)) / unit).filled(0)
    return sorted(np.argsort(-spread, kind="stable")[:MOST].tolist())


def _draw(axes: Axes, plane: np.ma.MaskedArray) -> None:
    """Draws one map with its range below."""
    low, high = (float(np.ma.filled(bound, np.nan)) for bound in (plane.min(), plane.max()))
    # means of counts would be one bright corner
    norm = "log" if 0 < DECADE * low < high else "linear"
    axes.imshow(plane, cmap=HEAT, norm=norm)
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel(f"{low:.4g} to {high:.4g}" + ", log" * (norm == "log"), fontsize=LABEL_POINTS)
    axes.spines[:].set_visible(False)
