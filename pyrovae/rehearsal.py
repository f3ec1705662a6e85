"""The dry run: what ``run`` would refuse is refused, a few real steps are taken and timed, and nothing is kept."""

import math
import resource
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

import pyro
import tomli_w
import torch
from torch import nn

from pyrovae.configuration import Experiment
from pyrovae.experiment import Prepared, prepare
from pyrovae.training.batches import batch_of
from pyrovae.training.engines import ENGINES

WARM, STEPS = 4, 5  # a graph is traced and checked first, then steps are timed


def rehearse(experiment: Experiment, data_dir: Path | None = None, device: str = "cpu") -> str:
    """Returns the resolved configuration, the parts with their parameter counts, and estimated memory and time.

    Raises:
        PyrovaeError: Whatever ``run`` would refuse.
    """
    made = prepare(experiment, data_dir, device)
    experiment, dataset, module = made.experiment, made.dataset, made.module
    train = experiment.sections["train"]
    steps = train["epochs"] * math.ceil(len(dataset.train) / train["batch_size"])
    seconds = step_seconds(made)
    return "\n".join(
        [
            tomli_w.dumps(experiment.to_dict()),
            *(f"{name}: {type(part).__name__}, {count(part):,} parameters" for name, part in module.named_children()),
            f"together: {count(module):,} parameters (shared ones counted once)",
            f"memory: {peak_memory():.1f} GB after {WARM + STEPS} steps",
            f"time: about {steps * seconds / 60:.1f} min of training ({steps:,} steps of {1e3 * seconds:.1f} ms)",
        ]
    )


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def step_seconds(made: Prepared) -> float:
    """Returns the median time of a training step of the chosen engine, data included; nothing is learned."""
    train = made.experiment.sections["train"]
    options = {"precision": train["precision"], "compile": train["compile"]}
    index, times = torch.arange(train["batch_size"]), []
    with pyro.get_param_store().scope():
        engine = ENGINES[train["engine"]](made.module, made.objective, lambda step: 1e-6, train["clip"], **options)
        for _ in range(WARM + STEPS):
            started = perf_counter()
            engine.step(*batch_of(made.module, made.dataset, made.objective, index))
            times.append(perf_counter() - started)
    return median(times[WARM:])


def peak_memory() -> float:
    """Returns the most memory this process has held, in GB; kilobytes are what Linux counts in, bytes macOS."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e9 if sys.platform == "darwin" else 1e6)
