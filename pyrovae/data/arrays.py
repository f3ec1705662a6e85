"""Your own data: a `.npy` file with x, perhaps another with labels, or one `.npz` file with x and, if there are any, y.

    numpy.savez("spectra.npz", x=spectra, y=kinds)

Files are read with numpy's `allow_pickle` off, for good: a file that holds Python objects runs code when it is read.
`.npy` files that are larger than memory are mapped: the operating system reads the rows that a batch asks for.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pyrovae.data.binarize import Binarize
from pyrovae.data.checks import Array
from pyrovae.data.dataset import Dataset, Support
from pyrovae.data.files import cannot_read, find
from pyrovae.data.make import make_dataset
from pyrovae.errors import PyrovaeError
from pyrovae.ranges import Natural

SAVE_HINT = "numpy.savez(path, x=x, y=y) writes what is read here"
LABELS_HINT = "data.labels takes a .npy file: numpy.save(path, y) writes one"
MAP_HINT = "data.memory_map takes a .npy file: numpy.save(path, x) writes one"

# Converts a file without holding it in memory.
CONVERT = (
    "x = numpy.load('{name}', mmap_mode='r'); numpy.lib.format.open_memmap('new.npy', 'w+', '{dtype}', x.shape)[:] = x"
)


def array(
    data_dir: str | Path | None = None,
    *,
    path: str,
    labels: str | None = None,
    support: Support | None = None,
    max_level: int | None = None,
    classes: Sequence[str] = (),
    missing: bool = False,
    standardise: bool = False,
    memory_map: bool = False,
    binarize: Binarize = "none",
    validation: float = 0.1,
    test: float = 0.1,
    seed: Natural = 0,
) -> Dataset:
    """Your own arrays, a `.npy` file (x) or a `.npz` file (x and, optionally, labels y).

    Whole numbers 0..255 are read as grey levels unless `support` says that they are counts or real numbers.

    Args:
        data_dir: Where a relative `path` is looked for after the working directory.
        path: The file; x has shape `(n, *event_shape)`, y has shape `(n,)`.
        labels: A `.npy` file of y for an x that comes without, looked for beside x first.
        support: What kind of numbers x holds; read from the values by default, which never finds counts.
        max_level: White in integer pixels; 1 if all are 0 or 1, else 255 by default.
        classes: Names of the labels 0, 1, ...
        missing: Whether NaN stands for what was not observed; otherwise it is an error.
        standardise: Whether to give each element mean 0 and standard deviation 1 over the training rows.
        memory_map: Whether training rows stay in the file, a `.npy` of uint8 or float32, and labels in theirs, of uint8
            or int64. Rows held out are copied: of a large file, hold out a number of rows and not a fraction. The split
            is another one than without: it is computed and not stored.
        binarize: How grey pixels become zeros and ones.
        validation: Rows to select on: a fraction below 1, or a number.
        test: Rows to report on, likewise.
        seed: Names the split and the noise of what is binarised once.

    Raises:
        PyrovaeError: A file is missing, damaged, holds Python objects or no `x`, cannot be mapped, x has labels in its
            own file too, or `make_dataset` refuses it.
    """
    file = find(path, data_dir)
    x, y = (_map(file), None) if memory_map else load_arrays(file)
    if labels is not None:
        if y is not None:
            raise PyrovaeError(f"data file {file.name} has labels y of its own", hint="leave data.labels out")
        y = _labels(_find_labels(labels, file, data_dir), mapped=memory_map)
    return make_dataset(
        file.name,
        x,
        y,
        test=test,
        validation=validation,
        classes=tuple(classes),
        max_level=max_level,
        binarize=binarize,
        seed=seed,
        support=support,
        missing=missing,
        standardise=standardise,
        copy=not memory_map,
    )


def load_arrays(file: Path) -> tuple[Array, Array | None]:
    """Returns x, and y where the file has it.

    Raises:
        PyrovaeError: The file is damaged, holds Python objects or no `x`.
    """
    try:
        with file.open("rb") as opened:
            return _members(file.name, np.load(opened, allow_pickle=False))
    except PyrovaeError:
        raise
    except Exception as error:  # on a broken file numpy raises a dozen kinds, zipfile's and tokenize's among them
        raise _explain(file, error) from error


def _find_labels(labels: str, file: Path, data_dir: str | Path | None) -> Path:
    beside = file.parent / labels
    try:
        return beside if beside.is_file() else find(labels, data_dir)
    except PyrovaeError as error:
        hint = "data.labels is looked for beside x, then relative to the working or the data directory"
        raise PyrovaeError(str(error), hint=hint) from None


def _labels(file: Path, *, mapped: bool) -> Array:
    y = _open_map(file, LABELS_HINT)
    if mapped and y.dtype.kind in "biu":  # what else labels may be, `make_dataset` refuses
        _check_map(file, y, (np.uint8, np.int64), "int64")
    return y


def _map(file: Path) -> Array:
    x = _open_map(file, MAP_HINT)
    _check_map(file, x, (np.uint8, np.float32), "float32" if x.dtype.kind == "f" else "uint8")
    return x


def _check_map(file: Path, values: Array, types: tuple[type, type], remedy: str) -> None:
    if values.dtype not in types or not (values.dtype.isnative and values.flags.c_contiguous):
        kind = f"{values.dtype}{'' if values.flags.c_contiguous else ' in Fortran order'}"
        taken = " and ".join(np.dtype(name).name for name in types)
        message = f"data file {file.name} holds {kind}: only {taken} in C order are memory-mapped"
        raise PyrovaeError(message, hint=CONVERT.format(name=file.name, dtype=remedy))


def _open_map(file: Path, hint: str) -> Array:
    try:
        # Mode "c" looks the same, but Linux does not map more than the memory that way.
        return np.lib.format.open_memmap(file, mode="r").view(np.ndarray)
    except Exception as error:  # as in `load_arrays`
        raise _explain(file, error, hint) from error


def _members(name: str, content: Array | Mapping[str, Array]) -> tuple[Array, Array | None]:
    if isinstance(content, np.ndarray):
        return content, None
    if "x" not in content:
        held = ", ".join(content) or "nothing"
        raise PyrovaeError(f"data file {name} has no array 'x' (it holds {held})", hint=SAVE_HINT)
    return content["x"], content.get("y")


def _explain(file: Path, error: Exception, hint: str = SAVE_HINT) -> PyrovaeError:
    if isinstance(error, OSError) and error.strerror:
        return cannot_read(file, error)
    with file.open("rb") as opened:
        start = opened.read(6)
    if hint != SAVE_HINT and start.startswith(b"PK"):
        return PyrovaeError(f"data file {file.name} is an archive, which cannot be memory-mapped", hint=hint)
    if not start.startswith((b"\x93NUMPY", b"PK")):
        what = "empty" if not start else "not a .npy or .npz file"
        return PyrovaeError(f"data file {file.name} is {what}", hint=hint)
    if "allow_pickle" in str(error) or "Python objects" in str(error):
        return PyrovaeError(f"refusing to load {file.name}: it holds Python objects", hint="store plain numbers")
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return PyrovaeError(f"data file {file.name} is damaged ({reason})", hint=f"write it again: {hint}")
