"""What a folder of the user's data holds: files of one kind, or a sub-folder of them for each class."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pyrovae.errors import PyrovaeError


class Kind(NamedTuple):
    """What files of a folder are data.

    Attributes:
        name: What messages call one of them; more of them with an s.
        suffixes: How their names end.
        others: How the names of files end that are data too, but would have to be converted first.
    """

    name: str
    suffixes: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def layout(self) -> str:
        """Says where they have to lie."""
        return f"{self.name}s lie in the folder itself, or in one sub-folder a class"


def list_members(place: Path, kind: Kind) -> tuple[list[Path], list[str]]:
    """Returns the data files of a folder, ordered by name, and the class of each, if they have any.

    Raises:
        PyrovaeError: There are none, some are to be converted, or some have a class and some have none.
    """
    entries = _entries(place)
    folders, files = [entry for entry in entries if entry.is_dir()], _files(entries, kind)
    if folders and files:
        message = f"folder {place.name} holds both {kind.name}s ({files[0].name}) and folders ({folders[0].name})"
        raise PyrovaeError(message, hint=kind.layout)
    if not folders and not files:
        hint = f"{kind.name}s end in {', '.join(kind.suffixes)}"
        raise PyrovaeError(f"folder {place} holds no {kind.name}s", hint=hint)
    if files:
        return files, []
    members = [(file, inner.name) for inner in folders for file in _members(inner, kind)]
    return [file for file, _ in members], [name for _, name in members]


def _members(inner: Path, kind: Kind) -> list[Path]:
    """Returns the data files of a class."""
    entries = _entries(inner)
    deeper = next((entry for entry in entries if entry.is_dir()), None)
    if deeper is not None:
        raise PyrovaeError(f"folder {inner.name} of a class holds a folder, {deeper.name}", hint=kind.layout)
    files = _files(entries, kind)
    if not files:
        message = f"folder {inner.name} of a class holds no {kind.name}s"
        raise PyrovaeError(message, hint=f"remove it, or put {kind.name}s there")
    return files


def _entries(place: Path) -> list[Path]:
    """Returns what a folder holds, ordered by name; hidden entries are the system's, not the user's."""
    return sorted((entry for entry in place.iterdir() if not entry.name.startswith(".")), key=lambda entry: entry.name)


def _files(entries: Sequence[Path], kind: Kind) -> list[Path]:
    """Returns the data files; texts and the like are passed over, but nothing that is data is dropped in silence."""
    for entry in entries:
        if entry.suffix.lower() in kind.others:
            hint = f"convert it: {', '.join(kind.suffixes)} can"
            raise PyrovaeError(f"{kind.name} {entry.name} cannot be read here", hint=hint)
    return [entry for entry in entries if entry.suffix.lower() in kind.suffixes and entry.is_file()]
