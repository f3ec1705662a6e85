"""MNIST and the sets made to replace it: 70,000 grey images of 28 x 28, in four IDX files.

torchvision asks only whether the files exist; their lengths are checked here, by `read_idx`.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from torch import Tensor

from pyrovae.data.binarize import Binarize
from pyrovae.data.dataset import Dataset
from pyrovae.data.download import Source, listed, locate, packed, repair, torchvision
from pyrovae.data.download import cache_dir as cache_dir
from pyrovae.data.idx import read_idx
from pyrovae.data.make import make_dataset
from pyrovae.ranges import Natural

# How torchvision calls a set: its class, and the folder it writes to.
TORCHVISION = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST"}

# The files of any of them, and their dimensions: images are (n, 28, 28), labels are (n,).
FILES = {
    "train-images-idx3-ubyte": 3,
    "train-labels-idx1-ubyte": 1,
    "t10k-images-idx3-ubyte": 3,
    "t10k-labels-idx1-ubyte": 1,
}

DIGITS = tuple("0123456789")
CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
KUZUSHIJI = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


def mnist(
    data_dir: str | Path | None = None, *, binarize: Binarize = "dynamic", validation: int = 10_000, seed: Natural = 0
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
    data_dir: str | Path | None = None, *, binarize: Binarize = "dynamic", validation: int = 10_000, seed: Natural = 0
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


def kmnist(
    data_dir: str | Path | None = None, *, binarize: Binarize = "dynamic", validation: int = 10_000, seed: Natural = 0
) -> Dataset:
    """Cursive Japanese characters, ten hiragana in 70,000 grey images of 28 x 28 (Clanuwat et al., 2018).

    Split, binarised and found as `mnist` is. The classes are named by their sounds.

    Args:
        data_dir: Where to look for the files first, and where to download them to.
        binarize: How grey pixels become zeros and ones.
        validation: How many of the 60,000 training images to select on.
        seed: Names the split and the noise of what is binarised once.

    Raises:
        PyrovaeError: A file is damaged, or there are none and no network.
    """
    return _load("kmnist", data_dir, KUZUSHIJI, binarize, validation, seed)


def idx_source(name: str) -> Source:
    """Returns where one of the sets laid out as MNIST is found."""
    kind = TORCHVISION[name]
    return Source(
        name,
        folder=f"{kind}/raw",
        files=tuple(FILES),
        get=lambda root: torchvision(kind)(root, download=True),
        check=partial(read_files, name, FILES),
        wanted=lambda: f"the four IDX files {listed(dict(torchvision(kind).resources))}",
    )


def read_files(name: str, files: Mapping[str, int], folder: Path) -> list[Tensor]:
    """Returns the contents of the IDX files of a set, compressed or not, and checks them on the way.

    Args:
        name: The set, for the hint.
        files: Dimensions of each file, by name.
        folder: Where they are.

    Raises:
        PyrovaeError: A file is missing or damaged.
    """
    return [read_idx(packed(folder, file), dims=dims, hint=repair(name)) for file, dims in files.items()]


def _load(
    name: str, data_dir: str | Path | None, classes: tuple[str, ...], binarize: Binarize, validation: int, seed: int
) -> Dataset:
    x, y, x_test, y_test = read_files(name, FILES, locate(idx_source(name), data_dir))
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
