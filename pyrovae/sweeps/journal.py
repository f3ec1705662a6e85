"""Optuna's journal in a folder that many machines share, written so that a worker can die at any moment.

The file is that of Optuna's own ``JournalFileBackend``, which other programs (``optuna-dashboard``) read. Two things
are ours. The lock is the system's, which goes with its process: Optuna's are files, and one that a killed worker leaves
behind keeps the others waiting for half a minute, with a relative path for ever. And half a line at the end, such as a
full disk leaves, is cut off by who writes next: Optuna would write on in it and never read the file again.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from time import sleep
from types import TracebackType
from typing import Any, BinaryIO

from pyrovae import runs
from pyrovae.errors import PyrovaeError
from pyrovae.storage import cannot_write

PAUSE = 0.01  # seconds between two looks at a lock


class Lock:
    """A lock on a file, held by one process of all machines; the system drops that of a process that dies.

    It stands on ``flock`` as the locks of runs do, which NFS has since version 3 unless it is mounted otherwise. Who
    holds it may take it again.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a"
        >>> with Lock(path) as lock, lock:
        ...     Lock(path).take()
        False
    """

    def __init__(self, path: Path) -> None:
        self.path, self.depth, self.descriptor = path, 0, -1

    def take(self) -> bool:
        """Takes the lock, or tells that somebody else has it."""
        if self.depth == 0:
            self.descriptor = os.open(self.path, os.O_CREAT | os.O_RDWR)
            if not runs.taken(self.descriptor):
                os.close(self.descriptor)
                return False
        self.depth += 1
        return True

    def release(self) -> None:
        self.depth -= 1
        if self.depth == 0:
            os.close(self.descriptor)

    def wait(self) -> None:
        """Takes the lock as soon as it is free."""
        while not self.take():
            sleep(PAUSE)

    def __enter__(self) -> "Lock":
        self.wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


class Journal:
    """A backend of Optuna's journal storage: one JSON object a line.

    Args:
        path: The file.
        lock: Held while it is written.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> journal = Journal(folder / "journal.log", Lock(folder / "lock"))
        >>> journal.append_logs([{"op_code": 0}, {"op_code": 4}])
        >>> list(journal.read_logs(1))
        [{'op_code': 4}]
    """

    def __init__(self, path: Path, lock: Lock) -> None:
        self.path, self.lock = path, lock
        self.seen = (0, 0)  # lines and bytes that were read before: a long journal is read once
        path.touch()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Returns the lines from a number on; what follows the last newline is not written yet."""
        number, offset = self.seen if self.seen[0] <= log_number_from else (0, 0)
        with self.path.open("rb") as file:
            file.seek(offset)
            *lines, rest = (text := file.read()).split(b"\n")
        self.seen = (number + len(lines), offset + len(text) - len(rest))
        try:
            return iter([json.loads(line) for line in lines[log_number_from - number :]])
        except ValueError as error:
            hint = "move it away and run the sweep again: finished runs are free"
            raise PyrovaeError(f"{self.path} is damaged: {error}", hint=hint) from None

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Writes lines, on disk when this returns."""
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        with self.lock:
            try:
                self.write(text)
            except OSError as error:
                raise cannot_write(self.path, error, len(text)) from None

    def write(self, text: bytes) -> None:
        with self.path.open("r+b") as file:
            if not ends_a_line(file):
                file.seek(0)
                file.seek(file.read().rfind(b"\n") + 1)
                file.truncate()
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


def ends_a_line(file: BinaryIO) -> bool:
    """Goes to the end of a file and tells whether it ends with a newline, or is empty."""
    if file.seek(0, os.SEEK_END) == 0:
        return True
    file.seek(-1, os.SEEK_END)
    return file.read() == b"\n"


def import_optuna() -> Any:
    """Returns Optuna, which reports nothing but warnings.

    Raises:
        PyrovaeError: It is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise PyrovaeError("sweeps need optuna", hint='pip install "pyrovae[sweep]"') from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def open_study(path: Path, lock: Lock) -> Any:
    """Returns the study of a journal, which minimises; a new one where there is none."""
    optuna = import_optuna()
    storage = optuna.storages.JournalStorage(Journal(path, lock))
    with lock:
        return optuna.create_study(storage=storage, study_name="sweep", direction="minimize", load_if_exists=True)
