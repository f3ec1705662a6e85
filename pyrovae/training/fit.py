"""Training: one function; data order is a function of (seed, epoch), selection looks at validation data at beta = 1."""

import copy
import math
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Annotated, Literal, cast

import numpy as np
import pyro
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from pyrovae.checks import check_combination
from pyrovae.data import Dataset
from pyrovae.densities import densities
from pyrovae.errors import PyrovaeError, did_you_mean
from pyrovae.evaluation.evidence import batches
from pyrovae.objectives import Objective
from pyrovae.ranges import Range
from pyrovae.schedules import RateSpec, make_schedule
from pyrovae.seeding import seeded
from pyrovae.training.engines import ENGINES, REMEDY, AnyObjective
from pyrovae.training.history import History, Record
from pyrovae.vae import VAE, as_batch

CHUNK = 1000  # validation data at once, or draws of fewer data


def fit(
    vae: VAE,
    dataset: Dataset,
    objective: AnyObjective,
    seed: int = 0,
    on_epoch: Callable[[Record], None] | None = None,
    *,
    epochs: int = 100,
    batch_size: int = 128,
    learning_rate: RateSpec = 1e-3,
    clip: float | None = None,
    ema: Annotated[float, Range(0, 1, open_high=True)] | None = None,
    patience: int | None = None,
    engine: Literal["eager", "svi"] = "eager",
) -> History:
    """Trains a VAE and leaves it with the weights of the epoch that was best on validation data.

    Selection and early stopping read the bound at beta = 1, from the first epoch at which the schedule of beta has
    ended; if it never ends, the last weights stay and a warning is printed. Progress is a bar on a terminal, one line
    an epoch elsewhere. Pyro's parameter store is left as it was.

    Args:
        vae: The VAE; its parameters are changed.
        dataset: Its data; labels are given to the programs where it has them.
        objective: One of :data:`pyrovae.OBJECTIVES`, or Pyro's own ``Trace_ELBO`` and relatives, which know no beta.
        seed: Of data order and noise.
        on_epoch: Called with each epoch's record.
        epochs: Passes over the training data.
        batch_size: Data a step; the last batch of an epoch may be smaller.
        learning_rate: Of Adam, a number or a schedule (over the whole training unless it says ``steps``).
        clip: Largest norm of the gradient per datum.
        ema: Decay of an exponential moving average of the weights, which then is judged and kept.
        patience: Stop after so many epochs without a better validation bound.
        engine: ``"eager"``, or ``"svi"`` for ``pyro.infer.SVI`` itself.

    Raises:
        PyrovaeError: Data that the likelihood cannot score, fewer rows than a batch, or a loss that is not finite.
    """
    check_numbers(epochs=epochs, batch_size=batch_size, clip=clip, ema=ema, patience=patience)
    if engine not in ENGINES:
        raise PyrovaeError(f"unknown engine '{engine}'", hint=did_you_mean(engine, ENGINES), exit_code=2)
    check_combination(vae, dataset, objective)
    size = len(dataset.train)
    if size < batch_size:
        raise PyrovaeError(f"{size} rows < batch size {batch_size}", hint=f"set train.batch_size to {size} or less")
    check_leftover(objective, size, batch_size)
    total = epochs * math.ceil(size / batch_size)
    rate_at, _ = make_schedule(learning_rate, key="train.learning_rate", steps=total)
    if getattr(objective, "warmup", 0) > total:
        print(f"warning: beta's schedule takes {objective.warmup} steps, the training {total}", file=sys.stderr)
    torch.manual_seed(seed)
    if isinstance(objective, Objective):
        objective.step = 0  # its schedule starts with the training
    averaged = None if ema is None else AveragedModel(vae, multi_avg_fn=get_ema_multi_avg_fn(ema))
    judged = vae if averaged is None else cast(VAE, averaged.module)
    history, selection, started, count = History(), Selection(getattr(objective, "warmup", 0), patience), monotonic(), 0
    with pyro.get_param_store().scope():
        step = ENGINES[engine](vae, objective, rate_at, clip)
        bar = tqdm(range(1, epochs + 1), desc="training", unit="epoch", disable=None)
        for epoch in bar:
            vae.train()
            loss = 0.0
            for index in order(seed, epoch, size, batch_size):
                count += 1
                with located(f"at step {count} (epoch {epoch})"):
                    loss += step(*as_batch(vae, *dataset.batch(index)))
                if averaged is not None:
                    averaged.update_parameters(vae)
            record = {
                "epoch": epoch,
                "step": count,
                "beta": objective.schedule(count - 1) if isinstance(objective, Objective) else 1.0,
                "learning_rate": rate_at(count - 1),
                "train_loss": loss / size,
                **validate(judged, dataset, objective, seed),
                "seconds": monotonic() - started,
            }
            history.records.append(record)
            (on_epoch or ignore)(record)
            show(bar, record)
            if selection.stops(record, judged):
                break
    vae.load_state_dict(selection.weights or judged.state_dict())
    vae.eval()
    history.best = selection.epoch or len(history)
    if not selection.epoch:
        print(f"warning: beta's schedule did not end within {count} steps; kept the last weights", file=sys.stderr)
    return history


class Selection:
    """Keeps the weights that were best on validation data, counted after the warm-up."""

    def __init__(self, warmup: int, patience: int | None) -> None:
        self.warmup, self.patience = warmup, patience
        self.best, self.epoch = math.inf, 0
        self.weights: dict[str, Tensor] = {}

    def stops(self, record: Record, vae: VAE) -> bool:
        """Takes notice of an epoch; returns whether training should stop after it."""
        if record["step"] < self.warmup:
            return False
        if record["validation_loss"] < self.best:
            self.best, self.epoch = record["validation_loss"], record["epoch"]
            self.weights = copy.deepcopy(vae.state_dict())
        return self.patience is not None and record["epoch"] - self.epoch >= self.patience


def check_numbers(*, ema: float | None, **numbers: float | None) -> None:
    """Refuses numbers that would train nothing or another thing than was meant."""
    for name, value in numbers.items():
        if value is not None and value <= 0:
            raise PyrovaeError(f"train.{name} = {value:g}", hint="give a number above 0", exit_code=2)
    if ema is not None and not 0 <= ema < 1:
        raise PyrovaeError(f"train.ema = {ema:g}", hint="give a decay, 0 or more and below 1", exit_code=2)


def check_leftover(objective: AnyObjective, size: int, batch_size: int) -> None:
    """Refuses a last batch too small for an objective that compares the data of a batch."""
    left, needed = size % batch_size or batch_size, getattr(objective, "smallest_batch", 1)
    if left < needed:
        raise PyrovaeError(
            f"{size} rows in batches of {batch_size} leave {left} over, objective {objective!r} needs {needed}",
            hint=f"set train.batch_size to {batch_size + 1}",
        )


def order(seed: int, epoch: int, size: int, batch_size: int) -> Iterator[Tensor]:
    """Yields the rows of each batch of an epoch, a function of (seed, epoch) alone.

    Example:
        >>> torch.cat(list(order(0, 1, 5, 2))).sort().values
        tensor([0, 1, 2, 3, 4])
    """
    (state,) = np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)
    generator = torch.Generator().manual_seed(int(state) % 2**63)
    yield from torch.randperm(size, generator=generator).split(batch_size)


@contextmanager
def located(where: str) -> Iterator[None]:
    """Says where a loss stopped being a number; weights that overflow meet Pyro's own check before there is a loss."""
    try:
        yield
    except PyrovaeError as error:
        raise PyrovaeError(f"{error} {where}", hint=error.hint) from None
    except ValueError as error:
        if not re.search(r"\b(nan|inf)\b", str(error)):
            raise
        raise PyrovaeError(f"weights became non-finite {where}", hint=REMEDY) from error


@torch.no_grad()
def validate(vae: VAE, dataset: Dataset, objective: AnyObjective, seed: int) -> Record:
    """Returns minus the bound at beta = 1 and its terms for the validation data, by the same noise every time.

    For the sampled ELBO it is the sum of rate, distortion and label loss, -log p(y), exactly.
    """
    vae.eval()
    particles, sums = (
        objective.num_particles,
        dict.fromkeys(("validation_loss", "rate", "distortion", "label_loss"), 0.0),
    )
    with seeded(seed):
        for batch in batches(vae, *dataset.held_out("validation"), size=max(1, CHUNK // particles)):
            sites = densities(vae.model, vae.guide, *batch, particles=particles)
            ours = isinstance(objective, Objective)
            sums["validation_loss"] -= (
                objective.judged(sites).sum().item() if ours else -objective.loss(vae.model, vae.guide, *batch)
            )
            sums["rate"] += sites.divergence.mean(0).sum().item()
            sums["distortion"] -= sites.model["x"].log_prob.mean(0).sum().item()
            if "y" in sites.model:
                sums["label_loss"] -= sites.model["y"].log_prob.mean(0).sum().item()
    return {name: value / len(dataset.validation) for name, value in sums.items()}


def show(bar: "tqdm[int]", record: Record) -> None:
    """Writes the epoch beside the bar on a terminal, as a line elsewhere."""
    names = [
        "train_loss",
        "validation_loss",
        "rate",
        "distortion",
        *(["label_loss"] if record.get("label_loss") else []),
    ]
    text = ", ".join(f"{name} {record[name]:.2f}" for name in names)
    if bar.disable:
        print(f"epoch {record['epoch']}: {text} nats per datum", file=sys.stderr)
    else:
        bar.set_postfix_str(text)


def ignore(record: Record) -> None:
    """Does nothing with an epoch's record."""
