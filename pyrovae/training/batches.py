"""The rows of a step."""

from typing import Any

from torch import Tensor, nn

from pyrovae.data import Dataset
from pyrovae.vae import as_batch


def batch_of(module: nn.Module, dataset: Dataset, objective: Any, index: Tensor) -> tuple[Tensor, ...]:
    """Returns training rows as an objective reads them, on the module's device: x, labels, and targets if it asks."""
    asked = {"targets": True} if getattr(objective, "reads_targets", False) else {}
    return as_batch(module, *dataset.batch(index, **asked))
