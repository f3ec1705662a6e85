"""The contenders of pyrovae: only this file knows how `fit` makes an engine and goes through its data."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pyro
import torch
from pictures import PIXELS, Setting
from torch import Tensor, nn

from pyrovae import ELBO, MLP, VAE, Bernoulli, Dataset, DiagonalNormal, Split, StandardNormal
from pyrovae.training.engines import ENGINES
from pyrovae.training.fit import ignore, never
from pyrovae.training.loop import Loop, Order
from pyrovae.training.monitor import validate
from pyrovae.training.processes import ALONE
from pyrovae.training.state import Selection, State

RATE = 1e-3


def make_vae(setting: Setting, prior: nn.Module | None = None, pixels: int = PIXELS) -> VAE:
    """Returns a VAE of zeros and ones, by default with a standard normal prior."""
    network: Any = partial(MLP, hidden=list(setting.hidden))
    parts = Bernoulli(network, setting.latent, (pixels,)), DiagonalNormal(network, setting.latent, (pixels,))
    return VAE(prior or StandardNormal(setting.latent), *parts)


def make_data(pixels: Tensor) -> Dataset:
    """Returns these bytes as training rows, drawn as zeros and ones at each visit; the other splits are not read."""
    rest = Split(pixels[:1] // 255)
    return Dataset("pictures", Split(pixels), rest, rest, "binary", max_level=255, binarize="dynamic")


class Training:
    """A VAE in training, which goes on each time that it is asked to.

    Args:
        vae: The VAE; its parameters are changed.
        data: Its data.
        batch: Data a step.
        particles: Draws of z per datum.
        engine: Name of the engine.
        options: Of the engine, `precision` and `compile`.
    """

    def __init__(
        self, vae: VAE, data: Dataset, batch: int, *, particles: int = 1, engine: str = "traced", **options: Any
    ) -> None:
        objective = ELBO(particles=particles)
        with pyro.get_param_store().scope() as self.store:
            made = ENGINES[engine](vae, objective, rate, None, **options)
        self.loop = Loop(
            state=State(vae, made, None, Selection(0, None)),
            dataset=data,
            objective=objective,
            seed=0,
            validate=validate,
            rate_at=rate,
            batch_size=batch,
            nonfinite="stop",
            checkpoint_every=None,
            checkpoints=None,
            on_epoch=ignore,
            stop=never,
            processes=ALONE,
        )

    def order(self) -> Order:
        """Returns the batches of the next epoch."""
        self.loop.state.epoch += 1
        return Order(0, self.loop.state.epoch, len(self.loop.dataset.train), self.loop.batch_size)

    def steps(self, count: int | None = None) -> float:
        """Takes so many batches of the next epoch, all by default; returns their summed loss."""
        order, before = self.order(), self.loop.state.loss
        with pyro.get_param_store().scope(self.store):
            for batch in range(len(order) if count is None else count):
                self.loop.take(order[batch])
        return self.loop.state.loss - before


def rate(step: int) -> float:
    """Returns the learning rate of a step."""
    return RATE


def pyrovae_epoch(
    pixels: Tensor, setting: Setting, engine: str, *, parts: int = 1, **options: Any
) -> Callable[[], float]:
    """Returns an epoch as `fit` runs it, without the validation after it, or the first of so many parts of one."""
    torch.manual_seed(0)
    training = Training(make_vae(setting), make_data(pixels), setting.batch, engine=engine, **options)
    return partial(training.steps, max(1, len(training.order()) // parts))
