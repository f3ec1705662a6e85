"""The contenders that a user could write: a VAE in plain PyTorch, and one as the Pyro tutorials do, with `SVI`.

Written to be fast: the bytes stay in memory, a batch is indexed and binarised in bytes, the likelihood is the
numerically stable sum from logits. The divergence is sampled with one particle, as in all contenders but pythae.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import pairwise
from typing import Any

import pyro
import torch
from pictures import PIXELS, Setting
from pyro.distributions import Bernoulli, Normal
from pyro.infer import SVI, Trace_ELBO
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

RATE = 1e-3
Epoch = Callable[[], float]


def perceptron(*sizes: int) -> nn.Sequential:
    """Returns linear maps between layers of these sizes, with ReLU between them."""
    layers = [part for pair in pairwise(sizes) for part in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def networks(setting: Setting) -> tuple[nn.Sequential, nn.Sequential]:
    """Returns encoder, to location and log scale, and decoder, to logits."""
    encoder = perceptron(PIXELS, *setting.hidden, 2 * setting.latent)
    return encoder, perceptron(setting.latent, *reversed(setting.hidden), PIXELS)


def batches(pixels: Tensor, batch: int) -> Iterator[Tensor]:
    """Yields an epoch of shuffled batches, zeros and ones drawn from the bytes, exactly: u is uniform on 0..254."""
    for index in torch.randperm(len(pixels)).split(batch):
        rows = pixels.index_select(0, index)
        yield (torch.randint(0, 255, rows.shape, dtype=torch.uint8) < rows).float()


class PlainVAE(nn.Module):
    """Returns minus the evidence lower bound, summed over a batch."""

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.encoder, self.decoder = networks(setting)

    def forward(self, x: Tensor) -> Tensor:
        loc, log_scale = self.encoder(x).chunk(2, -1)
        noise = torch.randn_like(loc)
        z = loc + log_scale.exp() * noise
        divergence = 0.5 * (z.square() - noise.square()).sum() - log_scale.sum()
        return divergence + binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")


def plain(pixels: Tensor, setting: Setting, *, fused: bool, compiled_bf16: bool = False) -> Epoch:
    """Returns an epoch of the plain VAE with torch's Adam."""
    vae = PlainVAE(setting)
    optimizer = torch.optim.Adam(vae.parameters(), RATE, fused=fused)
    loss_of: Any = torch.compile(vae) if compiled_bf16 else vae
    precision: Any = torch.autocast("cpu", torch.bfloat16) if compiled_bf16 else nullcontext()

    def step(x: Tensor) -> float:
        optimizer.zero_grad()
        with precision:
            loss = loss_of(x)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return lambda: sum(step(x) for x in batches(pixels, setting.batch))


class Recipe(nn.Module):
    """Model and guide as one writes them by hand."""

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.encoder, self.decoder = networks(setting)
        self.latent = setting.latent

    def model(self, x: Tensor) -> None:
        pyro.module("decoder", self.decoder)
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", Normal(x.new_zeros(len(x), self.latent), 1.0).to_event(1))
            pyro.sample("x", Bernoulli(logits=self.decoder(z)).to_event(1), obs=x)

    def guide(self, x: Tensor) -> None:
        pyro.module("encoder", self.encoder)
        with pyro.plate("data", len(x)):
            loc, log_scale = self.encoder(x).chunk(2, -1)
            pyro.sample("z", Normal(loc, log_scale.exp()).to_event(1))


def recipe(pixels: Tensor, setting: Setting) -> Epoch:
    """Returns an epoch of `SVI.step`, with Pyro's checks on, as they are unless one turns them off."""
    vae, store = Recipe(setting), pyro.get_param_store()
    svi = SVI(vae.model, vae.guide, pyro.optim.Adam({"lr": RATE}), Trace_ELBO())
    with store.scope() as state:
        pass  # of its own: the store is global, and pyrovae's contenders use it too

    def epoch() -> float:
        with store.scope(state):
            return sum(float(svi.step(x)) for x in batches(pixels, setting.batch))

    return epoch
