"""Your own data: one `.npy` file with x, or one `.npz` file with x and, if there are labels, y.

    numpy.savez("spectra.npz", x=spectra, y=kinds)

Files are read with numpy's `allow_pickle` off, for good: a file that holds Python objects runs code when it is read.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pyrovae.data.binarize import Binarize
from pyrovae.data.checks import Array
from pyrovae.data.dataset import Dataset
from pyrovae.data.make import make_dataset
from pyrovae.errors import PyrovaeError

SAVE_HINT = "numpy.savez(path, x=x, y=y) writes what is read here"


def array(
    data_dir: str | Path | None = None,
    *,
    path: str,
    binarize: Binarize = "none",
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
) -> Dataset:
    """Your own arrays, a `.npy` file (x) or a `.npz` file (x and, optionally, labels y).

    Whole numbers 0..255 are read as grey levels; counts and measurements belong in floats.

    Args:
        data_dir: Where a relative `path` is looked for after the working directory.
        path: The file; x has shape `(n, *event_shape)`, y has shape `(n,)`.
        binarize: How grey pixels become zeros and ones.
        validation: Rows to select on: a fraction below 1, or a number.
        test: Rows to report on, likewise.
        seed: Names the split and the noise of what is binarised once.

    Raises:
        PyrovaeError: The file is missing, damaged, holds Python objects or no `x`, or `make_dataset` refuses it.
    """
    file = _find(Path(path).expanduser(), data_dir)
    x, y = _load(file)
    return make_dataset(file.name, x, y, test=test, validation=validation, binarize=binarize, seed=seed)


def _find(path: Path, data_dir: str | Path | None) -> Path:
    places = [path] if data_dir is None else [path, Path(data_dir).expanduser() / path]
    for place in places:
        if place.is_file():
            return place
    looked = " or ".join(dict.fromkeys(map(str, places)))  # an absolute path is one place, not two
    raise PyrovaeError(f"no data file {looked}", hint="data.path is relative to the working or the data directory")


def _load(file: Path) -> tuple[Array, Array | None]:
    try:
        with file.open("rb") as opened:
            return _members(file.name, np.load(opened, allow_pickle=False))
    except PyrovaeError:
        raise
    except Exception as error:  # on a broken file numpy raises a dozen kinds, zipfile's and tokenize's among them
        raise _explain(file, error) from error


def _members(name: str, content: Array | Mapping[str, Array]) -> tuple[Array, Array | None]:
    if isinstance(content, np.ndarray):
        return content, None
    if "x" not in content:
        held = ", ".join(content) or "nothing"
        raise PyrovaeError(f"data file {name} has no array 'x' (it holds {held})", hint=SAVE_HINT)
    return content["x"], content.get("y")


def _explain(file: Path, error: Exception) -> PyrovaeError:
    if isinstance(error, OSError) and error.strerror:
        return PyrovaeError(f"cannot read data file {file}: {error.strerror}", hint="check its permissions")
    with file.open("rb") as opened:
        start = opened.read(6)
    if not start.startswith((b"\x93NUMPY", b"PK")):
        what = "empty" if not start else "not a .npy or .npz file"
        return PyrovaeError(f"data file {file.name} is {what}", hint=SAVE_HINT)
    if "allow_pickle" in str(error):
        return PyrovaeError(f"refusing to load {file.name}: it holds Python objects", hint="store plain numbers")
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return PyrovaeError(f"data file {file.name} is damaged ({reason})", hint=f"write it again: {SAVE_HINT}")
