"""Formulas as MathML, which browsers draw themselves: no script, no font and no LaTeX is needed."""

from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)


def converted(latex: str, node: nodes.Element, *, display: bool) -> str:
    """Returns MathML; a formula that cannot be converted is a warning, so that the build fails."""
    try:
        return str(tex2mathml(latex, as_block=display))
    except MathError as error:
        logger.warning("formula %r: %s", latex, error, location=node)
        return f"<code>{latex}</code>"


def visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(f'<span class="math">{converted(node.astext(), node, display=False)}</span>')
    raise nodes.SkipNode


def visit_block(self: HTML5Translator, node: nodes.math_block) -> None:
    targets = "".join(f'<span id="{name}"></span>' for name in node.get("ids", []))
    self.body.append(f'{targets}<div class="formula">{converted(node.astext(), node, display=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
