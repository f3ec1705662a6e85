"""What every program, objective and evaluation reads: three splits of one data set, and how their pixels are meant.

A `Dataset` keeps the data as they were stored, bytes where they came as bytes: MNIST is then 47 MB instead of 188.
`batch` and `held_out` hand them out the way the programs read them, as float32. The difference between the two is
the protocol of every number: `batch` may draw new zeros and ones at each visit, `held_out` never does, so two calls,
two runs and two machines judge a model on the same images; `hashes` says which ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, overload

import torch
from torch import Tensor

from pyrovae.data.binarize import Binarize, binarize_once, draw, keep_missing
from pyrovae.data.spectrograms import Spectrograms
from pyrovae.data.split import Split
from pyrovae.data.units import Units
from pyrovae.errors import PyrovaeError, did_you_mean

# How x looks to the programs: zeros and ones; grey levels k / max_level; floats in [0, 1]; whole numbers from 0; any;
# codes of characters, 0 from the end of the text on.
Support = Literal["binary", "levels", "unit", "count", "real", "characters"]
SplitName = Literal["train", "validation", "test"]

SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three splits of one data set, built and checked by `make_dataset`.

    Args:
        name: What messages and manifests call it.
        train: The rows that parameters see; under `dynamic` still grey.
        validation: The rows that select; zeros and ones already if any binarisation is named.
        test: The rows that are reported; stored as `validation` is.
        support: Values of x as the programs read them.
        classes: Names of the labels 0, 1, ..., or `()` without labels.
        max_level: White in the source's bytes: 255, 16 for the digits, 1 for zeros and ones; None for float data.
        binarize: How grey pixels become zeros and ones.
        seed: Names the split and the noise of what is binarised once.
        missing: Whether x may hold NaN, for what was not observed.
        units: How x came from the units of the user's file; None where it is read as it is.
        sound: How sounds became x, in these units, and can be had back; None where x is no sound.
        alphabet: The characters 1, 2, ... of texts.

    Raises:
        PyrovaeError: `train` holds grey bytes and `max_level` is missing.

    Example:
        >>> grey = Split(torch.tensor([[0, 4], [2, 4]], dtype=torch.uint8))
        >>> data = Dataset("toy", grey, grey, grey, "levels", max_level=4)
        >>> data.event_shape, data.levels
        ((2,), 5)
        >>> data.batch(torch.tensor([1]))
        (tensor([[0.5000, 1.0000]]), None)
    """

    name: str
    train: Split
    validation: Split
    test: Split
    support: Support
    classes: tuple[str, ...] = ()
    max_level: int | None = None
    binarize: Binarize = "none"
    seed: int = 0
    missing: bool = False
    units: Units | None = None
    sound: Spectrograms | None = None
    alphabet: str = ""

    def __post_init__(self) -> None:
        scaled = self.support in ("levels", "unit") or self.binarize == "dynamic"
        if self.max_level is None and scaled and self.train.x.dtype == torch.uint8:
            raise PyrovaeError(f"data set {self.name}: bytes without max_level", hint="name white: max_level=255")

    def __iter__(self) -> Iterator[Split]:
        return iter((self.train, self.validation, self.test))

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one datum."""
        return tuple(self.train.x.shape[1:])

    @property
    def levels(self) -> int | None:
        """How many values a pixel can take as the programs read it; None where they are not levels.

        Of texts it is the number of characters, and one more for the end.
        """
        if self.alphabet:
            return len(self.alphabet) + 1
        if self.support == "levels" and self.max_level is not None:
            return self.max_level + 1
        return 2 if self.support == "binary" else None

    @overload
    def batch(self, index: Tensor, *, targets: Literal[False] = False) -> tuple[Tensor, Tensor | None]: ...

    @overload
    def batch(self, index: Tensor, *, targets: bool) -> tuple[Any, ...]: ...

    def batch(self, index: Tensor, *, targets: bool = False) -> tuple[Any, ...]:
        """Returns training rows as the programs read them, binarised afresh under `dynamic`.

        Args:
            index: Rows, int64, of shape `(n,)`.
            targets: Return the numbers to be predicted as well.

        Returns:
            x as float32 of shape `(n, *event_shape)`, and y of shape `(n,)` or None; then, if asked for, targets of
            shape `(n, targets)` or None. The noise comes from torch's global generator, so that it resumes with the
            run.
        """
        rows = self.train.take(index)
        x = rows.x if self.binarize != "dynamic" else keep_missing(rows.x, draw(rows.x, self.max_level))
        return (self._read(x), rows.y, *([rows.targets] if targets else []))

    @overload
    def held_out(
        self, split: SplitName = "validation", *, targets: Literal[False] = False
    ) -> tuple[Tensor, Tensor | None]: ...

    @overload
    def held_out(self, split: SplitName = "validation", *, targets: bool) -> tuple[Any, ...]: ...

    def held_out(self, split: SplitName = "validation", *, targets: bool = False) -> tuple[Any, ...]:
        """Returns a whole split as the programs read it, the same at every call.

        Args:
            split: `validation`, `test`, or `train`, whose images under `dynamic` are drawn once by the seed.
            targets: Return the numbers to be predicted as well.

        Returns:
            x as float32 of shape `(n, *event_shape)`, and y of shape `(n,)` or None; then, if asked for, targets of
            shape `(n, targets)` or None.

        Raises:
            PyrovaeError: There is no such split.
        """
        if split not in SPLITS:
            raise PyrovaeError(f"unknown split '{split}'", hint=did_you_mean(split, SPLITS), exit_code=2)
        rows: Split = getattr(self, split).whole()
        x, drawn = rows.x, split == "train" and self.binarize == "dynamic"
        if drawn:
            x = binarize_once(x, "dynamic", self.max_level, seed=self.seed, purpose=split)
        return (self._read(x), rows.y, *([rows.targets] if targets else []))

    def hashes(self) -> dict[str, str]:
        """Returns a short SHA-256 of each split as stored: equal hashes, equal data, in the same order."""
        return {name: split.hash() for name, split in zip(SPLITS, self, strict=True)}

    def to(self, device: torch.device | str) -> "Dataset":
        """Returns the same data set on another device."""
        return replace(
            self, train=self.train.to(device), validation=self.validation.to(device), test=self.test.to(device)
        )

    def summary(self) -> str:
        """Returns what `pyrovae data info` prints.

        Example:
            >>> bits = Split(torch.tensor([[0, 1]], dtype=torch.uint8), torch.tensor([1]))
            >>> print(Dataset("toy", bits, bits, bits, "binary", ("a", "b"), max_level=1).summary())
            name          toy
            sizes         1 train, 1 validation, 1 test
            event shape   (2,)
            classes       2: a 0, b 3
            support       binary, stored as uint8 0..1
            binarisation  none, seed 0
            pixel mean    0.5000 of white
            hashes        train e511ae65433d, validation e511ae65433d, test e511ae65433d
        """
        from pyrovae.data.summary import summary

        return summary(self)

    def _read(self, x: Tensor) -> Tensor:
        # A new tensor, so that nobody writes into the stored one; bits are converted faster as the bytes that they are.
        values = (x.view(torch.uint8) if x.dtype == torch.bool else x).to(torch.float32, copy=True)
        return values if self.support == "binary" or self.max_level is None else values / self.max_level
