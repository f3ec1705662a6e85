r"""log p(x) by importance sampling, per datum, with what tells whether to believe it.

.. math:: \log \hat p(x) = \log \frac{1}{K} \sum_k w_k, \qquad \log w_k = \log p(x, z_k) - \log q(z_k \mid x)

In expectation it is a lower bound. Where the weights have heavy tails, one draw decides the sum and the estimate is too
low without showing it; the shape k-hat of the weights' tail (Vehtari et al., 2024) shows it.
"""

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from math import prod

import numpy as np
import pyro
import torch
from arviz_stats.base import array_stats
from scipy.special import logsumexp
from torch import Tensor
from tqdm import tqdm

from pyrovae.allocator import keep_freed_memory
from pyrovae.densities import densities
from pyrovae.errors import PyrovaeError
from pyrovae.evaluation.paired import Paired, paired, plus_minus
from pyrovae.vae import VAE, as_batch, is_point

ROWS = 2**21  # numbers of x decoded at once: 8 MB in float32, which stays in a processor's cache
WIDTH = 512  # numbers that one draw is taken to need at least: hidden units, components of a prior
FEWEST = 25  # draws below which a tail has too few points to be fitted
ROUNDING = 100  # units in the last place by which log weights differ without meaning it
SHARE = 0.05  # of the data above the k-hat threshold, more than which makes an estimate unreliable
DRIFT = 0.1  # nats that twice the draws may add


@dataclass(frozen=True)
class Estimate:
    """One number per datum, in nats, and what it is a number of.

    Attributes:
        log_prob: Estimate per datum, shape ``(n,)``.
        quantity: ``"log p(x)"``, ``"log p(x, y)"`` or ``"log p(x | y)"``; of a point posterior ``"log p(x | z)"``.
        dims: Elements of a datum, where numbers are probabilities of grey levels and so have bits per dimension.
        characters: Of a datum, its end included, as a mean over data, where they are text.
    """

    log_prob: Tensor
    quantity: str
    dims: int | None = field(default=None, kw_only=True)
    characters: float | None = field(default=None, kw_only=True)

    @property
    def estimator(self) -> str:
        """What the number was computed by; here, at the one z that the encoder names."""
        return "point"

    @property
    def verdict(self) -> str:
        """Whether to believe the number."""
        return "not applicable: a point posterior has no density, so nothing estimates log p(x)"

    @property
    def name(self) -> str:
        """Estimator and quantity, as tables print them."""
        return f"{self.estimator} {self.quantity}"

    @property
    def mean(self) -> float:
        """Mean over data, nats per datum."""
        return self.log_prob.double().mean().item()

    @property
    def standard_error(self) -> float:
        """Standard error of the mean over data."""
        size = len(self.log_prob)
        return self.log_prob.double().std().item() / math.sqrt(size) if size > 1 else math.nan

    @property
    def bits_per_dim(self) -> float:
        """Minus the mean per element, in bits; a uniform guess of 256 levels has 8."""
        return -self.mean / (self.dims or 1) / math.log(2)

    @property
    def nats_per_character(self) -> float:
        """Minus the mean over the mean length, its end included; a uniform guess has log(levels)."""
        return -self.mean / (self.characters or 1)

    def __str__(self) -> str:
        error = self.standard_error
        number = f"{self.mean:.2f}{plus_minus(error, 2)} nats per datum"
        if self.dims is not None:
            number += f" = {self.bits_per_dim:.3f}{plus_minus(error / self.dims / math.log(2), 3)} bits/dim"
        if self.characters is not None:
            number += f" = {self.nats_per_character:.3f} nats/character"
        return f"{self.name} = {number} ({len(self.log_prob)} data); {self.reliability}"

    @property
    def reliability(self) -> str:
        """The verdict and what it rests on, in words."""
        return self.verdict


@dataclass(frozen=True)
class Evidence(Estimate):
    """Importance-sampled log density of n data.

    Attributes:
        ess: Effective sample size per datum, 1 to ``particles``.
        khat: Shape of the tail of the weights per datum; -inf where the posterior is exact, NaN with too few particles.
        psis: The same estimate with the largest weights smoothed by their fitted tail; NaN with too few particles.
        drift: What the estimate gains from K / 2 to K draws; NaN for a single draw.
        particles: Number of draws K.
    """

    ess: Tensor
    khat: Tensor
    psis: Tensor
    drift: Tensor
    particles: int

    @property
    def estimator(self) -> str:
        """The importance-weighted bound with K draws."""
        return f"iw{self.particles}"

    @property
    def threshold(self) -> float:
        """k-hat above which an estimate from this many draws is not to be trusted (Vehtari et al., 2024)."""
        return min(1 - 1 / math.log10(self.particles), 0.7) if self.particles > 1 else -math.inf

    @property
    def share_above(self) -> float:
        """Share of the data whose k-hat is above the threshold or could not be computed."""
        return (~(self.khat <= self.threshold)).double().mean().item()

    @property
    def gain(self) -> Paired:
        """Mean gain from K / 2 to K draws and its standard error, nats per datum; near zero where K is enough."""
        return paired(self.drift)

    @property
    def reasons(self) -> list[str]:
        """What speaks against the number, which is heavy tails of the weights, or draws that do not suffice."""
        heavy = f"k-hat above {self.threshold:.2f} for {self.share_above:.1%} of the data"
        drifts = f"K / 2 to K draws add {self.gain} nats"
        return [heavy] * (self.share_above > SHARE) + [drifts] * self.gain.exceeds(DRIFT, 2)

    @property
    def verdict(self) -> str:
        """``"unreliable"`` if more than 5 % of the data are above the k-hat threshold, or if the second half of the
        draws adds more than 0.1 nat by more than two standard errors; else ``"reliable"``.
        """
        return "unreliable" if self.reasons else "reliable"

    @property
    def reliability(self) -> str:
        """The verdict and what it rests on, in words."""
        heavy = f"k-hat above {self.threshold:.2f} for {self.share_above:.1%} of them"
        return f"{heavy}, K / 2 to K draws add {self.gain}: {self.verdict}"

    @property
    def mc_error(self) -> Tensor:
        """Monte-Carlo standard error of each datum's estimate, sqrt(1 / ess - 1 / K), by the delta method.

        At most 1, so it means nothing where k-hat is above the threshold; NaN for a single draw.
        """
        error = (1 / self.ess.double() - 1 / self.particles).clamp(min=0).sqrt().to(self.ess.dtype)
        return error if self.particles > 1 else torch.full_like(error, math.nan)


@torch.no_grad()
def log_marginal(
    vae: VAE, x: Tensor, y: Tensor | None = None, *, particles: int = 1000, progress: bool = False
) -> Evidence:
    """Estimates log p(x) of each datum by importance sampling from the posterior, in bounded memory.

    A conditional VAE needs y and gives log p(x | y); one with pools gives log p(x, y) with y and log p(x) without.

    Args:
        vae: The model and its posterior.
        x: Data as the programs read them, shape ``(n, *event_shape)``.
        y: Labels, shape ``(n,)``.
        particles: Draws of z per datum.
        progress: Show a progress bar on a terminal.

    Raises:
        PyrovaeError: The posterior is a point: it has no density to weigh draws by.

    Example:
        >>> from pyrovae import MLP, Bernoulli, DiagonalNormal, StandardNormal
        >>> vae = VAE(StandardNormal(2), Bernoulli(MLP, 2, (8,)), DiagonalNormal(MLP, 2, (8,)))
        >>> log_marginal(vae, torch.ones(5, 8), particles=100).log_prob.shape
        torch.Size([5])
    """
    if is_point(vae.posterior):
        hint = "train with posterior.name = 'diagonal-normal' and a proper prior"
        raise PyrovaeError("importance sampling needs a density q(z | x), a point posterior has none", hint=hint)
    keep_freed_memory()
    cost = max(WIDTH, prod(x.shape[1:]))
    chunk = max(1, min(particles, 512, ROWS // cost))
    size = max(1, ROWS // (chunk * cost))
    parts = [
        tail_statistics(log_weights(vae, *batch, particles=particles, chunk=chunk))
        for batch in tqdm(list(batches(vae, x, y, size=size)), disable=None if progress else True, desc="log p(x)")
    ]
    log_prob, ess, khat, psis, gains = (torch.cat(column) for column in zip(*parts, strict=True))
    return Evidence(log_prob, vae.quantity(y), ess, khat, psis, gains, particles)


def log_weights(vae: VAE, *batch: Tensor, particles: int, chunk: int) -> Tensor:
    """Returns log w, shape ``(particles, n)``, without touching anybody's parameter store.

    Args:
        vae: Model and posterior.
        batch: Arguments of both programs.
        particles: Draws of z per datum.
        chunk: So many of them at once. Pyro looks at the data in the first chunk; in the others they are the same.
    """
    parts = []
    for number, count in enumerate(pieces(particles, chunk)):
        checks = pyro.validation_enabled(is_validate=False) if number else nullcontext()
        with pyro.get_param_store().scope(), checks:
            parts.append(densities(vae.model, vae.guide, *batch, particles=count).log_weight())
    return torch.cat(parts)


def batches(vae: VAE, x: Tensor, y: Tensor | None, *, size: int) -> Iterator[tuple[Tensor, ...]]:
    """Yields rows of x, and of y where it is given, ``size`` at a time, where and as the VAE reads them."""
    for start in range(0, len(x), size):
        rows = slice(start, start + size)
        yield as_batch(vae, x[rows], None if y is None else y[rows])


def pieces(total: int, size: int) -> list[int]:
    """Splits a number into parts of at most ``size``.

    Example:
        >>> pieces(1000, 400)
        [400, 400, 200]
    """
    return [min(size, total - start) for start in range(0, total, size)]


def tail_statistics(log_w: Tensor) -> tuple[Tensor, ...]:
    """Returns what an :class:`Evidence` says of each datum from log weights ``(particles, n)``.

    Log mean weight, effective sample size, k-hat, log mean of the smoothed weights, and drift.
    """
    total = log_w.double().logsumexp(0)
    ess = (2 * total - (2 * log_w.double()).logsumexp(0)).exp()
    khat, psis = pareto(log_w)
    columns = (total - math.log(len(log_w)), ess, khat, psis, drift(log_w.double()))
    return tuple(column.to(log_w) for column in columns)


def drift(log_w: Tensor) -> Tensor:
    """Returns the log mean of all weights minus that of one half of them, which is the mean over both halves."""
    half = len(log_w) // 2
    if not half:
        return torch.full_like(log_w[0], math.nan)
    halves = [part.logsumexp(0) - math.log(len(part)) for part in (log_w[:half], log_w[half:])]
    return log_w.logsumexp(0) - math.log(len(log_w)) - sum(halves) / 2


def pareto(log_w: Tensor) -> tuple[Tensor, Tensor]:
    """Returns k-hat per datum and the log mean of the smoothed weights, from log weights ``(particles, n)``.

    Pareto-smoothed importance sampling (Vehtari et al., 2024). Constant weights (an exact posterior) have no tail,
    -inf; weights that are not finite have the worst one, +inf.
    """
    rows = log_w.T.double().cpu().numpy()
    khat, psis = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    if rows.shape[1] >= FEWEST:
        finite = np.isfinite(rows).all(1)
        known = np.where(np.isfinite(rows), rows, 0.0)
        rounding = ROUNDING * torch.finfo(log_w.dtype).eps * np.maximum(1.0, np.abs(known).max(1))
        flat = finite & (np.ptp(known, axis=1) < rounding)
        khat, psis = np.where(finite, -np.inf, np.inf), logsumexp(rows, axis=1) - math.log(rows.shape[1])
        for i in np.flatnonzero(finite & ~flat):
            # arviz_stats takes minus the log weights; with the other sign it would fit the harmless tail.
            smoothed, khat[i] = array_stats.psislw(-rows[i], r_eff=1.0)
            # Smoothed weights are normalised, and the smallest is as it was: their difference is the log of the sum.
            smallest = rows[i].argmin()
            psis[i] = rows[i, smallest] - smoothed[smallest] - math.log(rows.shape[1])
    return torch.from_numpy(khat).to(log_w.device), torch.from_numpy(psis).to(log_w.device)
