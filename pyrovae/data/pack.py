"""A folder of images as one `.npy` file, which trains without being read into memory.

Images are written one after the other, into a file beside the one asked for, which takes its name at the end. Writing
into a map of the file would end the process without a word where the disk is full.
"""

import json
import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO

import numpy as np

from pyrovae.data.checks import Array
from pyrovae.data.files import order_classes
from pyrovae.data.folder import Channels, Form, choose_form, list_images, stream
from pyrovae.errors import PyrovaeError
from pyrovae.storage import cannot_write, sync_folder

# Rows held out are copied into memory: of more rows than ten times this, so many are named and not a tenth.
HELD_OUT = 10_000


@dataclass(frozen=True)
class Packed:
    """What was written.

    Args:
        path: The file of x.
        shape: Of x, `(n, channels, height, width)`.
        classes: Names of the labels 0, 1, ...; `()` without labels.

    Example:
        >>> print(Packed(Path("a/x.npy"), (2, 1, 8, 8), ("cat", "dog")))
        a/x.npy         2 x 1 x 8 x 8, uint8, 128 bytes
        a/x.labels.npy  2 classes: cat, dog
    """

    path: Path
    shape: tuple[int, ...]
    classes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = {self.path: f"{' x '.join(map(str, self.shape))}, uint8, {prod(self.shape):,} bytes"}
        if self.classes:
            lines[labels_of(self.path)] = f"{len(self.classes)} classes: {', '.join(self.classes)}"
        wide = max(len(str(path)) for path in lines)
        return "\n".join(f"{path!s:<{wide}}  {text}" for path, text in lines.items())

    def options(self) -> dict[str, str]:
        """Returns the options of a data table that read the files, as `--set` takes them.

        Example:
            >>> Packed(Path("a/x.npy"), (2, 1, 8, 8), ("cat", "dog")).options()["data.labels"]
            'x.labels.npy'
        """
        options = {"data.name": "array", "data.path": str(self.path)}
        if self.classes:
            # Looked for beside x, wherever that is read from later.
            options |= {"data.labels": labels_of(self.path).name, "data.classes": _words(self.classes)}
        options |= {"data.max_level": "255", "data.memory_map": "true"}
        if self.shape[0] > 10 * HELD_OUT:
            options |= {"data.validation": str(HELD_OUT), "data.test": str(HELD_OUT)}
        return options

    def command(self) -> str:
        """Returns a command that trains on the files.

        Example:
            >>> Packed(Path("x.npy"), (2, 1, 8, 8)).command()[:68]
            'pyrovae run own-folder --set data.name=array --set data.path=x.npy -'
        """
        chosen = (shlex.quote(f"{key}={value}") for key, value in self.options().items())
        return " ".join(["pyrovae run own-folder", *(f"--set {option}" for option in chosen)])


def pack(
    place: Path,
    path: Path,
    size: Sequence[int] | None = None,
    channels: Channels | None = None,
    *,
    force: bool = False,
) -> Packed:
    """Writes the images of a folder into a `.npy` file, and their classes, where they have any, into one beside it.

    Rows are bytes of shape `(channels, height, width)`, ordered by name, and read as `data.name = "folder"` reads them.

    Args:
        place: The folder, of images or of one sub-folder of images for each class.
        path: The file, `NAME.npy`; labels go into `NAME.labels.npy`.
        size: Height and width to bring all images to; theirs by default, if they are all alike.
        channels: Whether to read one channel or three; `grey` by default if all images are.
        force: Whether to replace files that are there.

    Raises:
        PyrovaeError: The file is there, or cannot be written, or an image is refused; then nothing has changed.
    """
    if not place.is_dir():
        raise PyrovaeError(f"no folder {place}", hint="give a folder of images, or of a folder of images a class")
    _check_target(path, force=force)
    files, names = list_images(place)
    form = choose_form(files, size, channels)
    packed = Packed(path, (len(files), *form.shape), order_classes(set(names)))
    _check_room(packed)
    labels = labels_of(path)
    if packed.classes:
        with written(labels) as opened:
            np.save(opened, _numbers(names, packed.classes))
            _write_images(packed, files, form)
    else:
        _write_images(packed, files, form)
        labels.unlink(missing_ok=True)  # those of a file that was replaced
    return packed


def labels_of(path: Path) -> Path:
    """Returns the file of the labels of a packed folder.

    Example:
        >>> labels_of(Path("a/faces.npy")).name
        'faces.labels.npy'
    """
    return path.with_name(f"{path.stem}.labels.npy")


@contextmanager
def written(path: Path, size: int = 0) -> Iterator[IO[bytes]]:
    """Opens a file that takes its name only when all of it is written; what goes wrong before leaves nothing behind.

    Args:
        path: The file, which may be there.
        size: How many bytes it will hold, for the message about a full disk.

    Raises:
        PyrovaeError: It cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with partial.open("wb") as opened:
            yield opened
            opened.flush()
            os.fsync(opened.fileno())
        partial.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error, size) from None
    finally:
        with suppress(OSError):  # it may never have been there
            partial.unlink()


def _write_images(packed: Packed, files: Sequence[Path], form: Form) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": packed.shape}
    with written(packed.path, prod(packed.shape)) as opened:
        np.lib.format.write_array_header_1_0(opened, header)
        for image in stream(files, form):
            opened.write(image.tobytes())


def _check_target(path: Path, *, force: bool) -> None:
    if path.suffix != ".npy":
        raise PyrovaeError(f"{path} is not named .npy", hint=f"write {path.with_suffix('.npy')}", exit_code=2)
    if not path.parent.is_dir():
        raise PyrovaeError(f"no folder {path.parent} to write {path.name} into", hint="make it, or choose another")
    for file in (path, labels_of(path)):
        if os.path.lexists(file) and not force:
            raise PyrovaeError(f"{file} exists", hint="choose another file, or replace it with --force", exit_code=2)


def _check_room(packed: Packed) -> None:
    """Refuses before the first image what the disk cannot hold after the last."""
    needed, free = prod(packed.shape), shutil.disk_usage(packed.path.parent).free
    if needed > free:
        message = f"cannot write {packed.path}: it takes {needed / 1e6:,.1f} MB, {free / 1e6:,.1f} MB are free"
        raise PyrovaeError(message, hint="make room, choose another folder, or a smaller --size")


def _numbers(names: Sequence[str], classes: Sequence[str]) -> Array:
    numbers = {name: number for number, name in enumerate(classes)}
    return np.array([numbers[name] for name in names], dtype=np.uint8 if len(classes) <= 256 else np.int64)


def _words(names: Sequence[str]) -> str:
    return json.dumps(list(names), ensure_ascii=False)  # TOML writes lists of words as JSON does
