"""EMNIST: NIST's handwritten letters and digits, cut as MNIST was, in six published splits.

Its files hold every image mirrored about the diagonal, a trace of the MATLAB arrays they were made from; the images
are put upright here.
"""

from functools import partial
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase
from typing import Literal

from torch import Tensor

from pyrovae.data.binarize import Binarize
from pyrovae.data.dataset import Dataset
from pyrovae.data.download import Source, locate, torchvision
from pyrovae.data.images import DIGITS, read_files
from pyrovae.data.make import make_dataset
from pyrovae.ranges import Natural

Kind = Literal["balanced", "letters", "digits", "mnist", "bymerge", "byclass"]

# Fifteen lower-case letters look like their capitals; where they are merged, these eleven stay.
MERGED = (*DIGITS, *ascii_uppercase, *"abdefghnqrt")

CLASSES: dict[str, tuple[str, ...]] = {
    "balanced": MERGED,
    "letters": tuple(ascii_lowercase),
    "digits": DIGITS,
    "mnist": DIGITS,
    "bymerge": MERGED,
    "byclass": (*DIGITS, *ascii_uppercase, *ascii_lowercase),
}


def emnist(
    data_dir: str | Path | None = None,
    *,
    split: Kind = "balanced",
    binarize: Binarize = "dynamic",
    validation: int = 10_000,
    seed: Natural = 0,
) -> Dataset:
    """Handwritten letters and digits, up to 814,255 grey images of 28 x 28 (Cohen et al., 2017).

    The published training set of the chosen split is split by the seed, the published test set is the test split.
    Images are put upright, and the labels of `letters`, published as 1..26, count from 0.

    Args:
        data_dir: Where to look for the files first, and where to download them to.
        split: Which of the published splits: 131,600 images of 47 classes (`balanced`), letters or digits only, the
            rebuilt `mnist`, or all images of 47 (`bymerge`) or 62 (`byclass`) unequal classes.
        binarize: How grey pixels become zeros and ones.
        validation: How many of the training images to select on.
        seed: Names the split into training and validation, and the noise of what is binarised once.

    Raises:
        PyrovaeError: A file is damaged, or there are none and no network.
    """
    x, y, x_test, y_test = read_files("emnist", _files(split), locate(emnist_source(split), data_dir))
    first = 1 if split == "letters" else 0
    return make_dataset(
        f"emnist-{split}",
        _upright(x),
        y.long() - first,
        test=(_upright(x_test), y_test.long() - first),
        validation=validation,
        classes=CLASSES[split],
        max_level=255,
        binarize=binarize,
        seed=seed,
    )


def emnist_source(split: str = "balanced") -> Source:
    """Returns where a split of EMNIST is found; a download brings all six."""
    files = _files(split)
    return Source(
        "emnist",
        folder="EMNIST/raw",
        files=tuple(files),
        get=lambda root: torchvision("EMNIST")(root, split=split, download=True),
        check=partial(read_files, "emnist", files),
        wanted=lambda: f"the files {', '.join(files)} of {_archive()}",
        keep=("emnist-*-ubyte",),
    )


def _files(split: str) -> dict[str, int]:
    parts = {"images-idx3-ubyte": 3, "labels-idx1-ubyte": 1}
    return {f"emnist-{split}-{half}-{part}": dims for half in ("train", "test") for part, dims in parts.items()}


def _archive() -> str:
    published = torchvision("EMNIST")
    return f"{published.url} (md5 {published.md5})"


def _upright(x: Tensor) -> Tensor:
    return x.transpose(-1, -2).unsqueeze(1).contiguous()
