"""Files that are whole or absent: written beside their place, synced, renamed; a bad one is named when it is read."""

import csv
import errno
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from pyrovae.errors import PyrovaeError


def write(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all: to a temporary one beside it, synced, then renamed, and the folder synced.

    Raises:
        PyrovaeError: It cannot be written; what stood there stands there still.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        discard(partial)  # first, since what it took up is free again
        raise cannot_write(path, error, len(content)) from None
    finally:
        discard(partial)


def discard(path: Path) -> None:
    """Removes a file that may never have been there."""
    with suppress(OSError):
        path.unlink()


def sync_folder(folder: Path) -> None:
    """Makes a rename survive a power cut; Windows opens no folders, and needs no such thing."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cannot_write(path: Path, error: OSError, size: int = 0) -> PyrovaeError:
    """Explains a failed write; a full disk with what was needed and what there is."""
    full = ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        with suppress(OSError):
            free = shutil.disk_usage(path.parent).free
            full = f" (needs {size / 1e6:.2f} MB, {free / 1e6:.2f} MB free)"
    return PyrovaeError(f"cannot write {path}: {error.strerror}{full}", hint="make room, or choose another folder")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    write(path, (json.dumps(content, indent=2) + "\n").encode())


def write_toml(path: Path, content: Mapping[str, Any]) -> None:
    write(path, tomli_w.dumps(content).encode())


def write_array(path: Path, array: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array)
    write(path, buffer.getvalue())


def write_sound(path: Path, rate: int, wave: np.ndarray) -> None:
    """Writes samples within [-1, 1] as a .wav file of 16 bits; what is louder is cut off."""
    from scipy.io import wavfile

    buffer = io.BytesIO()
    wavfile.write(buffer, rate, np.rint(wave * 2.0**15).clip(-(2**15), 2**15 - 1).astype(np.int16))
    write(path, buffer.getvalue())


def write_table(path: Path, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Writes a .csv table, and makes its folder if need be."""
    text = io.StringIO(newline="")
    path.parent.mkdir(parents=True, exist_ok=True)
    csv.writer(text, lineterminator="\n").writerows([names, *rows])
    write(path, text.getvalue().encode())


def read_json(path: Path, *wanted: str) -> dict[str, Any]:
    """Returns the content of one of a run's JSON files, which must have the keys that are wanted.

    Raises:
        PyrovaeError: It is missing or damaged.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PyrovaeError(f"no {path.name} in {path.parent}", hint=f"pyrovae evaluate {path.parent}") from None
    except ValueError as error:
        raise PyrovaeError(f"{path} is damaged: {error}", hint="train the run again") from None
    if not isinstance(content, dict) or not set(wanted) <= set(content):
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


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    write(path, "".join(json.dumps(row) + "\n" for row in rows).encode())


@contextmanager
def appended(path: Path) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Opens a file of JSON rows and yields what appends one, at once on disk."""
    # Without a buffer, which would be written once more when the file is closed.
    with path.open("ab", buffering=0) as file:

        def append(row: Mapping[str, Any]) -> None:
            line = (json.dumps(row) + "\n").encode()
            try:
                while line:
                    line = line[file.write(line) :]
            except OSError as error:
                raise cannot_write(path, error, len(line)) from None

        yield append
