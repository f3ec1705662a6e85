"""Run directories: names that cannot leave their folder, files that are whole or absent, checkpoints without code."""

import hashlib
import io
import json
import os
import platform
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
import torch
from torch import Tensor, nn

from pyrovae import __version__
from pyrovae.errors import PyrovaeError

EXPERIMENT, MANIFEST, METRICS = "experiment.toml", "manifest.json", "metrics.jsonl"
CHECKPOINT, EVALUATION, PER_DATUM, FIGURES = "checkpoint.pt", "evaluation.json", "log_marginal.npy", "figures"
FORMAT = 1  # of checkpoints
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
PACKAGES = ("torch", "torchvision", "pyro-ppl", "numpy", "scipy", "scikit-learn", "arviz-stats")


def new_directory(root: Path, name: str | None, default: str) -> Path:
    """Returns a directory that does not exist: ``root/name``, or ``root/default``, ``root/default-2``, ...

    Raises:
        PyrovaeError: The name could leave the folder, or a run of that name exists.
    """
    if name is not None:
        path = root / checked_name(name)
        if path.exists():
            raise PyrovaeError(f"run directory {path} exists", hint="choose another --name")
        return path
    number, path = 1, root / checked_name(default)
    while path.exists():
        number += 1
        path = root / f"{default}-{number}"
    return path


def checked_name(name: str) -> str:
    """Returns the name if it is one a folder may have.

    Example:
        >>> checked_name("../elsewhere")
        Traceback (most recent call last):
        pyrovae.errors.PyrovaeError: run name '../elsewhere'
    """
    if not NAME.fullmatch(name):
        raise PyrovaeError(f"run name '{name}'", hint="use up to 64 letters, digits, '.', '_' and '-'", exit_code=2)
    return name


def find(root: Path, run: str) -> Path:
    """Returns the directory of a run given by path or by name under the runs folder.

    Raises:
        PyrovaeError: Neither is a run directory.
    """
    for path in (Path(run), root / run):
        if os.path.isfile(path / MANIFEST):  # Path's own raises where a name is too long
            return path
    known = sorted(p.parent.name for p in root.glob(f"*/{MANIFEST}")) if root.is_dir() else []
    hint = f"runs in {root}: {', '.join(known)}" if known else f"no runs in {root}: pyrovae run digits-gaussian-mixture"
    raise PyrovaeError(f"no run '{run}'", hint=hint)


def create(directory: Path) -> None:
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        raise PyrovaeError(
            f"cannot create run directory {directory}: {error.strerror}", hint="choose another --runs-dir or --name"
        ) from None


def write(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all: to a temporary one beside it, synced, then renamed."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        hint = "make room, or choose another folder"
        raise PyrovaeError(f"cannot write {path}: {error.strerror}", hint=hint) from None
    finally:
        with suppress(OSError):  # it may never have been there
            partial.unlink()


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    write(path, (json.dumps(content, indent=2) + "\n").encode())


def write_toml(path: Path, content: Mapping[str, Any]) -> None:
    write(path, tomli_w.dumps(content).encode())


def write_array(path: Path, array: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array)
    write(path, buffer.getvalue())


def write_checkpoint(path: Path, weights: Mapping[str, Tensor], *, epoch: int) -> None:
    """Writes weights and plain values; serialised in memory first, so that a full disk is an error that says so."""
    buffer = io.BytesIO()
    torch.save({"format_version": FORMAT, "epoch": epoch, "weights": dict(weights)}, buffer)
    write(path, buffer.getvalue())


def read_checkpoint(path: Path, module: nn.Module) -> None:
    """Loads weights into a module of the same composition.

    Raises:
        PyrovaeError: The file is missing, damaged, foreign, holds anything but tensors and plain values, or its weights
            are those of another composition.
    """
    weights = checkpoint_content(path)["weights"]
    try:
        module.load_state_dict(weights)
    except (RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise PyrovaeError(f"checkpoint {path} is of another model: {reason}", hint="do not edit a run") from None


def checkpoint_content(path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:  # torch does not notice a flipped byte, the archive's checksums do
            damaged = archive.testzip()
        if damaged is not None:
            raise PyrovaeError(f"checkpoint {path} is damaged (checksum of {damaged})", hint="train the run again")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise PyrovaeError(f"no checkpoint {path}", hint="the run was not finished: train it again") from None
    except PyrovaeError:
        raise
    except Exception as error:  # torch, zipfile and pickle raise a dozen kinds for a file that is not theirs
        reason = type(error).__name__
        raise PyrovaeError(
            f"refusing to load {path}: not a checkpoint ({reason})", hint="train the run again"
        ) from None
    if not (
        isinstance(content, dict)
        and isinstance(content.get("format_version"), int)
        and isinstance(content.get("weights"), dict)
    ):
        raise PyrovaeError(f"refusing to load {path}: not a pyrovae checkpoint", hint="train the run again")
    if content["format_version"] > FORMAT:
        newer = f"checkpoint format {content['format_version']} is newer than this pyrovae ({FORMAT})"
        raise PyrovaeError(newer, hint="upgrade pyrovae")
    return content


def read_json(path: Path) -> dict[str, Any]:
    """Returns the content of one of a run's JSON files.

    Raises:
        PyrovaeError: It is missing or damaged.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PyrovaeError(f"no {path.name} in {path.parent}", hint=f"pyrovae evaluate {path.parent}") from None
    except ValueError as error:
        raise PyrovaeError(f"{path} is damaged: {error}", hint="train the run again") from None
    wanted = {"data", "model"} if path.name == MANIFEST else set()
    if not isinstance(content, dict) or not wanted <= set(content):
        raise PyrovaeError(f"{path} is damaged: not what a run writes", hint="train the run again")
    return content


def read_array(path: Path) -> np.ndarray:
    """Returns one of a run's arrays.

    Raises:
        PyrovaeError: It is missing or damaged.
    """
    try:
        array: np.ndarray = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise PyrovaeError(f"no {path.name} in {path.parent}", hint=f"pyrovae evaluate {path.parent}") from None
    except (ValueError, EOFError) as error:
        reason = "it holds Python objects" if "pickle" in str(error) else str(error)
        raise PyrovaeError(f"{path} is damaged: {reason}", hint=f"pyrovae evaluate {path.parent}") from None
    return array


def read_rows(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except ValueError as error:
        raise PyrovaeError(f"{path} is damaged: {error}", hint="train the run again") from None


@contextmanager
def appended(path: Path) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Opens a file of JSON rows and yields what appends one, at once on disk."""
    with path.open("a", encoding="utf-8") as file:

        def append(row: Mapping[str, Any]) -> None:
            file.write(json.dumps(row) + "\n")
            file.flush()

        yield append


def manifest(configuration: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Returns what another person needs to get the same numbers."""
    return {
        "versions": {"pyrovae": __version__, "python": platform.python_version()}
        | {name: version(name) for name in PACKAGES},
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "threads": torch.get_num_threads(),
        "device": "cpu",
        "seed": seed,
        "configuration_hash": hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()[:12],
    }
