"""Names as a reader has them: ``pyrovae.VAE`` for ``pyrovae.vae.VAE``, and ``int`` for an ``int`` with a range."""

import re
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import pyrovae

RANGED = re.compile(r"(?:~?typing\.)?Annotated\[([\w.~]+), (?:~?[\w.]+\.)?Range\([^)]*\)\]")

PATH = re.compile(r"\w+Path\('([^']*)'\)")


def simpler(*args: Any) -> tuple[str | None, str | None]:
    """Leaves the ranges of numbers to the page of the configuration keys, and the makers of defaults out."""
    signature, returned = args[-2:]
    return (RANGED.sub(r"\1", signature).replace("<factory>", "...") if signature else signature), returned


def plain_paths(app: Sphinx, context: Any, lines: list[str]) -> None:
    """Writes the default of an option as one would type it."""
    lines[:] = [PATH.sub(r"\1", line) for line in lines]


def public(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element) -> nodes.Element | None:
    """Leads a reference to where a name was defined to where it is documented."""
    target = node.get("reftarget", "")
    name = target.rpartition(".")[2]
    if not target.startswith("pyrovae.") or name not in pyrovae.__all__:
        return None
    home = getattr(getattr(pyrovae, name), "__module__", "pyrovae")
    resolve = env.domains.python_domain.resolve_xref
    places = (f"pyrovae.{name}", f"{home}.{name}")
    found = (resolve(env, node["refdoc"], app.builder, "obj", place, node, content) for place in places)
    return next((link for link in found if link is not None), None)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("autodoc-process-signature", simpler)
    app.connect("missing-reference", public)
    app.connect("sphinx-click-process-options", plain_paths)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
