"""Commands on data sets, and the listing of all that can be composed."""

from pathlib import Path
from typing import Any

import click

from pyrovae.cli.group import main
from pyrovae.cli.options import data_dir
from pyrovae.cli.places import experiments, find_config
from pyrovae.errors import PyrovaeError

OWN = {"array": "FILE.npy", "csv": "FILE.csv", "folder": "FOLDER"}  # rows of the data table that need a path


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
