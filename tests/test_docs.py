"""What the documentation says can be typed, followed and looked up: commands, links, sources."""

import inspect
import re
import shlex
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pytest

import pyrovae
from pyrovae import __version__
from pyrovae.cli import main, places
from pyrovae.configuration import Experiment, merge
from pyrovae.evaluation.sections import SECTIONS
from pyrovae.schema import options

ROOT = Path(__file__).parent.parent
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "experiments").rglob("*.md")])
SHELL = re.compile(r"^```bash\n(.*?)^```", re.DOTALL | re.MULTILINE)
TOML = re.compile(r"^```toml\n(.*?)^```", re.DOTALL | re.MULTILINE)
LOOP = re.compile(r"\bfor (\w+) in ([^\s;]+)")
VARIABLE = re.compile(r"^(\w+)=\"(.*)\"$", re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
TARGET = re.compile(r"^([\w.-]+):.*$", re.MULTILINE)
AUTHOR = r"[A-Z][\w'-]*[a-zé]"
CITED = re.compile(rf"((?:{AUTHOR}, )*{AUTHOR}(?: et al\.| and {AUTHOR}(?:'s)?)?),? \(?((?:1[789]|20)\d\d)\b")


def commands() -> Iterator[tuple[str, str]]:
    """Yields every command of every page, the first value of a shell's variable in its place."""
    for page in PAGES:
        for block in SHELL.findall(page.read_text(encoding="utf-8")):
            text = block.replace("\\\n", " ")
            for name, value in LOOP.findall(text) + VARIABLE.findall(text):
                text = text.replace(f"${name}", value)
            for line in text.splitlines():
                for words in split(line):
                    if words[:1] in (["pyrovae"], ["make"]):
                        yield str(page.relative_to(ROOT)), shlex.join(words)


def split(line: str) -> list[list[str]]:
    """Returns the commands of a line of a shell, without comments and redirections.

    >>> split("for a in 1 2; do make b --c='d; e'; done > log  # f")[1]
    ['make', 'b', '--c=d; e']
    """
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    for word in lexer:
        if word == "do" or set(word) <= set(";&|<>"):
            found.append([])
        else:
            found[-1].append(word)
    return [words for words in found if words]


def parse(words: list[str]) -> click.Context:
    """Reads a command line as the program would, and runs nothing."""
    name, *rest = words
    found: click.Command = main.commands[name]
    if isinstance(found, click.Group):
        found = found.commands[rest.pop(0)]
    context = found.make_context(name, rest, parent=click.Context(main, **main.context_settings))
    if name == "launch":
        return parse(list(context.params["command"]))
    return context


@pytest.mark.parametrize(("page", "command"), list(commands()))
def test_a_command_of_a_page_is_one(page: str, command: str) -> None:
    """Its options exist, it names experiments that exist, and what it sets is a key that takes this value."""
    program, *words = shlex.split(command)
    if program == "make":
        targets = TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8"))
        assert set(words) <= set(targets), page
        return
    context = parse([word for word in words if word != "--debug"])
    if words[0] == "evaluate":
        assert_sections(context.params["only"], context.params["overrides"])
    config = context.params.get("config", "")
    if (
        (not config and words[0] != "refit-prior") or "/" in config or "new_part" in page
    ):  # parts that are not there yet
        return
    content = tomllib.loads(places.find_config(config).read_text(encoding="utf-8")) if config else {}
    for override in sorted(context.params["overrides"], key=lambda override: ".name=" not in override):
        merge(content, override)
    Experiment.of(config, content)


def assert_sections(only: str | None, overrides: Sequence[str]) -> None:
    """Holds that an evaluation is asked for sections that there are, with keys that they take."""
    assert not only or set(only.split(",")) <= {"evidence", *SECTIONS}
    for override in overrides:
        section, key = override.split("=")[0].split(".")
        assert key in options(SECTIONS[section])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_of_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    """As GitHub would follow it, which the build of the pages does not know."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for link in LINK.findall(re.sub(r"`[^`]*`", "", text)):
        path, _, anchor = link.partition("#")
        if re.match(r"\w+:", link):
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


def headings(page: Path) -> set[str]:
    """Returns the anchors of a page."""
    found = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_an_experiment_file_on_a_page_is_one(page: Path) -> None:
    for block in TOML.findall(page.read_text(encoding="utf-8")):
        content = tomllib.loads(block)
        if not {"contender", "sweep", "claims"} & set(content):
            Experiment.of("page", content)


def first_author(names: str) -> str:
    """Returns the first author of a citation; of "Monte Carlo, Grosse et al." only the last name is one.

    >>> first_author("Monte Carlo, Grosse et al."), first_author("Cremer, Li and Duvenaud")
    ('Grosse', 'Cremer')
    """
    return names.removesuffix(" et al.").split(", ")[-1] if "et al." in names else re.split(r",| and ", names)[0]


def test_every_source_that_a_docstring_or_a_page_names_is_in_the_bibliography() -> None:
    """By first author and year; that the entries themselves are cited nowhere else would not be seen."""
    entries = (ROOT / "docs" / "reference" / "bibliography.md").read_text(encoding="utf-8")
    known = {
        (first, year) for first, year in re.findall(r"^- (?:van den )?([\w-]+).*?\((\d{4})\)", entries, re.MULTILINE)
    }
    cited = set()
    pages = [page for page in PAGES if page.name != "bibliography.md"]
    for path in [*(ROOT / "pyrovae").rglob("*.py"), *pages]:
        for names, year in CITED.findall(" ".join(path.read_text(encoding="utf-8").split())):
            cited.add((first_author(names), year))
    assert len(cited) > 80
    assert cited <= known, sorted(cited - known)


@pytest.mark.parametrize("name", sorted(name for name in pyrovae.__all__ if callable(getattr(pyrovae, name))))
def test_every_public_part_shows_how_it_is_used(name: str) -> None:
    """By an example that the doctests run, or one in the constructor of a class."""
    assert ">>> " in (inspect.getdoc(getattr(pyrovae, name)) or "")


def test_no_page_reads_from_a_network() -> None:
    """Pages and their settings name no address that a browser or the build would load from."""
    settings = (ROOT / "docs" / "conf.py").read_text(encoding="utf-8")
    assert "http" not in settings
    assert "intersphinx" not in settings


def test_the_citation_names_this_version() -> None:
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
