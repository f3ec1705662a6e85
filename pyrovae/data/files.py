"""Where a user's data are, and how reading them can fail."""

from pathlib import Path

from pyrovae.errors import PyrovaeError


def find(path: str, data_dir: str | Path | None, *, folder: bool = False) -> Path:
    """Returns the file or folder at a path relative to the working directory, else to the data directory.

    Raises:
        PyrovaeError: There is none in either place.
    """
    named = Path(path).expanduser()
    places = [named] if data_dir is None else [named, Path(data_dir).expanduser() / named]
    for place in places:
        if place.is_dir() if folder else place.is_file():
            return place
    looked = " or ".join(dict.fromkeys(map(str, places)))  # an absolute path is one place, not two
    kind = "folder" if folder else "file"
    raise PyrovaeError(f"no data {kind} {looked}", hint="data.path is relative to the working or the data directory")


def cannot_read(file: Path, error: OSError) -> PyrovaeError:
    """Returns what to say where the operating system refuses."""
    return PyrovaeError(f"cannot read data file {file}: {error.strerror}", hint="check its permissions")


def order_classes(names: set[str]) -> tuple[str, ...]:
    """Returns the names of classes by value if all are numbers, else by letter.

    Example:
        >>> order_classes({"10", "9"}), order_classes({"10", "9", "a"})
        (('9', '10'), ('10', '9', 'a'))
    """
    try:
        return tuple(sorted(names, key=lambda name: (float(name), name)))
    except ValueError:
        return tuple(sorted(names))
