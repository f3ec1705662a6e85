"""``{rows} TABLE``: the docstring of each row of a table, from the table, so that a new row is on the page by itself.

A table is named by where it is, ``pyrovae.data.DATA``. Each row has its name in an
experiment file as a heading.
"""

import inspect
from importlib import import_module
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import pyrovae

TABLE = "The table: names in an experiment file, and what they stand for."


class Rows(SphinxDirective):
    """Writes a section for each row of a table."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        module, _, name = self.arguments[0].rpartition(".")
        table = getattr(import_module(module), name)
        home = "pyrovae" if name in pyrovae.__all__ else module
        text = f"```{{eval-rst}}\n.. py:data:: {name}\n   :module: {home}\n\n   {TABLE}\n```\n\n"
        text += "\n\n".join(section(key, part) for key, part in table.items())
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def section(name: str, part: Any) -> str:
    """Returns the Markdown of a row."""
    kind = "autoclass" if inspect.isclass(part) else "autofunction"
    public = getattr(pyrovae, part.__name__, None) is part if part.__name__ in pyrovae.__all__ else False
    where = f"pyrovae.{part.__name__}" if public else f"{part.__module__}.{part.__qualname__}"
    return f"## `{name}`\n\n```{{eval-rst}}\n.. {kind}:: {where}\n```"


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("rows", Rows)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
