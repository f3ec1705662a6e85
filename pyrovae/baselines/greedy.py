"""What trains a stack of autoencoders: each layer alone, from the first to the last, then all with the heads."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pyrovae.baselines.stacked import StackedAutoencoder
from pyrovae.objectives.criterion import Criterion


class Greedy(Criterion):
    r"""Greedy layer-wise pretraining and then fine-tuning (Hinton et al., 2006; Vincent et al., 2010).

    Layer k learns to reconstruct what the layers below, which stay as they are, make of x. In fine-tuning the loss of a
    datum is

    .. math:: -\log p(y \mid x) + w \, \| v(x) - v \|^2

    with v the place, see :class:`StackedAutoencoder`. Only fine-tuning is looked at by selection.

    Args:
        layers: How many the stack has.
        size: Training data.
        batch_size: Data a step.
        pretrain: Epochs for each layer.
        location: The weight w.

    Example:
        >>> criterion = Greedy(3, 1000, 100, pretrain=2)
        >>> criterion.phase(0), criterion.phase(19), criterion.phase(20), criterion.phase(60), criterion.warmup
        (0, 0, 1, 3, 61)
    """

    traceable = False
    reads_targets = True

    def __init__(self, layers: int, size: int, batch_size: int, *, pretrain: int = 5, location: float = 1.0) -> None:
        self.layers, self.location = layers, location
        self.length = pretrain * math.ceil(size / batch_size)
        # The epoch that ends with this step has trained the last layer and no head yet.
        self.warmup = layers * self.length + 1 if pretrain else 0

    def phase(self, step: int) -> int:
        """Returns the layer that a step trains; the number of layers in fine-tuning."""
        return min(self.layers, step // self.length) if self.length else self.layers

    def restarts(self, step: int) -> bool:
        """Tells whether a phase begins: the gradients of the one before are of another size."""
        return self.phase(step) != self.phase(step - 1)

    def batch_loss(self, module: StackedAutoencoder, *batch: Any, beta: float | Tensor | None = None) -> Tensor:  # type: ignore[override]  # of one kind of module
        """Returns the loss of the step's phase, summed over the batch."""
        return self.loss_of(self.phase(self.step), module, *batch)

    def loss_of(self, phase: int, module: StackedAutoencoder, x: Tensor, y: Tensor, degrees: Tensor) -> Tensor:
        """Returns the loss of a phase, summed over the batch."""
        if phase < self.layers:
            with torch.no_grad():
                codes = module.codes(x, phase)
            loss: Tensor = module.layers[phase].reconstruction_loss(codes)  # type: ignore[operator]
            return loss
        logits, place = module(x)
        errors = (place - module.scaled(degrees)).square().sum()
        return cross_entropy(logits, y, reduction="sum") + self.location * errors
