"""One look for all figures, applied around each drawing function and undone after it.

`RC` goes into `matplotlib.rc_context`, used as a decorator: the artists take fonts and colours when they are made, and
whatever style the user has set globally is back when the function returns.
"""

from io import BytesIO
from typing import Any, NamedTuple

import matplotlib
from matplotlib.figure import Figure

# Ten hues told apart under colour-vision deficiency and in order of use: Petroff, "Accessible Color Sequences for Data
# Visualization", 2021, https://arxiv.org/abs/2107.02270
PALETTE = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
MARKERS = "o^sDvPX*<>"
INK = "#222222"
FAINT = "#b8b8b8"

SHOWN_DPI = 110  # of a figure in a notebook: as wide as a page of text, and sharp

# A pixel that is not a number must not pass for black or white.
GREY = matplotlib.colormaps["gray"].with_extremes(bad="#ffa90e")
HEAT = matplotlib.colormaps["viridis"].with_extremes(bad=FAINT)

RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": False,
    "axes.facecolor": "white",
    "figure.facecolor": "white",
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
}


class Page(Figure):
    """A figure that a notebook shows where a cell ends in it; matplotlib's own are shown through pyplot alone."""

    def _repr_png_(self) -> bytes:
        picture = BytesIO()
        self.savefig(picture, format="png", dpi=SHOWN_DPI, bbox_inches="tight", pad_inches=0.08)
        return picture.getvalue()


def blank(width: float, height: float) -> Figure:
    """Returns an empty figure of that many inches, with margins that fit their labels.

    Example:
        >>> blank(4, 3).get_size_inches().tolist()
        [4.0, 3.0]
    """
    return Page(figsize=(width, height), layout="constrained")


class ClassStyle(NamedTuple):
    """How the points of one class look."""

    color: str
    marker: str


def class_style(index: int) -> ClassStyle:
    """Returns the colour and the marker of class `index`: the ten colours come round again with the next marker.

    Example:
        >>> class_style(0), class_style(10)
        (ClassStyle(color='#3f90da', marker='o'), ClassStyle(color='#3f90da', marker='^'))
    """
    return ClassStyle(PALETTE[index % len(PALETTE)], MARKERS[index // len(PALETTE) % len(MARKERS)])
