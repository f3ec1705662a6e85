"""A worker: claims trials of a sweep's folder until none is left, and makes a run directory of each configuration."""

import signal
import sys
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Any

import torch

from pyrovae import checkpoints, running, runs, storage
from pyrovae.configuration import Experiment
from pyrovae.errors import Interrupted, PyrovaeError
from pyrovae.sweeps.comparable import measured
from pyrovae.sweeps.queue import Queue, Result, Task

PAUSE = 1.0  # seconds between two looks at a queue that has nothing to do


def work(folder: Path, data_dir: Path | None = None, device: str = "cpu") -> int:
    """Runs trials until all of the sweep are finished, those of other workers too: theirs are taken over if they die.

    Args:
        folder: Of the sweep.
        data_dir: Where data are looked for first.
        device: Where runs are trained.

    Returns:
        Number of trials that this worker has ended.

    Raises:
        PyrovaeError: The folder holds no sweep, or one of another version of this program.
        Interrupted: A signal came in the middle of a training, whose state is saved.
        SystemExit: A signal came elsewhere.
    """
    queue, later, ended = Queue(folder), deque[Task](), 0
    with signals():
        try:
            while (task := next_task(queue, later)) is not None:
                if carry_out(queue, task, data_dir, device):
                    ended += 1
                else:
                    later.append(task)
        finally:
            for task in later:
                queue.give_back(task)
    return ended


def next_task(queue: Queue, later: deque[Task]) -> Task | None:
    """Returns a task of the queue, then one that has to be tried again, and nothing once nobody runs any."""
    while True:
        if (task := queue.claim()) is not None:
            return task
        if not later and not queue.running():
            return None
        sleep(PAUSE)
        if later:
            return later.popleft()


def carry_out(queue: Queue, task: Task, data_dir: Path | None, device: str) -> bool:
    """Runs a trial and tells what came out, or returns false where its runs are in use."""
    if queue.behind(task):
        return False
    print(f"trial {task.trial.number}: {task.trial.user_attrs['values']}", file=sys.stderr, flush=True)
    try:
        check_version(task)
        results = [finished(queue.folder / name, one, data_dir, device) for name, one in task.experiments.items()]
    except (Interrupted, SystemExit, KeyboardInterrupt, OtherVersionError):
        queue.give_back(task)
        raise
    except PyrovaeError as error:
        if error.exit_code == runs.BUSY:
            return False
        queue.fail(task, error)
    except Exception as error:  # one trial's trouble, such as memory, is not the sweep's
        traceback.print_exc()
        queue.fail(task, error)
    else:
        queue.finish(task, results)
    return True


class OtherVersionError(PyrovaeError):
    """A worker whose program makes other configurations than the one that has filled the queue."""


def check_version(task: Task) -> None:
    """Refuses to run another configuration than was asked for."""
    wanted, made = task.trial.user_attrs["runs"], list(task.experiments)
    if made != wanted:
        reason = f"this pyrovae reads the sweep otherwise: run {made[0]} is {wanted[0]} where the sweep was started"
        raise OtherVersionError(reason, hint="use one version of pyrovae on all machines")


def finished(directory: Path, experiment: Experiment, data_dir: Path | None, device: str) -> Result:
    """Returns what a run says, after all that is missing of it was done."""
    if not (directory / runs.EVALUATION).exists():
        complete(directory, experiment, data_dir, device)
    return result(directory)


def complete(directory: Path, experiment: Experiment, data_dir: Path | None, device: str) -> None:
    """Starts a run, or goes on with it on as many threads as it began with."""
    own = torch.get_num_threads()
    if not (directory / runs.MANIFEST).exists():
        clear(directory)
        running.run(experiment, directory, data_dir, device=device, figures=False)
        return
    torch.set_num_threads(runs.carried_out(directory)["threads"] or own)
    try:
        running.resume(directory, data_dir=data_dir, device=device, figures=False)
    finally:
        torch.set_num_threads(own)


def clear(directory: Path) -> None:
    """Removes what a worker has left that was killed while it began a run."""
    if directory.is_dir():
        with runs.locked(directory):
            (directory / runs.EXPERIMENT).unlink(missing_ok=True)


def result(directory: Path) -> Result:
    """Returns what a finished run says of its validation data; test data have no say."""
    epoch = checkpoints.read(directory / checkpoints.BEST, "weights")["epoch"]
    rows = {row["epoch"]: row for row in storage.read_rows(directory / runs.METRICS)}
    minutes = storage.read_json(directory / runs.MANIFEST, "training_minutes")["training_minutes"]
    return Result(rows[epoch]["validation_loss"], minutes, measured(directory))


@contextmanager
def signals() -> Iterator[None]:
    """Makes SIGINT and SIGTERM end the process by an exception; a training takes them itself, and saves its state."""

    def stop(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
