"""Your own data: a folder of images, or one sub-folder of images for each class.

Images of another size than asked for are cut to its proportions around their centre, as little as possible, and then
resized with an antialiasing filter (Lanczos). Before that they are turned as their EXIF orientation says, and what is
transparent becomes white. Of an animation the first picture is read.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

import numpy as np

from pyrovae.data.binarize import Binarize
from pyrovae.data.checks import Array
from pyrovae.data.dataset import Dataset
from pyrovae.data.files import find, order_classes
from pyrovae.data.make import make_dataset
from pyrovae.data.members import Kind, list_members
from pyrovae.errors import PyrovaeError
from pyrovae.ranges import Natural

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")

Channels = Literal["grey", "colour"]
MODES: dict[Channels, str] = {"grey": "L", "colour": "RGB"}
COUNTS: dict[Channels, int] = {"grey": 1, "colour": 3}

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
# What is an image to a reader of the folder, but would have to be converted first.
OTHERS = (".gif", ".tif", ".tiff", ".heic", ".avif", ".jp2", ".ppm", ".pgm", ".svg", ".ico", ".psd")
IMAGES = Kind("image", SUFFIXES, OTHERS)
GREY_MODES = ("1", "L", "LA")
# Pillow would clip these to 0..255.
DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")


def folder(
    data_dir: str | Path | None = None,
    *,
    path: str,
    size: Sequence[int] | None = None,
    channels: Channels | None = None,
    binarize: Binarize = "none",
    validation: float = 0.1,
    test: float = 0.1,
    seed: Natural = 0,
) -> Dataset:
    """Your own images, a folder of `.png`, `.jpg`, `.bmp` or `.webp` files, or one sub-folder of them for each class.

    Args:
        data_dir: Where a relative `path` is looked for after the working directory.
        path: The folder.
        size: Height and width to bring all images to; theirs by default, if they are all alike.
        channels: Whether to read one channel or three; `grey` by default if all images are.
        binarize: How grey pixels become zeros and ones.
        validation: Rows to select on: a fraction below 1, or a number.
        test: Rows to report on, likewise.
        seed: Names the split and the noise of what is binarised once.

    Raises:
        PyrovaeError: There are no images, one is broken, too large or of another size than the first, or some have a
            class and some have none.
    """
    place = find(path, data_dir, folder=True)
    x, labels = read_folder(place, size, channels)
    classes = order_classes(set(labels))
    numbers = {name: number for number, name in enumerate(classes)}
    return make_dataset(
        place.name,
        x,
        np.array([numbers[name] for name in labels]) if labels else None,
        test=test,
        validation=validation,
        classes=classes,
        max_level=255,
        binarize=binarize,
        seed=seed,
    )


def read_folder(
    place: Path, size: Sequence[int] | None = None, channels: Channels | None = None
) -> tuple[Array, list[str]]:
    """Returns the images of a folder, ordered by name, and the names of their classes, or nothing.

    Returns:
        Bytes of shape `(n, channels, height, width)`.

    Raises:
        PyrovaeError: See `folder`.
    """
    files, labels = list_images(place)
    return read_images(files, size, channels), labels


def read_images(files: Sequence[Path], size: Sequence[int] | None = None, channels: Channels | None = None) -> Array:
    """Returns images as bytes of shape `(n, channels, height, width)`.

    Raises:
        PyrovaeError: Names the image that is broken, too large, or of another size than the first where none is named.
    """
    form = choose_form(files, size, channels)
    x = np.empty((len(files), *form.shape), dtype=np.uint8)
    for row, image in enumerate(stream(files, form)):
        x[row] = image
    return x


class Form(NamedTuple):
    """What all images of a data set are brought to."""

    height: int
    width: int
    channels: Channels

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image as the programs read it."""
        return COUNTS[self.channels], self.height, self.width


def choose_form(files: Sequence[Path], size: Sequence[int] | None, channels: Channels | None) -> Form:
    """Looks at the head of every image and returns the form asked for, or that which the images have.

    Raises:
        PyrovaeError: An image is broken, too deep, too large, or of another size than the first where none is named.
    """
    from tqdm import tqdm

    seen = [_look(file) for file in tqdm(files, "looking at images", unit="image", disable=None, leave=False)]
    height, width = _size(files, seen) if size is None else _check_size(size)
    if channels is None:
        channels = "grey" if all(image.grey for image in seen) else "colour"
    return Form(height, width, channels)


def stream(files: Sequence[Path], form: Form) -> Iterator[Array]:
    """Yields one image after the other, bytes of the form's shape, and shows how far it is."""
    from tqdm import tqdm

    for file in tqdm(files, "reading images", unit="image", disable=None, leave=False):
        yield _read(file, (form.height, form.width), form.channels)


class Seen(NamedTuple):
    """What the head of an image file says."""

    height: int
    width: int
    grey: bool


def list_images(place: Path) -> tuple[list[Path], list[str]]:
    """Returns the images of a folder, ordered by name, and the class of each, if they have any.

    Raises:
        PyrovaeError: There are none, or some have a class and some have none.
    """
    return list_members(place, IMAGES)


def _check_size(size: Sequence[int]) -> tuple[int, int]:
    if len(size) != 2:
        message = f"data.size has {len(size)} numbers: {list(size)}"
        raise PyrovaeError(message, hint="height and width: data.size = [64, 64]", exit_code=2)
    return size[0], size[1]


def _size(files: Sequence[Path], seen: Sequence[Seen]) -> tuple[int, int]:
    first, *_ = ours = [(image.height, image.width) for image in seen]
    for file, found in zip(files, ours, strict=True):
        if found != first:
            (h, w), (other_h, other_w) = first, found
            message = f"image {file.name} is {other_h} x {other_w}, {files[0].name} is {h} x {w}"
            h, w = min(h, other_h), min(w, other_w)
            hint = f"data.size = [{h}, {w}] brings all to one size; to pack them, --size {h} {w}"
            raise PyrovaeError(message, hint=hint)
    return first


def _look(file: Path) -> Seen:
    def look(image: "Image") -> Seen:
        from PIL.ExifTags import Base

        if image.mode in DEEP_MODES:
            message = f"image {file.name} has pixels of more than 8 bits (Pillow's mode {image.mode})"
            raise PyrovaeError(message, hint="save it with 8 bits, or all images as one .npy of floats")
        width, height = image.size
        if image.getexif().get(Base.Orientation, 1) >= 5:  # lying on its side
            width, height = height, width
        return Seen(height, width, image.mode in GREY_MODES)

    return _open(file, look)


def _read(file: Path, size: tuple[int, int], channels: Channels) -> Array:
    def read(image: "Image") -> Array:
        from PIL import ImageOps
        from PIL.Image import Resampling

        image = _on_white(ImageOps.exif_transpose(image)).convert(MODES[channels])
        height, width = size
        if image.size != (width, height):
            image = image.crop(_middle(image.size, (width, height))).resize((width, height), Resampling.LANCZOS)
        return np.asarray(image).reshape(height, width, -1).transpose(2, 0, 1)

    return _open(file, read)


def _middle(size: tuple[int, int], asked: tuple[int, int]) -> tuple[int, int, int, int]:
    """Returns left, top, right and bottom of the largest rectangle in the middle that has the proportions asked for.

    Example:
        >>> _middle((24, 8), (4, 4)), _middle((24, 8), (10, 20))
        ((8, 0, 16, 8), (10, 0, 14, 8))
    """
    (width, height), (asked_width, asked_height) = size, asked
    wide = max(1, min(width, round(height * asked_width / asked_height)))
    high = max(1, min(height, round(width * asked_height / asked_width)))
    left, top = (width - wide) // 2, (height - high) // 2
    return left, top, left + wide, top + high


def _on_white(image: "Image") -> "Image":
    from PIL.Image import alpha_composite, new

    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    return alpha_composite(new("RGBA", image.size, "white"), image).convert("RGB")


def _open(file: Path, action: "Callable[[Image], T]") -> T:
    """Returns what an action makes of an image; whatever is wrong with the file is said with its name."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                return action(image)
    except PyrovaeError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        message = f"image {file.name} is refused: it would fill more memory than {Image.MAX_IMAGE_PIXELS} pixels"
        raise PyrovaeError(message, hint="make it smaller first") from error
    except Exception as error:  # on a broken file Pillow raises a dozen kinds, SyntaxError and struct.error among them
        reason = getattr(error, "strerror", None) or next(iter(str(error).splitlines()), type(error).__name__)
        message = f"image {file.name} cannot be read ({reason.replace(str(file), file.name)})"
        raise PyrovaeError(message, hint="repair or remove it") from error
