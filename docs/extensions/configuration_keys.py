"""``{configuration-keys} SECTION``: a table of the keys of an experiment file, read as the program reads them.

Key, type and default come from a constructor's keyword-only parameters, the meaning from its docstring.
"""

import inspect
import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from pyrovae.listing import summary, value
from pyrovae.schema import CHOICES, FUNCTIONS, TABLES, Factory, Option, options, ranges_of, type_name


class ConfigurationKeys(SphinxDirective):
    """Writes the keys of one section, of every row that it can choose."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(KEYS[self.arguments[0]], allow_section_headings=True)


def keys(section: str) -> str:
    """Returns the Markdown of a section of an experiment file, or of a table that one refers to."""
    if section in FUNCTIONS:
        return table(FUNCTIONS[section])
    rows = TABLES[CHOICES[section][0] if section in CHOICES else section]
    return "\n\n".join(f"### `{name}`\n\n{summary(factory)}\n\n{table(factory)}" for name, factory in rows.items())


def table(factory: Factory) -> str:
    """Returns the keys that a factory reads, or says that there are none."""
    meanings = described(factory)
    lines = [line(key, option, meanings.get(key, "")) for key, option in options(factory).items()]
    head = ["| key | type | default | meaning |", "|---|---|---|---|"]
    return "\n".join([*head, *lines]) if lines else "It has no keys."


def line(key: str, option: Option, meaning: str) -> str:
    ranges = "".join(f", {found}" for found in ranges_of(option.hint)[:1] if str(found))
    cells = (f"`{key}`", f"`{type_name(option.hint)}`{ranges}", f"`{value(option.default)}`", meaning)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def described(factory: Factory) -> dict[str, str]:
    """Returns what a docstring says of each argument."""
    text = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)*)", inspect.getdoc(factory) or "", re.MULTILINE)
    entries = re.split(r"^    (?=\S)", text[1] if text else "", flags=re.MULTILINE)[1:]
    pairs = (" ".join(entry.split()).partition(": ") for entry in entries)
    return {name.strip(): marked(meaning) for names, _, meaning in pairs for name in names.split(",")}


def marked(text: str) -> str:
    """Returns reStructuredText of a docstring as Markdown."""
    text = re.sub(r":math:`([^`]*)`", r"$\1$", text)
    text = re.sub(r":\w+:`~?([^`]*)`", r"`\1`", text)
    return text.replace("``", "`")


# Before autodoc reads anything: it writes the source of a default in the place of the default.
KEYS = {section: keys(section) for section in (*FUNCTIONS, *CHOICES, *TABLES)}


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("configuration-keys", ConfigurationKeys)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
