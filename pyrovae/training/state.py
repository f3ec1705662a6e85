"""Everything a training must remember to go on as if nothing had happened, as tensors and plain values."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from pyrovae.seeding import generators, restore_generators
from pyrovae.training.engines import Engine
from pyrovae.training.history import History, Record
from pyrovae.training.processes import Processes

COUNTS = ("epoch", "batches", "rows", "loss", "skipped", "in_a_row", "rewinds", "seconds", "kept")


class Selection:
    """Keeps the weights that were best on validation data, counted after the warm-up."""

    def __init__(self, warmup: float, patience: int | None) -> None:
        self.warmup, self.patience = warmup, patience
        self.best, self.epoch, self.last = math.inf, 0, 0
        self.weights: dict[str, Tensor] = {}

    def take(self, record: Record, module: nn.Module) -> None:
        """Takes notice of an epoch."""
        if record["step"] < self.warmup:
            return
        self.last = record["epoch"]
        if record["validation_loss"] < self.best:
            self.best, self.epoch = record["validation_loss"], record["epoch"]
            self.weights = copy.deepcopy(module.state_dict())

    @property
    def stopped(self) -> bool:
        """Whether validation has not improved for as many epochs as patience lasts."""
        return self.patience is not None and self.last - self.epoch >= self.patience

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "epoch": self.epoch, "last": self.last, "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self.epoch, self.last = state["best"], state["epoch"], state["last"]
        self.weights = dict(state["weights"])


@dataclass
class State:
    """A training between two steps.

    Attributes:
        module: What is trained; its weights are those of the last step.
        engine: Owns the optimizer and counts the steps.
        averaged: The moving average of the weights, where there is one.
        selection: The best weights so far.
        history: One record per epoch that has ended.
        epoch: The epoch that is under way.
        batches: How many batches of it were taken.
        rows, loss: How many data they had that counted, and their summed loss.
        skipped: Batches of the epoch that were left out because loss or gradient were not finite.
        in_a_row: Steps before the next one whose loss or gradient were not finite.
        rewinds: How often the training went back.
        seconds: Spent on it so far.
        kept: What a rewind goes back to, where that is not this state: a signal has come since.
    """

    module: nn.Module
    engine: Engine
    averaged: AveragedModel | None
    selection: Selection
    history: History = field(default_factory=History)
    epoch: int = 1
    batches: int = 0
    rows: int = 0
    loss: float = 0.0
    skipped: int = 0
    in_a_row: int = 0
    rewinds: int = 0
    seconds: float = 0.0
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def step(self) -> int:
        """Steps taken."""
        return self.engine.count

    @property
    def judged(self) -> nn.Module:
        """The module with the weights that are judged and kept, the average where there is one."""
        return self.module if self.averaged is None else self.averaged.module

    def count(self, index: Tensor, loss: float) -> None:
        """Adds a batch and its summed loss to the epoch."""
        self.batches, self.rows, self.loss = self.batches + 1, self.rows + len(index), self.loss + loss

    def skip(self) -> None:
        """Leaves a batch out: it counts as a step of every schedule, and its data as not seen."""
        self.engine.move_on()
        self.batches, self.skipped = self.batches + 1, self.skipped + 1

    def next_epoch(self, record: Record) -> None:
        """Closes an epoch with its record."""
        self.history.records.append(record)
        self.selection.take(record, self.judged)
        self.epoch, self.batches, self.rows, self.loss, self.skipped = self.epoch + 1, 0, 0, 0.0, 0

    def to_dict(self, processes: Processes) -> dict[str, Any]:
        """Returns the state as a checkpoint holds it; every process must call it, for its generators."""
        noise = processes.gathered(generators())
        return {name: getattr(self, name) for name in COUNTS} | {
            "step": self.step,
            "weights": self.module.state_dict(),
            "averaged": None if self.averaged is None else self.averaged.state_dict(),
            "engine": self.engine.state_dict(),
            "selection": self.selection.state_dict(),
            "records": self.history.records,
            "generators": noise,
        }

    def load(self, content: Mapping[str, Any], processes: Processes) -> None:
        """Takes over a state, in place, and the generators of this process with it.

        Raises:
            RuntimeError: It is the state of another model.
        """
        self.module.load_state_dict(content["weights"])
        if self.averaged is not None:
            self.averaged.load_state_dict(content["averaged"])
        self.engine.load_state_dict(content["engine"])
        self.selection.load_state_dict(content["selection"])
        self.history.records = list(content["records"])
        for name in COUNTS:
            setattr(self, name, content[name])
        if processes.rank < len(content["generators"]):
            restore_generators(content["generators"][processes.rank])
