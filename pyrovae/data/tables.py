"""Your own data: a `.csv` table with a header, one row a datum, numbers in every column but that of the labels.

Cells that are empty or say NA, N/A, NaN or null are missing. The delimiter is a comma, a semicolon or a tab, whichever
splits the header into the most names.
"""

import csv
import math
from array import array as packed
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from pyrovae.data.binarize import Binarize
from pyrovae.data.checks import Array
from pyrovae.data.dataset import Dataset, Support
from pyrovae.data.files import cannot_read, find, order_classes
from pyrovae.data.make import make_dataset
from pyrovae.errors import PyrovaeError, did_you_mean
from pyrovae.ranges import Natural

Delimiter = Literal["comma", "semicolon", "tab"]
DELIMITERS: dict[Delimiter, str] = {"comma": ",", "semicolon": ";", "tab": "\t"}

Lines = Iterator[tuple[int, list[str]]]

LISTED = 8  # columns: more than these are counted in a hint
MISSING = {"", "na", "n/a", "nan", "null"}
UTF_8 = "save it as UTF-8: iconv -f latin1 -t utf-8 old.csv > new.csv"
MISSING_HINT = "data.missing = true takes such cells for what was not observed; or drop the row"


def csv_table(
    data_dir: str | Path | None = None,
    *,
    path: str,
    label: str | None = None,
    columns: Sequence[str] | None = None,
    delimiter: Delimiter | None = None,
    support: Support | None = None,
    missing: bool = False,
    standardise: bool = True,
    binarize: Binarize = "none",
    validation: float = 0.1,
    test: float = 0.1,
    seed: Natural = 0,
) -> Dataset:
    """Your own table, a `.csv` file with a header: numbers, standardised on the training rows, and optionally labels.

    Args:
        data_dir: Where a relative `path` is looked for after the working directory.
        path: The file, in UTF-8.
        label: The column that holds the class of each row, any text; no labels by default.
        columns: The columns to read as x, in this order; all but `label` by default.
        delimiter: What parts the cells; found in the header by default.
        support: What kind of numbers x holds, if they are not standardised.
        missing: Whether empty cells stand for what was not observed; otherwise they are an error.
        standardise: Whether to give each column mean 0 and standard deviation 1 over the training rows.
        binarize: How numbers in [0, 1] become zeros and ones, if they are not standardised.
        validation: Rows to select on: a fraction below 1, or a number.
        test: Rows to report on, likewise.
        seed: Names the split.

    Raises:
        PyrovaeError: The file is missing or no table, a cell is missing or not a number, or `make_dataset` refuses it.
    """
    file = find(path, data_dir)
    table = read_table(file, label=label, columns=columns, delimiter=delimiter, missing=missing)
    classes = order_classes(set(table.labels))
    numbers = {name: number for number, name in enumerate(classes)}
    dataset = make_dataset(
        file.name,
        table.x,
        np.array([numbers[name] for name in table.labels]) if label else None,
        test=test,
        validation=validation,
        classes=classes,
        binarize=binarize,
        seed=seed,
        support=support,
        missing=missing,
        standardise=standardise,
        columns=table.columns,
    )
    assert dataset.units is not None, "make_dataset keeps the names of columns there"
    return replace(dataset, units=replace(dataset.units, label=label, left_out=table.left_out))


@dataclass
class Table:
    """The columns of a table that were asked for.

    Args:
        columns: The names of the columns of x.
        left_out: The names of the columns that are neither x nor the label.
        rows: The numbers of x, row after row, NaN where missing.
        labels: The text of the label column, or nothing.
    """

    columns: tuple[str, ...]
    left_out: tuple[str, ...]
    rows: "packed[float]" = field(default_factory=lambda: packed("d"))  # Python's own floats would be 4 times larger
    labels: list[str] = field(default_factory=list)

    @property
    def x(self) -> Array:
        """The numbers, float64, of shape `(n, columns)`."""
        return np.array(self.rows, dtype=np.float64).reshape(-1, len(self.columns))


def read_table(
    file: Path,
    *,
    label: str | None = None,
    columns: Sequence[str] | None = None,
    delimiter: Delimiter | None = None,
    missing: bool = False,
) -> Table:
    """Reads a table; see `csv_table`.

    Raises:
        PyrovaeError: Names the file, and the line and column at fault.
    """
    with _lines(file, delimiter) as lines:
        header = _header(file.name, lines)
        table = _choose(file.name, header, label, columns)
        places = [header.index(name) for name in table.columns]
        bad: dict[str, tuple[int, str]] = {}  # the first cell of each column that is not a number
        for line, cells in lines:
            _check_width(file.name, line, cells, header)
            chosen = [cells[place] for place in places]
            row = _plain(chosen) or _numbers(
                file.name, line, dict(zip(table.columns, chosen, strict=True)), bad, missing=missing
            )
            if not bad:
                _check_row(file.name, line, row)
                table.rows.extend(row)
            if label:
                table.labels.append(_label(file.name, line, label, cells[header.index(label)]))
    if bad:
        raise _not_numbers(file.name, bad, [name for name in table.columns if name not in bad])
    if not table.rows:
        raise _no_rows(file)
    return table


def _no_rows(file: Path) -> PyrovaeError:
    return PyrovaeError(f"data file {file.name} has a header and no rows", hint="one row a datum follows the header")


def read_header(file: Path, delimiter: Delimiter | None = None) -> list[str]:
    """Returns the names of all columns.

    Raises:
        PyrovaeError: The file is no table.
    """
    with _lines(file, delimiter) as lines:
        return _header(file.name, lines)


def read_cells(file: Path, columns: Sequence[str], delimiter: Delimiter | None = None) -> Lines:
    """Yields the number of each line and its cells of these columns, as text.

    Raises:
        PyrovaeError: The file is no table, has no such column or no rows, or a line has too many or too few cells.
    """
    with _lines(file, delimiter) as lines:
        header = _header(file.name, lines)
        places = [header.index(name) for name in _choose(file.name, header, None, columns).columns]
        line = 0
        for line, cells in lines:
            _check_width(file.name, line, cells, header)
            yield line, [cells[place] for place in places]
    if not line:
        raise _no_rows(file)


def _plain(cells: list[str]) -> list[float] | None:
    """Returns the numbers of a row without anything else in it; nearly all rows are such, and this is fast."""
    try:
        row = list(map(float, cells))
    except ValueError:
        return None
    return row if math.isfinite(sum(row)) and "_" not in "".join(cells) else None


def _numbers(
    name: str,
    line: int,
    cells: dict[str, str],
    bad: dict[str, tuple[int, str]],
    *,
    missing: bool,
) -> list[float]:
    """Returns the numbers of one row, NaN where missing, and notes the columns that have something else."""
    values = {column: _number(cell) for column, cell in cells.items()}
    for column, value in values.items():
        if value is None:
            bad.setdefault(column, (line, cells[column]))
        elif not missing and math.isnan(value):
            raise PyrovaeError(f"data file {name}: line {line}, column '{column}' is empty", hint=MISSING_HINT)
    return [math.nan if value is None else value for value in values.values()]


@contextmanager
def _lines(file: Path, delimiter: Delimiter | None) -> Iterator[Lines]:
    """Opens a table and iterates over its lines that are not blank, each with its number."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            first = opened.readline()
            opened.seek(0)
            reader = csv.reader(opened, delimiter=_delimiter(first[:100_000], delimiter), strict=True)
            yield ((reader.line_num, cells) for cells in reader if cells)
    except UnicodeDecodeError as error:
        raise PyrovaeError(f"data file {file.name} is not UTF-8 ({error.reason})", hint=UTF_8) from error
    except csv.Error as error:
        message = f"data file {file.name}: line {reader.line_num} is no line of a table ({error})"
        raise PyrovaeError(message, hint="a cell with a quote in it is quoted, and the quote doubled") from error
    except OSError as error:
        raise cannot_read(file, error) from error


def _delimiter(first: str, named: Delimiter | None) -> str:
    if named:
        return DELIMITERS[named]
    return max(DELIMITERS.values(), key=lambda mark: len(next(csv.reader([first], delimiter=mark), [])))


def _header(name: str, lines: Lines) -> list[str]:
    header = [_one_line(cell) for cell in next(lines, (0, []))[1]]
    if not header:
        raise PyrovaeError(f"data file {name} is empty", hint="the first line names the columns")
    if all(_number(cell) is not None for cell in header):
        message = f"data file {name} has no header: line 1 is {', '.join(header[:5])}{', ...' if header[5:] else ''}"
        raise PyrovaeError(message, hint="the first line names the columns")
    if "" in header:
        message = f"data file {name}: column {header.index('') + 1} has no name"
        raise PyrovaeError(message, hint="name it in line 1; pandas writes no such column with index=False")
    _check_unique(f"data file {name} has two columns", header, "give them different names")
    return header


def _check_unique(problem: str, names: Sequence[str], hint: str) -> None:
    twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if twice is not None:
        raise PyrovaeError(f"{problem} '{twice}'", hint=hint)


def _choose(name: str, header: list[str], label: str | None, columns: Sequence[str] | None) -> Table:
    for asked in (*(columns or ()), *([] if label is None else [label])):
        if asked not in header:
            raise PyrovaeError(f"data file {name} has no column '{asked}'", hint=did_you_mean(asked, header))
    chosen = [column for column in header if column != label] if columns is None else list(columns)
    _check_unique("data.columns names twice", chosen, "name each column once")
    if not chosen or label in chosen:
        what = "no column is left to be x" if not chosen else f"column '{label}' is both the label and x"
        raise PyrovaeError(f"data file {name}: {what}", hint="data.columns names the columns of x, data.label another")
    return Table(tuple(chosen), tuple(column for column in header if column not in (*chosen, label)))


def _check_width(name: str, line: int, cells: list[str], header: list[str]) -> None:
    if len(cells) != len(header):
        message = f"data file {name}: line {line} has {len(cells)} cells, the header {len(header)}"
        raise PyrovaeError(
            message, hint='quote cells that hold the delimiter, or name it: data.delimiter = "semicolon"'
        )


def _number(cell: str) -> float | None:
    """Returns a finite number, NaN where it is missing, or None where the cell says something else."""
    try:
        value = float(cell)
    except ValueError:
        return math.nan if _is_missing(cell) else None
    if math.isfinite(value) and "_" not in cell:  # Python reads 1_000 as a number
        return value
    return math.nan if math.isnan(value) else None


def _is_missing(cell: str) -> bool:
    return cell.strip().lower() in MISSING


def _one_line(cell: str) -> str:
    return " ".join(cell.split())


def _check_row(name: str, line: int, row: Sequence[float]) -> None:
    if all(map(math.isnan, row)):
        raise PyrovaeError(f"data file {name}: line {line} is empty throughout", hint="drop such rows")


def _label(name: str, line: int, column: str, cell: str) -> str:
    if _is_missing(cell):
        message = f"data file {name}: line {line} has no label in column '{column}'"
        raise PyrovaeError(message, hint="label it, or drop the row")
    return _one_line(cell)


def _not_numbers(name: str, bad: dict[str, tuple[int, str]], numeric: list[str]) -> PyrovaeError:
    cells = (
        f"column '{column}' is not numeric: line {line} says '{_one_line(cell)[:40]}'"
        for column, (line, cell) in bad.items()
    )
    left = ", ".join(f'"{column}"' for column in numeric)
    left = left if len(numeric) <= LISTED else f"the other {len(numeric)}"
    rest = f"data.columns = [{left}] leaves it out, " if numeric else ""
    hint = f"{rest}data.label = ... reads it as classes, one-hot columns are numbers"
    return PyrovaeError(f"data file {name}: {'; '.join(cells)}", hint=hint)
