"""What ``pyrovae list`` prints: every row of every table, its first sentence, its options and their defaults."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyrovae.errors import PyrovaeError, did_you_mean
from pyrovae.programs import PROGRAMS
from pyrovae.schema import TABLES, Factory, options, type_name

OTHERS = ("programs", "experiments")  # what is listed besides, and has no options


def listing(table: str | None, experiments: Mapping[str, Path], *, markdown: bool = False) -> str:
    """Returns one table, or all of them.

    Args:
        table: Which one.
        experiments: The built-in experiments by name.
        markdown: Write tables for a page of documentation.

    Raises:
        PyrovaeError: There is no such table.
    """
    known = (*TABLES, *OTHERS)
    if table is not None and table not in known:
        raise PyrovaeError(f"unknown table '{table}'", hint=did_you_mean(table, known), exit_code=2)
    blocks = [programs(markdown=markdown)] if table in (None, "programs") else []
    blocks += [page(name) if markdown else block(name) for name in TABLES if table in (None, name)]
    if table in (None, "experiments") and not markdown:
        blocks.append("\n".join(["experiments", *(f"  {name}" for name in experiments)]))
    return "\n\n".join(blocks)


def programs(*, markdown: bool = False) -> str:
    """Returns the programs with the sections that an experiment of each has."""
    rows = [(name, program.summary, ", ".join(program.sections)) for name, program in PROGRAMS.items()]
    if markdown:
        head = ["## programs", "", "| name | what it is | sections |", "|---|---|---|"]
        return "\n".join([*head, *(f"| `{name}` | {what} | {sections} |" for name, what, sections in rows)])
    return "\n".join(["programs", *(f"  {name}: {what}\n      {sections}" for name, what, sections in rows)])


def block(table: str) -> str:
    rows = TABLES[table]
    shared = {labels(factory) for factory in rows.values()}
    title = f"{table} (each reads y{shared.pop()})" if len(shared) == 1 and "" not in shared else table
    return "\n".join([title, *(entry(name, factory, reads=title == table) for name, factory in rows.items())])


def page(table: str) -> str:
    """Returns a table in Markdown: name, what it is, what makes it read labels, options with their defaults."""
    head = [f"## {table}", "", "| name | what it is | reads y | options |", "|---|---|---|---|"]
    return "\n".join([*head, *(cells(name, factory) for name, factory in TABLES[table].items())])


def cells(name: str, factory: Factory) -> str:
    """Returns a row in Markdown.

    Example:
        >>> from pyrovae.networks import gated_mlp
        >>> cells("gated-mlp", gated_mlp).split(" | ")[2:]
        ['with `vae.conditional = true`', '`hidden = [300, 300]` |']
    """
    chosen = ", ".join(f"`{key} = {value(option.default)}`" for key, option in options(factory).items())
    reads = labels(factory).strip().replace("with ", "with `") + "`" * bool(labels(factory))
    return f"| `{name}` | {summary(factory).replace('|', chr(92) + '|')} | {reads} | {chosen} |"


def entry(name: str, factory: Factory, *, reads: bool = True) -> str:
    """Returns a row: name, what it is, whether it reads labels, and a line per option.

    Example:
        >>> from pyrovae.networks import MLP
        >>> print(entry("mlp", MLP, reads=False))
          mlp: Multilayer perceptron on the flattened datum (Rumelhart, Hinton and Williams, 1986).
              hidden = [400, 400]  (list of int)
              activation = "relu"  ('relu' or 'tanh' or 'softplus' or 'silu' or 'gated')
    """
    lines = [
        f"      {key} = {value(option.default)}  ({type_name(option.hint)})" for key, option in options(factory).items()
    ]
    said = f" Reads y{labels(factory)}." if reads and labels(factory) else ""
    return "\n".join([f"  {name}: {summary(factory)}{said}", *lines])


def labels(factory: Factory) -> str:
    """Says what makes a row read labels y, if anything does."""
    parameters = inspect.signature(factory).parameters
    if "labels" in parameters:
        return " with labels = true"
    conditional = "network" in parameters or "in_shape" in parameters
    return " with vae.conditional = true" if conditional and "classes" in parameters else ""


def summary(factory: Factory) -> str:
    """Returns the first sentence of a docstring on one line."""
    return " ".join((inspect.getdoc(factory) or "").split("\n\n")[0].split())


def value(default: Any) -> str:
    """Writes a default as TOML does, and says where there is none."""
    if default is None:
        return "unset"
    if default is inspect.Parameter.empty:
        return "required"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, str):
        return f'"{default}"'
    if isinstance(default, float):
        return str(round(default, 6))
    return str(list(default) if isinstance(default, tuple) else default)
