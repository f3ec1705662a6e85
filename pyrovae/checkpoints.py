"""Checkpoints: tensors and plain values in a file that is whole or absent, checked when it is read, never code.

``checkpoint.pt``             the weights that were best on validation data, which ``load`` takes
``checkpoints/step-N.pt``     the whole state of a training after N steps; the last two are kept
``checkpoints/failed.pt``     the state before a step whose loss or gradient was not finite
"""

import io
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
CONTENT = {"epoch", "records", "engine", "averaged", "selection", "generators"}  # of a state, and more
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
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise storage.cannot_write(path, error) from None
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
            # torch packs nothing: what unpacks to more than the file is a bomb.
            if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
                raise PyrovaeError(f"refusing to load {path}: it would unpack to more than it is", hint=hint)
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
        named = re.search(r"\bGLOBAL (\S+)", str(error))
        reason = f"it holds Python objects ({named[1]})" if named else f"not a checkpoint ({type(error).__name__})"
        raise PyrovaeError(f"refusing to load {path}: {reason}", hint=hint) from None


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
    take(path, content, module)
    return content


def take(path: Path, content: Content, module: nn.Module, *, hint: str = "do not edit a run") -> None:
    """Loads the weights of a checkpoint into a module.

    Raises:
        PyrovaeError: They are those of another composition.
    """
    try:
        module.load_state_dict(content["weights"])
    except (RuntimeError, TypeError) as error:
        raise foreign(path, error, hint=hint) from None


def foreign(path: Path, error: Exception, *, hint: str = "do not edit a run") -> PyrovaeError:
    """Explains that a checkpoint is of another model."""
    reason = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
    return PyrovaeError(f"checkpoint {path} is of another model: {reason}", hint=hint)


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

    def latest(self, module: nn.Module | None = None) -> Content | None:
        """Returns the state to go on from, or nothing.

        Args:
            module: Takes the weights, to see that they are its own.

        Raises:
            PyrovaeError: It is damaged, or of another model; the one before it is offered.
        """
        names = self.names()
        if self.start is not None and self.start not in names:
            raise PyrovaeError(f"no checkpoint {self.start} in {self.folder}", hint=f"there are: {', '.join(names)}")
        if not names:
            return None
        name = self.start or names[-1]
        earlier = names[: names.index(name)]
        again = f"pyrovae resume {self.directory} --checkpoint {earlier[-1]}" if earlier else "train the run again"
        content = read(self.folder / name, "state", hint=again)
        if content.get("step") != step_of(name) or CONTENT - set(content):
            raise PyrovaeError(f"refusing to load {self.folder / name}: not the state of that step", hint=again)
        if module is not None:
            take(self.folder / name, content, module, hint=again)
        return content

    def save(self, content: Mapping[str, Any]) -> None:
        """Keeps a state. Once it is safe, drops the oldest ones, and those of later steps, which are to be taken again.

        Raises:
            PyrovaeError: There is no room, with the room there is; the states before it are intact.
        """
        name = f"step-{content['step']:09d}.pt"
        with self.way_out():
            if (self.folder / name).is_dir():
                remove(self.folder / name)
            write(self.folder / name, content, "state")
        names = self.names()
        until = names.index(name) + 1
        for other in [*names[: max(0, until - KEPT)], *names[until:]]:
            remove(self.folder / other)

    def keep_best(self, weights: Mapping[str, Tensor], epoch: int, step: int) -> None:
        """Writes the weights that ``load`` takes."""
        with self.way_out():
            write(self.directory / BEST, {"weights": dict(weights), "epoch": epoch, "step": step}, "weights")

    def fail(self, content: Mapping[str, Any], details: Mapping[str, Any]) -> None:
        """Keeps the state before a step that failed, and says in ``failure.json`` what it was."""
        with self.way_out():
            write(self.folder / FAILED, content, "state")
            storage.write_json(self.directory / "failure.json", details)

    def failed(self) -> Content:
        """Returns the state that :meth:`fail` kept."""
        return read(self.folder / FAILED, "state", hint="only a run whose loss was not finite can be replayed")

    @contextmanager
    def way_out(self) -> Iterator[None]:
        """Adds to what cannot be written what stands there still."""
        try:
            yield
        except PyrovaeError as error:
            names = self.names()
            last = f"the last good checkpoint is {names[-1]}; " if names else ""
            raise PyrovaeError(str(error), hint=f"{last}make room, then: pyrovae resume {self.directory}") from None


def step_of(name: str) -> int:
    """Returns the step that the name of a state tells.

    Example:
        >>> step_of("step-000000412.pt")
        412
    """
    return int(name.removeprefix("step-").removesuffix(".pt"))


def remove(path: Path) -> None:
    """Removes a state, or the folder that stands in its place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
