"""What takes one training step: our own loop's, or ``pyro.infer.SVI`` word for word. Both give the same weights.

An engine is called with a batch and returns the loss summed over it. Both count learning-rate schedules in steps.
"""

import math
from collections.abc import Callable
from typing import Any

import pyro
import torch
from pyro import infer
from torch import Tensor

from pyrovae.errors import PyrovaeError
from pyrovae.schedules import Schedule
from pyrovae.vae import VAE

Step = Callable[..., float]
# Ours or Pyro's: all have `loss` and `loss_and_grads`, which their common base class does not declare.
AnyObjective = Any
REMEDY = "lower train.learning_rate, or set train.clip = 10.0"


def eager(vae: VAE, objective: AnyObjective, learning_rate: Schedule, clip: float | None) -> Step:
    """Returns a step of torch's Adam; the norm of the gradient per datum is clipped at ``clip``."""
    parameters = [p for p in vae.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=1.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, learning_rate)

    def step(*batch: Tensor) -> float:
        optimizer.zero_grad()
        loss: float = objective.loss_and_grads(vae.model, vae.guide, *batch)
        check_finite(loss)
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(parameters, clip * len(batch[0]))
        optimizer.step()
        scheduler.step()
        return loss

    return step


def svi(vae: VAE, objective: AnyObjective, learning_rate: Schedule, clip: float | None) -> Step:
    """Returns ``pyro.infer.SVI(...).step``."""
    if clip is not None:
        raise PyrovaeError("train.clip with train.engine = 'svi'", hint="Pyro clips per parameter: use engine 'eager'")
    optimizer = pyro.optim.LambdaLR(  # type: ignore[attr-defined]  # made from torch's at import
        {"optimizer": torch.optim.Adam, "optim_args": {"lr": 1.0}, "lr_lambda": learning_rate}
    )
    inference = infer.SVI(vae.model, vae.guide, optimizer, loss=objective)

    def step(*batch: Tensor) -> float:
        loss: Any = inference.step(*batch)
        check_finite(loss)
        optimizer.step()
        return float(loss)

    return step


def check_finite(loss: float) -> None:
    if not math.isfinite(loss):
        raise PyrovaeError(f"loss became {loss}", hint=REMEDY)


ENGINES: dict[str, Callable[[VAE, AnyObjective, Schedule, float | None], Step]] = {"eager": eager, "svi": svi}
