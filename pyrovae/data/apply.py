"""Rows of a new file, read the way a trained model's own data were.

A new file is in the user's units: bytes are divided by the white of the run's data, grey pixels are binarised by the
run's rule, numbers are standardised by what the training rows decided, columns and classes are matched by name.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from pyrovae.data.alphabet import to_codes
from pyrovae.data.arrays import load_arrays
from pyrovae.data.audio import SOUNDS, list_recordings, read_recordings
from pyrovae.data.binarize import binarize_once
from pyrovae.data.checks import (
    Array,
    check_classes,
    check_counts,
    check_levels,
    first_row,
    first_value,
    no_bit,
    outside_unit,
    to_labels,
    to_pixels,
)
from pyrovae.data.folder import COUNTS, SUFFIXES, Channels, read_folder, read_images
from pyrovae.data.spectrograms import Spectrograms
from pyrovae.data.supports import check_values
from pyrovae.data.tables import Delimiter, read_header, read_table
from pyrovae.data.text import read_texts
from pyrovae.data.units import Units
from pyrovae.errors import PyrovaeError, did_you_mean

Description = Mapping[str, Any]

# How far a float may be from a level 0, 1, 2, ... and still be it.
NEAR_LEVEL = 0.01

UNIT_HINT = "the model reads floats in [0, 1], and bytes by their white"


def read_rows(file: Path | str, like: Description, *, labels: bool = True) -> tuple[Tensor, Tensor | None]:
    """Returns what the programs of a trained model read of a file.

    Args:
        file: `.npy`, `.npz`, `.csv`, an image, or a folder of images; of sounds, `.wav` or a folder of them; for texts
            `.txt`, or `.csv` with a column `text` and perhaps one called `label`.
        like: What the run's data were: `support`, `max_level`, `binarize`, `event_shape`, `classes`, `units` (as
            `Units.to_dict` writes them, or None), `missing`, `seed`, of texts `alphabet`, and of sounds `sound`, as
            `Spectrograms.to_dict` writes it.
        labels: Whether to read labels; a model that needs none takes files whose labels are missing or unknown to it.

    Returns:
        x as float32 of shape `(n, *event_shape)`, and y where the file has labels and the run's data had classes. What
        `dynamic` or `static` draws is drawn once, by the seed. Pixels that are all 0 or 1 are read as drawn already.

    Raises:
        PyrovaeError: The file is damaged, or does not hold what the run's data did.
    """
    file = Path(file).expanduser()
    if like["support"] == "characters":
        return _read_texts(file, like, labels=labels)
    units = None if like["units"] is None else Units.from_dict(like["units"])
    values, named = _read_file(file, like, units, labels=labels)
    x = _shaped(file.name, values, tuple(like["event_shape"]))
    wanted = named if labels and like["classes"] else None
    y = None if wanted is None else _numbered(file.name, wanted, like["classes"], len(x))
    return _to_model(file.name, x, like, units), y


def _read_texts(file: Path, like: Description, *, labels: bool) -> tuple[Tensor, Tensor | None]:
    """Returns the codes of texts, and y of a table with a column `label`."""
    if not file.is_file():
        raise PyrovaeError(f"no data file {file}", hint="give a .txt file with one text a line, or a .csv table")
    labelled = labels and like["classes"] and file.suffix.lower() == ".csv" and "label" in read_header(file)
    texts, named = read_texts(file, label="label" if labelled else None)
    x = to_codes(file.name, texts, like["alphabet"], *like["event_shape"])
    y = _numbered(file.name, named, like["classes"], len(x)) if labelled else None
    return torch.from_numpy(x).float(), y


def _read_file(
    file: Path, like: Description, units: Units | None, *, labels: bool
) -> tuple[Array, Array | Sequence[str] | None]:
    if like.get("sound") and (file.is_dir() or file.suffix.lower() in SOUNDS.suffixes):
        return _read_sounds(file, Spectrograms.from_dict(like["sound"]))
    if file.is_dir():
        x, names = read_folder(file, *_image_shape(file, like["event_shape"]))
        return x, names or None
    if not file.is_file():
        raise PyrovaeError(f"no data file {file}", hint="give a .npy, .npz, .csv or image file, or a folder of images")
    suffix = file.suffix.lower()
    if suffix in SUFFIXES:
        return read_images([file], *_image_shape(file, like["event_shape"])), None
    return _read_table(file, like, units, labels=labels) if suffix == ".csv" else load_arrays(file)


def _read_sounds(file: Path, sound: Spectrograms) -> tuple[Array, Sequence[str] | None]:
    if file.is_file():
        return sound.pictures(read_recordings([file], sound)).numpy(), None
    files, labels = list_recordings(file)
    return sound.pictures(read_recordings(files, sound)).numpy(), labels or None


def _image_shape(file: Path, event_shape: Sequence[int]) -> tuple[Sequence[int], Channels]:
    """Returns height and width, and what the channels are."""
    for channels, count in COUNTS.items():
        if len(event_shape) == 3 and event_shape[0] == count:
            return event_shape[1:], channels
    message = f"{file.name} holds images, which cannot have the shape {tuple(event_shape)} that the model reads"
    raise PyrovaeError(message, hint="give a .npy or .csv file")


def _read_table(
    file: Path, like: Description, units: Units | None, *, labels: bool
) -> tuple[Array, Sequence[str] | None]:
    """Returns the columns that the model reads, by name where it knows their names, and the labels if there are any."""
    columns, label = (units.columns or None, units.label) if units else (None, None)
    delimiter = _delimiter(file, columns or ())
    header = read_header(file, delimiter)
    label = label if labels and label in header else None
    if units and columns:
        _check_columns(file.name, header, units)
    table = read_table(file, label=label, columns=columns, delimiter=delimiter, missing=like["missing"])
    return table.x, table.labels or None


def _delimiter(file: Path, columns: Sequence[str]) -> Delimiter | None:
    """Returns what parts a header into the columns that the model reads; None, to be guessed, where nothing does."""
    return next((mark for mark in get_args(Delimiter) if {*columns} <= {*read_header(file, mark)}), None)


def _check_columns(name: str, header: Sequence[str], units: Units) -> None:
    known = (*units.columns, *([units.label] if units.label else []), *units.left_out)
    absent = [column for column in units.columns if column not in header]
    unknown = [column for column in header if column not in known]
    if absent:
        hint = did_you_mean(absent[0], unknown) if unknown else "the model reads it"
        raise PyrovaeError(f"data file {name} lacks column {_listed(absent)}", hint=hint)
    if unknown:
        hint = f"the model reads {_listed(units.columns)}"
        raise PyrovaeError(f"data file {name} has column {_listed(unknown)}, which the model does not know", hint=hint)


def _listed(names: Sequence[str], most: int = 20) -> str:
    return ", ".join(f"'{name}'" for name in names[:most]) + (", ..." if len(names) > most else "")


def _shaped(name: str, x: Array, event_shape: tuple[int, ...]) -> Array:
    """Returns rows; a single datum becomes one."""
    if x.shape == event_shape:
        return x[None]
    if x.shape[1:] != event_shape:
        message = f"data file {name} holds rows of shape {x.shape[1:]}, the model reads {event_shape}"
        raise PyrovaeError(message, hint=f"x has shape (n, {', '.join(map(str, event_shape))})")
    return x


def _numbered(name: str, labels: Array | Sequence[str], classes: Sequence[str], rows: int) -> Tensor:
    if isinstance(labels, np.ndarray):
        y = to_labels(name, labels, rows)
        check_classes(name, y, tuple(classes))
        return torch.from_numpy(y)
    return torch.tensor([_class(name, row, label, classes) for row, label in enumerate(labels)])


def _class(name: str, row: int, label: str, classes: Sequence[str]) -> int:
    """Returns the number of a class; a number stands for itself where no class is called by one."""
    if label in classes:
        return list(classes).index(label)
    if label.isdecimal() and int(label) < len(classes) and not any(known.isdecimal() for known in classes):
        return int(label)
    message = f"data set {name}: sample {row} has label '{label}', which is no class of the model"
    raise PyrovaeError(message, hint=did_you_mean(label, classes))


def _to_model(name: str, x: Array, like: Description, units: Units | None) -> Tensor:
    if like["support"] in ("real", "count"):
        return _to_numbers(name, x, like, units)
    return _to_grey(name, x, like)


def _to_numbers(name: str, x: Array, like: Description, units: Units | None) -> Tensor:
    if like["support"] == "count":
        check_counts(name, x)
    values = torch.from_numpy(to_pixels(name, x, numbers=True, missing=like["missing"], floats=np.float64))
    return (values if units is None else units.to_model(values)).float()


def _to_grey(name: str, x: Array, like: Description) -> Tensor:
    x = to_pixels(name, x, missing=like["missing"])
    if like["support"] == "binary":
        return _to_bits(name, x, like)
    if x.dtype == np.uint8:
        white = _white(name, x, like)
        return torch.from_numpy(x).float() / white
    if like["support"] == "levels":
        return _nearest_levels(name, x, like["max_level"])
    check_values(name, x, "unit", UNIT_HINT)
    return torch.from_numpy(x)


def _to_bits(name: str, x: Array, like: Description) -> Tensor:
    if first_row(x, no_bit) is None:
        return torch.from_numpy(x).float()
    rule, white = like["binarize"], None
    if rule == "none":
        check_values(name, x, "binary", "the model's own data were zeros and ones: binarise x")
    elif x.dtype == np.uint8:
        white = _white(name, x, like)
    else:
        check_values(name, x, "unit", UNIT_HINT)
    return binarize_once(torch.from_numpy(x), rule, white, seed=like["seed"], purpose="apply").float()


def _white(name: str, x: Array, like: Description) -> int:
    """Returns white in the bytes of a file, which is that of the run's data."""
    white: int | None = like["max_level"]
    if white is None and first_row(x, no_bit) is not None:
        message = f"data file {name} holds whole numbers, the model's own data were floats in [0, 1]"
        raise PyrovaeError(message, hint="divide them by their white, as was done for the model's data")
    check_levels(name, x, white or 1)
    return white or 1


def _nearest_levels(name: str, x: Array, white: int) -> Tensor:
    """Returns floats k / white as they are, and floats k divided by white."""
    levels = x * np.float32(white) if first_row(x, outside_unit) is None else x
    nearest = np.round(levels)
    found = first_value(np.where(np.abs(levels - nearest) > NEAR_LEVEL, x, np.nan), lambda value: value == value)
    if found:
        message = f"data set {name}: sample {found[0]} has value {found[1]}, no grey level k / {white}"
        raise PyrovaeError(message, hint=f"np.round(x * {white}).astype('uint8') gives the nearest levels")
    check_values(name, nearest, "levels", UNIT_HINT)
    check_levels(name, nearest, white)
    return torch.from_numpy(nearest) / white
