"""Street View House Numbers, cropped to one digit: two MATLAB files, read by SciPy after their MD5 is checked."""

from pathlib import Path

import numpy as np

from pyrovae.data.binarize import Binarize
from pyrovae.data.checks import Array
from pyrovae.data.dataset import Dataset
from pyrovae.data.download import Source, check_md5, listed, locate, repair, torchvision
from pyrovae.data.images import DIGITS
from pyrovae.data.make import make_dataset
from pyrovae.errors import PyrovaeError
from pyrovae.ranges import Natural

FILES = {"train": "train_32x32.mat", "test": "test_32x32.mat"}


def svhn(
    data_dir: str | Path | None = None, *, binarize: Binarize = "none", validation: int = 10_000, seed: Natural = 0
) -> Dataset:
    """House numbers photographed from the street, 99,289 colour images of 32 x 32 (Netzer et al., 2011).

    The published training set is split by the seed; the 26,032 published test images are the test split. The 531,131
    easier `extra` images are not read. The files call the digit 0 class 10; here it is class 0.

    Args:
        data_dir: Where to look for the files first, and where to download them to.
        binarize: How pixels become zeros and ones.
        validation: How many of the 73,257 training images to select on.
        seed: Names the split and the noise of what is binarised once.

    Raises:
        PyrovaeError: A file is damaged or not the published one, or there are none and no network.
    """
    folder = locate(SVHN, data_dir)
    _check(folder)
    x, y = _read(folder / FILES["train"])
    return make_dataset(
        "svhn",
        x,
        y,
        test=_read(folder / FILES["test"]),
        validation=validation,
        classes=DIGITS,
        max_level=255,
        binarize=binarize,
        seed=seed,
    )


def _read(path: Path) -> tuple[Array, Array]:
    from scipy.io import loadmat

    try:
        content = loadmat(path, variable_names=["X", "y"])
        x, y = content["X"].transpose(3, 2, 0, 1), content["y"].ravel()  # stored as (row, column, channel, n)
    except Exception as error:  # on a broken file SciPy raises a dozen kinds, zlib's among them
        raise PyrovaeError(f"data file {path.name} is damaged ({error})", hint=repair("svhn")) from error
    return np.ascontiguousarray(x), y.astype(np.int64) % 10


def _sums() -> dict[str, str]:
    published = torchvision("SVHN").split_list
    return {file: published[split][2] for split, file in FILES.items()}


def _check(folder: Path) -> None:
    check_md5("svhn", folder, _sums())


def _get(root: Path) -> None:
    for split in FILES:
        torchvision("SVHN")(root, split=split, download=True)


SVHN = Source(
    "svhn",
    folder=".",  # torchvision gives it no folder of its own
    files=tuple(FILES.values()),
    get=_get,
    check=_check,
    wanted=lambda: f"{listed(_sums())}, from http://ufldl.stanford.edu/housenumbers",
)
