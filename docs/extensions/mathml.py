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
THIN = "0.1667em"
ACCENTS = ("~", "\u02c6", "\u02c9", "\u02d9")
JOINER = "\u2060"  # no line ends where it stands


def converted(latex: str, node: nodes.Element, *, display: bool) -> str:
    """Returns MathML; a formula that cannot be converted is a warning, so that the build fails."""
    try:
        return spaced(tex2mathml(latex, as_block=display))
    except MathError as error:
        logger.warning("formula %r: %s", latex, error, location=node)
        return f"<code>{latex}</code>"


def spaced(mathml: str) -> str:
    """Returns it with what the converter leaves out: spaces around log and its like, the size of bars."""
    plain = mathml.replace("&ApplyFunction;", APPLY).replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")
    formula = XML.fromstring(plain)
    for outer in list(formula.iter()):
        parts = list(outer)
        for before, part, after in zip([None, *parts], parts, [*parts[1:], None], strict=False):
            if part.text == APPLY and after is not None and after.tag not in ("mo", "mrow"):
                part.set("lspace", "0")
                part.set("rspace", THIN)
            if before is not None and after is not None and after.text == APPLY and ends_operand(before):
                outer.insert(list(outer).index(part), XML.Element("mspace", width=THIN))
            if part.text == "\u2016" and before is not None and after is not None:
                part.set("stretchy", "false")
            if part.text == "|":
                part.set("lspace", "0")
                part.set("rspace", "0")
        if outer.tag == "msub" and outer[0].tag == "munder":
            outer.tag = "munder"
        if outer.tag == "munderover" and outer[2].text in ACCENTS:
            letter, index, accent = outer
            outer.tag, outer[:] = "msub", [XML.Element("mover", accent="true"), index]
            outer[0].extend([letter, accent])
    return XML.tostring(formula, encoding="unicode")


def ends_operand(part: XML.Element) -> bool:
    """Tells a factor, or the bracket that closes one, from a sign after which there is a space already."""
    return part.tag not in ("mo", "mspace") or part.text in (")", "]", "}")


def visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    after = node.next_node(descend=False, siblings=True)
    joined = JOINER if isinstance(after, nodes.Text) and not after.astext()[:1].isspace() else ""
    self.body.append(f'<span class="math">{converted(node.astext(), node, display=False)}</span>{joined}')
    raise nodes.SkipNode


def visit_block(self: HTML5Translator, node: nodes.math_block) -> None:
    targets = "".join(f'<span id="{name}"></span>' for name in node.get("ids", []))
    self.body.append(f'{targets}<div class="formula">{converted(node.astext(), node, display=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
