"""What a story file says, checked as a whole before anything is trained."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from pyrovae.errors import PyrovaeError, did_you_mean
from pyrovae.evaluation.sections import SECTIONS

Statistic = Literal["mean", "spread"]
Direction = Literal["higher", "lower"]


@dataclass(frozen=True)
class Claim:
    """A hypothesis: a metric of one contender is higher, or lower, than another's, or than a number.

    Attributes:
        says: The claim in words.
        metric: See :mod:`pyrovae.story.metrics`.
        of: The contender.
        expected: Whether its metric should be higher or lower.
        than: The other contender, or a number.
        by: The least difference; a negative one allows to be worse by so much. Of a spread, the ratio is meant.
        statistic: ``mean`` compares means over the seeds, ``spread`` their standard deviations.
        unit: Of the metric, for readers.
    """

    says: str
    metric: str
    of: str
    expected: Direction
    than: str | float
    by: float = 0.0
    statistic: Statistic = "mean"
    unit: str = ""


@dataclass(frozen=True)
class Contender:
    """A system of a story.

    Attributes:
        name: What the story calls it.
        experiment: Its experiment file, beside the story's.
        refit: Instead, the contender whose prior is fitted anew.
        set: Overrides of the experiment, or of the refit.
        evaluate: Sections that judge it.
        options: Of these sections.
        seeds: How many of the story's seeds it is trained with; by default all.
    """

    name: str
    experiment: str = ""
    refit: str = ""
    set: Sequence[str] = ()
    evaluate: Sequence[str] = ()
    options: Sequence[str] = ()
    seeds: int | None = None


@dataclass(frozen=True)
class Chapter:
    """Part of a story: what is claimed, in plain words, and pictures of the first seed's runs.

    Attributes:
        title: Its heading.
        text: Paragraphs.
        claims: What is to be measured.
        pictures: Each a contender, a file in its run directory, and a caption.
        curve: Contenders whose rates and distortions are drawn together.
    """

    title: str
    text: Sequence[str]
    claims: Sequence[Claim]
    pictures: Sequence[Sequence[str]] = ()
    curve: Sequence[str] = ()


@dataclass(frozen=True)
class Size:
    """How large a story is told: data, lengths and seeds of all trainings.

    Attributes:
        seeds: Of the trainings.
        set: Overrides of every experiment.
        options: Of every section of the evaluations.
    """

    seeds: Sequence[int]
    set: Sequence[str] = ()
    options: Sequence[str] = ()


@dataclass(frozen=True)
class Story:
    """A story file.

    Attributes:
        path: The file.
        title: Heading of the page.
        text: Paragraphs under it.
        sizes: By name.
        contenders: By name.
        chapters: In their order.
    """

    path: Path
    title: str
    text: Sequence[str]
    sizes: Mapping[str, Size]
    contenders: Mapping[str, Contender]
    chapters: Sequence[Chapter]

    def size(self, name: str) -> Size:
        """Returns a size by name.

        Raises:
            PyrovaeError: There is none.
        """
        if name not in self.sizes:
            raise PyrovaeError(f"unknown size '{name}'", hint=did_you_mean(name, self.sizes), exit_code=2)
        return self.sizes[name]

    def needed(self, chapters: Sequence[Chapter]) -> list[Contender]:
        """Returns the contenders that some chapters need, those first that others are fitted to."""
        named: list[str] = []
        for chapter in chapters:
            named += [claim.of for claim in chapter.claims]
            named += [claim.than for claim in chapter.claims if isinstance(claim.than, str)]
            named += [picture[0] for picture in chapter.pictures] + list(chapter.curve)
        sources = [self.contenders[name].refit for name in named if self.contenders[name].refit]
        return [self.contenders[name] for name in dict.fromkeys([*sources, *named])]


def read(path: Path) -> Story:
    """Reads a story file.

    Raises:
        PyrovaeError: It is missing, no TOML, or names what is not there.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PyrovaeError(f"cannot read {path}: {error.strerror}", hint="give a story file", exit_code=2) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PyrovaeError(
            f"{path}: not TOML: {error}", hint='write key = value, words in "quotes"', exit_code=2
        ) from None
    where = str(path)
    chapters = [
        made(Chapter, chapter | {"claims": made_all(Claim, chapter.get("claims", []), where)}, where)
        for chapter in content.get("chapters", [])
    ]
    story: Story = made(
        Story,
        content
        | {
            "path": path,
            "chapters": chapters,
            "sizes": {name: made(Size, size, where) for name, size in content.get("sizes", {}).items()},
            "contenders": {
                name: made(Contender, {"name": name} | given, where)
                for name, given in content.get("contenders", {}).items()
            },
        },
        where,
    )
    found = list(mistakes(story))
    if found:
        lines = "\n".join(f"{path}: {mistake}" for mistake in found)
        raise PyrovaeError(lines, hint="contenders are named in [contenders.NAME]", exit_code=2)
    return story


def made(kind: Any, given: Mapping[str, Any], where: str) -> Any:
    """Makes one of the parts of a story from a table of the file.

    Raises:
        PyrovaeError: A key is unknown or missing.
    """
    known = {field.name: field for field in fields(kind)}
    title = given.get("says", given.get("title", given.get("name", "")))
    for key in given:
        if key not in known:
            reason = f"{where}: unknown key '{key}' in {kind.__name__.lower()} '{title}'"
            raise PyrovaeError(reason, hint=did_you_mean(key, known), exit_code=2)
    missing = [name for name, field in known.items() if field.default is MISSING and name not in given]
    if missing:
        reason = f"{where}: {kind.__name__.lower()} '{title}' lacks '{missing[0]}'"
        raise PyrovaeError(reason, hint=f"write {missing[0]} = ...", exit_code=2)
    return kind(**given)


def made_all(kind: Any, given: Sequence[Mapping[str, Any]], where: str) -> list[Any]:
    return [made(kind, table, where) for table in given]


def mistakes(story: Story) -> Iterator[str]:
    """Yields what a story names that is not there."""
    for name, contender in story.contenders.items():
        if bool(contender.experiment) == bool(contender.refit):
            yield f"contender '{name}' needs an experiment or a refit, one of them"
        elif contender.experiment and not (story.path.parent / contender.experiment).exists():
            yield f"contender '{name}': no experiment file {contender.experiment} beside it"
        elif contender.refit and contender.refit not in story.contenders:
            yield f"contender '{name}' refits '{contender.refit}' ({did_you_mean(contender.refit, story.contenders)})"
        for section in contender.evaluate:
            if section not in SECTIONS:
                yield f"contender '{name}': unknown section '{section}' ({did_you_mean(section, SECTIONS)})"
    for chapter in story.chapters:
        named = [(claim.says, claim.of) for claim in chapter.claims]
        named += [(claim.says, claim.than) for claim in chapter.claims if isinstance(claim.than, str)]
        named += [(chapter.title, name) for name in [*(picture[0] for picture in chapter.pictures), *chapter.curve]]
        for what, name in named:
            if name not in story.contenders:
                yield f"'{what}': unknown contender '{name}' ({did_you_mean(name, story.contenders)})"
        for claim in chapter.claims:
            if claim.expected not in get_args(Direction) or claim.statistic not in get_args(Statistic):
                yield f"'{claim.says}': expected is higher or lower, statistic mean or spread"
