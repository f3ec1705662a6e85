"""A number of a run, by name.

``distortion``               a number of evaluation.json
``generation.fid``           a number of one of its sections
``generation.by_class.7.accuracy``  deeper ones likewise
``minutes``                  of training
``turns.train_loss``         share of an epoch's steps of a loss that go against its course, from metrics.jsonl
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pyrovae import runs, storage
from pyrovae.errors import PyrovaeError, did_you_mean
from pyrovae.evaluation.sections import SECTIONS


def value_of(directory: Path, metric: str) -> float:
    """Returns a number of a run.

    Raises:
        PyrovaeError: The run has no such number.
    """
    if metric == "minutes":
        return float(storage.read_json(directory / runs.MANIFEST)["training_minutes"])
    first, _, rest = metric.partition(".")
    if first == "turns":
        return turns([record[rest] for record in storage.read_rows(directory / runs.METRICS)])
    numbers: Any = storage.read_json(directory / runs.EVALUATION)
    if first in SECTIONS:
        section = numbers.get("sections", {}).get(first, {})
        if "not_applicable" in section:
            raise PyrovaeError(f"{directory}: {first} is not applicable: {section['not_applicable']}")
        numbers, metric = section.get("numbers", {}), rest
    for key in metric.split("."):
        if not isinstance(numbers, Mapping) or key not in numbers:
            known = list(numbers) if isinstance(numbers, Mapping) else []
            raise PyrovaeError(f"{directory} has no number '{metric}'", hint=did_you_mean(key, known))
        numbers = numbers[key]
    return float(numbers)


def turns(course: list[float]) -> float:
    """Returns the share of steps that go against the course's direction from its start to its end.

    Example:
        >>> turns([5.0, 3.0, 4.0, 2.0, 1.0]), turns([1.0])
        (0.25, 0.0)
    """
    steps = np.diff(course)
    if not len(steps):
        return 0.0
    return float(np.mean(np.sign(steps) != np.sign(course[-1] - course[0])))
