"""Where numbers stopped being numbers: the programs run once more, with every check on, and the first culprit named."""

from typing import Any

import pyro
import torch
from pyro import poutine
from torch import Tensor

from pyrovae.data import Dataset
from pyrovae.densities import random_sites
from pyrovae.seeding import restore_generators, torch_generators
from pyrovae.training.tracing import trainable

SHOWN = 5  # rows that a message names
DATA = "the data are not finite"
MEND = "repair these rows, or leave their batches out with train.nonfinite = 'skip'"


def diagnose(loop: Any, index: Tensor) -> str:
    """Names the site, or the parameters, where a batch's loss or gradient is not finite.

    The generators are set back to before the step, so that the draws are those that failed, and left as they were.
    """
    own, noise = loop.processes.share(index), torch_generators()
    restore_generators(loop.before)
    batch = loop.batch(index)
    found = culprit(loop.state.module, *numbered(loop.dataset, own), *batch)
    restore_generators(noise)
    return found or gradients_of(loop.state.engine)


def numbered(dataset: Dataset, index: Tensor) -> tuple[Tensor, str]:
    """Returns the numbers by which the user knows training data, and of what: of the file they stay in, if they do."""
    rows = dataset.train.rows
    return (index, "") if rows is None else (rows[index], " of the file")


def culprit(module: Any, rows: Tensor, source: str, *batch: Tensor) -> str:
    """Names the data, or the first site of guide or model, that are not finite, by their rows; nothing if all are."""
    x = batch[0].nan_to_num(0, torch.inf, -torch.inf) if getattr(module, "missing", False) else batch[0]
    if not x.isfinite().all():
        return f"{DATA}: {named(x, rows, source)}"
    if not hasattr(module, "guide"):
        return ""
    try:
        with torch.no_grad(), pyro.get_param_store().scope(), pyro.validation_enabled(is_validate=False):
            guide = poutine.trace(module.guide).get_trace(*batch)
            model = poutine.trace(poutine.replay(module.model, trace=guide)).get_trace(*batch)
            for program, trace in (("guide", guide), ("model", model)):
                trace.compute_log_prob()
                for name, site in random_sites(trace).items():
                    for what, value in (("value", site["value"]), ("log density", site["log_prob"])):
                        if not value.isfinite().all():
                            where = f"{what} of site '{name}' of the {program}"
                            return f"{where} is not finite for {named(value, rows, source)}"
    except (ValueError, RuntimeError) as error:  # Pyro and torch refuse what they can
        return next(iter(str(error).splitlines()), type(error).__name__)
    return ""


def named(value: Tensor, rows: Tensor, source: str = "") -> str:
    """Names the data that are not finite by their rows, of the training set unless another source is named.

    Example:
        >>> named(torch.tensor([0.0, torch.nan, torch.inf]), torch.tensor([7, 5, 9]))
        '2 of 3 data (rows 5, 9)'
    """
    bad = rows[~value.isfinite().reshape(len(rows), -1).all(1).cpu()].tolist()
    more = ", ..." if len(bad) > SHOWN else ""
    return f"{len(bad)} of {len(rows)} data (rows {', '.join(map(str, bad[:SHOWN]))}{more}{source})"


def gradients_of(engine: Any) -> str:
    """Says that all sites are finite and the gradient is not."""
    grads = {name: p.grad for name, p in trainable(engine.module).items() if p.grad is not None}
    names = [name for name, grad in grads.items() if not grad.isfinite().all()]
    if not names:
        return "every number of one draw is finite"
    return f"every number is finite, the gradient of {len(names)} parameters is not: {', '.join(names[:SHOWN])}"
