"""What a model makes of codes that are drawn blindly, and the real data beside which it is judged.

Codes come from the prior, or from the *box* of training codes, uniform between the smallest and the largest of each
dimension: what an autoencoder, whose flat prior has no draws, leaves to who wants data from it.
"""

from dataclasses import replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from pyrovae.data import Dataset
from pyrovae.evaluation.evidence import batches, pieces
from pyrovae.evaluation.judged import Judged, NotApplicable
from pyrovae.evaluation.latent import CHUNK as ENCODED
from pyrovae.vae import VAE, filled, is_proper

FEWEST = 50  # data on each side, below which nothing is said
CHUNK = 200  # samples decoded at once

Source = Literal["prior", "box"]


class Sets(NamedTuple):
    """As many test data, samples and their means E[x | z], of shape ``(n, *event_shape)``, and more training data."""

    data: Tensor
    samples: Tensor
    means: Tensor
    training: Tensor


class Box(NamedTuple):
    """Where codes lie: the smallest and the largest of each dimension, shape ``(latent_dim,)``, of so many codes.

    Example:
        >>> z = Box(torch.tensor([0.0, 5.0]), torch.tensor([1.0, 5.0]), 10).draw(100)
        >>> z.shape, bool((z[:, 0] < 1).all()), z[:, 1].unique()
        (torch.Size([100, 2]), True, tensor([5.]))
    """

    low: Tensor
    high: Tensor
    size: int

    def draw(self, count: int) -> Tensor:
        """Returns uniform codes, shape ``(count, latent_dim)``."""
        return self.low + (self.high - self.low) * torch.rand(count, *self.low.shape).to(self.low)

    def __str__(self) -> str:
        return f"codes are uniform in the box of {self.size} training codes, smallest to largest of each dimension"


def source_of(judged: Judged, wanted: Source | None, training: int) -> Box | None:
    """Returns the box from which codes are drawn, or nothing where they are the prior's.

    Args:
        judged: The model and its data.
        wanted: Prior or box; by default the prior where it has draws.
        training: Training data at most that make up the box, chosen at random.

    Raises:
        NotApplicable: The flat prior is asked for, or there is no encoder.
    """
    proper = is_proper(judged.vae.prior)
    if wanted == "prior" and not proper:
        raise NotApplicable("a flat prior has nothing to draw from: --set generation.source=box")
    return box_of(judged, training) if wanted == "box" or not proper else None


@torch.no_grad()
def box_of(judged: Judged, training: int) -> Box:
    """Returns the box of E[z | x] of some training data."""
    vae = judged.vae
    if getattr(vae, "posterior", None) is None:
        raise NotApplicable("no encoder, so there are no training codes to draw between")
    x, y = some_training(judged.dataset, training).held_out("train")
    codes = torch.cat([vae.embed(*batch) for batch in batches(vae, x, judged.read(y), size=ENCODED)])
    return Box(*codes.aminmax(dim=0), len(codes))


def gather(
    judged: Judged, samples: int, training: int, box: Box | None = None, *, means: bool = False
) -> tuple[Sets, Tensor, Tensor | None]:
    """Returns what is compared, and the test data with their holes and labels.

    Args:
        judged: The model and its data.
        samples: How many at most.
        training: Training data at most.
        box: Where codes are drawn from, else from the prior.
        means: Judge E[x | z] in place of draws of x.

    Raises:
        NotApplicable: There are too few data, or samples are not finite.
    """
    dataset = judged.dataset
    x, y = judged.held_out("test")
    size = min(samples, len(x), len(dataset.train), training)
    if size < FEWEST:
        raise NotApplicable(f"{size} data to compare with are too few, {FEWEST} are the least")
    # at random, since their order may mean something: the first half of MNIST's test data is the neater one
    order = torch.randperm(len(x))[:size]
    x, y = x[order].cpu(), None if y is None else y[order].cpu()
    drawn, expected = (like(found, x) for found in draw(judged.vae, size, box=box))
    drawn = expected if means else drawn
    if not drawn.isfinite().all():
        raise NotApplicable("samples are not finite")
    return Sets(filled(x), drawn, expected, training_data(dataset, training)), x, y


@torch.no_grad()
def draw(vae: VAE, size: int, y: int | None = None, *, box: Box | None = None) -> tuple[Tensor, Tensor]:
    """Returns draws of x and E[x | z] at the same z, of class y where it is given; z from a box, else the prior."""
    found = []
    for count in pieces(size, CHUNK):
        labels = vae.labels(count, y)
        z = vae.prior(labels).expand((count,)).sample() if box is None else box.draw(count)
        likelihood = vae.likelihood(z, labels)
        found.append((likelihood.sample().float().cpu(), likelihood.mean.float().cpu()))
    drawn, means = zip(*found, strict=True)
    return torch.cat(drawn), torch.cat(means)


def like(samples: Tensor, x: Tensor) -> Tensor:
    """Returns samples with 0 wherever data, in turn, have no value."""
    return torch.where(x[torch.arange(len(samples)) % len(x)].isnan(), 0.0, samples)


def training_data(dataset: Dataset, most: int) -> Tensor:
    """Returns some training data at random, no more of them in memory than that."""
    return filled(some_training(dataset, most).held_out("train")[0]).cpu()


def some_training(dataset: Dataset, most: int) -> Dataset:
    """Returns a data set with some of its training rows, at random."""
    return replace(dataset, train=dataset.train.take(torch.randperm(len(dataset.train))[:most]))
