"""CelebA, photographs of faces, made small one by one: what is held in memory is the bytes that the programs read.

Each aligned photograph of 178 x 218 is cropped to the 148 x 148 pixels in its middle, the common rule since Larsen et
al. (2016), and made `size` x `size` by Pillow's bilinear filter over the area of a pixel.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from zipfile import ZipFile

import numpy as np

from pyrovae.data.binarize import Binarize
from pyrovae.data.checks import Array
from pyrovae.data.dataset import Dataset
from pyrovae.data.download import Source, check_md5, listed, locate, repair, torchvision
from pyrovae.data.make import make_dataset
from pyrovae.errors import PyrovaeError, did_you_mean
from pyrovae.ranges import Natural

IMAGES, ATTRIBUTES, PARTITION = "img_align_celeba", "list_attr_celeba.txt", "list_eval_partition.txt"

PHOTOGRAPH = (178, 218)
MIDDLE = (15, 35, 163, 183)  # left, top, right, bottom of 148 x 148


def celeba(
    data_dir: str | Path | None = None,
    *,
    size: int = 64,
    attribute: str = "Smiling",
    binarize: Binarize = "none",
    validation: int = 19_867,
    seed: Natural = 0,
) -> Dataset:
    """Faces of celebrities, 202,599 colour photographs cropped and made small (Liu et al., 2015).

    The 19,962 published test images are the test split. The published training and validation images are put together
    and split by the seed, by default into parts of the published sizes. At size 64 the images take 2.5 GB, and some
    minutes to be made small; they are read from the folder `img_align_celeba` or from its `.zip`.

    Args:
        data_dir: Where to look for the files first, and where to download them to.
        size: Height and width.
        attribute: Which of the 40 published attributes is the label, as in `list_attr_celeba.txt`.
        binarize: How pixels become zeros and ones.
        validation: How many of the 182,637 other images to select on.
        seed: Names the split and the noise of what is binarised once.

    Raises:
        PyrovaeError: A file is damaged, there is no such attribute, or there are no files and no network.
    """
    folder = locate(CELEBA, data_dir)
    _check(folder)
    names, tested, y = _read_lists(folder, attribute)
    return make_dataset(
        "celeba",
        _photographs(folder, names[~tested], size),
        y[~tested],
        test=(_photographs(folder, names[tested], size), y[tested]),
        validation=validation,
        classes=(f"not {attribute}", attribute),
        max_level=255,
        binarize=binarize,
        seed=seed,
    )


def _read_lists(folder: Path, attribute: str) -> tuple[Array, Array, Array]:
    """Returns the names of all photographs, which of them are test images, and their labels."""
    _, header, *rows = (folder / ATTRIBUTES).read_text(encoding="utf-8").splitlines()
    known = header.split()
    if attribute not in known:
        raise PyrovaeError(f"celeba has no attribute '{attribute}'", hint=did_you_mean(attribute, known), exit_code=2)
    parts = [line.split() for line in (folder / PARTITION).read_text(encoding="utf-8").splitlines()]
    column = 1 + known.index(attribute)
    labels = [row.split()[column] == "1" for row in rows]
    return np.array([name for name, _ in parts]), np.array([part == "2" for _, part in parts]), np.array(labels)


def _photographs(folder: Path, names: Sequence[str] | Array, size: int) -> Array:
    """Returns photographs of shape `(n, 3, size, size)`, of which only one at a time is held large."""
    from tqdm import tqdm

    x = np.empty((len(names), 3, size, size), dtype=np.uint8)
    with _opener(folder) as open_image:
        for row, name in enumerate(tqdm(names, IMAGES, disable=None, leave=False)):
            x[row] = _photograph(open_image, name, size)
    return x


def _photograph(open_image: Callable[[str], IO[bytes]], name: str, size: int) -> Array:
    from PIL import Image

    try:
        with open_image(name) as file, Image.open(file, formats=["JPEG"]) as image:
            if image.size != PHOTOGRAPH:
                raise ValueError(f"{image.size[0]} x {image.size[1]} pixels, not 178 x 218")
            small = image.convert("RGB").crop(MIDDLE).resize((size, size), Image.Resampling.BILINEAR)
            return np.asarray(small).transpose(2, 0, 1)
    except Exception as error:  # Pillow and zipfile raise a dozen kinds on a broken file
        raise PyrovaeError(f"data file {name} is damaged ({error})", hint=repair("celeba")) from error


@contextmanager
def _opener(folder: Path) -> Iterator[Callable[[str], IO[bytes]]]:
    if (folder / IMAGES).is_dir():
        yield lambda name: (folder / IMAGES / name).open("rb")
    else:
        with ZipFile(folder / f"{IMAGES}.zip") as archive:
            yield lambda name: archive.open(f"{IMAGES}/{name}")


def _sums() -> dict[str, str]:
    return {file: md5 for _, md5, file in torchvision("CelebA").file_list}


def _check(folder: Path) -> None:
    sums = _sums()
    check_md5("celeba", folder, {file: sums[file] for file in (ATTRIBUTES, PARTITION)})


def _wanted() -> str:
    sums = _sums()
    files = {file: sums[file] for file in (f"{IMAGES}.zip", ATTRIBUTES, PARTITION)}
    return f"{listed(files)}, from http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"


CELEBA = Source(
    "celeba",
    folder="celeba",
    files=(IMAGES, ATTRIBUTES, PARTITION),
    get=lambda root: torchvision("CelebA")(root, download=True),
    check=_check,
    wanted=_wanted,
    keep=(IMAGES, "*.txt"),
)
