"""Texts on a page: a table, where other data are pictures."""

from collections.abc import Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from pyrovae.figures.style import FAINT, RC, blank

LETTER, LINE = 0.075, 0.19  # inches that a letter and a line take
GAP = 3  # letters between columns
STYLE: dict[str, Any] = {"family": "DejaVu Sans Mono", "fontsize": 8}
LONGEST = 40  # letters, after which a text is cut


@rc_context(RC)
def text_table(
    cells: Sequence[Sequence[str]], *, columns: Sequence[str] = (), rows: Sequence[str] = (), title: str = ""
) -> Figure:
    """Draws texts in columns, one letter as wide as another.

    Read: a text that is empty stands as a dash, what is cut ends in dots.

    Args:
        cells: Texts, row by row.
        columns: What stands above the columns.
        rows: What stands before the rows.
        title: Say what they are: samples, reconstructions, ...

    Example:
        >>> figure = text_table([["Boston", "Bostan"]], columns=["data", "reconstruction"])
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['data', 'reconstruction', 'Boston', 'Bostan']
    """
    body = [[*([rows[number]] if rows else []), *map(shown, row)] for number, row in enumerate(cells)]
    head = [[*([""] if rows else []), *columns]] if columns else []
    lines = [*head, *body]
    widths = [max(map(len, column)) + GAP for column in zip(*lines, strict=True)]
    figure = blank(max(2.0, LETTER * sum(widths) + 0.2), LINE * (len(lines) + 1 + bool(title)))
    axes = figure.add_subplot(xlim=(0, sum(widths)), ylim=(len(lines) - 0.3, -0.7), title=title)
    axes.set_axis_off()
    for height, line in enumerate(lines):
        for place, words in enumerate(line):
            if words:
                faint = height < len(head) or (place == 0 and bool(rows))
                style: dict[str, Any] = {
                    "color": "#717581" if faint else "black",
                    "family": "DejaVu Sans Mono",
                    "fontsize": 8,
                }
                axes.text(sum(widths[:place]), height, words, va="center", parse_math=False, **style)
    for height in range(len(head), len(lines)):
        axes.axhline(height + 0.5, color=FAINT, linewidth=0.3)
    return figure


def shown(text: str) -> str:
    """Returns a text as it is drawn.

    Example:
        >>> shown(""), len(shown("a" * 50))
        ('-', 40)
    """
    return (text if len(text) <= LONGEST else text[: LONGEST - 3] + "...") or "-"
