"""Commands on sweeps."""

from pathlib import Path

import click

from pyrovae.cli.group import main
from pyrovae.cli.options import data_dir, device, runs_dir, threads
from pyrovae.cli.places import set_threads


@main.group()
def sweep() -> None:
    """Run one experiment in many configurations, on as many workers as there are."""


@sweep.command("run")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes on this machine.")
@click.option("--name", help="Of the sweep's folder; by default the file's.")
@device
@runs_dir
@data_dir
@threads
def run_sweep(
    *,
    file: Path,
    workers: int,
    name: str | None,
    device: str,
    runs_dir: Path,
    data_dir: Path | None,
    threads: int | None,
) -> None:
    """Run all that FILE asks for, an experiment with a table [sweep]; once more, and it goes on where it stopped.

    A table of the validation losses is printed at the end, best first; test data select nothing.
    """
    from pyrovae.sweeps import command

    folder = command.prepare(file, runs_dir, name)
    chosen = {"--device": device, "--data-dir": data_dir, "--threads": threads}
    options = [str(word) for pair in chosen.items() if pair[1] is not None for word in pair]
    stopped = command.run(folder, workers, options)
    click.echo(command.show(folder))
    command.conclude(folder, stopped)


@sweep.command()
@click.argument("folder", type=click.Path(path_type=Path))
@device
@data_dir
@threads
def worker(*, folder: Path, device: str, data_dir: Path | None, threads: int | None) -> None:
    """Join the sweep in FOLDER, of this or another machine, until all of it is finished."""
    from pyrovae.sweeps.worker import work

    set_threads(threads)
    click.echo(f"{work(folder, data_dir, device)} trials ended here")


@sweep.command("show")
@click.argument("folder", type=click.Path(path_type=Path))
def show_sweep(*, folder: Path) -> None:
    """Print the table of the sweep in FOLDER, finished or not."""
    from pyrovae.sweeps import command

    click.echo(command.show(folder))
