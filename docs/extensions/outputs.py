"""What cells print and draw: whole lines; sentences wrap, tables scroll; a figure says which line of code drew it."""

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from myst_nb.core import render
from nbformat import NotebookNode
from PIL import Image
from sphinx.application import Sphinx

by_myst_nb = render.coalesce_streams
WIDTH = 100  # characters that fit beside the sidebars
COLUMNS = re.compile(r"\S {3,}\S")  # aligned by spaces


def whole_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Joins what came in pieces of 100 bytes, before myst-nb does, which ends a line after every piece."""
    joined: list[NotebookNode] = []
    streams: dict[str, NotebookNode] = {}
    for output in outputs:
        name = output.get("name") if output["output_type"] == "stream" else None
        if name in streams:
            streams[name]["text"] += output["text"]
        else:
            joined.append(output)
            if name:
                streams[name] = output
    return by_myst_nb(joined)


def is_table(text: str) -> bool:
    """Tells lines whose columns, or steps of indentation, would be lost if they were wrapped."""
    lines = text.splitlines()
    arranged = sum(bool(COLUMNS.search(line) or line.startswith("  ")) for line in lines) > 1
    return any(line.count(" | ") > 1 for line in lines) or (arranged and max(map(len, lines)) <= WIDTH)


def mark(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Marks printed sentences and wide figures, and describes figures to who cannot see them; options do not break."""
    for word in doctree.findall(nodes.literal):
        if re.fullmatch(r"-{1,2}[\w-]{,20}", word.astext()):
            word["classes"].append("option")
    for cell in doctree.findall(nodes.container):
        if cell.get("nb_element") != "cell_code":
            continue
        code, outputs = "", [part for part in cell if "cell_output" in part.get("classes", [])]
        for part in cell:
            if "cell_input" in part.get("classes", []):
                code = part.astext()
        for output in outputs:
            for printed in output.findall(nodes.literal_block):
                if not is_table(printed.astext()):
                    printed["classes"].append("sentences")
            for image in output.findall(nodes.image):
                if is_wide(Path(app.srcdir, image["uri"])):
                    image["classes"].append("wide")
                image["alt"] = f"The figure that this draws: {drawn_by(code)}"


def is_wide(picture: Path) -> bool:
    """Tells a figure that a phone must scroll, because its words would be too small where all of it is seen."""
    with Image.open(picture) as image:
        return image.width > 1.8 * image.height


def drawn_by(code: str) -> str:
    """Returns the last statement of a cell, in one line."""
    lines = [line for line in code.splitlines() if line.strip()]
    start = max((at for at, line in enumerate(lines) if line[0] not in " )]}"), default=0)
    return " ".join(line.strip() for line in lines[start:])


def setup(app: Sphinx) -> dict[str, Any]:
    render.coalesce_streams = whole_streams
    app.connect("doctree-resolved", mark)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
