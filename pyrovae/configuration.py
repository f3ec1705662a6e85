"""What an experiment says: a TOML file of overrides, ``--set`` on top, checked as a whole and completed by defaults."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pyrovae.errors import PyrovaeError, did_you_mean
from pyrovae.programs import PROGRAMS, Program
from pyrovae.schema import CHOICES, SECTIONS, Factory, complete, construct, factory_of, problems, row

VAE = "vae"  # the program where an experiment names none


@dataclass(frozen=True)
class Experiment:
    """What to compose, train and judge; every section is complete, defaults included.

    Attributes:
        name: What its runs are called.
        seed: Of initial weights, data order and noise. The data's own seed (splits, binarisation) is ``data.seed``.
        sections: Section name to options, see :mod:`pyrovae.schema`.
        kind: Name of its program, see :mod:`pyrovae.programs`.

    Example:
        >>> Experiment.of("toy", {"prior": {"name": "vamp"}}).sections["prior"]["pseudo_inputs"]
        500
    """

    name: str
    seed: int = 0
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    kind: str = VAE

    @classmethod
    def of(
        cls,
        name: str,
        overrides: Mapping[str, Any],
        *,
        source: str = "experiment",
        text: str = "",
        later: Mapping[tuple[str, str], str] | None = None,
    ) -> "Experiment":
        """Completes overrides, as a TOML file holds them.

        Args:
            name: What its runs are called.
            overrides: ``program``, ``seed`` and sections.
            source: Where the overrides come from, for errors.
            text: The file's text, to find lines in.
            later: (section, key) of what did not come from the file, with where it did come from.

        Raises:
            PyrovaeError: Unknown sections, keys, names and wrong types, all of them at once.
        """
        found = [
            f"{(later or {}).get(where) or source + line_of(text, *where)}: {problem}"
            for where, problem in list_problems(overrides)
        ]
        if found:
            raise PyrovaeError("\n".join(found), hint="pyrovae list shows every name and option", exit_code=2)
        kind = overrides.get("program", VAE)
        sections = {section: complete(section, overrides.get(section, {})) for section in PROGRAMS[kind].sections}
        return cls(name, overrides.get("seed", 0), sections, kind)

    @property
    def program(self) -> Program:
        """Its row of the table of programs."""
        return PROGRAMS[self.kind]

    def to_dict(self) -> dict[str, Any]:
        """Returns what a TOML file can hold: options that are None are left out."""
        return {"program": self.kind, "seed": self.seed} | {
            section: {key: value for key, value in chosen.items() if value is not None}
            for section, chosen in self.sections.items()
        }

    def chosen(self, section: str) -> dict[str, Any]:
        """Returns a section's options without the name of its row."""
        return {key: value for key, value in self.sections[section].items() if key != "name" or section not in CHOICES}

    def factory(self, section: str) -> Factory:
        """Returns the row, or the function, that a section's keys are options of."""
        return factory_of(section, self.sections[section])

    def part(self, section: str, context: Mapping[str, Any]) -> Any:
        """Makes what a section describes, with what it asks for of the context."""
        return construct(self.factory(section), self.chosen(section), context)

    def network(self, section: str) -> Factory:
        """Returns what makes a section's network for given shapes."""
        return partial(row("networks", self.sections[section]["name"]), **self.chosen(section))


def list_problems(overrides: Mapping[str, Any]) -> list[tuple[tuple[str, str], str]]:
    """Returns ((section, key), problem) for everything that is wrong."""
    kind = overrides.get("program", VAE)
    if kind not in PROGRAMS:
        return [(("", "program"), f"unknown program {kind!r} ({did_you_mean(str(kind), PROGRAMS)})")]
    found: list[tuple[tuple[str, str], str]] = []
    sections = PROGRAMS[kind].sections
    for section, given in overrides.items():
        if section == "program":
            continue
        if section == "seed":
            if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given < 2**63:
                found.append((("", "seed"), f"'seed' should be a whole number, 0 to 2**63 - 1, got {given!r}"))
        elif section not in sections:
            others = f"program '{kind}' has none" if section in SECTIONS else ""
            hint = others or did_you_mean(section, [*sections, "seed", "program"])
            what = f"section [{section}]" if isinstance(given, Mapping) else f"key '{section}' outside of sections"
            found.append(((section, ""), f"unknown {what} ({hint})"))
        elif not isinstance(given, Mapping):
            found.append(((section, ""), f"'{section}' should be a section, [{section}], got {given!r}"))
    for section in sections:
        if isinstance(overrides.get(section, {}), Mapping):
            wrong = problems(section, overrides.get(section, {}))
            found += [((section, key), f"[{section}] {problem}") for key, problem in wrong.items()]
    return found


def line_of(text: str, section: str, key: str) -> str:
    """Returns ``":7"`` where the key, or the section, stands on line 7 of the text, else nothing.

    Example:
        >>> line_of("[train]\\nepoch = 3", "train", "epoch"), line_of("train.epoch = 3", "train", "epoch")
        (':2', ':1')
    """
    wanted, inside = ".".join(filter(None, (section, key))), ""
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split("#")[0].strip()
        if words.startswith("["):
            path = inside = words.strip("[] ")
        else:
            path = ".".join(filter(None, (inside, words.split("=")[0].strip())))
        if path == wanted:
            return f":{number}"
    return ""


def read(path: Path, overrides: Sequence[str] = (), *, seed: int | None = None) -> Experiment:
    """Reads an experiment file, with ``key=value`` overrides on top.

    Args:
        path: TOML file.
        overrides: Such as ``train.epochs=3``; values are TOML, words may go unquoted.
        seed: Replaces the file's.

    Raises:
        PyrovaeError: The file is missing or no TOML, or says what cannot be.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except FileNotFoundError:
        raise PyrovaeError(f"no experiment file {path}", hint="pyrovae init NAME writes one", exit_code=2) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        hint = 'write key = value, words in "quotes"'
        raise PyrovaeError(f"{path}: not TOML: {error}", hint=hint, exit_code=2) from None
    except OSError as error:
        hint = "give an experiment file, or a name that pyrovae list experiments prints"
        raise PyrovaeError(f"cannot read {path}: {error.strerror}", hint=hint, exit_code=2) from None
    # Names first: another row of a table has other options, and those of the old one would all be unknown to it.
    ordered = sorted(overrides, key=lambda override: ".name=" not in override.replace(" ", ""))
    later = {merge(content, override): f"--set {override}" for override in ordered}
    if seed is not None:
        content["seed"] = seed
        later["", "seed"] = f"--seed {seed}"
    anchor(content, Path() if ("data", "path") in later else path.parent)
    return Experiment.of(path.stem, content, source=str(path), text=text, later=later)


def of_data(section: Mapping[str, Any], overrides: Sequence[str]) -> Experiment:
    """Returns an experiment of which only the data matter."""
    content = {"data": dict(section)}
    later = {merge(content, override): f"--set {override}" for override in overrides}
    return Experiment.of("data", content, source="data", later=later)


def anchor(content: Mapping[str, Any], folder: Path) -> None:
    """Makes data.path whole where something lies there: in the file's folder, or for ``--set`` in the working one."""
    data = content.get("data")
    named = data.get("path") if isinstance(data, dict) else None
    if isinstance(data, dict) and isinstance(named, str) and (folder / named).exists():
        data["path"] = str((folder / named).resolve())


def merge(content: dict[str, Any], override: str) -> tuple[str, str]:
    """Writes ``section.key=value`` into the content of a file and returns (section, key).

    A new ``name`` empties its section, whose options were those of the old one.
    """
    path, equals, value = override.partition("=")
    *sections, key = path.strip().split(".")
    if not equals or len(sections) > 1 or (not sections and key not in ("seed", "program")):
        raise PyrovaeError(f"--set {override}", hint="write section.key=value, as in train.epochs=3", exit_code=2)
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    target = content.setdefault(sections[0], {}) if sections else content
    if not isinstance(target, dict):
        raise PyrovaeError(f"--set {override}: '{sections[0]}' is no section", hint="see pyrovae list", exit_code=2)
    if key == "name" and target.get("name", parsed) != parsed:
        target.clear()
    target[key] = parsed
    return "".join(sections), key
