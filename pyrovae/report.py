"""One page on a run, of what stands in its directory: Markdown to put beside it, and HTML that needs no other file."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from pyrovae import runs, storage

MARKDOWN, HTML = "report.md", "report.html"
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; font-size: 14px; margin: .5rem 0 } td { padding: .15rem .8rem .15rem 0 }
td + td { font-variant-numeric: tabular-nums } img { max-width: 100%; height: auto }
.bad { color: #a00 } .good { color: #070 } .open { color: #850 } summary { cursor: pointer }
th { text-align: left; padding-right: .8rem } .wide { overflow-x: auto }
figure { margin: 1rem 0 } figcaption { font-size: 14px }
@media (prefers-color-scheme: dark) {
  body { background: #1b1b1b; color: #ddd } img { background: #fff }
  .bad { color: #f88 } .good { color: #7d7 } .open { color: #db6 }
}
"""
# Verdicts, as they stand in bold, and how they are coloured.
COLOURS = {"unreliable": "bad", "reliable": "good", "does not hold": "bad", "holds": "good", "undecided": "open"}


@dataclass(frozen=True)
class Part:
    """A heading with sentences, a table, pictures and numbers under it.

    Attributes:
        title: The heading.
        sentences: Paragraphs.
        numbers: By name.
        pictures: Paths relative to the page.
        table: Rows of cells, the first row their heads.
        captions: Of the pictures, as far as they go.
    """

    title: str
    sentences: Sequence[str] = ()
    numbers: Mapping[str, str] = field(default_factory=dict)
    pictures: Sequence[str] = ()
    table: Sequence[Sequence[str]] = ()
    captions: Sequence[str] = ()


def write_report(directory: Path) -> list[Path]:
    """Writes ``report.md`` and ``report.html`` into a run directory that has been judged, and returns both paths."""
    parts = list(parts_of(directory))
    paths = [directory / MARKDOWN, directory / HTML]
    storage.write(paths[0], as_markdown(parts).encode())
    storage.write(paths[1], as_html(parts, directory).encode())
    return paths


def parts_of(directory: Path) -> Iterator[Part]:
    """Yields the parts of the page: the run, its evidence, then the sections in their order."""
    numbers = storage.read_json(directory / runs.EVALUATION)
    manifest = storage.read_json(directory / runs.MANIFEST, "data", "model")
    yield Part(directory.resolve().name, [composition(manifest)], facts(manifest))
    yield judgement(numbers)
    for name, found in numbers.get("sections", {}).items():
        if "not_applicable" in found:
            yield Part(name, [f"Not applicable: {found['not_applicable']}."])
        else:
            shown = {f"{key} (option)": value for key, value in found["options"].items() if value is not None}
            yield Part(name, found["sentences"], formatted(found["numbers"] | shown), found.get("figures", []))


def judgement(numbers: Mapping[str, Any]) -> Part:
    """Returns the evidence, or what a program without any was judged by."""
    plain = {key: value for key, value in numbers.items() if not isinstance(value, dict | list)}
    sentence = plain.pop("sentence", "")
    if "verdict" not in numbers:
        return Part("test data", [sentence] if sentence else [], formatted(plain), table=numbers.get("table", ()))
    reasons = [f"Against it: {reason}." for reason in numbers.get("reasons", [])]
    found = sentence or f"{plain['estimator']} {plain['quantity']}"
    return Part("evidence", [f"Verdict: **{numbers['verdict']}**.", *reasons, found], formatted(plain))


def composition(manifest: Mapping[str, Any]) -> str:
    """Says in a sentence what was composed."""
    chosen, data = manifest.get("configuration", {}), manifest["data"]
    parts = [f"{part} {chosen[part]['name']}" for part in ("prior", "likelihood", "posterior") if part in chosen]
    by = f", trained by {chosen['objective']['name']}" if "objective" in chosen else ""
    kind = "A VAE" if chosen.get("program", "vae") == "vae" else f"Program {chosen['program']}"
    return f"{', '.join(parts) or kind}{by}, on {data['name']} (binarize = {data['binarize']})."


def facts(manifest: Mapping[str, Any]) -> dict[str, str]:
    wanted = {
        "seed": manifest.get("seed"),
        "parameters": manifest["model"].get("parameters"),
        "training, minutes": manifest.get("training_minutes"),
        "test data": manifest["data"]["hashes"]["test"],
        "configuration": manifest.get("configuration_hash"),
        **{name: version for name, version in manifest.get("versions", {}).items() if name in ("pyrovae", "torch")},
    }
    return formatted({key: value for key, value in wanted.items() if value is not None})


def formatted(numbers: Mapping[str, Any]) -> dict[str, str]:
    """Returns numbers as they are printed; lists of more than a few are told by their length.

    Example:
        >>> formatted({"mean": -92.8112, "active_units": 12, "kl": [0.1] * 40})
        {'mean': '-92.81', 'active units': '12', 'kl': '40 numbers, 0.1 to 0.1'}
    """
    return {key.replace("_", " "): worded(value) for key, value in numbers.items()}


def worded(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"
    if isinstance(value, list) and len(value) > 6 and all(isinstance(item, int | float) for item in value):
        return f"{len(value)} numbers, {worded(min(value))} to {worded(max(value))}"
    if isinstance(value, list):
        return ", ".join(map(worded, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {worded(item)}" for key, item in value.items())
    return str(value)


def as_markdown(parts: Sequence[Part]) -> str:
    """Returns the page as Markdown, with links to its pictures."""
    lines: list[str] = []
    for number, part in enumerate(parts):
        lines += [f"{'#' if number == 0 else '##'} {part.title}", ""]
        lines += [line for sentence in part.sentences for line in (sentence, "")]
        lines += [*markdown_table(part.table), ""] if part.table else []
        if part.numbers:
            lines += ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in part.numbers.items()), ""]
        for path, caption in captioned(part):
            lines += [f"![{caption or Path(path).stem}]({path})", "", *([caption, ""] if caption else [])]
    return "\n".join(lines)


def markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns a table, its first row as heads.

    Example:
        >>> markdown_table([["claim", "verdict"], ["sharp", "holds"]])
        ['| claim | verdict |', '|---|---|', '| sharp | holds |']
    """
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return [lines[0], f"|{'---|' * len(rows[0])}", *lines[1:]]


def captioned(part: Part) -> list[tuple[str, str]]:
    """Returns each picture with its caption, or none."""
    missing = len(part.pictures) - len(part.captions)
    return list(zip(part.pictures, [*part.captions, *[""] * missing], strict=True))


def as_html(parts: Sequence[Part], directory: Path) -> str:
    """Returns the page as one HTML file with its pictures inside; everything that came from the run is escaped."""
    body = "".join(section_html(part, directory, "h1" if number == 0 else "h2") for number, part in enumerate(parts))
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(parts[0].title)}'
    return f"<!doctype html><html lang=en>{head}</title><style>{STYLE}</style>{body}</html>\n"


def section_html(part: Part, directory: Path, heading: str) -> str:
    sentences = "".join(f"<p>{emphasised(escape(sentence))}</p>" for sentence in part.sentences)
    rows = "".join(f"<tr><td>{escape(key)}</td><td>{escape(value)}</td></tr>" for key, value in part.numbers.items())
    numbers = f"<details><summary>numbers</summary><table>{rows}</table></details>" if rows else ""
    pictures = "".join(picture_html(directory / path, caption) for path, caption in captioned(part))
    return f"<{heading}>{escape(part.title)}</{heading}>{sentences}{table_html(part.table)}{pictures}{numbers}"


def table_html(rows: Sequence[Sequence[str]]) -> str:
    """Returns a table that scrolls by itself where the page is narrow."""
    if not rows:
        return ""
    head, *others = rows
    heads = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{emphasised(escape(cell))}</td>' for cell in row)}</tr>" for row in others)
    return f'<div class="wide"><table><tr>{heads}</tr>{body}</table></div>'


def picture_html(path: Path, caption: str = "") -> str:
    """Returns a picture inside the page, or nothing where it is not there."""
    if not path.exists():
        return ""
    content, kind = base64.b64encode(path.read_bytes()).decode(), path.suffix.removeprefix(".")
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    alt = escape(caption or path.stem)
    return f'<figure><img alt="{alt}" src="data:image/{kind};base64,{content}">{below}</figure>'


def emphasised(sentence: str) -> str:
    """Colours the verdict, the only thing that is written in bold."""
    for verdict, colour in COLOURS.items():
        sentence = sentence.replace(f"**{verdict}**", f'<strong class="{colour}">{verdict}</strong>')
    return sentence.replace("**", "")
