"""Training: one function; data order is a function of (seed, epoch), selection looks at validation data at beta = 1."""

import math
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import pyro
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pyrovae.allocator import keep_freed_memory
from pyrovae.checkpoints import Checkpoints, foreign
from pyrovae.checks import check_combination
from pyrovae.data import Dataset
from pyrovae.errors import PyrovaeError, did_you_mean
from pyrovae.objectives.criterion import Criterion
from pyrovae.ranges import Range
from pyrovae.schedules import RateSpec, make_schedule
from pyrovae.seeding import rank_seed, seed_all
from pyrovae.training.engines import ENGINES, AnyObjective, Precision
from pyrovae.training.history import History, Record
from pyrovae.training.loop import Loop, Validate
from pyrovae.training.monitor import validate
from pyrovae.training.processes import Processes, current
from pyrovae.training.state import Selection, State
from pyrovae.vae import freezing_is_meant


@freezing_is_meant()
def fit(
    module: nn.Module,
    dataset: Dataset,
    objective: AnyObjective,
    seed: int = 0,
    on_epoch: Callable[[Record], None] | None = None,
    checkpoints: Checkpoints | None = None,
    stop: Callable[[], int] | None = None,
    check: Callable[[Any, Dataset, Any], None] = check_combination,
    validate: Validate = validate,
    *,
    epochs: int = 100,
    batch_size: int = 128,
    learning_rate: RateSpec = 1e-3,
    clip: float | None = None,
    ema: Annotated[float, Range(0, 1, open_high=True)] | None = None,
    patience: int | None = None,
    engine: Literal["traced", "eager", "svi"] = "traced",
    precision: Precision = "fp32",
    compile: bool = False,  # the name of torch's own function
    nonfinite: Literal["stop", "skip", "rewind"] = "stop",
    checkpoint_every: int | None = None,
) -> History:
    """Trains a VAE and leaves it with the weights of the epoch that was best on validation data.

    Another system is trained likewise, by a criterion of its own.

    Selection and early stopping read the bound at beta = 1, from the first epoch at which the schedule of beta has
    ended; if it never ends, the last weights stay and a warning is printed. Progress is a bar on a terminal, one line
    an epoch elsewhere. Pyro's parameter store is left as it was.

    With checkpoints the training goes on from the newest one, if there is any, and then equals one that was never
    interrupted to the last bit, on the same machine, with the same versions and number of threads.

    Args:
        module: The VAE; its parameters are changed.
        dataset: Its data; labels are given to the programs where it has them.
        objective: One of :data:`pyrovae.OBJECTIVES`, Pyro's own ``Trace_ELBO`` and relatives, which know no beta, or
            the criterion of another system.
        seed: Of data order and noise.
        on_epoch: Called with each epoch's record.
        checkpoints: Where the state is kept after every epoch, and taken from.
        stop: Asked after every step and every epoch; a number above 0, a signal's, saves the state and raises
            ``Interrupted``.
        check: Refuses what does not fit together.
        validate: Gives an epoch's numbers of validation data; ``validation_loss`` among them is selected by.
        epochs: Passes over the training data.
        batch_size: Data a step, of all processes together; the last batch of an epoch may be smaller.
        learning_rate: Of Adam, a number or a schedule (over the whole training unless it says ``steps``).
        clip: Largest norm of the gradient per datum.
        ema: Decay of an exponential moving average of the weights, which then is judged and kept.
        patience: Stop after so many epochs without a better validation bound.
        engine: ``"traced"`` replays loss and gradients as one flat graph, ``"eager"`` runs the programs at every step,
            ``"svi"`` is ``pyro.infer.SVI`` itself.
        precision: ``"bf16"`` computes the products of networks in bfloat16, all else in float32.
        compile: Compile the traced graph, which takes a C++ compiler and up to a minute.
        nonfinite: Where loss or gradient are not finite: ``"stop"`` before a weight is touched, ``"skip"`` the batch,
            or ``"rewind"`` to the last epoch with half the learning rate.
        checkpoint_every: Keep the state every so many steps too.

    Raises:
        PyrovaeError: Data that the likelihood cannot score, fewer rows than a batch, or a loss that is not finite.
        Interrupted: ``stop`` asked for it; the state is saved.

    Example:
        >>> from pyrovae import DATA, ELBO, MLP, VAE, Bernoulli, DiagonalNormal, StandardNormal
        >>> digits = DATA["digits"]()
        >>> shape = digits.event_shape
        >>> vae = VAE(StandardNormal(2), Bernoulli(MLP, 2, shape), DiagonalNormal(MLP, 2, shape))
        >>> history = fit(vae, digits, ELBO(), epochs=2)
        >>> history["validation_loss"][0] > history["validation_loss"][1]
        True
    """
    keep_freed_memory()
    check_numbers(epochs=epochs, batch_size=batch_size, clip=clip, patience=patience, checkpoint_every=checkpoint_every)
    check_ema(ema)
    if engine not in ENGINES:
        raise PyrovaeError(f"unknown engine '{engine}'", hint=did_you_mean(engine, ENGINES), exit_code=2)
    check(module, dataset, objective)
    size, processes = len(dataset.train), current()
    check_size(size, batch_size)
    check_leftover(objective, size, batch_size, processes.count)
    total = epochs * math.ceil(size / batch_size)
    rate_at, _ = make_schedule(learning_rate, key="train.learning_rate", steps=total)
    if total < getattr(objective, "warmup", 0) < math.inf:
        print(f"warning: beta's schedule takes {objective.warmup} steps, the training {total}", file=sys.stderr)
    seed_all(rank_seed(seed, processes.rank))
    if isinstance(objective, Criterion):
        objective.step = 0  # its schedule starts with the training
    averaged = None if ema is None else AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(ema))
    with pyro.get_param_store().scope():
        processes.same_weights(module)
        numbers = {"precision": precision, "compile": compile, "processes": processes}
        state = State(
            module,
            ENGINES[engine](module, objective, rate_at, clip, **numbers),
            averaged,
            Selection(getattr(objective, "warmup", 0), patience),
        )
        if checkpoints is not None and (content := checkpoints.latest()) is not None:
            restore(state, content, processes, checkpoints)
        Loop(
            state=state,
            dataset=dataset,
            objective=objective,
            seed=seed,
            validate=validate,
            rate_at=rate_at,
            batch_size=batch_size,
            nonfinite=nonfinite,
            checkpoint_every=checkpoint_every,
            checkpoints=checkpoints,
            on_epoch=on_epoch or ignore,
            stop=stop or never,
            processes=processes,
        ).run(epochs)
    return finished(state)


def restore(state: State, content: Mapping[str, Any], processes: Processes, checkpoints: Checkpoints) -> None:
    """Takes over a state that was kept.

    Raises:
        PyrovaeError: It is the state of another model.
    """
    try:
        state.load(content, processes)
    except (RuntimeError, TypeError, KeyError, ValueError) as error:
        raise foreign(checkpoints.folder, error) from None


def finished(state: State) -> History:
    """Leaves the module with the weights that were selected."""
    module, selection = state.module, state.selection
    module.load_state_dict(selection.weights or state.judged.state_dict())
    module.eval()
    state.history.best = selection.epoch or len(state.history)
    if not selection.epoch and selection.warmup < math.inf:
        print(f"warning: beta's schedule did not end within {state.step} steps; kept the last weights", file=sys.stderr)
    return state.history


def check_numbers(**numbers: float | None) -> None:
    """Refuses numbers that would train nothing or another thing than was meant."""
    for name, value in numbers.items():
        if value is not None and value <= 0:
            raise PyrovaeError(f"train.{name} = {value:g}", hint="give a number above 0", exit_code=2)


def check_ema(ema: float | None) -> None:
    if ema is not None and not 0 <= ema < 1:
        raise PyrovaeError(f"train.ema = {ema:g}", hint="give a decay, 0 or more and below 1", exit_code=2)


def check_size(size: int, batch_size: int) -> None:
    if size < batch_size:
        raise PyrovaeError(f"{size} rows < batch size {batch_size}", hint=f"set train.batch_size to {size} or less")


def check_leftover(objective: AnyObjective, size: int, batch_size: int, processes: int = 1) -> None:
    """Refuses a last batch, or a share of it, too small for an objective that compares the data of a batch."""
    left, needed = size % batch_size or batch_size, getattr(objective, "smallest_batch", 1)
    if left // processes < needed and needed > 1:
        raise PyrovaeError(
            f"{size} rows in batches of {batch_size} leave {left} over, objective {objective!r} needs {needed}"
            f"{'' if processes == 1 else f' for each of {processes} processes'}",
            hint=f"set train.batch_size to {batch_size + 1}",
        )


def ignore(record: Record) -> None:
    """Does nothing with an epoch's record."""


def never() -> int:
    """Asks for no end."""
    return 0
