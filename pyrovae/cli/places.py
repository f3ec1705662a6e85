"""Where commands find experiments, runs and results; what they do before and after."""

import os
from pathlib import Path
from typing import Any

import click

from pyrovae.errors import PyrovaeError, did_you_mean

PACKAGE = Path(__file__).parent.parent
BUILT_IN = (PACKAGE / "_experiments", PACKAGE.parent / "experiments")


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


def find_story() -> Path:
    """Returns the file of the story that comes with the package."""
    return next(path for folder in BUILT_IN if (path := folder / "story" / "story.toml").exists())


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
