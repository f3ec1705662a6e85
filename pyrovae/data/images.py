"""MNIST and the set made to replace it: 70,000 grey images of 28 x 28, found on disk or downloaded once.

The four files lie where torchvision puts them, `MNIST/raw/` and `FashionMNIST/raw/`, and are looked for in the data
directory, then in `$PYROVAE_DATA`, then in the user's cache. If no place has them, torchvision downloads them into the
first of these places; they move there when all four are complete, so that a broken download leaves nothing behind.
torchvision asks only whether the files exist; their lengths are checked here, by `read_idx`.
"""

import errno
import os
import tempfile
from http.client import HTTPException
from pathlib import Path
from typing import Any

from pyrovae.data.binarize import Binarize
from pyrovae.data.dataset import Dataset
from pyrovae.data.idx import read_idx
from pyrovae.data.make import make_dataset
from pyrovae.errors import PyrovaeError, did_you_mean

# How torchvision calls a set: its class, and the folder it writes to.
TORCHVISION = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}

# The files of either set, and their dimensions: images are (n, 28, 28), labels are (n,).
FILES = {
    "train-images-idx3-ubyte": 3,
    "train-labels-idx1-ubyte": 1,
    "t10k-images-idx3-ubyte": 3,
    "t10k-labels-idx1-ubyte": 1,
}

DIGITS = tuple("0123456789")
CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


def mnist(
    data_dir: str | Path | None = None, *, binarize: Binarize = "dynamic", validation: int = 10_000, seed: int = 0
) -> Dataset:
    """Handwritten digits, 70,000 grey images of 28 x 28 (LeCun, Cortes and Burges, 1998).

    The published training set is split by the seed; the 10,000 published test images are the test split.

    Args:
        data_dir: Where to look for the files first, and where to download them to.
        binarize: How grey pixels become zeros and ones.
        validation: How many of the 60,000 training images to select on.
        seed: Names the split and the noise of what is binarised once.

    Raises:
        PyrovaeError: A file is damaged, or there are none and no network.
    """
    return _load("mnist", data_dir, DIGITS, binarize, validation, seed)


def fashion_mnist(
    data_dir: str | Path | None = None, *, binarize: Binarize = "dynamic", validation: int = 10_000, seed: int = 0
) -> Dataset:
    """Photographs of clothes, 70,000 grey images of 28 x 28 (Xiao, Rasul and Vollgraf, 2017).

    Split, binarised and found as `mnist` is.

    Args:
        data_dir: Where to look for the files first, and where to download them to.
        binarize: How grey pixels become zeros and ones.
        validation: How many of the 60,000 training images to select on.
        seed: Names the split and the noise of what is binarised once.

    Raises:
        PyrovaeError: A file is damaged, or there are none and no network.
    """
    return _load("fashion-mnist", data_dir, CLOTHES, binarize, validation, seed)


def fetch(name: str, data_dir: str | Path | None = None, *, force: bool = False) -> Path:
    """Downloads a set unless it is there, and checks its files either way.

    Args:
        name: `mnist` or `fashion-mnist`.
        data_dir: Where to look first, and where to download to.
        force: Download and replace the files even if they are there.

    Returns:
        The folder that holds the files.

    Raises:
        PyrovaeError: The set is not one that is downloaded, a file is damaged, or there is no network.
    """
    if name not in TORCHVISION:
        raise PyrovaeError(f"'{name}' is not downloaded", hint=did_you_mean(name, TORCHVISION), exit_code=2)
    roots = _roots(data_dir)
    folder = None if force else _find(name, roots)
    if folder is None:
        return _download(name, roots[0])
    _read_all(name, folder)
    return folder


def cache_dir() -> Path:
    """Returns the folder of downloads that belongs to the user, which need not exist yet."""
    if configured := os.environ.get("XDG_CACHE_HOME"):
        return Path(configured) / "pyrovae"
    try:
        return Path.home() / ".cache" / "pyrovae"
    except RuntimeError:  # no $HOME, and no entry in the list of users, as in some containers
        return Path(tempfile.gettempdir()) / "pyrovae"


def _load(
    name: str, data_dir: str | Path | None, classes: tuple[str, ...], binarize: Binarize, validation: int, seed: int
) -> Dataset:
    roots = _roots(data_dir)
    x, y, x_test, y_test = _read_all(name, _find(name, roots) or _download(name, roots[0]))
    return make_dataset(
        name,
        x.unsqueeze(1),
        y,
        test=(x_test.unsqueeze(1), y_test),
        validation=validation,
        classes=classes,
        max_level=255,
        binarize=binarize,
        seed=seed,
    )


def _roots(data_dir: str | Path | None) -> list[Path]:
    named = [Path(root).expanduser() for root in (data_dir, os.environ.get("PYROVAE_DATA")) if root]
    return [*named, cache_dir()]


def _raw(name: str, root: Path) -> Path:
    return root / TORCHVISION[name] / "raw"


def _find(name: str, roots: list[Path]) -> Path | None:
    folders = (_raw(name, root) for root in roots)
    return next((folder for folder in folders if all(_file(folder, file) for file in FILES)), None)


def _file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.exists()), None)


def _read_all(name: str, folder: Path) -> list[Any]:
    hint = f"delete it or run: pyrovae data fetch {name} --force"
    return [read_idx(_file(folder, file) or folder / file, dims=dims, hint=hint) for file, dims in FILES.items()]


def _download(name: str, root: Path) -> Path:
    target = _raw(name, root)
    try:
        target.mkdir(parents=True, exist_ok=True)
        # Within the target, so that moving is renaming, on one file system.
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target) as temporary:
            _move(_fetch_into(name, Path(temporary), target), target)
    except OSError as error:
        reason = f"cannot write to {error.filename or target}: {error.strerror}"
        raise PyrovaeError(reason, hint="name another folder by data_dir or PYROVAE_DATA") from error
    return target


def _fetch_into(name: str, temporary: Path, target: Path) -> Path:
    from torchvision import datasets

    source = getattr(datasets, TORCHVISION[name])
    try:
        source(temporary, download=True)
    except (RuntimeError, OSError, HTTPException) as error:
        raise _explain(name, error, source.resources, target) from error
    folder = _raw(name, temporary)
    _read_all(name, folder)
    return folder


def _move(folder: Path, target: Path) -> None:
    for file in FILES:
        (folder / file).replace(target / file)


def _explain(name: str, error: Exception, resources: list[tuple[str, str]], target: Path) -> PyrovaeError:
    files = ", ".join(f"{file} (md5 {md5})" for file, md5 in resources)
    hint = f"put the four IDX files into {target}: {files}; or use data.name=digits"
    if getattr(error, "errno", None) == errno.ENOSPC:
        return PyrovaeError(f"no space left for {name} in {target}", hint="name another folder by data_dir")
    if "corrupted" in str(error):
        return PyrovaeError(f"the download of {name} is damaged: its md5 differs", hint=hint)
    return PyrovaeError(f"no network: {name} could not be downloaded", hint=hint)
