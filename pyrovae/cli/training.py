"""Commands that train: run, resume, replay, launch, init."""

import os
from pathlib import Path

import click

from pyrovae.cli.group import main
from pyrovae.cli.options import data_dir, device, loggers, runs_dir, seed, threads
from pyrovae.cli.places import echo_files, find_config, set_threads
from pyrovae.errors import PyrovaeError


@main.command()
@click.argument("config")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override, such as train.epochs=3.")
@click.option("--name", help="Name of the run; by default that of the experiment, numbered.")
@click.option("--dry-run", is_flag=True, help="Only print what would be done, and what it would cost.")
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), help="Short for --set train.precision=...")
@click.option("--compile", "compiled", is_flag=True, help="Short for --set train.compile=true.")
@device
@loggers
@runs_dir
@data_dir
@seed
@threads
def run(
    *,
    config: str,
    overrides: tuple[str, ...],
    name: str | None,
    dry_run: bool,
    precision: str | None,
    compiled: bool,
    device: str,
    loggers: tuple[str, ...],
    runs_dir: Path,
    data_dir: Path | None,
    seed: int | None,
    threads: int | None,
) -> None:
    """Train, judge and draw the experiment CONFIG: a TOML file or a built-in name."""
    from pyrovae import configuration, rehearsal, running, runs
    from pyrovae.training import processes

    set_threads(threads)
    short = {"train.precision": precision, "train.compile": "true" if compiled else None}
    overrides = (*overrides, *(f"{key}={value}" for key, value in short.items() if value is not None))
    planned = configuration.read(find_config(config), overrides, seed=seed)
    with processes.joined(device) as (group, device):
        directory = runs.of_launch(runs_dir) if group.first else None
        if group.first and directory is None:
            directory = runs.new_directory(runs_dir, name, planned.name)
        if dry_run:
            click.echo(rehearsal.rehearse(planned, data_dir, device))
            return
        directory = Path(group.told(str(directory)))
        evidence = running.run(planned, directory, data_dir, device=device, loggers=loggers)
    if evidence is not None:
        click.echo(evidence)
        echo_files(directory)


@main.command()
@click.argument("run")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="What may change: train.epochs=300, ...")
@click.option("--checkpoint", help="Go on from this one of RUN/checkpoints instead of the newest.")
@click.option("--device", help="By default that of the run.")
@loggers
@runs_dir
@data_dir
@threads
def resume(
    *,
    run: str,
    overrides: tuple[str, ...],
    checkpoint: str | None,
    device: str | None,
    loggers: tuple[str, ...],
    runs_dir: Path,
    data_dir: Path | None,
    threads: int | None,
) -> None:
    """Go on with RUN where it stopped: bit for bit as if it had not, on this machine with these versions."""
    from pyrovae import running, runs
    from pyrovae.training import processes

    directory = runs.find(runs_dir, run)
    before = runs.carried_out(directory)
    set_threads(threads or before["threads"])
    with processes.joined(device or before["device"]) as (_, where):
        evidence = running.resume(directory, overrides, data_dir, device=where, loggers=loggers, checkpoint=checkpoint)
    if evidence is not None:
        click.echo(evidence)
        echo_files(directory)


@main.command()
@click.argument("run")
@runs_dir
@data_dir
def replay(*, run: str, runs_dir: Path, data_dir: Path | None) -> None:
    """Take the step again at which the loss of RUN was not finite, and say where it comes from."""
    from pyrovae import running, runs

    click.echo(running.replay(runs.find(runs_dir, run), data_dir))


@main.command(context_settings={"ignore_unknown_options": True})
@click.option("--processes", type=click.IntRange(min=1), default=2, show_default=True, help="On this machine.")
@click.option("--restarts", type=click.IntRange(min=0), default=3, show_default=True, help="After a process has died.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def launch(*, processes: int, restarts: int, command: tuple[str, ...]) -> None:
    """Train on several processes with torchrun: pyrovae launch run digits-vamp, or launch resume RUN."""
    from pyrovae import launching

    click.get_current_context().exit(launching.launch(command, processes, restarts))


@main.command()
@click.argument("name")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="File to write; by default NAME.toml.")
def init(*, name: str, output: Path | None) -> None:
    """Write the built-in experiment NAME to a file to edit."""
    from pyrovae import storage

    path = output or Path(f"{name}.toml")
    source = find_config(name, built_in=True)
    if os.path.lexists(path):
        raise PyrovaeError(f"{path} exists", hint="choose another file with --output", exit_code=2)
    storage.write(path, source.read_bytes())
    click.echo(f"wrote {path}; run it with: pyrovae run {path}")
