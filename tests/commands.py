"""The command line, called in this process, and an experiment that takes a second."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from pyrovae.cli import main

DIGITS = "digits-gaussian-mixture"
TINY = Path(__file__).with_name("tiny.toml")
Maker = Callable[..., Path]

# Options of every section of an evaluation that make it take less than a second.
SMALL: dict[str, dict[str, Any]] = {
    "ais": {"annealed": 3, "temperatures": 3, "chains": 2, "leapfrog": 2},
    "gaps": {"optimised": 3, "steps": 3, "draws": 50, "temperatures": 3, "chains": 2},
    "nuts": {"sampled": 1, "chains": 2, "warmup": 5, "draws": 10},
    "calibration": {"simulated": 100, "draws": 9},
    "latent": {"codes": 30, "draws": 20},
    "analysis": {"analysed": 4, "draws": 25},
    "generation": {"samples": 50, "neighbours": 2, "resamples": 5, "training": 60},
    "continuity": {"pairs": 4, "steps": 5},
    "representation": {"training": 200, "few": 2, "subsets": 2, "resamples": 5},
    "disentanglement": {},
    "outliers": {"each": 10, "particles": 30},
    "gradients": {"particles": [1, 2], "repeats": 5, "batch": 8},
}


def invoke(*args: object) -> Result:
    """Calls the command line; an exception that it does not turn into an exit code is raised."""
    return CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)


def succeeds(*args: object) -> str:
    """Returns what a command prints."""
    result = invoke(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


def refusal(*args: object, code: int = 1) -> str:
    """Returns the error and hint of a command that is the user's mistake: lines of each, and no traceback."""
    result = invoke(*args)
    assert result.exit_code == code, result.output
    lines = result.stderr.splitlines()
    assert lines
    assert all(line.startswith(("Error: ", "Hint: ")) for line in lines), result.stderr
    assert [line for line in lines if line.startswith("Hint: ")] == lines[-1:], "one hint, at the end"
    assert "a defect of pyrovae" not in result.stderr
    return result.stderr


def sets(options: Mapping[str, Any]) -> list[str]:
    """Writes options as ``--set key=value``; what is None is left out."""
    values = {key: str(value).lower() if isinstance(value, bool) else value for key, value in options.items()}
    return [word for key, value in values.items() if value is not None for word in ("--set", f"{key}={value}")]


def judged(run: Path) -> str:
    """Judges a run by every section that applies, with small sizes, and returns what that prints."""
    small = {f"{section}.{key}": value for section, options in SMALL.items() for key, value in options.items()}
    return succeeds("evaluate", run, *sets(small))


def train(root: Path, name: str, options: Mapping[str, Any] | None = None, *, figures: bool = False) -> Path:
    """Trains a tiny experiment on the digits and returns its directory; figures take longer than everything else."""
    with pytest.MonkeyPatch.context() as patch:
        if not figures:
            patch.setattr("pyrovae.gallery.draw", lambda *_: None)
        succeeds("run", TINY, "--runs-dir", root, "--name", name, *sets(options or {}))
    return root / name


def files(folder: Path) -> list[str]:
    """Returns everything below a folder that is there or not, links and hidden files too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def contents(run: Path) -> dict[str, bytes]:
    """Returns what is in the files of a run, but for the lock, which says who wrote last."""
    return {name: (run / name).read_bytes() for name in files(run) if (run / name).is_file() and name != ".lock"}


def real(rows: int = 60, shape: tuple[int, ...] = (8, 8), seed: int = 0) -> np.ndarray:
    """Draws real-valued data, smooth enough to learn."""
    return np.random.default_rng(seed).normal(size=(rows, *shape)).cumsum(-1).astype("float32")
