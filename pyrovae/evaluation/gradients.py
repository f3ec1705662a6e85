r"""How much of a gradient is signal: which objective, and how many particles, suit this VAE on these data.

An estimate g of a gradient, drawn with fresh noise on one fixed batch, has for each parameter the signal-to-noise
ratio

.. math:: \mathrm{SNR} = \frac{|\mathbb{E}\, g|}{\mathrm{sd}(g)},

averaged over the parameters of a part (Rainforth et al., 2018). With K particles that of the posterior falls as
:math:`1 / \sqrt{K}` for the IWAE, and does not for its doubly reparametrised gradient (Tucker et al., 2019). Objectives
have gradients of unlike bounds here, ELBO and STL of the ELBO, IWAE and DReG of that of K particles: a larger ratio is
a cleaner gradient of its own bound.

Of R repeats the mean of pure noise is not 0: it shows :math:`\sqrt{2 / (\pi R)}`, below which nothing can be told.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Annotated, Any, NamedTuple

import pyro
import torch
from torch import Tensor, nn
from tqdm import tqdm

from pyrovae.data import Dataset
from pyrovae.errors import PyrovaeError
from pyrovae.evaluation.judged import Findings, Judged, NotApplicable
from pyrovae.figures.gradients import signal_to_noise
from pyrovae.objectives import ELBO, IWAE, STL, DReG, Objective
from pyrovae.ranges import Range
from pyrovae.vae import VAE, as_batch, is_point

COMPARED: dict[str, type[Objective]] = {"elbo": ELBO, "iwae": IWAE, "stl": STL, "dreg": DReG}
PARTS = ("posterior", "likelihood", "prior")  # a parameter of several belongs to the first of them
BLOCKS = 10  # of repeats, each left out once
ROUNDING = 1e-8  # of a squared mean: a variance below it is that of sums in float32, such as weights that add up to 1


class Quality(NamedTuple):
    """Signal-to-noise ratio and total variance of a part's gradient, with their standard errors over repeats."""

    ratio: float
    ratio_error: float
    variance: float
    variance_error: float


class Moments(NamedTuple):
    """Sums over the repeats of each block: how many, gradients and squared gradients, ``(blocks, 1 or parameters)``."""

    number: Tensor
    first: Tensor
    second: Tensor


# part, then objective: one quality per number of particles
Qualities = Mapping[str, Mapping[str, Sequence[Quality]]]


def gradients(
    judged: Judged,
    *,
    particles: Sequence[int] = (1, 4, 16, 64),
    repeats: Annotated[int, Range(3)] = 100,
    batch: Annotated[int, Range(1)] = 32,
) -> Findings:
    """Compares the gradients of ELBO, IWAE, STL and DReG by part of the VAE, against the number of particles.

    The gradient is that of the mean bound over one batch of training data, in nats per datum, at beta = 1.

    Args:
        judged: The VAE and its data.
        particles: Numbers K of draws of z per datum.
        repeats: Gradients of each objective and K, all of the same batch.
        batch: Training data at most in it, evenly spread over them.

    Raises:
        NotApplicable: The posterior is a point, or no objective, number of particles or parameter is left.
    """
    vae, sizes = judged.vae, sorted(set(particles))
    if is_point(vae.posterior):
        raise NotApplicable("a point posterior has no noise, and no bound of several particles")
    refused, groups = refusals(vae), groups_of(vae)
    names = [name for name in COMPARED if name not in refused]
    if not (names and sizes and groups):
        raise NotApplicable("; ".join(refused.values()) or "no number of particles, or no parameter to train")
    rows = rows_of(vae, judged.dataset, batch)
    found = qualities(vae, groups, {name: COMPARED[name] for name in names}, sizes, repeats, *rows)
    floor = pure_noise(repeats)
    ratios, errors = (read(found, key) for key in ("ratio", "ratio_error"))
    return Findings(
        numbers_of(found) | {"particles": sizes, "noise": floor, "rows": len(rows[0]), "left_out": refused},
        [*said(found, sizes), f"of {repeats} repeats pure noise shows {floor:.2f}", *said_of_rest(vae, refused)],
        {"signal_to_noise": signal_to_noise(sizes, ratios, errors, floor=floor)},
    )


def refusals(vae: VAE) -> dict[str, str]:
    """Returns why objectives cannot train this VAE, by the name of each that cannot."""
    found = {}
    for name, kind in COMPARED.items():
        try:
            kind().check(vae)
        except PyrovaeError as error:
            found[name] = str(error)
    return found


def groups_of(vae: VAE) -> dict[str, list[nn.Parameter]]:
    """Returns the parameters that are trained by part, each once; no part without any.

    Example:
        >>> from pyrovae import MLP, Bernoulli, DiagonalNormal, StandardNormal, Vamp
        >>> q = DiagonalNormal(MLP, 2, (4,))
        >>> list(groups_of(VAE(StandardNormal(2), Bernoulli(MLP, 2, (4,)), q)))
        ['posterior', 'likelihood']
        >>> len(groups_of(VAE(Vamp(q, (4,), pseudo_inputs=3), Bernoulli(MLP, 2, (4,)), q))["prior"])
        2
    """
    known: set[int] = set()
    groups: dict[str, list[nn.Parameter]] = {}
    for part in PARTS:
        own = [p for p in getattr(vae, part).parameters() if p.requires_grad and id(p) not in known]
        known |= {id(p) for p in own}
        groups |= {part: own} if own else {}
    return groups


def rows_of(vae: VAE, dataset: Dataset, most: int) -> tuple[Tensor, ...]:
    """Returns training data as the programs read them, with the labels that a training gives them."""
    size = len(dataset.train)
    return as_batch(vae, *dataset.batch(torch.linspace(0, size - 1, min(size, most)).round().long()))


def qualities(
    vae: VAE,
    groups: Mapping[str, Sequence[nn.Parameter]],
    objectives: Mapping[str, type[Objective]],
    sizes: Sequence[int],
    repeats: int,
    *batch: Tensor,
) -> Qualities:
    """Draws the gradients of each objective at each number of particles, and judges them part by part."""
    found: dict[str, dict[str, list[Quality]]] = {part: {name: [] for name in objectives} for part in groups}
    every = [p for group in groups.values() for p in group]
    counts = [sum(p.numel() for p in group) for group in groups.values()]
    cases = [(name, size) for name in objectives for size in sizes]
    for name, size in tqdm(cases, disable=None, desc="gradients"):
        draws = gradients_of(vae, objectives[name](particles=size), every, repeats, *batch)
        summed = moments(draws, repeats)
        columns = zip(summed.first.split(counts, 1), summed.second.split(counts, 1), strict=True)
        for part, (first, second) in zip(groups, columns, strict=True):
            found[part][name].append(quality(Moments(summed.number, first, second)))
    return found


def gradients_of(
    vae: VAE, objective: Objective, parameters: Sequence[nn.Parameter], repeats: int, *batch: Tensor
) -> Iterator[Tensor]:
    """Yields gradients of the mean bound over a batch, each of fresh draws of z, as one vector in double precision.

    They are returned by autograd and not left in the parameters. Pyro looks at the data in the first run alone.
    """
    for number in range(repeats):
        checks = pyro.validation_enabled(is_validate=False) if number else nullcontext()
        with pyro.get_param_store().scope(), checks:
            bound = -objective.differentiable_loss(vae.model, vae.guide, *batch) / len(batch[0])
            found = torch.autograd.grad(bound, list(parameters), allow_unused=True)
        pairs = zip(parameters, found, strict=True)
        yield torch.cat([(torch.zeros_like(p) if g is None else g).flatten().double() for p, g in pairs])


def moments(draws: Iterator[Tensor], repeats: int) -> Moments:
    """Sums vectors, which come one after another, by blocks of repeats."""
    blocks = min(BLOCKS, repeats)
    sums: list[Any] = [[0, 0.0, 0.0] for _ in range(blocks)]
    for number, draw in enumerate(draws):
        block = sums[number % blocks]
        block[0], block[1], block[2] = block[0] + 1, block[1] + draw, block[2] + draw.square()
    count, first, second = zip(*sums, strict=True)
    return Moments(
        torch.tensor(count, dtype=torch.double)[:, None].to(first[0]), torch.stack(first), torch.stack(second)
    )


def quality(parts: Moments) -> Quality:
    """Returns the ratio and the variance over all repeats, with errors by leaving out one block at a time."""
    whole = Moments(*(sums.sum(0) for sums in parts))
    blocks = len(parts.number)
    rest = [Moments(*(total - sums[b] for total, sums in zip(whole, parts, strict=True))) for b in range(blocks)]
    without = torch.stack([ratio_and_variance(part) for part in rest])
    error = ((blocks - 1) * without.var(0, correction=0)).sqrt()
    (ratio, variance), (ratio_error, variance_error) = ratio_and_variance(whole).tolist(), error.tolist()
    return Quality(ratio, ratio_error, variance, variance_error)


def ratio_and_variance(sums: Moments) -> Tensor:
    """Returns the mean ratio of the parameters whose gradient varies, and the sum of all variances.

    Example:
        >>> draws = torch.tensor([[1.0, 5.0], [3.0, 5.0]], dtype=torch.double)
        >>> ratio_and_variance(Moments(torch.tensor([2.0]), draws.sum(0), draws.square().sum(0)))
        tensor([1.4142, 2.0000], dtype=torch.float64)
    """
    mean = sums.first / sums.number
    variance = (sums.second / sums.number - mean.square()) * sums.number / (sums.number - 1)
    varies = variance > ROUNDING * mean.square()
    variance = variance.where(varies, 0.0)
    return torch.stack([(mean.abs() / variance.sqrt())[varies].mean(), variance.sum()])


def pure_noise(repeats: int) -> float:
    """Returns the ratio that normal noise of mean 0 shows, on average over many parameters.

    Example:
        >>> round(pure_noise(100), 3)
        0.08
    """
    return math.sqrt(2 / (math.pi * repeats))


def read(found: Qualities, key: str) -> dict[str, dict[str, list[float]]]:
    """Returns one of the numbers, by part and objective."""
    return {
        part: {name: [getattr(each, key) for each in column] for name, column in columns.items()}
        for part, columns in found.items()
    }


def numbers_of(found: Qualities) -> dict[str, Any]:
    """Returns what ``evaluation.json`` keeps: by part and objective, in the order of the numbers of particles."""
    return {
        "signal_to_noise": read(found, "ratio"),
        "signal_to_noise_standard_error": read(found, "ratio_error"),
        "variance": read(found, "variance"),
        "variance_standard_error": read(found, "variance_error"),
        "best": {part: ranked(columns)[0] for part, columns in found.items()},
    }


def ranked(columns: Mapping[str, Sequence[Quality]]) -> list[str]:
    """Returns the objectives by their ratio at the largest number of particles, the best one first; none comes last."""
    return sorted(columns, key=lambda name: -columns[name][-1].ratio if columns[name][-1].ratio >= 0 else math.inf)


def said(found: Qualities, sizes: Sequence[int]) -> list[str]:
    """Says of each part which objective has the best ratio at the largest number of particles, and all others'."""
    sentences = []
    for part, columns in found.items():
        order = [(name, columns[name][-1]) for name in ranked(columns)]
        words = [f"{name} {last.ratio:.2f} ± {last.ratio_error:.2f}" for name, last in order]
        rest = f", before {', '.join(words[1:])}" if words[1:] else ""
        sentences.append(f"{part}: the best signal-to-noise ratio at K = {sizes[-1]} has {words[0]}{rest}")
    return sentences


def said_of_rest(vae: VAE, refused: Mapping[str, str]) -> list[str]:
    """Says which parts have no group of their own, which share parameters, and which objectives were left out."""
    groups = groups_of(vae)
    idle = [f"{part}: no parameters of its own to train" for part in PARTS if part not in groups]
    own = {id(p) for p in vae.posterior.parameters()}
    shared = any(id(p) in own for p in vae.prior.parameters())
    encoder = ["the prior shares the posterior's parameters, which count as the posterior's"] if shared else []
    return [*idle, *encoder, *(f"{name} left out: {reason}" for name, reason in refused.items())]
