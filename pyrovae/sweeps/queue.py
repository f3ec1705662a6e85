"""Who runs what: trials of a study, claimed one at a time under the sweep's lock, given back when their worker dies.

A trial holds ``values`` (what is swept), ``runs`` (hashes of its configurations, the names of their directories),
``worker``, and in the end ``losses``, ``minutes`` and ``measured``, or ``error``. A trial that was given back is told
as failed and followed by one that says so: ``again``, its number, and ``deaths``, how many workers died in it.
"""

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pyrovae.configuration import Experiment
from pyrovae.errors import PyrovaeError
from pyrovae.sweeps.comparable import unlike
from pyrovae.sweeps.folder import JOURNAL, SWEEP, opened, queue_lock, trial_lock
from pyrovae.sweeps.journal import Lock, import_optuna, open_study
from pyrovae.sweeps.plan import Plan, read
from pyrovae.sweeps.proposals import distributions, proposed, sampler

DEATHS = 3  # workers that may die in a trial before it counts as failed: it may be what kills them


@dataclass(frozen=True)
class Task:
    """A trial that this process has claimed.

    Attributes:
        trial: Optuna's.
        lock: Held until the trial is told; the others know by it that its worker is alive.
        experiments: What to run, by the names of the directories.
    """

    trial: Any
    lock: Lock
    experiments: dict[str, Experiment]


@dataclass(frozen=True)
class Result:
    """What a finished run says.

    Attributes:
        loss: On validation data, of the epoch that was kept, in nats per datum.
        minutes: Of training.
        measured: What the loss is of, see :mod:`pyrovae.sweeps.comparable`.
    """

    loss: float
    minutes: float
    measured: dict[str, str]


class Queue:
    """The trials of a sweep's folder.

    Args:
        folder: It holds a sweep file, see :func:`pyrovae.sweeps.folder.settle`.

    Raises:
        PyrovaeError: It holds none, or Optuna is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.states = opened(folder), import_optuna().trial.TrialState
        self.lock = queue_lock(folder)
        self.study = open_study(folder / JOURNAL, self.lock)

    def plan(self) -> Plan:
        """Returns the sweep as it stands: cells may have been added since the last look."""
        return read(self.folder / SWEEP)

    def every(self) -> list[Any]:
        """Returns Optuna's frozen trials, whatever became of them."""
        return list(self.study.get_trials(deepcopy=False))

    def trials(self) -> list[Any]:
        """Returns the trials that count: of those that were given back the last one."""
        every = self.every()
        followed = {trial.user_attrs.get("again") for trial in every}
        return [trial for trial in every if trial.number not in followed]

    def total(self) -> int:
        """Returns how many trials there are in the end: the cells of a grid, which are all queued, or the proposals."""
        search = self.plan().search
        return len(self.trials()) if search is None else int(search["trials"])

    def running(self) -> list[Any]:
        return [trial for trial in self.trials() if trial.state == self.states.RUNNING]

    def fill(self) -> None:
        """Adds the cells of a grid that are not there yet, and another try for each trial that has failed."""
        with self.lock:
            trials = self.trials()
            known = {name for trial in trials for name in trial.user_attrs.get("runs", [])}
            for trial in trials:
                if trial.state == self.states.FAIL and trial.user_attrs.get("runs"):
                    self.follow(trial, deaths=0)
            for name, values in self.plan().cells().items():
                if name not in known:
                    self.study.enqueue_trial({}, user_attrs={"values": values, "runs": [name]})

    def claim(self) -> Task | None:
        """Takes the next trial, or nothing where none is left but those that others are at."""
        with self.lock:
            self.bury()
            plan, task = self.plan(), None
            while task is None and self.any_to_claim(plan):
                task = self.ask(plan)
            return task

    def any_to_claim(self, plan: Plan) -> bool:
        trials = self.trials()
        waiting = any(trial.state == self.states.WAITING for trial in trials)
        return waiting or (plan.search is not None and len(trials) < int(plan.search["trials"]))

    def ask(self, plan: Plan) -> Task | None:
        """Takes a trial that is waiting, or a new proposal; nothing if it turns out that it cannot be run."""
        self.study.sampler = sampler(plan.sampler_seed, len(self.every()))
        trial = self.study.ask(distributions(plan))
        task = Task(trial, trial_lock(self.folder, trial.number), {})
        task.lock.wait()
        trial.set_user_attr("worker", f"process {os.getpid()} on {socket.gethostname()}")
        try:
            if trial.user_attrs.get("deaths", 0) >= DEATHS:
                raise PyrovaeError(f"{DEATHS} workers have died in it: is there memory enough?")
            self.prepare(plan, task)
        except PyrovaeError as error:
            self.fail(task, error)
            return None
        return task

    def prepare(self, plan: Plan, task: Task) -> None:
        """Finds out what a trial runs, and writes into a new proposal what that is.

        Raises:
            PyrovaeError: A proposal is no experiment.
        """
        asked, wanted = task.trial.user_attrs, task.trial.user_attrs.get("runs")
        values = asked.get("values") or proposed(plan, task.trial.params)
        task.trial.set_user_attr("values", values)
        made = plan.experiments(values)
        if wanted and list(made) != wanted:  # keys may have moved between the grid and the rest of the file
            made = plan.experiments(plan.cells().get(wanted[0], values))
        task.trial.set_user_attr("runs", wanted or list(made))
        task.experiments.update(made)

    def bury(self) -> None:
        """Gives back the trials whose workers are dead: nobody holds their locks."""
        counting = {trial.number for trial in self.running()}
        for trial in self.every():
            if trial.state == self.states.RUNNING and not self.alive(trial):
                if trial.number in counting:
                    self.follow(trial, deaths=trial.user_attrs.get("deaths", 0) + 1)
                self.study.tell(trial.number, state=self.states.FAIL)

    def alive(self, trial: Any) -> bool:
        """Tells whether a process holds a trial."""
        lock = trial_lock(self.folder, trial.number)
        with self.lock:  # who claims a trial must not find its lock taken
            if lock.take():
                lock.release()
                return False
            return True

    def follow(self, trial: Any, deaths: int) -> None:
        """Queues a trial once more; done before the old one is told, so that a death in between loses nothing."""
        kept = {name: trial.user_attrs[name] for name in ("values", "runs") if name in trial.user_attrs}
        attributes = kept | {"again": trial.number, "deaths": deaths}
        self.study.enqueue_trial(dict(trial.params), user_attrs=attributes)

    def give_back(self, task: Task) -> None:
        """Lets somebody else go on with a trial."""
        with self.lock:
            self.follow(task.trial, deaths=task.trial.user_attrs.get("deaths", 0))
            self.tell(task, state=self.states.FAIL)

    def fail(self, task: Task, error: Exception) -> None:
        """Keeps why a trial has failed."""
        kind = "" if isinstance(error, PyrovaeError) else f"{type(error).__name__}: "
        with self.lock:
            task.trial.set_user_attr("error", kind + " ".join(str(error).split()))
            self.tell(task, state=self.states.FAIL)

    def finish(self, task: Task, results: list[Result]) -> None:
        """Keeps what came out; the mean over seeds is what a search minimises."""
        with self.lock:
            task.trial.set_user_attr("losses", [result.loss for result in results])
            task.trial.set_user_attr("minutes", [result.minutes for result in results])
            task.trial.set_user_attr("measured", results[0].measured)
            if reason := self.useless(results):
                self.fail(task, PyrovaeError(reason))
            else:
                self.tell(task, mean(results))

    def useless(self, results: list[Result]) -> str:
        """Says why losses cannot be minimised, if so; what a grid cannot compare is said under its table."""
        if not np.isfinite(mean(results)):
            return f"its validation loss is {mean(results)}"
        done = [trial for trial in self.trials() if trial.state == self.states.COMPLETE]
        if self.plan().search is None or not done:
            return ""
        found = unlike(results[0].measured, done[0].user_attrs["measured"])
        return f"its loss is of another kind than that of trial {done[0].number}: {'; '.join(found)}" if found else ""

    def tell(self, task: Task, value: float | None = None, state: Any = None) -> None:
        self.study.tell(task.trial, value, state)
        task.lock.release()

    def behind(self, task: Task) -> bool:
        """Tells whether an earlier trial runs the same just now: a search may propose a thing twice."""
        mine = task.trial
        return any(
            trial.number < mine.number and trial.user_attrs.get("runs") == mine.user_attrs["runs"]
            for trial in self.running()
        )


def mean(results: list[Result]) -> float:
    return float(np.mean([result.loss for result in results]))
