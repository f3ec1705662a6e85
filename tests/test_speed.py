"""What must stay cheap, as ratios of medians measured side by side: a lone time says nothing about another machine."""

from collections.abc import Callable
from statistics import median
from time import perf_counter

import pyro
import pytest
import torch
from pyro.distributions import Categorical, MixtureSameFamily, TorchDistribution
from torch import nn

from pyrovae import ELBO, MLP, VAE, Bernoulli, DiagonalNormal, GaussianMixture, StandardNormal

LATENT, EVENT, BATCH, REPEATS = 50, (784,), 256, 40


class PyrosMixture(GaussianMixture):
    """The same prior by Pyro's own mixture: the mutation that the measurement must catch."""

    def forward(self, y: torch.Tensor | None = None) -> TorchDistribution:
        return MixtureSameFamily(Categorical(logits=self.logits), self.components())


def step_of(prior: nn.Module) -> Callable[[], float]:
    """Returns a training step of 784-400-50 and back, batch 256, that tells how long it took."""

    def network(i: tuple[int, ...], o: tuple[int, ...], classes: int) -> MLP:
        return MLP(i, o, classes, hidden=[400])

    vae = VAE(prior, Bernoulli(network, LATENT, EVENT), DiagonalNormal(network, LATENT, EVENT))
    optimizer, objective = torch.optim.Adam(vae.parameters()), ELBO()
    x = torch.rand(BATCH, *EVENT).round()

    def step() -> float:
        started = perf_counter()
        optimizer.zero_grad()
        objective.loss_and_grads(vae.model, vae.guide, x)
        optimizer.step()
        return perf_counter() - started

    return step


def ratios(*priors: nn.Module) -> list[float]:
    """Returns the median step of each prior over that of the first, the priors taking turns."""
    steps = [step_of(prior) for prior in priors]
    with pyro.get_param_store().scope():
        times = [[step() for step in steps] for _ in range(REPEATS)]
    medians = [median(column[5:]) for column in zip(*times, strict=True)]
    return [value / medians[0] for value in medians]


@pytest.mark.slow
def test_five_hundred_components_cost_at_most_half_a_step_more() -> None:
    torch.manual_seed(0)
    mixture, pyros = (kind(LATENT, components=500) for kind in (GaussianMixture, PyrosMixture))
    _, ours, theirs = ratios(StandardNormal(LATENT), mixture, pyros)
    assert ours < 1.5
    assert theirs > 1.5
