"""Image sets that torchvision can download: found on disk, or fetched whole or not at all.

The files lie where torchvision puts them below a data directory, and are looked for in the directory that the caller
names, then in `$PYROVAE_DATA`, then in the user's cache. If no place has them, torchvision downloads them into a
temporary folder inside the first of these places; they move into place when all of them are there and have passed the
check of their set, so that a broken download leaves nothing behind.
"""

import errno
import hashlib
import os
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from pyrovae.errors import PyrovaeError

# Seconds without a byte from the host: torchvision names no timeout, and would wait for ever.
TIMEOUT = 30.0


@dataclass(frozen=True)
class Source:
    """One image set: where its files lie, who downloads them, who checks them.

    Args:
        name: What a configuration calls it.
        folder: Where torchvision puts the files, below a data directory.
        files: Files or folders that make the set complete, each as it is or packed as `.gz` or `.zip`.
        get: Downloads the set into a data directory.
        check: Refuses damaged files, given their folder.
        wanted: Says what to put into the folder by hand, where there is no network.
        keep: Patterns of what is kept of a download; `files` by default.
    """

    name: str
    folder: str
    files: tuple[str, ...]
    get: Callable[[Path], object]
    check: Callable[[Path], object]
    wanted: Callable[[], str]
    keep: tuple[str, ...] = ()


def torchvision(name: str) -> Any:
    """Returns a class of `torchvision.datasets`, imported only where a file is fetched or its checksum needed."""
    from torchvision import datasets

    return getattr(datasets, name)


def locate(source: Source, data_dir: str | Path | None = None, *, force: bool = False) -> Path:
    """Returns the folder of a set, which is downloaded if it is nowhere or if `force` says so.

    Raises:
        PyrovaeError: It is nowhere, and the download failed.
    """
    roots = data_roots(data_dir)
    folders = () if force else (root / source.folder for root in roots)
    found = (folder for folder in folders if all(packed(folder, file).exists() for file in source.files))
    return next(found, None) or _download(source, roots[0])


def data_roots(data_dir: str | Path | None = None) -> list[Path]:
    """Returns the directories where data are looked for, in order; downloads go to the first."""
    named = [Path(root).expanduser() for root in (data_dir, os.environ.get("PYROVAE_DATA")) if root]
    return [*named, cache_dir()]


def cache_dir() -> Path:
    """Returns the folder of downloads that belongs to the user, which need not exist yet."""
    if configured := os.environ.get("XDG_CACHE_HOME"):
        return Path(configured) / "pyrovae"
    try:
        return Path.home() / ".cache" / "pyrovae"
    except RuntimeError:  # no $HOME, and no entry in the list of users, as in some containers
        return Path(tempfile.gettempdir()) / "pyrovae"


def packed(folder: Path, file: str) -> Path:
    """Returns the file, or the packed file that stands for it; the plain name if there is none."""
    spellings = [folder / f"{file}{suffix}" for suffix in ("", ".gz", ".zip")]
    return next((path for path in spellings if path.exists()), spellings[0])


def repair(name: str) -> str:
    """Returns the way out of a damaged file, as a hint."""
    return f"delete it or run: pyrovae data fetch {name} --force"


def check_md5(name: str, folder: Path, sums: Mapping[str, str]) -> None:
    """Refuses files that are not those that were published.

    Args:
        name: The set, for the hint.
        folder: Where the files are.
        sums: MD5 of each file, by name.

    Raises:
        PyrovaeError: A file cannot be read, or has another MD5.
    """
    for file, published in sums.items():
        try:
            with (folder / file).open("rb") as opened:
                found = hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        except OSError as error:
            raise PyrovaeError(f"cannot read data file {folder / file}: {error.strerror}", hint=repair(name)) from error
        if found != published:
            raise PyrovaeError(f"data file {file} is damaged: its md5 is not {published}", hint=repair(name))


def listed(sums: Mapping[str, str]) -> str:
    """Writes files and their checksums.

    Example:
        >>> listed({"a.zip": "68d2", "b.zip": "6b91"})
        'a.zip (md5 68d2), b.zip (md5 6b91)'
    """
    return ", ".join(f"{file} (md5 {md5})" for file, md5 in sums.items())


@contextmanager
def timeout(seconds: float) -> Iterator[None]:
    """Lets sockets that name no timeout give up after so many seconds without an answer."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _download(source: Source, root: Path) -> Path:
    target = root / source.folder
    try:
        target.mkdir(parents=True, exist_ok=True)
        # Within the target, so that moving is renaming, on one file system.
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target) as temporary:
            _get(source, Path(temporary), target)
            source.check(Path(temporary) / source.folder)
            _move(source, Path(temporary), target)
    except OSError as error:
        reason = f"cannot write to {error.filename or target}: {error.strerror}"
        raise PyrovaeError(reason, hint="name another folder by data_dir or PYROVAE_DATA") from error
    return target


def _get(source: Source, temporary: Path, target: Path) -> None:
    try:
        with timeout(TIMEOUT):
            source.get(temporary)
    except Exception as error:  # torchvision raises RuntimeError, urllib OSError, gdown classes of its own
        raise _explain(source, error, target) from error


def _move(source: Source, temporary: Path, target: Path) -> None:
    for number, pattern in enumerate(source.keep or source.files):
        for new in sorted((temporary / source.folder).glob(pattern)):
            old = target / new.name
            if old.is_dir():  # a folder replaces no folder: the old one is deleted with the temporary files
                old.rename(temporary / f".old-{number}-{new.name}")
            new.replace(old)


def _explain(source: Source, error: Exception, target: Path) -> PyrovaeError:
    name, text = source.name, " ".join(str(error).split())
    if getattr(error, "errno", None) == errno.ENOSPC:
        return PyrovaeError(f"no space left for {name} in {target}", hint="name another folder by data_dir")
    hint = f"put into {target}: {source.wanted()}; or use data.name=digits"
    if "'gdown' is required" in text:
        return PyrovaeError(f"no package gdown: {name} could not be downloaded", hint=f"pip install gdown, or {hint}")
    if "corrupted" in text:
        return PyrovaeError(f"the download of {name} is damaged: its md5 differs", hint=hint)
    if isinstance(error, HTTPError) or not isinstance(error, OSError | RuntimeError | HTTPException):
        return PyrovaeError(f"{name} could not be downloaded ({text[:200]})", hint=hint)
    return PyrovaeError(f"no network: {name} could not be downloaded", hint=hint)
