"""What goes around a training's state: batches, records, checkpoints, and what happens when a step fails."""

import copy
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from pyrovae.checkpoints import Checkpoints
from pyrovae.data import Dataset
from pyrovae.data.permutation import Permutation
from pyrovae.errors import Interrupted, PyrovaeError
from pyrovae.objectives.criterion import Criterion
from pyrovae.schedules import Schedule
from pyrovae.seeding import torch_generators
from pyrovae.training.batches import batch_of
from pyrovae.training.diagnosis import DATA, MEND, diagnose
from pyrovae.training.engines import AnyObjective, NonFiniteError, at_fault
from pyrovae.training.history import Record
from pyrovae.training.monitor import collapse, show
from pyrovae.training.processes import Processes
from pyrovae.training.state import State

# Takes module, data, objective and seed, returns numbers by name, `validation_loss` among them.
Validate = Callable[[Any, Dataset, AnyObjective, int], Record]
BLOCK = 2**15  # rows of an epoch whose order is computed at once
PATIENCE = 10  # batches in a row that may be skipped, and times that a training may go back


@dataclass
class Loop:
    """A training that goes on from its state, whatever that is.

    Attributes:
        state: What the training is made of; all else here stays as it is.
        validate: Gives an epoch's numbers, see :func:`pyrovae.training.monitor.validate`.
        rate_at: The learning rate of a step, for the record.
        nonfinite: What to do where loss or gradient are not finite, see ``fit``.
        checkpoint_every: Steps between states that are kept, besides those of each epoch.
        on_epoch: Called with each epoch's record.
        stop: Number of the signal that asks for an end, or 0.
    """

    state: State
    dataset: Dataset
    objective: AnyObjective
    seed: int
    validate: Validate
    rate_at: Schedule
    batch_size: int
    nonfinite: str
    checkpoint_every: int | None
    checkpoints: Checkpoints | None
    on_epoch: Callable[[Record], None]
    stop: Callable[[], int]
    processes: Processes

    def __post_init__(self) -> None:
        self.before: dict[str, Any] = {}  # generators, before the step
        self.kept: dict[str, Any] = {}  # the state that a rewind goes back to
        self.warned = False

    def run(self, epochs: int) -> None:
        """Trains up to this epoch, or until selection says that it is enough."""
        state, first = self.state, self.processes.first
        self.started = monotonic() - state.seconds
        self.remember(state.kept)
        with tqdm(
            total=epochs, initial=state.epoch - 1, desc="training", unit="epoch", disable=None if first else True
        ) as bar:
            while state.epoch <= epochs and not state.selection.stopped:
                self.run_epoch()
                record, error = self.processes.told(self.judged_record() if first else None)
                if record is None:
                    self.spoiled(NonFiniteError(error))
                    continue
                state.next_epoch(record)
                self.save()
                if first:
                    self.keep_best(record)
                    self.on_epoch(record)
                    self.tell(bar, record)
                self.obey()

    def run_epoch(self) -> None:
        """Takes the batches of the epoch that are still to come; a rewind may bring some of them back."""
        state, epoch = self.state, self.state.epoch
        state.module.train()
        order = Order(self.seed, epoch, len(self.dataset.train), self.batch_size)
        while state.batches < len(order):
            index = order[state.batches]
            try:
                self.take(index)
            except NonFiniteError as error:
                self.recover(index, error)
            else:
                state.in_a_row = 0
            if self.checkpoint_every and state.step % self.checkpoint_every == 0:
                self.save()
            self.obey()

    def take(self, index: Tensor) -> None:
        """Takes a step on this process's share of a batch."""
        state = self.state
        self.before = torch_generators()
        batch = self.batch(index)
        with at_fault():
            loss = state.engine.step(*batch)
        state.count(index, loss)
        if state.averaged is not None:
            state.averaged.update_parameters(state.module)

    def batch(self, index: Tensor) -> tuple[Tensor, ...]:
        """Returns this process's share of a batch."""
        return batch_of(self.state.module, self.dataset, self.objective, self.processes.share(index))

    def judged_record(self) -> tuple[Record | None, str]:
        """Returns the epoch's numbers, or why there are none: a last step may leave weights that score no datum."""
        try:
            with at_fault():
                record = self.record()
        except NonFiniteError as error:
            return None, str(error)
        return (None, "validation loss became nan") if math.isnan(record["validation_loss"]) else (record, "")

    def record(self) -> Record:
        """Returns the epoch's numbers."""
        state, last = self.state, self.state.step - 1
        state.seconds = monotonic() - self.started
        return {
            "epoch": state.epoch,
            "step": state.step,
            "beta": self.objective.schedule(last) if isinstance(self.objective, Criterion) else 1.0,
            "learning_rate": state.engine.factor * self.rate_at(last),
            "train_loss": state.loss / max(1, state.rows),
            **self.validate(state.judged, self.dataset, self.objective, self.seed),
            **({"skipped": state.skipped} if state.skipped else {}),
            **({"rewinds": state.rewinds} if state.rewinds else {}),
            "seconds": state.seconds,
        }

    def tell(self, bar: "tqdm[Any]", record: Record) -> None:
        """Shows the epoch, and once that the posterior has collapsed."""
        bar.update()
        show(bar, record)
        if not self.warned and record["step"] >= self.state.selection.warmup and (reason := collapse(record)):
            self.warned = True
            tqdm.write(f"warning: {reason}", file=sys.stderr)

    def save(self) -> None:
        """Keeps the state, where there is a place for it."""
        if self.checkpoints is not None:
            self.state.seconds = monotonic() - self.started
            content = self.state.to_dict(self.processes)
            if self.processes.first:
                self.checkpoints.save(content)
        self.remember()

    def keep_best(self, record: Record) -> None:
        """Writes the weights that ``load`` takes where this epoch's are the best so far."""
        selection = self.state.selection
        if self.checkpoints is not None and selection.epoch == record["epoch"]:
            self.checkpoints.keep_best(selection.weights, record["epoch"], record["step"])

    def remember(self, kept: dict[str, Any] | None = None) -> None:
        """Keeps in memory what a rewind goes back to: the state as it is, or what was kept before a signal came."""
        if self.nonfinite == "rewind":
            self.kept = kept or copy.deepcopy(self.state.to_dict(self.processes))
        self.state.kept = {}

    def obey(self) -> None:
        """Saves and raises where a signal has asked for an end; all processes do at the same step."""
        signal = self.processes.any(self.stop())
        if signal:
            self.state.kept = self.kept
            self.save()
            count = self.processes.count
            several = f"launch --processes {count} " if count > 1 else ""
            there = self.checkpoints and f"pyrovae {several}resume {self.checkpoints.directory}"
            raise Interrupted(signal, self.state.step, there or "")

    def recover(self, index: Tensor, error: NonFiniteError) -> None:
        """Does what was asked for where a step failed; the weights are those of the step before."""
        self.state.in_a_row += 1
        if self.nonfinite == "skip" and self.state.in_a_row <= PATIENCE:
            self.state.skip()
        elif self.nonfinite == "rewind" and self.state.rewinds < PATIENCE:
            self.rewind(error)
        else:
            self.give_up(index, error)

    def spoiled(self, error: NonFiniteError) -> None:
        """Goes back, or gives up, where an epoch has left weights that are of no use: there is no batch to skip."""
        if self.nonfinite == "rewind" and self.state.rewinds < PATIENCE:
            self.rewind(error)
        else:
            order = Order(self.seed, self.state.epoch, len(self.dataset.train), self.batch_size)
            self.give_up(order[len(order) - 1], error)

    def rewind(self, error: NonFiniteError) -> None:
        """Goes back to the state that was kept last, with half its learning rate."""
        state, rewinds, factor = self.state, self.state.rewinds + 1, self.state.engine.factor / 2
        failed = state.step + 1
        state.load(copy.deepcopy(self.kept), self.processes)
        state.rewinds, state.engine.factor = rewinds, factor
        if self.processes.first:
            text = f"{error} at step {failed}; back to step {state.step} with {factor:g} of the learning rate"
            tqdm.write(f"warning: {text}", file=sys.stderr)
        self.save()

    def give_up(self, index: Tensor, error: NonFiniteError) -> None:
        """Names what was not finite, keeps what reproduces it, and raises."""
        state = self.state
        where = f"at step {state.step + 1} (epoch {state.epoch})"
        details: dict[str, Any] = {"step": state.step + 1, "epoch": state.epoch, "seed": self.seed}
        details |= {"reason": str(error), "site": diagnose(self, index), "rows": index.tolist()}
        hint = MEND if details["site"].startswith(DATA) else error.hint
        if self.checkpoints is not None:
            content = self.state.to_dict(self.processes)
            before = self.processes.gathered(self.before)
            content["generators"] = [now | then for now, then in zip(content["generators"], before, strict=True)]
            hint = f"{self.keep_failure(self.checkpoints, content, details)}; {hint}"
        raise PyrovaeError(f"{error} {where}: {details['site']}", hint=hint) from None

    def keep_failure(self, checkpoints: Checkpoints, content: dict[str, Any], details: dict[str, Any]) -> str:
        """Keeps what reproduces a failure and says how, or why it cannot be kept."""
        try:
            if self.processes.first:
                checkpoints.fail(content, details)
        except PyrovaeError as unwritten:
            return str(unwritten)
        return f"pyrovae replay {checkpoints.directory} shows it again"


class Order:
    """The batches of an epoch, a function of (seed, epoch) alone: any of them can be had without the others.

    Example:
        >>> order = Order(0, 1, 5, 2)
        >>> len(order), torch.cat([order[i] for i in range(3)]).sort().values
        (3, tensor([0, 1, 2, 3, 4]))
    """

    def __init__(self, seed: int, epoch: int, size: int, batch_size: int) -> None:
        self.rows, self.batch_size = Permutation(size, (seed, epoch)), batch_size
        self.length = max(1, BLOCK // batch_size)
        self.known: dict[int, tuple[Tensor, ...]] = {}

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, batch: int) -> Tensor:
        block, place = divmod(batch, self.length)
        if block not in self.known:
            self.known = {block: self.batches(block)}
        return self.known[block][place]

    def batches(self, block: int) -> tuple[Tensor, ...]:
        """Computes many batches at once, which costs little more than one does."""
        first = block * self.length * self.batch_size
        last = min(first + self.length * self.batch_size, len(self.rows))
        return self.rows[torch.arange(first, last)].split(self.batch_size)
