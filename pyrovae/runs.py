"""Run directories: names that cannot leave their folder, one writer at a time, and what made the numbers in them."""

import errno
import hashlib
import json
import os
import platform
import re
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from pyrovae import __version__, storage
from pyrovae.errors import PyrovaeError

EXPERIMENT, MANIFEST, METRICS = "experiment.toml", "manifest.json", "metrics.jsonl"
EVALUATION, PER_DATUM, FIGURES = "evaluation.json", "log_marginal.npy", "figures"
LOCK = ".lock"
BUSY = 3  # exit code of a command that finds a run in use
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
STALE = re.compile(r"\..*\.tmp|\.[0-9a-f]{32}(\.\w+)?")  # what a killed writer of files, or of figures, leaves
PACKAGES = ("torch", "torchvision", "pyro-ppl", "numpy", "scipy", "scikit-learn", "arviz-stats")


def new_directory(root: Path, name: str | None, default: str) -> Path:
    """Returns a directory that does not exist: ``root/name``, or ``root/default``, ``root/default-2``, ...

    One in which a run has died before it was one counts as none.

    Raises:
        PyrovaeError: The name could leave the folder, or a run of that name exists.
    """
    if name is not None:
        path = root / checked_name(name)
        if os.path.lexists(path) and not unborn(path):
            raise PyrovaeError(f"run directory {path} exists", hint="choose another --name")
        return path
    number, path = 1, root / checked_name(default)
    while os.path.lexists(path) and not unborn(path):  # a link to nothing is in the way too
        number += 1
        path = root / f"{default}-{number}"
    return path


def checked_name(name: str) -> str:
    """Returns the name if it is one a folder may have.

    Example:
        >>> try:
        ...     checked_name("../elsewhere")
        ... except PyrovaeError as error:
        ...     print(error)
        run name '../elsewhere'
    """
    if not NAME.fullmatch(name):
        raise PyrovaeError(f"run name '{name}'", hint="use up to 64 letters, digits, '.', '_' and '-'", exit_code=2)
    return name


def find(root: Path, run: str) -> Path:
    """Returns the directory of a run given by path or by name under the runs folder.

    A path is the user's word and is followed wherever it leads, a name stays in the folder.

    Raises:
        PyrovaeError: Neither is a run directory, or the name is a link out of the folder.
    """
    if os.path.isfile(Path(run) / MANIFEST):  # Path's own raises where a name is too long
        return Path(run)
    if os.path.isfile(root / run / MANIFEST):
        path = (root / run).resolve()
        if path.is_relative_to(root.resolve()):
            return root / run
        raise PyrovaeError(f"run '{run}' leads out of {root}", hint=f"if it is meant, give its path: {path}")
    known = sorted(p.parent.name for p in root.glob(f"*/{MANIFEST}")) if root.is_dir() else []
    hint = f"runs in {root}: {', '.join(known)}" if known else f"no runs in {root}: pyrovae run digits-gaussian-mixture"
    raise PyrovaeError(f"no run '{run}'", hint=hint)


def create(directory: Path) -> None:
    """Makes a run directory; one that is empty, or in which a run has died before it was one, is taken over.

    Raises:
        PyrovaeError: It cannot be made, or holds something.
    """
    if directory.is_dir() and (unborn(directory) or not any(directory.iterdir())):
        return
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        raise PyrovaeError(
            f"cannot create run directory {directory}: {error.strerror}", hint="choose another --runs-dir or --name"
        ) from None


def unborn(directory: Path) -> bool:
    """Tells whether a directory is what is left of a run that ended, or found no room, before its manifest."""
    names = {path.name for path in directory.iterdir()} if directory.is_dir() else set()
    return LOCK in names and all(name in (LOCK, EXPERIMENT) or STALE.fullmatch(name) for name in names)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Lets one process write into a run directory; the system drops the lock of a process that dies, however it dies.

    What a killed writer left half-written is removed.

    Raises:
        PyrovaeError: Another process holds it, with its number, host and since when.
    """
    try:
        file = (directory / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        reason = f"cannot write in run directory {directory}: {error.strerror}"
        raise PyrovaeError(reason, hint="check its permissions") from None
    with file:
        if not taken(file.fileno()):
            file.seek(0)
            raise PyrovaeError(
                f"run directory {directory} is in use{holder(file.read())}",
                hint="wait until it ends, or work in another run",
                exit_code=BUSY,
            )
        file.truncate(0)
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}))
        file.flush()
        for path in directory.rglob(".*"):
            if STALE.fullmatch(path.name):
                with suppress(OSError):
                    path.unlink()
        yield


def taken(descriptor: int) -> bool:
    """Takes the lock of an open file, or tells that somebody has it."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]  # Windows alone has it
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            return False
        print("warning: this file system has no locks; let one process at a time write into a run", file=sys.stderr)
    return True


def holder(text: str) -> str:
    """Says who wrote a lock file.

    Example:
        >>> holder('{"pid": 12, "host": "a", "since": "2026-11-25T12:01:00+00:00"}'), holder("")
        (' by process 12 on a since 2026-11-25T12:01:00+00:00', '')
    """
    try:
        content = json.loads(text)
        return f" by process {content['pid']} on {content['host']} since {content['since']}"
    except (ValueError, TypeError, KeyError):
        return ""


def manifest(configuration: Mapping[str, Any], seed: int, device: str = "cpu") -> dict[str, Any]:
    """Returns what another person needs to get the same numbers."""
    return {
        "versions": versions(),
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "threads": torch.get_num_threads(),
        "device": device,
        "seed": seed,
        "configuration_hash": configuration_hash(configuration),
        "configuration": configuration,
    }


def carried_out(directory: Path) -> dict[str, Any]:
    """Returns device and number of threads of a run."""
    content = storage.read_json(directory / MANIFEST)
    return {"device": content.get("device", "cpu"), "threads": content.get("threads")}


def versions() -> dict[str, str]:
    packages = {name: version(name) for name in PACKAGES}
    return {"pyrovae": __version__, "python": platform.python_version()} | packages


def launch() -> str | None:
    """Names the ``torchrun`` that started this process, the same for a process that it starts again; else nothing.

    ``TORCHELASTIC_RUN_ID`` alone may be "none"; its own process, the parent of this one, tells launches apart.
    """
    identity = os.environ.get("TORCHELASTIC_RUN_ID")
    return None if identity is None else f"{identity}/{socket.gethostname()}/{os.getppid()}"


def of_launch(root: Path) -> Path | None:
    """Returns the run that this launch has made before it started this process again, if there is one."""
    wanted = launch()
    if wanted is None or not root.is_dir():
        return None
    for path in root.glob(f"*/{MANIFEST}"):
        with suppress(OSError, ValueError):
            if json.loads(path.read_text(encoding="utf-8")).get("launch") == wanted:
                return path.parent
    return None


def configuration_hash(configuration: Mapping[str, Any]) -> str:
    """Returns the first 12 hexadecimal digits of the SHA-256 of a configuration."""
    return hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()[:12]
