"""Your own sounds: a folder of `.wav` files, by default the Free Spoken Digit Dataset.

Each recording has one channel and the rate that is named. It is divided by its largest amplitude, since loudness is
the microphone's; what is longer than `seconds` is cut off at its end, what is shorter ends in silence. Then it becomes
a log-mel spectrogram, see `pyrovae.data.spectrograms`, standardised by one mean and one deviation of all training
values: a band's own would blow up the noise of bands in which there is nothing to hear.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pyrovae.data.checks import Array
from pyrovae.data.dataset import Dataset
from pyrovae.data.download import data_roots
from pyrovae.data.files import cannot_read, find, order_classes
from pyrovae.data.make import make_dataset
from pyrovae.data.members import Kind, list_members
from pyrovae.data.spectrograms import DECIMALS, Spectrograms
from pyrovae.data.units import Units
from pyrovae.errors import PyrovaeError
from pyrovae.ranges import Natural

Labels = Literal["prefix", "folder", "none"]
Rows = tuple[Array, Array | None]

SOUNDS = Kind(
    "recording", (".wav",), (".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac", ".aif", ".aiff", ".au", ".wma")
)

DIGITS = Path("free-spoken-digit-dataset") / "recordings"
DIGITS_HINT = (
    "git clone https://github.com/Jakobovski/free-spoken-digit-dataset there (CC BY-SA 4.0), or data.path = your folder"
)
# `{digit}_{speaker}_{index}.wav`: the first recordings of each digit by each speaker are the published test set.
NUMBERED = re.compile(r".*_(\d+)")
TESTED = 5


def audio(
    data_dir: str | Path | None = None,
    *,
    path: str | None = None,
    labels: Labels = "prefix",
    rate: int = 8000,
    seconds: float = 0.64,
    mels: int = 40,
    window: int = 256,
    hop: int = 80,
    validation: float = 0.1,
    test: float | None = None,
    seed: Natural = 0,
) -> Dataset:
    """Your own sounds, a folder of `.wav` files; by default 3,000 spoken digits of six speakers (Jackson et al., 2018).

    Args:
        data_dir: Where a relative `path` is looked for after the working directory, and the spoken digits first.
        path: The folder; by default `free-spoken-digit-dataset/recordings` in the data directory.
        labels: What names the class of a recording: its file's name before the first `_`, its sub-folder, or nothing.
        rate: Samples a second of all recordings.
        seconds: Length that all are brought to, rounded to whole hops.
        mels: Bands of a spectrogram.
        window: Samples that one of its columns is taken of.
        hop: Samples from one column to the next.
        validation: Rows to select on: a fraction below 1, or a number.
        test: Rows to report on, likewise; by default a tenth, and of the spoken digits the published test set, the
            recordings numbered 0 to 4. Its speakers are those of the training data.
        seed: Names the split.

    Raises:
        PyrovaeError: There are no recordings, one cannot be read, has two channels, another rate, nothing to hear or
            less than a window, or names no class where it should.
    """
    sound = Spectrograms(rate, hop * max(1, round(seconds * rate / hop)), mels, window, hop)
    place = _spoken_digits(data_dir) if path is None else find(path, data_dir, folder=True)
    files, names = list_recordings(place, labels)
    classes = order_classes(set(names))
    x = sound.pictures(read_recordings(files, sound)).numpy()
    y = np.array([classes.index(name) for name in names]) if names else None
    held: float | tuple[Array, Array | None] = 0.1 if test is None else test
    if path is None and test is None:
        x, y, held = _published(files, x, y)
    name = DIGITS.parent.name if path is None else place.name
    dataset = make_dataset(name, x, y, test=held, validation=validation, classes=classes, support="real", seed=seed)
    return _standardised(dataset, sound)


def list_recordings(place: Path, labels: Labels | None = None) -> tuple[list[Path], list[str]]:
    """Returns the recordings of a folder, ordered by name, and the names of their classes, or nothing.

    Args:
        place: The folder.
        labels: What names the class; by default a sub-folder, or the file's name before the first `_`, if all have one.

    Raises:
        PyrovaeError: There are no recordings, they lie elsewhere than `labels` says, or one names no class.
    """
    files, folders = list_members(place, SOUNDS)
    if labels is not None and bool(folders) != (labels == "folder"):
        hint = f'data.labels = "{"folder" if folders else "prefix"}"'
        where = "in sub-folders" if folders else "in the folder itself"
        message = f'folder {place.name} holds its recordings {where}, which data.labels = "{labels}" denies'
        raise PyrovaeError(message, hint=hint, exit_code=2)
    if folders or labels == "none":
        return files, folders
    nameless = next((file for file in files if "_" not in file.stem), None)
    if nameless is None:
        return files, [file.stem.partition("_")[0] for file in files]
    if labels is None:
        return files, []
    message = f"recording {nameless.name} names no class before a '_'"
    raise PyrovaeError(message, hint='rename it as 7_anna_0.wav, or set data.labels = "none"')


def read_recordings(files: Sequence[Path], sound: Spectrograms) -> Tensor:
    """Returns recordings of one length, float32 of shape `(n, samples)`, each of largest amplitude 1.

    Raises:
        PyrovaeError: Names the recording that is not what `sound` says, or in which there is nothing to hear.
    """
    from tqdm import tqdm

    waves = np.zeros((len(files), sound.samples), dtype=np.float32)
    for row, file in enumerate(tqdm(files, "reading recordings", unit="file", disable=None, leave=False)):
        wave = _loudest_one(file, _read(file, sound))[: sound.samples]
        waves[row, : len(wave)] = wave
    return torch.from_numpy(waves)


def _read(file: Path, sound: Spectrograms) -> Array:
    """Returns the samples of a `.wav` file as they are stored, one channel."""
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings():
            # Of what is no sound, such as titles, scipy warns as well as of an end that is missing.
            warnings.simplefilter("ignore", wavfile.WavFileWarning)
            warnings.filterwarnings("error", "Reached EOF", wavfile.WavFileWarning)
            rate, values = wavfile.read(file)
    except OSError as error:
        raise cannot_read(file, error) from error
    except Exception as error:  # on a broken file scipy raises a dozen kinds, struct.error among them
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise PyrovaeError(f"recording {file.name} cannot be read ({reason})", hint="repair or remove it") from error
    _check(file, rate, values, sound)
    return values


def _check(file: Path, rate: int, values: Array, sound: Spectrograms) -> None:
    if values.ndim > 1:
        message = f"recording {file.name} has {values.shape[1]} channels, not 1"
        raise PyrovaeError(message, hint=f"mix them down: sox {file.name} -c 1 new.wav")
    if rate != sound.rate:
        message = f"recording {file.name} has {rate} samples a second, not {sound.rate}"
        hint = f"data.rate = {rate} if all have; else convert it: sox {file.name} -r {sound.rate} new.wav"
        raise PyrovaeError(message, hint=hint)
    if len(values) < sound.window:
        message = f"recording {file.name} has {len(values)} samples, fewer than a window of {sound.window}"
        raise PyrovaeError(message, hint="remove it, or set a smaller data.window")


def _loudest_one(file: Path, values: Array) -> Array:
    """Returns samples as float64 whose largest amplitude is 1."""
    wave = values.astype(np.float64) - (128 if values.dtype == np.uint8 else 0)
    if not np.isfinite(wave).all():
        raise PyrovaeError(f"recording {file.name} holds values that are not finite", hint="repair or remove it")
    if wave.min() == wave.max():
        raise PyrovaeError(f"recording {file.name} is silent", hint="remove it")
    return wave / np.abs(wave).max()


def _spoken_digits(data_dir: str | Path | None) -> Path:
    roots = data_roots(data_dir)
    found = next((root / DIGITS for root in roots if (root / DIGITS).is_dir()), None)
    if found is None:
        looked = " or ".join(str(root) for root in roots)
        raise PyrovaeError(f"no folder {DIGITS} in {looked}", hint=DIGITS_HINT)
    return found


def _published(files: Sequence[Path], x: Array, y: Array | None) -> tuple[Array, Array | None, Rows]:
    """Returns the published training rows of the spoken digits, and the published test rows."""
    numbers = [NUMBERED.fullmatch(file.stem) for file in files]
    tested = np.array([number is not None and int(number[1]) < TESTED for number in numbers])
    if tested.all() or not tested.any():
        message = f"{tested.sum()} of {len(files)} recordings are numbered below {TESTED}, which are the test data"
        raise PyrovaeError(message, hint="data.test = 0.1 takes a tenth at random")
    (train, held) = ((x[rows], None if y is None else y[rows]) for rows in (~tested, tested))
    return *train, held


def _standardised(dataset: Dataset, sound: Spectrograms) -> Dataset:
    """Returns decibels with mean 0 and deviation 1 over the training rows, both of them rounded as decibels are."""
    values = dataset.train.x.double()
    loc, scale = (number.round(decimals=DECIMALS) for number in (values.mean(), values.std()))
    units = Units(loc, scale)
    train, chosen, reported = (replace(split, x=units.to_model(split.x)) for split in dataset)
    return replace(dataset, train=train, validation=chosen, test=reported, units=units, sound=sound)
