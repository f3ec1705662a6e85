"""Commands that judge: evaluate, gradients, refit-prior, compare."""

from pathlib import Path

import click

from pyrovae.cli.group import main
from pyrovae.cli.options import data_dir, device, runs_dir, threads
from pyrovae.cli.places import find_result, set_threads


@main.command()
@click.argument("run")
@click.option("--only", metavar="SECTIONS", help="evidence, or of `pyrovae list sections`.")
@click.option("--particles", type=click.IntRange(min=1), help="Importance samples per datum.")
@click.option("--data", type=click.IntRange(min=2), help="Judge only the first so many test data.")
@click.option("--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="Such as ais.chains=32.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Begin no section after so many.")
@click.option("--again", is_flag=True, help="Compute what stands there already.")
@click.option("--against", metavar="DATA", help="Other data, by name or path, that should look improbable.")
@click.option("--background", metavar="RUN", help="Another run on the same data, for a likelihood ratio.")
@runs_dir
@data_dir
@threads
def evaluate(
    *,
    run: str,
    only: str | None,
    particles: int | None,
    data: int | None,
    overrides: tuple[str, ...],
    minutes: float | None,
    again: bool,
    against: str | None,
    background: str | None,
    runs_dir: Path,
    data_dir: Path | None,
    threads: int | None,
) -> None:
    """Judge RUN on its test data, section by section, and write a report.

    What stands there with the same options is not computed again, so a stopped evaluation goes on.
    """
    from pyrovae import judging, runs

    request = judging.Request(
        only=() if only is None else [name.strip() for name in only.split(",")],
        overrides=overrides,
        particles=particles,
        data=data,
        minutes=minutes,
        again=again,
        against=against,
        background=None if background is None else runs.find(runs_dir, background),
    )
    set_threads(threads)
    directory = runs.find(runs_dir, run)
    with runs.locked(directory):
        for line in judging.evaluate_run(directory, request, data_dir):
            click.echo(line)


@main.command()
@click.argument("run")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Such as particles=[1,8], repeats=50.")
@runs_dir
@data_dir
@threads
def gradients(
    *, run: str, overrides: tuple[str, ...], runs_dir: Path, data_dir: Path | None, threads: int | None
) -> None:
    """Compare gradients of objectives on RUN, part by part; short for evaluate --only gradients."""
    from pyrovae import judging, runs

    set_threads(threads)
    directory = runs.find(runs_dir, run)
    request = judging.Request(only=["gradients"], overrides=[f"gradients.{override}" for override in overrides])
    with runs.locked(directory):
        for line in judging.evaluate_run(directory, request, data_dir):
            click.echo(line)


@main.command("refit-prior")
@click.argument("run")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="prior.name=flow, train.epochs=20, ...")
@click.option("--name", help="Of the new run; by default RUN and the prior, numbered.")
@device
@runs_dir
@data_dir
@threads
def refit_prior(
    *,
    run: str,
    overrides: tuple[str, ...],
    name: str | None,
    device: str,
    runs_dir: Path,
    data_dir: Path | None,
    threads: int | None,
) -> None:
    """Fit another prior to the codes of RUN, whose encoder and decoder stay, and say what that changed."""
    from pyrovae import refitting, runs

    set_threads(threads)
    source = runs.find(runs_dir, run)
    prior = refitting.refit_of(source, overrides).sections["prior"]["name"]
    directory = runs.new_directory(runs_dir, name, f"{source.resolve().name}-{prior}")
    for line in refitting.refit(source, overrides, directory, data_dir, device=device):
        click.echo(line)


@main.command()
@click.argument("names", metavar="RUN...", nargs=-1, required=True)
@click.option("--rate-distortion", "picture", type=click.Path(path_type=Path), help="Draw it to this .png file.")
@runs_dir
def compare(*, names: tuple[str, ...], picture: Path | None, runs_dir: Path) -> None:
    """Print a table of runs on the same data, best first, what their differences say, and what is published.

    A RUN may also be one of the results that ship with the package, by name or path.
    """
    from pyrovae import comparison

    directories = [find_result(runs_dir, name) for name in names]
    click.echo(comparison.compare(directories))
    if picture is not None:
        click.echo(comparison.draw_rate_distortion(directories, picture))
