"""What ``pyrovae sweep run`` does: starts workers on this machine, watches them, and says what came out."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Any

import torch

from pyrovae import runs, storage
from pyrovae.errors import PyrovaeError
from pyrovae.interrupts import Interrupts
from pyrovae.sweeps.folder import TABLE, settle
from pyrovae.sweeps.journal import import_optuna
from pyrovae.sweeps.plan import check, read
from pyrovae.sweeps.queue import Queue
from pyrovae.sweeps.results import Row, state, table

PAUSE = 0.5  # seconds between two looks at the workers
Worker = subprocess.Popen[bytes]


def prepare(file: Path, root: Path, name: str | None = None) -> Path:
    """Returns the folder of a sweep, in which all that is to be run is queued.

    Args:
        file: The sweep file.
        root: Folder of the runs.
        name: Of the sweep, by default the file's.

    Raises:
        PyrovaeError: The file says what cannot be, or the folder holds something else.
    """
    import_optuna()
    plan = read(file)
    check(plan)
    folder = root / runs.checked_name(name or file.stem)
    settle(plan, folder)
    Queue(folder).fill()
    return folder


def run(folder: Path, workers: int, options: Sequence[str] = ()) -> int:
    """Starts workers, waits until the sweep is finished and returns the number of the signal that came before, or 0.

    Args:
        folder: Of the sweep.
        workers: How many processes.
        options: Of ``pyrovae sweep worker``.
    """
    progress = Progress(Queue(folder))
    with started(folder, min(workers, progress.left), options) as processes, Interrupts() as stop:
        watch(processes, progress, stop)
        return stop()


def watch(processes: Sequence[Worker], progress: "Progress", stop: Interrupts) -> None:
    """Tells how far the sweep is while its workers run, and hands on the signal that ends them."""
    asked = False
    while any(process.poll() is None for process in processes):
        sleep(PAUSE)
        progress.tell()
        if stop() and not asked:
            asked = True
            ask_to_stop(processes)
    progress.tell()


@contextmanager
def started(folder: Path, workers: int, options: Sequence[str]) -> Iterator[list[Worker]]:
    """Starts workers; those that still run when the block is left are asked to stop."""
    processes: list[Worker] = []
    try:
        for number in range(1, workers + 1):
            processes.append(start(folder, number, workers, options))
        yield processes
    finally:
        ask_to_stop(processes)


def start(folder: Path, number: int, workers: int, options: Sequence[str]) -> Worker:
    """Starts a worker on its share of this machine's threads, in a session of its own: Ctrl-C comes once, from here."""
    environment = {"OMP_NUM_THREADS": str(max(1, torch.get_num_threads() // workers))} | os.environ
    command = [sys.executable, "-m", "pyrovae", "sweep", "worker", str(folder), *options]
    with log_of(folder, number).open("ab") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )


def log_of(folder: Path, number: int) -> Path:
    return folder / f"worker-{socket.gethostname()}-{number}.log"


def ask_to_stop(processes: Sequence[Worker]) -> None:
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)


class Progress:
    """Writes a line for each trial that ends, of whatever worker, to standard error."""

    def __init__(self, queue: Queue) -> None:
        self.queue, self.total = queue, queue.total()
        self.told = {trial.number for trial in self.ended()}
        print(f"{len(self.told)} of {self.total} trials were run before; logs are in {queue.folder}", file=sys.stderr)

    @property
    def left(self) -> int:
        """How many trials have not ended."""
        return self.total - len(self.told)

    def ended(self) -> list[Any]:
        return [trial for trial in self.queue.trials() if trial.state.is_finished()]

    def tell(self) -> None:
        for trial in self.ended():
            if trial.number not in self.told:
                self.told.add(trial.number)
                print(f"{len(self.told)}/{self.total} {line(trial)}", file=sys.stderr)


def line(trial: Any) -> str:
    """Returns a trial on one line: its values, its loss and the minutes it took."""
    cells = Row({}, [trial]).cells()
    values = ", ".join(f"{key} = {value}" for key, value in trial.user_attrs.get("values", {}).items())
    if state(trial) != "finished":
        return f"{values}: {cells['state']}"
    loss, minutes = trial.value, sum(trial.user_attrs["minutes"])
    return f"{values}: validation loss {loss:.2f} nats per datum, {minutes:.2f} min"


def show(folder: Path) -> str:
    """Returns the table of a sweep."""
    return table(Queue(folder))


def conclude(folder: Path, stopped: int) -> None:
    """Keeps the table in the folder, and raises unless all trials are finished.

    Raises:
        PyrovaeError: A signal came (the exit code is 128 more), workers died, or trials have failed.
    """
    queue = Queue(folder)
    storage.write(folder / TABLE, (table(queue) + "\n").encode())
    states = [state(trial) for trial in queue.trials()]
    done, failed, total = states.count("finished"), states.count("failed"), queue.total()
    again = f"the same command goes on; the logs of the workers are in {folder}"
    if done + failed < total:
        code = 128 + stopped if stopped else 1
        why = "interrupted" if stopped else "the workers ended"
        raise PyrovaeError(f"{why} with {total - done - failed} of {total} trials to do", hint=again, exit_code=code)
    if failed:
        raise PyrovaeError(f"{failed} of {total} trials failed", hint=f"to try them again, {again}")
