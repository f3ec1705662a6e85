"""The table of a sweep: a row for each combination, mean and standard deviation over the seeds of training."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import Any

from pyrovae.checks import format_table
from pyrovae.sweeps.comparable import unlike
from pyrovae.sweeps.options import label
from pyrovae.sweeps.plan import Values
from pyrovae.sweeps.queue import Queue

LOSS = "validation loss, nats per datum"
NOTE = (
    "The validation loss is that of the epoch whose weights were kept; less is better, and test data have selected "
    "nothing. ± is the standard deviation over seeds of training."
)
STATES = {"WAITING": "waiting", "RUNNING": "running", "COMPLETE": "finished", "FAIL": "failed"}


@dataclass
class Row:
    """One combination of values and what its trials say, a trial for each seed or one for all of them."""

    values: Values
    trials: list[Any] = field(default_factory=list)

    def numbers(self, name: str) -> list[float]:
        """Returns losses or minutes of the runs that are finished, each once: a search may propose a thing twice."""
        done = [trial.user_attrs for trial in self.trials if state(trial) == "finished"]
        return list(
            {run: number for told in done for run, number in zip(told["runs"], told[name], strict=True)}.values()
        )

    @property
    def loss(self) -> float:
        """The mean over seeds, where all of them are finished."""
        unfinished = any(state(trial) != "finished" for trial in self.trials)
        return math.inf if unfinished else mean(self.numbers("losses"))

    def cells(self) -> dict[str, str]:
        """Returns what the table shows, by column."""
        minutes = self.numbers("minutes")
        names = dict.fromkeys(name for trial in self.trials for name in trial.user_attrs.get("runs", []))
        return {
            **{key: label(value) for key, value in self.values.items()},
            LOSS: spread_of(self.numbers("losses")),
            "minutes a run": f"{mean(minutes):.2f}" if minutes else "-",
            "state": states(self.trials),
            "runs": ", ".join(names),
        }


def state(trial: Any) -> str:
    return STATES[trial.state.name]


def spread_of(losses: list[float]) -> str:
    """Returns mean and standard deviation, as far as there are any.

    Example:
        >>> spread_of([90.0, 92.0]), spread_of([90.0]), spread_of([])
        ('91.00 ± 1.41', '90.00', '-')
    """
    if not losses:
        return "-"
    return f"{mean(losses):.2f}" + (f" ± {stdev(losses):.2f}" if len(losses) > 1 else "")


def states(trials: Iterable[Any]) -> str:
    """Says how far the trials of a row are, and why one has failed."""
    counts = Counter(map(state, trials))
    words = [f"{count} {name}" if len(counts) > 1 else name for name, count in counts.items()]
    reasons = {trial.user_attrs["error"]: None for trial in trials if "error" in trial.user_attrs}
    return ", ".join(words) + "".join(f": {reason}" for reason in reasons)


def rows_of(trials: Iterable[Any]) -> list[Row]:
    """Returns a row for each combination of values, best first; what is not finished comes last."""
    rows: dict[tuple[str, ...], Row] = {}
    for trial in trials:
        values = {key: value for key, value in trial.user_attrs.get("values", {}).items() if key != "seed"}
        rows.setdefault(tuple(f"{key}={label(value)}" for key, value in values.items()), Row(values)).trials.append(
            trial
        )
    return sorted(rows.values(), key=lambda row: row.loss)


def table(queue: Queue) -> str:
    """Returns all that is known of a sweep, in Markdown."""
    trials = queue.trials()
    done = [trial for trial in trials if state(trial) == "finished"]
    title = f"Sweep {queue.folder.resolve().name}: {len(done)} of {queue.total()} trials finished"
    further = f"Test data: pyrovae compare {queue.folder}/RUN ...; pictures: pyrovae figures {queue.folder}/RUN"
    return "\n".join([title, "", *lines(rows_of(trials)), "", NOTE, further, *warning(done), *stopped(queue)])


def lines(rows: list[Row]) -> list[str]:
    if not rows:
        return ["No trial has begun."]
    cells = [row.cells() for row in rows]
    columns = list(dict.fromkeys(column for row in cells for column in row))
    # Columns that only some rows have, of several grids, come before those that all have.
    columns.sort(key=lambda column: "." not in column)
    texts = [[row.get(column, "-").replace("|", "\\|") for column in columns] for row in cells]
    aligned = format_table([columns, ["---"] * len(columns), *texts]).splitlines()
    width = max(map(len, aligned))
    return [f"| {line.ljust(width)} |" for line in aligned]


def warning(done: list[Any]) -> list[str]:
    """Says that losses of unlike kind stand in one table."""
    kinds = [trial.user_attrs["measured"] for trial in done]
    found = dict.fromkeys(text for kind in kinds[1:] for text in unlike(kinds[0], kind))
    return [f"Losses of unlike kind, not to be compared: {'; '.join(found)}."] if found else []


def stopped(queue: Queue) -> list[str]:
    """Says of how many trials that were begun the workers are dead."""
    dead = sum(not queue.alive(trial) for trial in queue.running())
    return (
        [f"Nobody runs {dead} of the trials that are called running: start a worker, and it goes on."] if dead else []
    )
