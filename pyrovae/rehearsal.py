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
from pyrovae.data import Dataset
from pyrovae.experiment import prepare
from pyrovae.objectives import Objective
from pyrovae.vae import VAE, as_batch

STEPS = 5  # timed, after one that warms up


def rehearse(experiment: Experiment, data_dir: Path | None = None) -> str:
    """Returns the resolved configuration, the parts with their parameter counts, and estimated memory and time.

    Raises:
        PyrovaeError: Whatever ``run`` would refuse.
    """
    made = prepare(experiment, data_dir)
    experiment, dataset, vae = made.experiment, made.dataset, made.vae
    parts = {"prior": vae.prior, "likelihood": vae.likelihood, "posterior": vae.posterior}
    train = experiment.sections["train"]
    steps = train["epochs"] * math.ceil(len(dataset.train) / train["batch_size"])
    seconds = step_seconds(vae, dataset, made.objective, train["batch_size"])
    return "\n".join(
        [
            tomli_w.dumps(experiment.to_dict()),
            *(f"{name}: {type(part).__name__}, {count(part):,} parameters" for name, part in parts.items()),
            f"together: {count(vae):,} parameters (shared ones counted once)",
            f"memory: {peak_memory():.1f} GB after {STEPS + 1} steps",
            f"time: about {steps * seconds / 60:.1f} min of training ({steps:,} steps of {1e3 * seconds:.1f} ms)",
        ]
    )


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def step_seconds(vae: VAE, dataset: Dataset, objective: Objective, batch_size: int) -> float:
    """Returns the median time of a training step, data included."""
    optimizer = torch.optim.Adam(vae.parameters(), lr=1e-6)
    times = []
    with pyro.get_param_store().scope():
        for _ in range(STEPS + 1):
            started = perf_counter()
            optimizer.zero_grad()
            objective.loss_and_grads(vae.model, vae.guide, *as_batch(vae, *dataset.batch(torch.arange(batch_size))))
            optimizer.step()
            times.append(perf_counter() - started)
    return median(times[1:])


def peak_memory() -> float:
    """Returns the most memory this process has held, in GB; kilobytes are what Linux counts in, bytes macOS."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e9 if sys.platform == "darwin" else 1e6)
