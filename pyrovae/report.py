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
.unreliable { color: #a00 } .reliable { color: #070 } summary { cursor: pointer }
@media (prefers-color-scheme: dark) { body { background: #1b1b1b; color: #ddd } img { background: #fff } }
"""


@dataclass(frozen=True)
class Part:
    """A heading with sentences, numbers and pictures under it; paths are relative to the run directory."""

    title: str
    sentences: Sequence[str] = ()
    numbers: Mapping[str, str] = field(default_factory=dict)
    pictures: Sequence[str] = ()


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
    evidence = {key: value for key, value in numbers.items() if not isinstance(value, dict | list)}
    reasons = [f"Against it: {reason}." for reason in numbers.get("reasons", [])]
    sentence = evidence.pop("sentence", f"{evidence['estimator']} {evidence['quantity']}")
    yield Part("evidence", [f"Verdict: **{numbers['verdict']}**.", *reasons, f"{sentence}"], formatted(evidence))
    for name, found in numbers.get("sections", {}).items():
        if "not_applicable" in found:
            yield Part(name, [f"Not applicable: {found['not_applicable']}."])
        else:
            shown = {f"{key} (option)": value for key, value in found["options"].items() if value is not None}
            yield Part(name, found["sentences"], formatted(found["numbers"] | shown), found.get("figures", []))


def composition(manifest: Mapping[str, Any]) -> str:
    """Says in a sentence what was composed."""
    chosen, data = manifest.get("configuration", {}), manifest["data"]
    parts = [f"{part} {chosen[part]['name']}" for part in ("prior", "likelihood", "posterior") if part in chosen]
    by = f", trained by {chosen['objective']['name']}" if "objective" in chosen else ""
    return f"{', '.join(parts) or 'A VAE'}{by}, on {data['name']} (binarize = {data['binarize']})."


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
        if part.numbers:
            lines += ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in part.numbers.items()), ""]
        lines += [line for path in part.pictures for line in (f"![{Path(path).stem}]({path})", "")]
    return "\n".join(lines)


def as_html(parts: Sequence[Part], directory: Path) -> str:
    """Returns the page as one HTML file with its pictures inside; everything that came from the run is escaped."""
    body = "".join(section_html(part, directory, "h1" if number == 0 else "h2") for number, part in enumerate(parts))
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(parts[0].title)}'
    return f"<!doctype html><html lang=en>{head}</title><style>{STYLE}</style>{body}</html>\n"


def section_html(part: Part, directory: Path, heading: str) -> str:
    sentences = "".join(f"<p>{emphasised(escape(sentence))}</p>" for sentence in part.sentences)
    rows = "".join(f"<tr><td>{escape(key)}</td><td>{escape(value)}</td></tr>" for key, value in part.numbers.items())
    numbers = f"<details><summary>numbers</summary><table>{rows}</table></details>" if rows else ""
    pictures = "".join(picture_html(directory / path) for path in part.pictures if (directory / path).exists())
    return f"<{heading}>{escape(part.title)}</{heading}>{sentences}{pictures}{numbers}"


def picture_html(path: Path) -> str:
    content = base64.b64encode(path.read_bytes()).decode()
    return f'<p><img alt="{escape(path.stem)}" src="data:image/png;base64,{content}"></p>'


def emphasised(sentence: str) -> str:
    """Colours the verdict, the only thing that is written in bold."""
    for verdict in ("unreliable", "reliable"):
        sentence = sentence.replace(f"**{verdict}**", f'<strong class="{verdict}">{verdict}</strong>')
    return sentence.replace("**", "")
