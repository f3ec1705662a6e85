"""The page of a story: each claim in plain words, with its numbers, its verdict and pictures, in one file."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean, stdev

from pyrovae import storage
from pyrovae.report import Part, as_html, as_markdown
from pyrovae.story.plan import Chapter
from pyrovae.story.telling import Outcome, Told, draw_curve

HEADS = ("claim", "metric", "of", "than", "difference, 95 % interval", "verdict")


def write_page(told: Told, root: Path, chapters: Sequence[Chapter]) -> list[Path]:
    """Writes a story as ``story-SIZE.md`` and as ``story-SIZE.html``, which needs no other file, and returns both."""
    parts = list(parts_of(told, root, chapters))
    paths = [root / f"story-{told.size}.{suffix}" for suffix in ("md", "html")]
    storage.write(paths[0], as_markdown(parts).encode())
    storage.write(paths[1], as_html(parts, root).encode())
    return paths


def parts_of(told: Told, root: Path, chapters: Sequence[Chapter]) -> Iterator[Part]:
    """Yields the parts of the page; pictures are named from the folder of the runs on."""
    yield Part(told.story.title, told.story.text)
    for number, chapter in enumerate(chapters, start=1):
        pictures = {
            str((told.directories[name][0] / path).relative_to(root)): caption
            for name, path, caption in chapter.pictures
        }
        if chapter.curve:
            curve = draw_curve(chapter.curve, told.directories, root / f"story-{told.size}-curve.png")
            pictures[curve.name] = "Rate and distortion; along a grey line their sum, minus the ELBO, is equal."
        outcomes = told.outcomes[chapter.title]
        rows = [HEADS, *map(cells, outcomes)] if outcomes else []
        yield Part(
            f"{number}. {chapter.title}",
            [*chapter.text, *(f"{outcome.claim.says}: **{outcome.word}**." for outcome in outcomes)],
            pictures=list(pictures),
            table=rows,
            captions=list(pictures.values()),
        )
    spent = [(name, str(len(minutes)), f"{mean(minutes):.2f}") for name, minutes in told.minutes().items()]
    yield Part("What it took", table=[("contender", "trainings", "minutes each"), *spent])


def cells(outcome: Outcome) -> tuple[str, ...]:
    """Returns a row of the table of claims."""
    claim = outcome.claim
    metric = f"{claim.metric}{', spread over seeds' if claim.statistic == 'spread' else ''}"
    unit = f", {claim.unit}" if claim.unit else ""
    ratio = "ratio " if claim.statistic == "spread" else ""
    agree = ", all seeds agree" if outcome.interval.low == outcome.interval.high else ""
    other = f"{claim.than}: {several(outcome.others)}" if isinstance(outcome.others, Sequence) else f"{claim.than:g}"
    return (
        claim.says,
        f"{metric}{unit}",
        f"{claim.of}: {several(outcome.values)}",
        other,
        f"{ratio}{outcome.interval}{agree}",
        f"**{outcome.word}**",
    )


def several(values: Sequence[float]) -> str:
    """Returns mean and standard deviation over seeds.

    Example:
        >>> several([1.0, 2.0, 3.0]), several([2.0])
        ('2 ± 1 (sd of 3)', '2 (of 1)')
    """
    if len(values) < 2:
        return f"{values[0]:.3g} (of 1)"
    return f"{mean(values):.3g} ± {stdev(values):.2g} (sd of {len(values)})"
