r"""Annealed importance sampling in z, and the bounds that its reverse gives on data from the model itself.

A path of densities leads from the prior to the posterior,

.. math:: f_t(z) = p(z)\, p(x \mid z)^{\beta_t}, \quad 0 = \beta_0 < \ldots < \beta_T = 1.

A chain starts at :math:`z_0 \sim p(z)` and moves by Hamiltonian Monte Carlo that leaves each :math:`f_t` as it is;
its weight is :math:`w = \prod_t f_t(z_{t-1}) / f_{t-1}(z_{t-1})`. The mean weight is unbiased for p(x), so its log is a
lower bound in expectation, which does not depend on the encoder (Neal, 2001; Wu et al., 2017). Where z is known, since
x was drawn from the model, a chain may start from the posterior and go back: minus the log of its mean weight is an
upper bound (bidirectional Monte Carlo, Grosse et al., 2015).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from pyrovae.errors import PyrovaeError
from pyrovae.evaluation.evidence import ROWS, WIDTH, Estimate, batches
from pyrovae.evaluation.paired import Paired, paired
from pyrovae.vae import VAE, is_proper

SHARPNESS = 4.0  # of the sigmoid that spaces the temperatures: most of them stand where little of the likelihood counts
TARGET = 0.65  # share of proposals accepted, the best for Hamiltonian Monte Carlo (Beskos et al., 2013)
GAIN = 0.2  # by which a step size follows the acceptance in the pilot run
PILOT, PILOT_DATA = 200, (8, 32)  # proposals of the pilot run at least, in two passes or more; its data, few to many
LARGEST_CHUNK = 4  # times as many numbers at once as importance sampling takes: gradients need more, so fewer would do

# Takes z of shape (chains, n, D) and returns log p(z) and log p(x | z), each (chains, n).
Target = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Path:
    """Temperatures from the prior to the posterior, and the Hamiltonian steps between them.

    Attributes:
        betas: From 0 to 1, shape ``(T + 1,)``.
        steps: Step size of each dimension of z at each temperature but the first and the last, ``(T - 1, D)``.
        leapfrog: Steps of one proposal.
        chains: Chains per datum.
    """

    betas: Tensor
    steps: Tensor
    leapfrog: int
    chains: int


@dataclass(frozen=True)
class Annealed(Estimate):
    """Log density of n data by annealed importance sampling.

    Attributes:
        path: What the chains went along.
        acceptance: Share of proposals accepted at each temperature, shape ``(T - 1,)``.
        reverse: Whether the chains went back from the posterior: then the numbers are upper bounds.
    """

    path: Path
    acceptance: Tensor
    reverse: bool = False

    @property
    def estimator(self) -> str:
        return f"{'reverse-' if self.reverse else ''}ais{len(self.path.betas) - 1}"

    @property
    def verdict(self) -> str:
        """What the number is; whether it is near is for its gap to say."""
        return f"{'an upper' if self.reverse else 'a lower'} bound in expectation"

    @property
    def reliability(self) -> str:
        """The verdict and what it rests on, in words."""
        accepted = self.acceptance.mean().item()
        return f"{self.path.chains} chains, {accepted:.0%} of proposals accepted: {self.verdict}"


@dataclass(frozen=True)
class Sandwich:
    """Bounds from both sides on data that were drawn from the model; they hold for such data alone."""

    lower: Annealed
    upper: Annealed

    @property
    def gap(self) -> Paired:
        """Upper minus lower bound, mean over data and its standard error, nats per datum."""
        return paired(self.upper.log_prob.double() - self.lower.log_prob)

    def __str__(self) -> str:
        low, high, size = self.lower.mean, self.upper.mean, len(self.lower.log_prob)
        return f"{low:.2f} <= {self.lower.quantity} <= {high:.2f} on {size} simulated data, gap {self.gap}"


def ais(
    vae: VAE, x: Tensor, y: Tensor | None = None, *, path: Path, z: Tensor | None = None, progress: bool = False
) -> Annealed:
    """Estimates log p(x) of each datum by annealed importance sampling, without the encoder.

    Args:
        vae: The model; its latent variables are continuous and its prior integrates to one.
        x: Data as the programs read them, shape ``(n, *event_shape)``.
        y: Labels, shape ``(n,)``, see :func:`pyrovae.log_marginal`.
        path: Temperatures and step sizes, from :func:`tuned`: sizes that followed these data would not give a bound.
        z: Draws from the posterior, shape ``(n, D)``, to go back from; known where x was drawn from the model.
        progress: Show a progress bar on a terminal.

    Returns:
        Lower bounds in expectation; upper bounds where z is given.

    Raises:
        PyrovaeError: The prior is flat, so that there is nothing to start from.

    Example:
        >>> from pyrovae import MLP, Bernoulli, DiagonalNormal, StandardNormal
        >>> vae = VAE(StandardNormal(2), Bernoulli(MLP, 2, (8,)), DiagonalNormal(MLP, 2, (8,)))
        >>> path = tuned(vae, torch.zeros(10, 8), temperatures=20, chains=4)
        >>> ais(vae, torch.ones(3, 8), path=path).log_prob.shape
        torch.Size([3])
    """
    check_prior(vae)
    size = chunk_size(x, path.chains)
    starts = [None] * math.ceil(len(x) / size) if z is None else z.split(size)
    chunks = list(zip(batches(vae, x, y, size=size), starts, strict=True))
    columns, accepted = [], []
    with tqdm(total=len(chunks) * (len(path.betas) - 1), disable=None if progress else True, desc="ais") as bar:
        for batch, start in chunks:
            log_w, acceptance = anneal(vae, batch, path, start, bar)
            sign = -1 if start is not None else 1
            columns.append(sign * (log_w.logsumexp(0) - math.log(path.chains)))
            accepted.append(acceptance * len(batch[0]) / len(x))
    log_prob = torch.cat(columns).to(x.dtype)
    return Annealed(
        log_prob, vae.quantity(y), path=path, acceptance=torch.stack(accepted).sum(0), reverse=z is not None
    )


def bdmc(vae: VAE, y: Tensor | None = None, *, data: int, path: Path, progress: bool = False) -> Sandwich:
    """Bounds log p(x) from both sides on data drawn from the model.

    Args:
        vae: The model.
        y: Labels of the data of a conditional VAE, shape ``(data,)``.
        data: How many are drawn.
        path: Temperatures and step sizes.
        progress: Show a progress bar on a terminal.

    Raises:
        PyrovaeError: The prior is flat.
    """
    check_prior(vae)
    with torch.no_grad():
        labels = y if vae.conditional else None
        z = vae.prior(labels).expand((data,)).sample()
        x = vae.decode(z, labels, mean=False)
    return Sandwich(*(ais(vae, x, labels, path=path, z=start, progress=progress) for start in (None, z)))


def tuned(
    vae: VAE,
    x: Tensor,
    y: Tensor | None = None,
    *,
    temperatures: int = 200,
    chains: int = 16,
    leapfrog: int = 10,
    progress: bool = False,
) -> Path:
    """Finds a step size for each temperature in pilot runs on data of their own, to be used on others as it is.

    Args:
        vae: The model.
        x: Data that are not judged afterwards.
        y: Their labels.
        temperatures: Number T of steps from the prior to the posterior.
        chains: Per datum.
        leapfrog: Steps of one proposal.
        progress: Show a progress bar on a terminal.

    Raises:
        PyrovaeError: The prior is flat.
    """
    check_prior(vae)
    betas = spaced(temperatures)
    # Many temperatures need fewer data each: neighbours have nearly the same steps.
    data = min(max(PILOT_DATA[0], PILOT_DATA[1] * PILOT // temperatures), PILOT_DATA[1], chunk_size(x, chains))
    batch = next(batches(vae, x, y, size=data))
    dimensions = vae.prior(*batch[1:]).event_shape[0]
    path = Path(betas, torch.full((temperatures - 1, dimensions), 0.1), leapfrog, chains)
    passes = max(2, math.ceil(PILOT / temperatures))
    with tqdm(total=passes * temperatures, disable=None if progress else True, desc="ais, pilot") as bar:
        for number in range(passes):
            path = replace(path, steps=followed(vae, batch, path, bar, carried=number == 0))
    return path


def followed(vae: VAE, batch: tuple[Tensor, ...], path: Path, bar: "tqdm[Any]", *, carried: bool) -> Tensor:
    """Returns step sizes that followed the acceptance along a run; the first one carries them on to the next.

    Those of the dimensions are as the spreads of z that the chains of a datum have there, mean over data.
    """
    found, factor = path.steps.clone(), 1.0
    target, z = start_of(vae, batch, path.chains)
    for t, beta in enumerate(path.betas[1:-1].tolist()):
        steps = path.steps[t].to(z) * factor
        z, accepted = hamiltonian(target, z, beta, steps, path.leapfrog)
        change = math.exp(GAIN * (accepted - TARGET) / TARGET)
        factor = factor * change if carried else 1.0
        found[t] = in_proportion(steps * change, z)
        bar.update()
    bar.update()
    return found


def in_proportion(steps: Tensor, z: Tensor) -> Tensor:
    """Gives steps the proportions of the spreads of z, shape ``(chains, n, D)``; their geometric mean stays.

    Example:
        >>> z = torch.tensor([[[-1.0, -4.0]], [[1.0, 4.0]]])
        >>> in_proportion(torch.ones(2), z)
        tensor([0.5000, 2.0000])
    """
    if len(z) == 1:
        return steps
    spread = z.var(0).mean(0).sqrt().clamp(min=torch.finfo(z.dtype).tiny)
    return steps.log().mean().exp() * spread / spread.log().mean().exp()


def spaced(temperatures: int) -> Tensor:
    """Returns temperatures on a sigmoid from 0 to 1 (Wu et al., 2017), shape ``(T + 1,)``.

    Raises:
        PyrovaeError: There are fewer than two steps.

    Example:
        >>> spaced(4).round(decimals=3).tolist()
        [0.0, 0.105, 0.5, 0.895, 1.0]
    """
    if temperatures < 2:
        raise PyrovaeError(f"{temperatures} temperatures", hint="give 2 or more; 50 is a beginning", exit_code=2)
    raw = torch.linspace(-SHARPNESS, SHARPNESS, temperatures + 1, dtype=torch.float64).sigmoid()
    return (raw - raw[0]) / (raw[-1] - raw[0])


def anneal(
    vae: VAE, batch: tuple[Tensor, ...], path: Path, z: Tensor | None, bar: "tqdm[Any]"
) -> tuple[Tensor, Tensor]:
    """Runs the chains of a batch and returns log weights ``(chains, n)`` and the acceptance at each temperature."""
    target, start = start_of(vae, batch, path.chains)
    forward = z is None
    current = start if z is None else z.to(start).expand_as(start).clone()
    betas, steps = path.betas.tolist(), path.steps.to(current)
    log_w = torch.zeros(current.shape[:2], dtype=torch.float64, device=current.device)
    accepted = torch.zeros(len(steps))
    order = range(len(betas) - 1) if forward else range(len(betas) - 2, -1, -1)
    for t in order:
        # Between f_t and f_{t+1} both ways; the transition that leaves the one reached as it is comes after.
        with torch.no_grad():
            log_w += (betas[t + 1] - betas[t]) * (1 if forward else -1) * target(current)[1]
        reached = t + 1 if forward else t
        if 0 < reached < len(betas) - 1:
            current, share = hamiltonian(target, current, betas[reached], steps[reached - 1], path.leapfrog)
            accepted[reached - 1] = share
        bar.update()
    return log_w, accepted


def start_of(vae: VAE, batch: tuple[Tensor, ...], chains: int) -> tuple[Target, Tensor]:
    """Returns the log densities of a batch as a function of z, and draws from its prior, ``(chains, n, D)``."""
    x, y = batch if len(batch) == 2 else (batch[0], None)
    label = y if vae.conditional or vae.pools else None
    with torch.no_grad():
        # Once: a VampPrior would encode its pseudo-inputs at every leapfrog step.
        prior = vae.prior(label)
        start = prior.expand((chains, len(x))).sample()
        scored = vae.prior.labels().log_prob(y) if vae.pools and not vae.conditional and y is not None else 0.0

    def target(z: Tensor) -> tuple[Tensor, Tensor]:
        likelihood, observed = vae.observation(z, x, y)
        return prior.log_prob(z), likelihood.log_prob(observed) + scored

    return target, start


def hamiltonian(target: Target, z: Tensor, beta: float, step: Tensor, leapfrog: int) -> tuple[Tensor, float]:
    """Moves z by one proposal that leaves p(z) p(x | z) ** beta as it is, and returns the share that was accepted.

    Leapfrog steps and a correction by Metropolis (Neal, 2011); a step for each dimension is a diagonal mass.
    """
    momentum = torch.randn_like(z)
    energy, gradient = potential(target, z, beta)
    moved, p = z, momentum - 0.5 * step * gradient
    for number in range(leapfrog):
        moved = moved + step * p
        proposed, gradient = potential(target, moved, beta)
        p = p - step * gradient * (1.0 if number < leapfrog - 1 else 0.5)
    change = proposed - energy + 0.5 * (p.square() - momentum.square()).sum(-1)
    # What is not finite is refused: a proposal that flew away has no density there.
    accepted = torch.rand_like(change).log() < -change.nan_to_num(math.inf)
    return torch.where(accepted[..., None], moved, z), accepted.double().mean().item()


@torch.enable_grad()
def potential(target: Target, z: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """Returns minus the log density at a temperature, ``(chains, n)``, and its gradient by z."""
    point = z.detach().requires_grad_()
    log_prior, log_likelihood = target(point)
    energy = -(log_prior + beta * log_likelihood)
    (gradient,) = torch.autograd.grad(energy.sum(), point)
    return energy.detach(), gradient


def chunk_size(x: Tensor, chains: int) -> int:
    """Returns how many data are annealed at once."""
    return max(1, LARGEST_CHUNK * ROWS // (chains * max(WIDTH, prod(x.shape[1:]))))


def check_prior(vae: VAE) -> None:
    if not is_proper(vae.prior):
        hint = "train with prior.name = 'standard-normal', or refit one on the codes"
        raise PyrovaeError("annealing starts from draws of the prior, a flat prior has none", hint=hint)
