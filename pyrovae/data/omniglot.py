"""Omniglot, 1,623 characters of 50 alphabets drawn by twenty people each, read from its two archives.

The drawings are black ink on white, 105 x 105. As everywhere in the literature on VAEs they are inverted here, so that
ink is white (1) and paper black (0), and made small: a grey level is then how much ink is under the pixel.
"""

from pathlib import Path
from typing import Literal
from zipfile import ZipFile

import numpy as np

from pyrovae.data.binarize import Binarize
from pyrovae.data.checks import Array
from pyrovae.data.dataset import Dataset
from pyrovae.data.download import Source, check_md5, listed, locate, repair, torchvision
from pyrovae.data.make import make_dataset
from pyrovae.errors import PyrovaeError
from pyrovae.ranges import Natural

# The published halves: 30 alphabets to learn from, 20 others to be tested on.
HALVES = ("images_background", "images_evaluation")


def omniglot(
    data_dir: str | Path | None = None,
    *,
    size: int = 28,
    split: Literal["published", "shuffled"] = "published",
    binarize: Binarize = "dynamic",
    validation: int = 1_345,
    seed: Natural = 0,
) -> Dataset:
    """Handwritten characters of 50 alphabets, 32,460 grey images (Lake, Salakhutdinov and Tenenbaum, 2015).

    The label is the alphabet. Under the `published` split no alphabet of the 13,180 test images occurs in training: a
    model that reads labels has learnt nothing about them. Under `shuffled` a quarter of all images is drawn for the
    test split by the seed; test sets of 8,070 images, as in the literature, are made in this way.

    Args:
        data_dir: Where to look for the files first, and where to download them to.
        size: Height and width, by Pillow's bilinear filter over the area of a pixel.
        split: Whether new alphabets are tested, or new drawings of known characters.
        binarize: How grey pixels become zeros and ones.
        validation: How many of the training images to select on.
        seed: Names the split and the noise of what is binarised once.

    Raises:
        PyrovaeError: An archive is damaged or not the published one, or there are none and no network.
    """
    folder = locate(OMNIGLOT, data_dir)
    _check(folder)
    (x, alphabets), (x_test, new) = (_read(folder / f"{half}.zip", size) for half in HALVES)
    classes = (*dict.fromkeys(alphabets), *dict.fromkeys(new))
    y, y_test = (np.array([classes.index(name) for name in names]) for names in (alphabets, new))
    published = split == "published"
    return make_dataset(
        "omniglot",
        x if published else np.concatenate([x, x_test]),
        y if published else np.concatenate([y, y_test]),
        test=(x_test, y_test) if published else 0.25,
        validation=validation,
        classes=classes,
        max_level=255,
        binarize=binarize,
        seed=seed,
    )


def _read(path: Path, size: int) -> tuple[Array, list[str]]:
    """Returns the drawings of an archive, `(n, 1, size, size)`, in the order of their names, and their alphabets."""
    from tqdm import tqdm

    with ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".png"))
        x = np.empty((len(names), 1, size, size), dtype=np.uint8)
        for row, name in enumerate(tqdm(names, path.stem, disable=None, leave=False)):
            x[row, 0] = _drawing(archive, name, size)
    return x, [name.split("/")[1].replace("_", " ") for name in names]


def _drawing(archive: ZipFile, name: str, size: int) -> Array:
    from PIL import Image

    try:
        with archive.open(name) as file, Image.open(file, formats=["PNG"]) as image:
            return 255 - np.asarray(image.convert("L").resize((size, size), Image.Resampling.BILINEAR))
    except Exception as error:  # Pillow and zipfile raise a dozen kinds on a broken file
        raise PyrovaeError(f"data file {name} is damaged ({error})", hint=repair("omniglot")) from error


def _sums() -> dict[str, str]:
    return {f"{half}.zip": torchvision("Omniglot").zips_md5[half] for half in HALVES}


def _check(folder: Path) -> None:
    check_md5("omniglot", folder, _sums())


def _get(root: Path) -> None:
    for half in HALVES:
        torchvision("Omniglot")(root, background=half == HALVES[0], download=True)


OMNIGLOT = Source(
    "omniglot",
    folder="omniglot-py",
    files=tuple(f"{half}.zip" for half in HALVES),
    get=_get,
    check=_check,
    wanted=lambda: f"{listed(_sums())}, from {torchvision('Omniglot').download_url_prefix}",
    keep=("images_*",),  # torchvision wants the archives and what was in them
)
