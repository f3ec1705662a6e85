"""Commands that use a trained VAE, on its test data or on a file of the user's."""

import re
from pathlib import Path
from typing import Any

import click

from pyrovae.cli.group import main
from pyrovae.cli.options import data_dir, label, noise, output, rows, runs_dir
from pyrovae.cli.places import figure, open_run


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
    """Draw data from the model of RUN: numbers are draws of x, a picture or a sound is E[x | z] of each draw of z."""
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
@click.option("--path", default="linear", show_default=True, help="Or spherical, or density: where the prior is dense.")
@click.option("--steps", type=click.IntRange(min=2), help="Data on the way, ends included; 9, or 48 in a GIF.")
@label
@output
@runs_dir
@data_dir
def interpolate(
    *,
    run: str,
    a: str,
    b: str,
    path: str,
    steps: int | None,
    label: str | None,
    output: Path | None,
    runs_dir: Path,
    data_dir: Path | None,
) -> None:
    """Go from datum A to datum B in latent space; both are test indices or files. A .gif is animated."""
    from pyrovae import trained

    opened = open_run(run, runs_dir)
    file = output or figure(opened, "interpolate")
    click.echo(trained.interpolate(opened, file, (a, b), data_dir, path=path, steps=steps, label=label))


@main.command()
@click.argument("run")
@runs_dir
@data_dir
def figures(*, run: str, runs_dir: Path, data_dir: Path | None) -> None:
    """Draw the pictures of RUN again."""
    from pyrovae import checkpoints, experiment, runs

    directory = runs.find(runs_dir, run)
    with runs.locked(directory):
        module, dataset = experiment.load(directory, data_dir)
        records, made = list(experiment.history_of(directory)), experiment.read(directory / runs.EXPERIMENT)
        best = checkpoints.read(directory / checkpoints.BEST, "weights")["epoch"]
        for path in made.program.draw(module, dataset, records, directory / runs.FIGURES, made.seed, best):
            click.echo(path)
