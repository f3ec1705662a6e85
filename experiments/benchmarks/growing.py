"""What `growth.py` lets grow: training steps of one network in many sizes, and the operations that each must cost."""

from itertools import pairwise
from typing import NamedTuple

import torch
from ours import Training, make_data, make_vae
from pictures import PIXELS, Setting

from pyrovae import GaussianMixture

WORK = 20 * 256  # data times draws that a measurement goes through, in 3 to 100 steps

FORMULA = """\
Operations are multiply-adds a row in a training step, `3 E - e + P (3 D + 6 L K)`: E and D are the sums of inputs
times outputs over the layers of encoder and decoder, each needed once forwards and twice backwards, for weights and
for inputs; e is the encoder's first layer, whose inputs are data and need no gradient; P particles each go through
the decoder; the density of K diagonal components in L dimensions is two products of size L K."""


class Case(NamedTuple):
    """A training step of a network with one hidden layer; no components are a standard normal prior."""

    batch: int = 256
    particles: int = 1
    components: int = 0
    latent: int = 50
    hidden: int = 400

    @property
    def steps(self) -> int:
        """How many steps a measurement takes, so that all take about as long."""
        return max(3, min(100, WORK // (self.batch * self.particles)))

    @property
    def rows(self) -> int:
        return self.steps * self.batch

    def operations(self) -> int:
        """Returns multiply-adds a row, see the formula above."""
        encoder = [first * second for first, second in pairwise((PIXELS, self.hidden, 2 * self.latent))]
        decoder = [first * second for first, second in pairwise((self.latent, self.hidden, PIXELS))]
        a_particle = 3 * sum(decoder) + 6 * self.latent * self.components
        return 3 * sum(encoder) - encoder[0] + self.particles * a_particle

    def training(self, engine: str) -> Training:
        """Returns a training with as many rows, of noise, as a measurement takes."""
        pixels = torch.randint(256, (self.rows, PIXELS), dtype=torch.uint8)
        vae = make_vae(
            Setting((self.hidden,), self.latent, self.batch),
            GaussianMixture(self.latent, components=self.components) if self.components else None,
        )
        return Training(vae, make_data(pixels), self.batch, particles=self.particles, engine=engine)


def series(base: Case, **values: list[int]) -> dict[str, list[Case]]:
    """Returns the cases in which one number at a time differs from the base, which comes first."""
    return {name: [base, *(base._replace(**{name: n}) for n in numbers)] for name, numbers in values.items()}


SERIES = series(
    Case(), batch=[32, 512, 2048], particles=[4, 16, 64], components=[1, 100, 500, 2000], latent=[2, 10, 256]
)
QUICK = series(Case(batch=128, hidden=8), particles=[64], components=[500])
