"""Texts as bags of words or of letters: how often each comes, whatever the order."""

from pathlib import Path
from typing import Literal

import numpy as np

from pyrovae.data.dataset import Dataset
from pyrovae.data.files import find, order_classes
from pyrovae.data.make import make_dataset
from pyrovae.data.text import PLACES, read_texts, us_places
from pyrovae.errors import PyrovaeError
from pyrovae.ranges import Natural

Unit = Literal["word", "letters"]
ANALYSERS: dict[Unit, dict[str, str]] = {
    "word": {"analyzer": "word", "token_pattern": r"(?u)\b\w+\b"},
    "letters": {"analyzer": "char"},
}


def bag_of_words(
    data_dir: str | Path | None = None,
    *,
    path: str | None = None,
    column: str = "text",
    label: str | None = None,
    unit: Unit = "word",
    length: int = 1,
    most: int = 1000,
    validation: float = 0.1,
    test: float = 0.1,
    seed: Natural = 0,
) -> Dataset:
    """Counts of words or letters in texts, read as `text` reads them; names of US places by default (Harris, 1954).

    Texts are counted in small letters. Columns are named by what they count, so `sample` writes a table of them.

    Args:
        data_dir: Where a relative `path` is looked for after the working directory.
        path: A `.txt` file with one text a line, or a `.csv` table, in UTF-8.
        column: The column of a table that holds the texts.
        label: The column of a table that holds the class of each row; no labels by default.
        unit: What is counted, words or letters.
        length: How many of them in a row are counted as one.
        most: How many columns there are at most, those that come most often in all rows.
        validation: Rows to select on: a fraction below 1, or a number.
        test: Rows to report on, likewise.
        seed: Names the split.

    Raises:
        PyrovaeError: The texts cannot be read, or hold nothing to count.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    file = None if path is None else find(path, data_dir)
    where = PLACES if file is None else file.name
    texts, labels = (us_places(), []) if file is None else read_texts(file, column, label)
    counter = CountVectorizer(max_features=most, ngram_range=(length, length), dtype=np.float32, **ANALYSERS[unit])
    try:
        x = counter.fit_transform(texts).toarray()
    except ValueError as error:  # nothing is left to count
        message = f"data set {where}: no text has {length} of unit '{unit}' in a row"
        raise PyrovaeError(message, hint="set data.length = 1, or data.unit = 'letters'") from error
    classes = order_classes(set(labels))
    numbers = {name: number for number, name in enumerate(classes)}
    return make_dataset(
        where,
        x,
        np.array([numbers[name] for name in labels]) if labels else None,
        test=test,
        validation=validation,
        classes=classes,
        seed=seed,
        support="count",
        columns=tuple(counter.get_feature_names_out()),
    )
