"""Telling a story: its contenders are trained and judged where that has not been done, then claims are held to them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

from pyrovae import configuration, figures, running, runs, storage
from pyrovae.errors import PyrovaeError
from pyrovae.judging import Request, evaluate_run
from pyrovae.refitting import fit_prior, refit_of
from pyrovae.story.metrics import value_of
from pyrovae.story.plan import Chapter, Claim, Contender, Size, Story
from pyrovae.story.verdicts import Interval, verdict


@dataclass(frozen=True)
class Outcome:
    """What trainings said of a claim: the metric by seed of both sides, the interval, and the verdict."""

    claim: Claim
    values: Sequence[float]
    others: Sequence[float] | float
    interval: Interval
    word: str

    def __str__(self) -> str:
        what = "ratio of spreads" if self.claim.statistic == "spread" else "difference"
        unit = f" {self.claim.unit}" if self.claim.unit and self.claim.statistic == "mean" else ""
        return f"{self.word}: {self.claim.says} ({self.claim.metric}: {what} {self.interval}{unit})"


@dataclass(frozen=True)
class Told:
    """A story with what came out, chapter by chapter, and where its runs lie."""

    story: Story
    size: str
    outcomes: Mapping[str, Sequence[Outcome]]
    directories: Mapping[str, Sequence[Path]]

    def minutes(self) -> dict[str, list[float]]:
        """Returns the minutes of training by contender, one for each seed."""
        return {name: [value_of(path, "minutes") for path in paths] for name, paths in self.directories.items()}


def tell(
    story: Story, size: str, root: Path, chapters: Sequence[Chapter] | None = None, data_dir: Path | None = None
) -> Iterator[str | Told]:
    """Trains and judges what chapters need, and yields what happens in words; the story as it was told comes last.

    Runs that stand there are taken as they are, and stopped ones go on, so that the same command ends a story that was
    interrupted. What trainings say of their course goes to ``story-SIZE.log``.

    Args:
        story: What is claimed.
        size: How large it is told.
        root: Folder of the runs.
        chapters: Some of the story's, by default all.
        data_dir: Where data are looked for first.

    Raises:
        PyrovaeError: A run of that name is of another experiment, or a metric is not among a run's numbers.
    """
    chapters = story.chapters if chapters is None else chapters
    scale = story.size(size)
    directories: dict[str, list[Path]] = {}
    root.mkdir(parents=True, exist_ok=True)
    for contender in story.needed(chapters):
        for seed in scale.seeds[: contender.seeds]:
            directory = place(root, size, contender.name, seed)
            yield f"{contender.name}, seed {seed}: {directory}"
            source = place(root, size, contender.refit, seed) if contender.refit else None
            with (root / f"story-{size}.log").open("a", encoding="utf-8") as log, redirect_stderr(log):
                settle(story, scale, contender, seed, directory, source, data_dir)
            directories.setdefault(contender.name, []).append(directory)
    outcomes = {chapter.title: [measured(claim, directories) for claim in chapter.claims] for chapter in chapters}
    for chapter in chapters:
        yield chapter.title
        yield from (f"  {outcome}" for outcome in outcomes[chapter.title])
    yield Told(story, size, outcomes, directories)


def place(root: Path, size: str, contender: str, seed: int) -> Path:
    """Returns the directory of a contender's run."""
    return root / f"story-{size}-{contender}-{seed}"


def settle(
    story: Story,
    scale: Size,
    contender: Contender,
    seed: int,
    directory: Path,
    source: Path | None = None,
    data_dir: Path | None = None,
) -> None:
    """Trains a contender where that is not done, and judges it where that is not."""
    if source is not None:
        experiment = refit_of(source, contender.set)
    else:
        path = story.path.parent / contender.experiment
        experiment = configuration.read(path, [*scale.set, *contender.set], seed=seed)
    if (directory / runs.MANIFEST).exists():
        check_same(experiment, directory)
        if not (directory / runs.EVALUATION).exists():
            running.resume(directory, data_dir=data_dir)
    elif source is not None:
        fit_prior(source, contender.set, directory, data_dir)
    else:
        running.run(experiment, directory, data_dir, figures=seed == scale.seeds[0])
    options = [*options_of(contender.evaluate, scale.options), *contender.options]
    with runs.locked(directory):
        for _ in evaluate_run(directory, Request(only=contender.evaluate, overrides=options, keep=True), data_dir):
            pass


def options_of(sections: Sequence[str], options: Sequence[str]) -> list[str]:
    """Returns the options of some sections.

    Example:
        >>> options_of(["generation"], ["generation.samples=500", "continuity.pairs=20"])
        ['generation.samples=500']
    """
    return [option for option in options if option.split(".")[0] in sections]


def check_same(experiment: configuration.Experiment, directory: Path) -> None:
    """Refuses a run of that name that is of another experiment.

    Raises:
        PyrovaeError: It is; what differs is named.
    """
    standing = storage.read_json(directory / runs.MANIFEST)["configuration"]
    unlike = running.differences(experiment.to_dict(), standing)
    unlike.pop("prior.labels", None)  # decided by the data
    if unlike:
        key, (wanted, found) = next(iter(unlike.items()))
        reason = f"{directory} is of another experiment: {key} = {found}, not {wanted}"
        raise PyrovaeError(reason, hint="remove it, or choose another --runs-dir")


def measured(claim: Claim, directories: Mapping[str, Sequence[Path]]) -> Outcome:
    """Returns what the trainings say of a claim."""
    values = [value_of(path, claim.metric) for path in directories[claim.of]]
    others: Sequence[float] | float = (
        [value_of(path, claim.metric) for path in directories[claim.than]]
        if isinstance(claim.than, str)
        else float(claim.than)
    )
    word, interval = verdict(claim, values, others)
    return Outcome(claim, values, others, interval, word)


def draw_curve(names: Sequence[str], directories: Mapping[str, Sequence[Path]], path: Path) -> Path:
    """Draws rate against distortion of contenders, of their first seed."""
    points = [[value_of(directories[name][0], key) for name in names] for key in ("rate", "distortion")]
    return figures.save(figures.rate_distortion(*points, names=names), path)
