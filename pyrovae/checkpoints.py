"""Checkpoints: tensors and plain values in a file that is whole or absent, checked when it is read, never code.

``checkpoint.pt``             the weights that were best on validation data, which ``load`` takes
``checkpoints/step-N.pt``     the whole state of a training after N steps; the last two are kept
``checkpoints/failed.pt``     the state before a step whose loss or gradient was not finite
"""

import io
import re
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pyrovae import storage
from pyrovae.errors import PyrovaeError

FORMAT = 2
KEPT = 2
FOLDER, BEST, FAILED = "checkpoints", "checkpoint.pt", "failed.pt"
NAME = re.compile(r"step-(\d+)\.pt")
Content = dict[str, Any]


def from_1(content: Content) -> Content:
    """Format 1 held the best weights alone, of runs that could not be resumed."""
    return content | {"kind": "weights", "step": None}


# From each older format to the next one.
MIGRATIONS: dict[int, Callable[[Content], Content]] = {1: from_1}


def write(path: Path, content: Mapping[str, Any], kind: str) -> None:
    """Writes a checkpoint; serialised in memory first, so that a full disk is an error that says so.

    Raises:
        PyrovaeError: It cannot be written; what stood there stands there still.
    """
    buffer = io.BytesIO()
    torch.save({"format_version": FORMAT, "kind": kind, **content}, buffer)
    path.parent.mkdir(exist_ok=True)
    storage.write(path, buffer.getvalue())


def read(path: Path, kind: str, *, hint: str = "train the run again") -> Content:
    """Returns what a checkpoint holds, in today's format.

    Args:
        path: The file.
        kind: What it should be, ``"weights"`` or ``"state"``.
        hint: The way out where it is not.

    Raises:
        PyrovaeError: The file is missing, damaged, foreign, newer than this program, or holds anything but tensors and
            plain values.
    """
    content = migrated(path, plain_content(path, hint), hint)
    if content.get("kind") != kind or not isinstance(content.get("weights"), dict):
        raise PyrovaeError(f"refusing to load {path}: not a pyrovae checkpoint of {kind}", hint=hint)
    return content


def plain_content(path: Path, hint: str) -> Any:
    """Returns what torch reads from the file, after the archive's checksums: torch itself does not look at them."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise PyrovaeError(f"checkpoint {path} is damaged (checksum of {damaged})", hint=hint)
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        missing = f"the run was not finished: pyrovae resume {path.parent}"
        raise PyrovaeError(f"no checkpoint {path}", hint=missing if path.name == BEST else hint) from None
    except PyrovaeError:
        raise
    except Exception as error:  # torch, zipfile and pickle raise a dozen kinds for a file that is not theirs
        reason = type(error).__name__
        raise PyrovaeError(f"refusing to load {path}: not a checkpoint ({reason})", hint=hint) from None


def migrated(path: Path, content: Any, hint: str) -> Content:
    """Brings the content of an older format to today's, one format at a time."""
    version = content.get("format_version") if isinstance(content, dict) else None
    if not isinstance(version, int) or version < min(MIGRATIONS):
        raise PyrovaeError(f"refusing to load {path}: not a pyrovae checkpoint", hint=hint)
    if version > FORMAT:
        newer = f"checkpoint format {version} is newer than this pyrovae ({FORMAT})"
        raise PyrovaeError(newer, hint="upgrade pyrovae")
    for older in range(version, FORMAT):
        content = MIGRATIONS[older](content)
    return dict(content)


def load_weights(path: Path, module: nn.Module) -> Content:
    """Loads the best weights into a module of the same composition and returns what else the file says.

    Raises:
        PyrovaeError: See :func:`read`, or the weights are those of another composition.
    """
    content = read(path, "weights")
    try:
        module.load_state_dict(content["weights"])
    except (RuntimeError, TypeError) as error:
        raise foreign(path, error) from None
    return content


def foreign(path: Path, error: Exception) -> PyrovaeError:
    """Explains that a checkpoint is of another model."""
    reason = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
    return PyrovaeError(f"checkpoint {path} is of another model: {reason}", hint="do not edit a run")


class Checkpoints:
    """Where a training keeps its state: in a run directory, the last two of each training and its best weights.

    Args:
        directory: The run directory; it must exist.
        start: Name of the state to go on from, by default the newest.

    Example:
        >>> import tempfile
        >>> Checkpoints(Path(tempfile.mkdtemp())).latest() is None
        True
    """

    def __init__(self, directory: Path, start: str | None = None) -> None:
        self.directory, self.start = directory, start
        self.folder = directory / FOLDER

    def names(self) -> list[str]:
        """Returns the names of the states that are kept, oldest first."""
        found = [match for path in self.folder.glob("step-*.pt") if (match := NAME.fullmatch(path.name))]
        return [match.group() for match in sorted(found, key=lambda match: int(match.group(1)))]

    def latest(self) -> Content | None:
        """Returns the state to go on from, or nothing.

        Raises:
            PyrovaeError: It is damaged; the one before it is offered.
        """
        names = self.names()
        if self.start is not None and self.start not in names:
            raise PyrovaeError(f"no checkpoint {self.start} in {self.folder}", hint=f"there are: {', '.join(names)}")
        if not names:
            return None
        name = self.start or names[-1]
        earlier = [other for other in names if other != name]
        again = f"pyrovae resume {self.directory} --checkpoint {earlier[-1]}" if earlier else "train the run again"
        return read(self.folder / name, "state", hint=again)

    def save(self, content: Mapping[str, Any]) -> None:
        """Keeps a state, and drops the oldest ones once it is safe.

        Raises:
            PyrovaeError: There is no room, with the room there is; the states before it are intact.
        """
        path = self.folder / f"step-{content['step']:09d}.pt"
        try:
            write(path, content, "state")
        except PyrovaeError as error:
            raise PyrovaeError(f"{error}{self.room()}", hint=self.last_good()) from None
        for name in self.names()[:-KEPT]:
            (self.folder / name).unlink()

    def forget_after(self, step: int) -> None:
        """Removes states of later steps than the one that training goes on from."""
        for name in self.names():
            if int(name.removeprefix("step-").removesuffix(".pt")) > step:
                (self.folder / name).unlink()

    def keep_best(self, weights: Mapping[str, Tensor], epoch: int, step: int) -> None:
        """Writes the weights that ``load`` takes."""
        write(self.directory / BEST, {"weights": dict(weights), "epoch": epoch, "step": step}, "weights")

    def fail(self, content: Mapping[str, Any], details: Mapping[str, Any]) -> None:
        """Keeps the state before a step that failed, and says in ``failure.json`` what it was."""
        write(self.folder / FAILED, content, "state")
        storage.write_json(self.directory / "failure.json", details)

    def failed(self) -> Content:
        """Returns the state that :meth:`fail` kept."""
        return read(self.folder / FAILED, "state", hint="only a run whose loss was not finite can be replayed")

    def room(self) -> str:
        """Says how much room there is."""
        try:
            return f" ({shutil.disk_usage(self.directory).free / 1e6:.1f} MB free)"
        except OSError:
            return ""

    def last_good(self) -> str:
        names = self.names()
        last = f"the last good checkpoint is {names[-1]}; " if names else ""
        return f"{last}make room, then: pyrovae resume {self.directory}"
