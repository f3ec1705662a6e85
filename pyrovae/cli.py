"""The command line: parse, call, print. torch is imported inside the commands, so that ``--help`` answers at once."""

import os
import re
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from pyrovae import __version__
from pyrovae.errors import Interrupted, PyrovaeError, did_you_mean

OWN = {"array": "FILE.npy", "csv": "FILE.csv", "folder": "FOLDER"}  # rows of the data table that need a path
BUILT_IN = (Path(__file__).parent / "_experiments", Path(__file__).parent.parent / "experiments")

runs_dir = click.option(
    "--runs-dir", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Folder of the runs."
)
data_dir = click.option("--data-dir", type=click.Path(path_type=Path), help="Where data are looked for first.")
threads = click.option("--threads", type=click.IntRange(min=1), help="Threads of torch.")
device = click.option("--device", default="cpu", show_default=True, help="cpu, cuda or mps.")
loggers = click.option("--logger", "loggers", multiple=True, help="Mirror the record: tensorboard, wandb or trackio.")
seed = click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Replaces the experiment's seed.")
noise = click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Of the draws.")
label = click.option("--class", "label", help="Draw, or read the data as, this class, by name or number.")
output = click.option("--output", "-o", type=click.Path(path_type=Path), help="A .png, .npy or .csv file.")
rows = click.option(
    "--data", "rows", type=click.Path(path_type=Path), help="Your file; by default the run's test data."
)


class Group(click.Group):
    """Prints a user's mistake as one line and a hint; tracebacks are for ``--debug``."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except KeyboardInterrupt:  # nothing was begun that could be lost
            click.echo("Error: interrupted", err=True)
            ctx.exit(130)
        except BrokenPipeError:
            # The reader has left, as `head` does: say nothing, and let nothing be flushed at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(1)
        except Exception as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            ctx.exit(report(error))


def report(error: Exception) -> int:
    """Prints an error and returns the exit code."""
    message, hint, exit_code = explain(error)
    if isinstance(error, Interrupted) and os.environ.get("RANK", "0") != "0":
        return exit_code  # the first of several processes has said it
    for line in message.splitlines() or [message]:
        click.echo(f"Error: {line}", err=True)
    if hint:
        click.echo(f"Hint: {hint}", err=True)
    return exit_code


def explain(error: Exception) -> tuple[str, str, int]:
    """Returns the message of an error, its hint and the exit code."""
    if isinstance(error, PyrovaeError):
        return str(error), error.hint, error.exit_code
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}", "make room, or check the path and its permissions", 1
    return f"{type(error).__name__}: {error}", "this is not your mistake: --debug shows where it happened", 1


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pyrovae")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(*, debug: bool) -> None:
    """Variational autoencoders as Pyro programs: compose, train, judge and look."""


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
@click.argument("run")
@label
@click.option("--count", type=click.IntRange(min=1), default=64, show_default=True, help="How many.")
@click.option("--mean", is_flag=True, help="Write E[x | z] to .npy and .csv too, instead of draws of x.")
@output
@noise
@runs_dir
def sample(
    *, run: str, label: str | None, count: int, mean: bool, output: Path | None, seed: int, runs_dir: Path
) -> None:
    """Draw data from the model of RUN: numbers are draws of x, a picture shows E[x | z] of each draw of z."""
    from pyrovae import trained

    opened = open_run(run, runs_dir)
    # A class may be called "T-shirt/top", a file may not.
    suffix = "" if label is None else "-class-" + re.sub(r"[^\w.-]+", "-", label)
    path = output or figure(opened, f"sample{suffix}")
    click.echo(trained.sample(opened, path, label, count=count, seed=seed, mean=mean))


@main.command()
@click.argument("run")
@rows
@label
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="A .npy or .csv file.")
@runs_dir
@data_dir
def embed(
    *, run: str, rows: Path | None, label: str | None, output: Path, runs_dir: Path, data_dir: Path | None
) -> None:
    """Write the code E[z | x] of each datum."""
    from pyrovae import trained

    click.echo(trained.embed(open_run(run, runs_dir), output, rows, data_dir, label=label))


@main.command()
@click.argument("run")
@rows
@label
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="A .csv file.")
@click.option("--particles", type=click.IntRange(min=25), default=1000, show_default=True, help="Draws per datum.")
@noise
@runs_dir
@data_dir
def score(
    *,
    run: str,
    rows: Path | None,
    label: str | None,
    output: Path,
    particles: int,
    seed: int,
    runs_dir: Path,
    data_dir: Path | None,
) -> None:
    """Write log p(x) of each datum, with its Monte-Carlo error and k-hat."""
    from pyrovae import trained

    chosen: dict[str, Any] = {"label": label, "particles": particles, "seed": seed}
    click.echo(trained.score(open_run(run, runs_dir), output, rows, data_dir, **chosen))
    click.echo(output)


@main.command()
@click.argument("run")
@rows
@label
@output
@runs_dir
@data_dir
def reconstruct(
    *, run: str, rows: Path | None, label: str | None, output: Path | None, runs_dir: Path, data_dir: Path | None
) -> None:
    """Encode and decode each datum; missing values are imputed."""
    from pyrovae import trained

    opened = open_run(run, runs_dir)
    click.echo(trained.reconstruct(opened, output or figure(opened, "reconstruct"), rows, data_dir, label=label))


@main.command()
@click.argument("run")
@rows
@click.option("--row", type=click.IntRange(min=0), default=0, show_default=True, help="Which datum.")
@label
@output
@runs_dir
@data_dir
def traverse(
    *,
    run: str,
    rows: Path | None,
    row: int,
    label: str | None,
    output: Path | None,
    runs_dir: Path,
    data_dir: Path | None,
) -> None:
    """Move one latent dimension of a datum at a time."""
    from pyrovae import trained

    opened = open_run(run, runs_dir)
    path = output or figure(opened, "traverse")
    click.echo(trained.traverse(opened, path, rows, data_dir, row=row, label=label))


@main.command()
@click.argument("run")
@click.argument("a")
@click.argument("b")
@click.option(
    "--steps", type=click.IntRange(min=2), default=9, show_default=True, help="Data on the way, ends included."
)
@label
@output
@runs_dir
@data_dir
def interpolate(
    *,
    run: str,
    a: str,
    b: str,
    steps: int,
    label: str | None,
    output: Path | None,
    runs_dir: Path,
    data_dir: Path | None,
) -> None:
    """Go from datum A to datum B in latent space; both are test indices or files."""
    from pyrovae import trained

    opened = open_run(run, runs_dir)
    path = output or figure(opened, "interpolate")
    click.echo(trained.interpolate(opened, path, (a, b), data_dir, steps=steps, label=label))


@main.command()
@click.argument("run")
@runs_dir
@data_dir
def figures(*, run: str, runs_dir: Path, data_dir: Path | None) -> None:
    """Draw the pictures of RUN again."""
    from pyrovae import checkpoints, experiment, gallery, runs

    directory = runs.find(runs_dir, run)
    with runs.locked(directory):
        vae, dataset = experiment.load(directory, data_dir)
        records, seed = list(experiment.history_of(directory)), experiment.read(directory / runs.EXPERIMENT).seed
        best = checkpoints.read(directory / checkpoints.BEST, "weights")["epoch"]
        for path in gallery.draw(vae, dataset, records, directory / runs.FIGURES, seed, best):
            click.echo(path)


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


@main.command("list")
@click.argument("table", required=False)
@click.option("--markdown", is_flag=True, help="Write tables for a page of documentation.")
def list_rows(*, table: str | None, markdown: bool) -> None:
    """Print what can be composed: all of it, or one TABLE, such as priors, networks, data or experiments."""
    from pyrovae import listing

    click.echo(listing.listing(table, experiments(), markdown=markdown))


@main.group()
def data() -> None:
    """Look at data sets, download them, or pack a folder of images."""


@data.command()
@click.argument("name")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Option, such as support=count.")
@data_dir
def info(*, name: str, overrides: tuple[str, ...], data_dir: Path | None) -> None:
    """Print what is known of NAME: a data set, your .npy, .npz, .csv or folder, or an experiment's (.toml)."""
    from pyrovae import experiment

    if name in OWN:
        reason = f"data set '{name}' is a file of yours"
        raise PyrovaeError(reason, hint=f"pyrovae data info {OWN[name]}, or EXPERIMENT.toml", exit_code=2)
    options = [f"data.{option.removeprefix('data.')}" for option in overrides]
    if name.endswith(".toml"):
        found = experiment.make_data(experiment.read(find_config(name), options), data_dir)
    else:
        found = experiment.named_data(name, options, data_dir)
    click.echo(found.summary())


@data.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Download again even if the files are there.")
@data_dir
def fetch(*, name: str, force: bool, data_dir: Path | None) -> None:
    """Download the data set NAME, unless it is there, and check its files."""
    from pyrovae.data import fetch as fetch_data

    click.echo(fetch_data(name, data_dir, force=force))


@data.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT.npy", type=click.Path(path_type=Path))
@click.option("--size", nargs=2, type=click.IntRange(min=1), metavar="H W", help="Height and width to bring all to.")
@click.option("--channels", type=click.Choice(["grey", "colour"]), help="By default grey if all images are.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
def pack(*, folder: Path, out: Path, size: tuple[int, int] | None, channels: Any, force: bool) -> None:
    """Write the images of FOLDER into OUT.npy, which trains without being read into memory."""
    from pyrovae.data.pack import pack as pack_images

    packed = pack_images(folder, out, size, channels, force=force)
    click.echo(packed)
    click.echo(f"train on it with: {packed.command()}")


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


def experiments() -> dict[str, Path]:
    """Returns the built-in experiments by name."""
    return {path.stem: path for folder in BUILT_IN for path in sorted(folder.glob("*.toml"))}


def find_config(config: str, *, built_in: bool = False) -> Path:
    """Returns the file of an experiment given by path or by built-in name."""
    known = experiments()
    if config in known:
        return known[config]
    path = Path(config)
    if built_in or (path.suffix != ".toml" and not os.path.exists(path)):
        raise PyrovaeError(f"unknown experiment '{config}'", hint=did_you_mean(config, known), exit_code=2)
    return path


def find_result(runs_dir: Path, name: str) -> Path:
    """Returns the directory of a run, or of results that ship with the package."""
    from pyrovae import runs

    built_in = [folder / "results" / name for folder in BUILT_IN if (folder / "results" / name).is_dir()]
    if built_in and not (Path(name) / runs.MANIFEST).exists() and not (runs_dir / name / runs.MANIFEST).exists():
        return built_in[0]
    return runs.find(runs_dir, name)


def open_run(run: str, runs_dir: Path) -> Any:
    """Returns a run's VAE and what it says of its data."""
    from pyrovae import runs, trained

    return trained.open_run(runs.find(runs_dir, run))


def figure(run: Any, name: str) -> Path:
    """Returns where a picture of a run goes unless the user says otherwise."""
    from pyrovae import runs

    return Path(run.directory / runs.FIGURES / f"{name}.png")


def set_threads(count: int | None) -> None:
    if count is not None:
        import torch

        torch.set_num_threads(count)


def echo_files(directory: Path) -> None:
    """Prints where everything is, the figures last."""
    for path in sorted(p for p in directory.rglob("*") if p.is_file()):
        click.echo(path)
