"""A step that failed, taken again: same weights, same batch, same noise, every check on."""

from collections.abc import Mapping
from typing import Any

import pyro
import torch
from torch import Tensor, nn

from pyrovae.data import Dataset
from pyrovae.objectives.criterion import Criterion
from pyrovae.seeding import restore_generators
from pyrovae.training.batches import batch_of
from pyrovae.training.diagnosis import culprit, gradients_of, numbered
from pyrovae.training.engines import ENGINES, AnyObjective, NonFiniteError, at_fault
from pyrovae.training.processes import Processes
from pyrovae.vae import freezing_is_meant


def replay_step(
    module: nn.Module,
    dataset: Dataset,
    objective: AnyObjective,
    train: Mapping[str, Any],
    state: Mapping[str, Any],
    rows: Tensor,
) -> str:
    """Takes a failed step again, each process's share after the other, and returns what it says.

    Args:
        module: What was trained; its weights become those of the state.
        dataset: The run's data.
        objective: The run's objective.
        train: Options of the run's training.
        state: The state before the step, as ``Checkpoints.failed`` returns it.
        rows: The batch, as rows of the training data.

    Returns:
        What was not finite, or that everything was.
    """
    module.load_state_dict(state["weights"])
    module.train()
    count = len(state["generators"])
    lines = []
    with pyro.get_param_store().scope(), freezing_is_meant():
        for rank, generators in enumerate(state["generators"]):
            index = Processes(rank, count).share(rows)
            engine = ENGINES["eager"](module, objective, lambda step: 0.0, None, precision=train["precision"])
            engine.count = state["engine"]["count"]  # its optimizer, any engine's, is of no matter at a rate of 0
            if isinstance(objective, Criterion):
                objective.step = engine.count
            restore_generators(generators)
            batch = batch_of(module, dataset, objective, index)
            noise = torch.get_rng_state()
            try:
                with at_fault():
                    found = f"loss {engine.step(*batch) / len(index):.4f} nats per datum, all finite"
            except NonFiniteError as error:
                torch.set_rng_state(noise)
                found = f"{error}: {culprit(module, *numbered(dataset, index), *batch) or gradients_of(engine)}"
            where = f" (process {rank + 1} of {count})" if count > 1 else ""
            lines.append(f"step {state['step'] + 1}, epoch {state['epoch']}{where}: {found}")
    return "\n".join(lines)
