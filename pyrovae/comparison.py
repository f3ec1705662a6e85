"""Tables of runs that may be compared: same data, same quantity, same base measure; everything else is refused."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pyrovae import experiment, runs, storage
from pyrovae.checks import format_table
from pyrovae.errors import PyrovaeError
from pyrovae.evaluation.paired import Paired, paired
from pyrovae.figures import rate_distortion, save
from pyrovae.published import beside, protocol_of

CLEAR = 2.0  # standard errors, from which on two runs are told apart


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
        PyrovaeError: The directory has no evaluation, or its program no log density that could be compared.
    """
    made = experiment.read(directory / runs.EXPERIMENT)
    if reason := made.program.lacks.get("evidence"):
        hint = f"pyrovae evaluate {directory} says what can be said of it"
        raise PyrovaeError(f"cannot compare {directory}: {reason}", hint=hint, exit_code=2)
    numbers, log_prob = storage.read_json(directory / runs.EVALUATION), storage.read_array(directory / runs.PER_DATUM)
    if len(log_prob) != numbers["data"] or abs(log_prob.mean(dtype=float) - numbers["mean"]) > 1e-3:
        what = f"{runs.PER_DATUM} and {runs.EVALUATION} of {directory} are not of one evaluation"
        raise PyrovaeError(what, hint=f"pyrovae evaluate {directory}")
    return Result(
        directory.resolve().name,
        made.to_dict(),
        storage.read_json(directory / runs.MANIFEST, "data", "model"),
        numbers,
        log_prob,
    )


def compare(directories: Sequence[Path]) -> str:
    """Returns a Markdown table of runs, best first, what their differences say, and what is published of the data.

    A difference of two runs is taken datum by datum, so its standard error is that of the difference and not of either
    mean. Runs that differ in their seed alone are trainings of one experiment: experiments with several are compared by
    the means over their trainings, and the spread is that of trainings.

    Raises:
        PyrovaeError: Runs differ in data, binarisation, quantity or base measure.
    """
    results = alike(directories)
    results.sort(key=lambda result: -result.numbers["mean"])
    data = results[0].manifest["data"]
    title = f"{data['name']}, binarize = {data['binarize']}, test data {data['hashes']['test']}"
    unsure = any(result.numbers["verdict"] == "unreliable" for result in results)
    notes = ["Unreliable estimates are too low by an unknown amount: the order may be another."] if unsure else []
    protocols = [
        protocol_of(result.experiment, result.numbers, data["binarize"])
        for result in results
        if "encoder" in result.experiment and result.numbers["quantity"] == "log p(x)"
    ]
    blocks = [
        [title],
        markdown([cells(result, results[0]) for result in results]),
        said(results),
        over_seeds(results),
        notes,
        beside(data["name"], protocols),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def markdown(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Returns a table, its columns under each other, one row for each mapping."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [columns, ["---"] * len(columns), *([row.get(name, "") for name in columns] for row in rows)]
    lines = format_table(cells).splitlines()
    width = max(map(len, lines))
    return [f"| {line.ljust(width)} |" for line in lines]


def said(results: Sequence[Result]) -> list[str]:
    """Returns a sentence on each run beside the best one: which is better, and by how much."""
    best, others = results[0], results[1:]
    size = best.numbers["data"]
    return [
        sentence(best.name, other.name, paired(torch.from_numpy(best.log_prob.astype(float) - other.log_prob)))
        + f" (paired over {size} data, one training each)"
        for other in others
    ]


def sentence(better: str, worse: str, difference: Paired) -> str:
    """Says which is better by how much, if that is more than two standard errors.

    Example:
        >>> sentence("vamp", "normal", Paired(1.2, 0.1)), sentence("vamp", "normal", Paired(0.1, 0.1))
        ('vamp is better than normal by 1.20 ± 0.10 nats', 'vamp and normal cannot be told apart: 0.10 ± 0.10 nats')
    """
    if difference.exceeds(0.0, CLEAR):
        return f"{better} is better than {worse} by {difference} nats"
    return f"{better} and {worse} cannot be told apart: {difference} nats"


def over_seeds(results: Sequence[Result]) -> list[str]:
    """Returns means over trainings of each experiment that was trained with several seeds, best first, and sentences.

    The spread is the standard deviation over seeds; a run that was judged twice is one training.
    """
    trainings: dict[str, dict[int, Result]] = {}
    for result in results:
        configuration = {key: value for key, value in result.experiment.items() if key not in ("seed", "evaluation")}
        trainings.setdefault(json.dumps(configuration, sort_keys=True), {})[result.experiment["seed"]] = result
    several = [Trainings.of(list(runs.values())) for runs in trainings.values() if len(runs) > 1]
    if not several:
        return []
    several.sort(key=lambda group: -group.mean)
    rows = [
        {"experiment": group.name, "trainings": str(group.count), "mean of means": f"{group.mean:.2f}",
         "sd over seeds": f"{group.deviation:.2f}"}
        for group in several
    ]  # fmt: skip
    lines = [
        f"{sentence(several[0].name, other.name, several[0].above(other))} "
        f"(means over {several[0].count} and {other.count} trainings, on these test data)"
        for other in several[1:]
    ]
    return ["Over seeds of the training:", "", *markdown(rows), *[""] * bool(lines), *lines]


@dataclass(frozen=True)
class Trainings:
    """One experiment, trained with several seeds: mean and standard deviation of their means over data."""

    name: str
    count: int
    mean: float
    deviation: float

    @classmethod
    def of(cls, results: Sequence[Result]) -> "Trainings":
        means = np.array([result.numbers["mean"] for result in results])
        # Character by character is meant: "vamp-0", "vamp-1" are trainings of "vamp".
        shared = os.path.commonprefix([result.name for result in results]).rstrip("-_.")  # noqa: RUF071
        name = shared or results[0].experiment["prior"]["name"]
        return cls(name, len(means), float(means.mean()), float(means.std(ddof=1)))

    def above(self, other: "Trainings") -> Paired:
        """Returns the difference of two means and its standard error, without assuming equal spread (Welch, 1947)."""
        error = math.sqrt(self.deviation**2 / self.count + other.deviation**2 / other.count)
        return Paired(self.mean - other.mean, error)


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
    return "-" if result is best else str(paired(torch.from_numpy(best.log_prob.astype(float) - result.log_prob)))


def alike(directories: Sequence[Path]) -> list[Result]:
    """Reads runs that may be compared with each other."""
    results = list(map(read, directories))
    for result in results[1:]:
        check_alike(results[0], result)
    return results


def check_alike(first: Result, other: Result) -> None:
    mine, theirs = first.identity, other.identity
    unlike = [f"{key} {mine[key]} against {theirs[key]}" for key in mine if mine[key] != theirs[key]]
    if unlike:
        raise PyrovaeError(
            f"cannot compare {first.name} with {other.name}: {'; '.join(unlike)}",
            hint="compare runs on the same data that estimate the same quantity",
        )


def draw_rate_distortion(directories: Sequence[Path], path: Path) -> Path:
    """Draws rate against distortion of runs on the same data, each under its beta and name, and returns the path.

    Raises:
        PyrovaeError: Runs differ in data or base measure, or have no rate.
    """
    results = alike(directories)
    without = [result.name for result in results if "rate" not in result.numbers]
    if without:
        raise PyrovaeError(f"{without[0]} has no rate", hint="a point posterior has no density and so no rate")
    rates, distortions = ([result.numbers[key] for result in results] for key in ("rate", "distortion"))
    names = [f"beta {final_beta(result.experiment)}, {result.name}" for result in results]
    save(rate_distortion(rates, distortions, names=names), path)
    return path


def final_beta(configuration: Mapping[str, Any]) -> str:
    """Returns the beta that an experiment ends with; of a schedule its last value."""
    beta = configuration.get("objective", {}).get("beta", 1.0)
    return f"{beta.get('value', 1.0) if isinstance(beta, Mapping) else beta:g}"
