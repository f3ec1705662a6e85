"""The command that tells a story: claims, trainings, verdicts, one page."""

from pathlib import Path

import click

from pyrovae.cli.group import main
from pyrovae.cli.options import data_dir, runs_dir, threads
from pyrovae.cli.places import find_story, set_threads
from pyrovae.errors import PyrovaeError


@main.command()
@click.argument("story", required=False, type=click.Path(path_type=Path))
@click.option("--size", default="digits", show_default=True, help="Of the story: digits, or mnist.")
@click.option("--only", metavar="CHAPTERS", help="Numbers of chapters, such as 1,3.")
@runs_dir
@data_dir
@threads
def story(
    *,
    story: Path | None,
    size: str,
    only: str | None,
    runs_dir: Path,
    data_dir: Path | None,
    threads: int | None,
) -> None:
    """Hold the claims of STORY, by default what is said of VAEs, to trainings, and write a page on them.

    What was trained before is not trained again; a stopped story goes on.
    """
    from pyrovae.story.page import write_page
    from pyrovae.story.plan import read
    from pyrovae.story.telling import Told, tell

    set_threads(threads)
    plan = read(find_story() if story is None else story)
    known = {str(number): chapter for number, chapter in enumerate(plan.chapters, start=1)}
    wanted = list(known) if only is None else [number.strip() for number in only.split(",")]
    unknown = [number for number in wanted if number not in known]
    if unknown:
        hint = f"chapters are 1 to {len(known)}"
        raise PyrovaeError(f"--only {only}: no chapter {unknown[0]}", hint=hint, exit_code=2)
    chapters = [known[number] for number in wanted]
    for said in tell(plan, size, runs_dir, chapters, data_dir):
        if isinstance(said, Told):
            for path in write_page(said, runs_dir, chapters):
                click.echo(path)
        else:
            click.echo(said)
