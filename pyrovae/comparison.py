"""Tables of runs that may be compared: same data, same quantity, same base measure; everything else is refused."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pyrovae import experiment, runs, storage
from pyrovae.checks import format_table
from pyrovae.errors import PyrovaeError


@dataclass(frozen=True)
class Result:
    """What a run directory says of itself."""

    name: str
    experiment: dict[str, Any]
    manifest: dict[str, Any]
    numbers: dict[str, Any]
    log_prob: np.ndarray

    @property
    def identity(self) -> dict[str, Any]:
        """What must be equal for two numbers to be comparable."""
        data = self.manifest["data"]
        return {
            "data set": data["name"],
            "binarisation": data["binarize"],
            "test data": f"{data['hashes']['test']} ({self.numbers['data']} judged)",
            "quantity": self.numbers["quantity"],
            "base measure": base_measure(self.numbers["measure"], data.get("max_level")),
            "estimator": self.numbers["estimator"],
        }


def base_measure(measure: str, white: int | None) -> str:
    """Names what a number is a density with respect to: grey levels divided by another white have another one.

    Example:
        >>> base_measure("density", 255), base_measure("mass", 255)
        ('density of levels / 255', 'mass')
    """
    return f"density of levels / {white}" if measure == "density" and white else measure


def read(directory: Path) -> Result:
    """Reads a run's numbers.

    Raises:
        PyrovaeError: The directory has no evaluation.
    """
    numbers, log_prob = storage.read_json(directory / runs.EVALUATION), storage.read_array(directory / runs.PER_DATUM)
    if len(log_prob) != numbers["data"] or abs(log_prob.mean(dtype=float) - numbers["mean"]) > 1e-3:
        what = f"{runs.PER_DATUM} and {runs.EVALUATION} of {directory} are not of one evaluation"
        raise PyrovaeError(what, hint=f"pyrovae evaluate {directory}")
    return Result(
        directory.resolve().name,
        experiment.read(directory / runs.EXPERIMENT).to_dict(),
        storage.read_json(directory / runs.MANIFEST, "data", "model"),
        numbers,
        log_prob,
    )


def compare(directories: Sequence[Path]) -> str:
    """Returns a Markdown table of runs, best first, with the paired difference of each to the best.

    The difference is taken datum by datum, so its standard error is that of the difference and not of either mean.

    Raises:
        PyrovaeError: Runs differ in data, binarisation, quantity or base measure.
    """
    results = [read(directory) for directory in directories]
    for result in results[1:]:
        check_alike(results[0], result)
    results.sort(key=lambda result: -result.numbers["mean"])
    rows = [cells(result, results[0]) for result in results]
    table = format_table([list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]).splitlines()
    width = max(map(len, table))
    data = results[0].manifest["data"]
    title = f"{data['name']}, binarize = {data['binarize']}, test data {data['hashes']['test']}"
    unsure = any(result.numbers["verdict"] == "unreliable" for result in results)
    notes = ["", "Unreliable estimates are too low by an unknown amount: the order may be another."] if unsure else []
    return "\n".join([title, "", *(f"| {line.ljust(width)} |" for line in table), *notes])


def cells(result: Result, best: Result) -> dict[str, str]:
    numbers = result.numbers
    pools = " (class pools)" if result.manifest["model"]["pools"] else ""
    quantity = f"{numbers['estimator']} {numbers['quantity']}, nats"
    return {
        "run": result.name,
        "prior": result.experiment["prior"]["name"] + pools,
        "seed": str(result.experiment["seed"]),
        "minutes": f"{result.manifest.get('training_minutes', math.nan):.1f}",
        quantity: f"{numbers['mean']:.2f} ± {numbers['standard_error']:.2f}",
        **({"bits/dim": f"{numbers['bits_per_dim']:.3f}"} if "bits_per_dim" in numbers else {}),
        "below the best": difference(result, best),
        **tail(numbers),
        "verdict": numbers["verdict"].split(":")[0],
    }


def tail(numbers: Mapping[str, Any]) -> dict[str, str]:
    """Returns the share of data whose k-hat is too high, of estimates that have one."""
    if "khat_threshold" not in numbers:
        return {}
    return {f"k-hat > {numbers['khat_threshold']:.2f}": f"{numbers['khat_share_above']:.1%}"}


def difference(result: Result, best: Result) -> str:
    """Returns how far below the best run a run is, with the paired standard error."""
    if result is best:
        return "-"
    gap = best.log_prob.astype(float) - result.log_prob
    return f"{gap.mean():.2f} ± {gap.std(ddof=1) / math.sqrt(len(gap)):.2f}"


def check_alike(first: Result, other: Result) -> None:
    mine, theirs = first.identity, other.identity
    unlike = [f"{key} {mine[key]} against {theirs[key]}" for key in mine if mine[key] != theirs[key]]
    if unlike:
        raise PyrovaeError(
            f"cannot compare {first.name} with {other.name}: {'; '.join(unlike)}",
            hint="compare runs on the same data that estimate the same quantity",
        )
