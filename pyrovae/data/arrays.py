"""Your own data: one `.npy` file with x, or one `.npz` file with x and, if there are labels, y.

    numpy.savez("spectra.npz", x=spectra, y=kinds)

Files are read with numpy's `allow_pickle` off, for good: a file that holds Python objects runs code when it is read.
A `.npy` file that is larger than memory is mapped: the operating system reads the rows that a batch asks for.
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
MAP_HINT = "data.memory_map takes a .npy file: numpy.save(path, x) writes one"

# Converts a file without holding it in memory.
CONVERT = (
    "x = numpy.load('{name}', mmap_mode='r'); numpy.lib.format.open_memmap('new.npy', 'w+', '{dtype}', x.shape)[:] = x"
)


def array(
    data_dir: str | Path | None = None,
    *,
    path: str,
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
        support: What kind of numbers x holds; read from the values by default, which never finds counts.
        max_level: White in integer pixels; 1 if all are 0 or 1, else 255 by default.
        classes: Names of the labels 0, 1, ...
        missing: Whether NaN stands for what was not observed; otherwise it is an error.
        standardise: Whether to give each element mean 0 and standard deviation 1 over the training rows.
        memory_map: Whether the training rows stay in the file, a `.npy` of uint8 or float32. Rows held out are copied:
            of a large file, hold out a number of rows and not a fraction.
        binarize: How grey pixels become zeros and ones.
        validation: Rows to select on: a fraction below 1, or a number.
        test: Rows to report on, likewise.
        seed: Names the split and the noise of what is binarised once.

    Raises:
        PyrovaeError: The file is missing, damaged, holds Python objects or no `x`, cannot be mapped, or `make_dataset`
            refuses it.
    """
    file = find(path, data_dir)
    x, y = _map(file) if memory_map else load_arrays(file)
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


def _map(file: Path) -> tuple[Array, None]:
    x = _open_map(file)
    if x.dtype not in (np.uint8, np.float32) or not (x.dtype.isnative and x.flags.c_contiguous):
        kind = f"{x.dtype}{'' if x.flags.c_contiguous else ' in Fortran order'}"
        message = f"data file {file.name} holds {kind}: only uint8 and float32 in C order are memory-mapped"
        dtype = "float32" if x.dtype.kind == "f" else "uint8"
        raise PyrovaeError(message, hint=CONVERT.format(name=file.name, dtype=dtype))
    return x, None


def _open_map(file: Path) -> Array:
    try:
        # Mode "c" looks the same, but Linux does not map more than the memory that way.
        return np.lib.format.open_memmap(file, mode="r").view(np.ndarray)
    except Exception as error:  # as in `load_arrays`
        raise _explain(file, error, MAP_HINT) from error


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
    if hint == MAP_HINT and start.startswith(b"PK"):
        return PyrovaeError(f"data file {file.name} is an archive, which cannot be memory-mapped", hint=hint)
    if not start.startswith((b"\x93NUMPY", b"PK")):
        what = "empty" if not start else "not a .npy or .npz file"
        return PyrovaeError(f"data file {file.name} is {what}", hint=hint)
    if "allow_pickle" in str(error) or "Python objects" in str(error):
        return PyrovaeError(f"refusing to load {file.name}: it holds Python objects", hint="store plain numbers")
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return PyrovaeError(f"data file {file.name} is damaged ({reason})", hint=f"write it again: {hint}")
