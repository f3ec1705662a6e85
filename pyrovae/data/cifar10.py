"""CIFAR-10, whose files are pickles: checked by their published MD5, and then read without running anything.

Reading a pickle calls whatever the pickle names. Those of CIFAR-10 name three things of numpy; stand-ins take their
place, which only keep what they are handed, so that not even numpy sees a byte before its length is known.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from pyrovae.data.binarize import Binarize
from pyrovae.data.checks import Array
from pyrovae.data.dataset import Dataset
from pyrovae.data.download import Source, check_md5, listed, locate, repair, torchvision
from pyrovae.data.make import make_dataset
from pyrovae.errors import PyrovaeError
from pyrovae.ranges import Natural

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST = ("test_batch",)

SHAPE = (3, 32, 32)


def cifar10(
    data_dir: str | Path | None = None, *, binarize: Binarize = "none", validation: int = 5_000, seed: Natural = 0
) -> Dataset:
    """Photographs of animals and vehicles, 60,000 colour images of 32 x 32 (Krizhevsky, 2009).

    The published training set is split by the seed; the 10,000 published test images are the test split.

    Args:
        data_dir: Where to look for the files first, and where to download them to.
        binarize: How pixels become zeros and ones.
        validation: How many of the 50,000 training images to select on.
        seed: Names the split and the noise of what is binarised once.

    Raises:
        PyrovaeError: A file is damaged or not the published one, or there are none and no network.
    """
    folder = locate(CIFAR10, data_dir)
    _check(folder)
    x, y = _read(folder, TRAIN)
    return make_dataset(
        "cifar10",
        x,
        y,
        test=_read(folder, TEST),
        validation=validation,
        classes=CLASSES,
        max_level=255,
        binarize=binarize,
        seed=seed,
    )


def read_batch(path: Path) -> tuple[Array, Array]:
    """Reads one file of CIFAR-10, calling nothing that it names.

    Args:
        path: A pickle of a dictionary with `data`, rows of 3072 bytes, and `labels`.

    Returns:
        Images as uint8 of shape `(n, 3, 32, 32)`, and labels of shape `(n,)`.

    Raises:
        PyrovaeError: The file is missing, damaged, or asks for anything else than an array of bytes.
    """
    try:
        with path.open("rb") as file:
            content = _Unpickler(file, encoding="bytes").load()
        return content[b"data"].bytes_of(*SHAPE), np.array(content[b"labels"], dtype=np.int64)
    except _RefusedError as refused:
        raise PyrovaeError(f"refusing to load {path.name}: it asks for {refused}", hint=repair("cifar10")) from refused
    except Exception as error:  # a broken pickle raises whatever its bytes happen to say
        raise PyrovaeError(f"data file {path.name} is damaged ({error})", hint=repair("cifar10")) from error


class _RefusedError(Exception):
    """Something that a pickle names and the pickles of CIFAR-10 do not."""


class _DType:
    """Stands for `numpy.dtype`, and keeps its name."""

    def __init__(self, name: bytes, *_: object) -> None:
        self.name = name

    def __setstate__(self, state: object) -> None:
        pass


class _Stored:
    """Stands for an array: keeps the state that numpy would set."""

    def __init__(self, *_: object) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def bytes_of(self, *shape: int) -> Array:
        _, _, dtype, _, values = self.state
        if dtype.name != b"u1":
            raise ValueError(f"values are {dtype.name!r}, not bytes")
        return np.frombuffer(values, dtype=np.uint8).reshape(-1, *shape)


_STAND_INS: dict[tuple[str, str], type] = {
    ("numpy.core.multiarray", "_reconstruct"): _Stored,
    ("numpy", "ndarray"): _Stored,
    ("numpy", "dtype"): _DType,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        if (module, name) not in _STAND_INS:
            raise _RefusedError(f"{module}.{name}")
        return _STAND_INS[module, name]


def _read(folder: Path, files: tuple[str, ...]) -> tuple[Array, Array]:
    images, labels = zip(*(read_batch(folder / file) for file in files), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def _sums() -> dict[str, str]:
    published = torchvision("CIFAR10")
    return dict([*published.train_list, *published.test_list])


def _check(folder: Path) -> None:
    check_md5("cifar10", folder, _sums())


CIFAR10 = Source(
    "cifar10",
    folder="cifar-10-batches-py",
    files=(*TRAIN, *TEST),
    get=lambda root: torchvision("CIFAR10")(root, download=True),
    check=_check,
    wanted=lambda: f"{listed(_sums())}, as packed in {torchvision('CIFAR10').url}",
    keep=("*",),
)
