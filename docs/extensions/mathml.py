"""Formulas as MathML, which browsers draw themselves: no script, no font and no LaTeX is needed."""

from typing import Any
from xml.etree import ElementTree as XML

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)
APPLY = "\u2061"  # the invisible sign between a function and what it is of


def converted(latex: str, node: nodes.Element, *, display: bool) -> str:
    """Returns MathML; a formula that cannot be converted is a warning, so that the build fails."""
    try:
        return spaced(tex2mathml(latex, as_block=display))
    except MathError as error:
        logger.warning("formula %r: %s", latex, error, location=node)
        return f"<code>{latex}</code>"


def spaced(mathml: str) -> str:
    """Returns it with what the converter leaves out: a space after log and its like, labels below their braces."""
    plain = mathml.replace("&ApplyFunction;", APPLY).replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")
    formula = XML.fromstring(plain)
    for outer in formula.iter():
        for sign, operand in zip(outer, list(outer)[1:], strict=False):
            if sign.text == APPLY and operand.tag not in ("mo", "mrow"):
                sign.set("lspace", "0")
                sign.set("rspace", "0.17em")
        if outer.tag == "msub" and outer[0].tag == "munder":
            outer.tag = "munder"
    return XML.tostring(formula, encoding="unicode")


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
