r"""The inference gaps: what of log p(x) - ELBO the guide's family cannot give, and what its encoder does not reach.

.. math:: \log p(x) - L[q] = \mathrm{approximation} + \mathrm{amortisation}

.. math:: \mathrm{approximation} = \log p(x) - L[q^*], \quad \mathrm{amortisation} = L[q^*] - L[q].

q* is the best member of the guide's family for each datum alone (Cremer, Li and Duvenaud, 2018). What the encoder says
of a datum (loc and scale, Cholesky factor, context of a flow) is optimised in its place; everything else stays, also
the weights of a flow. L is the ELBO at beta = 1. log p(x) is the estimate with the largest *mean* over the data: each
is a lower bound in expectation, while the largest one of each datum would be above log p(x) by the luckiest noise. As
far as the optimiser stops short of q*, approximation is said to be too large and amortisation too small by as much.
"""

import copy
from typing import Annotated, Any, NamedTuple

import pyro
import torch
from torch import Tensor, nn
from tqdm import tqdm

from pyrovae.densities import densities
from pyrovae.evaluation.annealing import Path, ais, chunk_size, tuned
from pyrovae.evaluation.evidence import ROWS, WIDTH, batches, log_weights
from pyrovae.evaluation.judged import Findings, Judged, NotApplicable
from pyrovae.evaluation.paired import Paired, paired
from pyrovae.figures.gaps import stacked_gaps
from pyrovae.ranges import Range
from pyrovae.seeding import seeded
from pyrovae.vae import VAE, filled, is_point, is_proper

RATE = 0.05  # Adam's first learning rate, in units of loc and log scale; it falls to 0 along a cosine


class Gaps(NamedTuple):
    """ELBOs and estimates of log p(x) of n data in nats, shape ``(n,)`` each.

    Attributes:
        amortised: L[q] of what the encoder says.
        optimised: L[q*] of the best member of the family.
        estimates: log p(x) by estimator.
    """

    amortised: Tensor
    optimised: Tensor
    estimates: dict[str, Tensor]

    @property
    def estimator(self) -> str:
        """The estimator with the largest mean over the data."""
        return max(self.estimates, key=lambda name: self.estimates[name].mean().item())

    @property
    def log_prob(self) -> Tensor:
        """Its estimates."""
        return self.estimates[self.estimator]

    @property
    def approximation(self) -> Paired:
        """log p(x) - L[q*], what the family loses."""
        return paired(self.log_prob - self.optimised)

    @property
    def amortisation(self) -> Paired:
        """L[q*] - L[q], what the encoder loses beside it."""
        return paired(self.optimised - self.amortised)

    @property
    def inference(self) -> Paired:
        """log p(x) - L[q], both together."""
        return paired(self.log_prob - self.amortised)

    def __str__(self) -> str:
        parts = f"approximation {self.approximation} + amortisation {self.amortisation}"
        return f"{self.estimator} - ELBO = {self.inference} = {parts} nats, mean over {len(self.amortised)} data"


class Outputs(nn.Module):
    """What an encoder would say of a batch, whatever it reads.

    They are a plain attribute: in place of a parameter Pyro's store would put a tensor of its own.
    """

    def __init__(self, outputs: Tensor) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.outputs


def gaps(
    judged: Judged,
    *,
    optimised: Annotated[int, Range(2)] = 50,
    steps: Annotated[int, Range(1)] = 500,
    particles: Annotated[int, Range(1)] = 8,
    draws: Annotated[int, Range(2)] = 5000,
    temperatures: Annotated[int, Range(2)] = 200,
    chains: Annotated[int, Range(1)] = 8,
    leapfrog: Annotated[int, Range(1)] = 5,
) -> Findings:
    """Splits log p(x) - ELBO into approximation and amortisation gap, on test and on training data.

    Args:
        judged: The VAE and its data.
        optimised: How many test data, and as many training data.
        steps: Of Adam on what the encoder says of a datum.
        particles: Draws of z per datum and step.
        draws: Of z per datum, by which both ELBOs are judged, and log p(x) by importance sampling.
        temperatures: Steps of the annealing, see the section ``ais``.
        chains: Of the annealing, per datum.
        leapfrog: Steps of one of its proposals.

    Raises:
        NotApplicable: The prior is flat or the posterior a point, or has no encoder whose outputs stand for q(z | x).
    """
    vae = judged.vae
    check(vae)
    pilot, pilot_y = judged.held_out("validation")
    path = tuned(
        vae, pilot, judged.read(pilot_y), temperatures=temperatures, chains=chains, leapfrog=leapfrog, progress=True
    )
    found = {}
    for name, split in (("test", "test"), ("training", "train")):
        x, y = judged.held_out(split, optimised)  # type: ignore[arg-type]
        found[name] = inference_gaps(
            vae, x, judged.read(y), path=path, steps=steps, particles=particles, draws=draws, progress=True
        )
    rows = {name: ((*part.approximation,), (*part.amortisation,)) for name, part in found.items()}
    numbers = {name: numbers_of(part) for name, part in found.items()}
    return Findings(numbers, said(vae, found), {"stacked": stacked_gaps(rows)})


def inference_gaps(
    vae: VAE,
    x: Tensor,
    y: Tensor | None = None,
    *,
    path: Path,
    steps: int = 500,
    particles: int = 8,
    draws: int = 5000,
    progress: bool = False,
) -> Gaps:
    """Finds the best member of the guide's family for each datum, and judges it beside what the encoder says.

    Both are judged by the same noise, which q* was not fitted to.

    Args:
        vae: The model and its posterior, a module with an ``encoder``.
        x: Data, shape ``(n, *event_shape)``.
        y: Labels, see :func:`pyrovae.log_marginal`.
        path: Of the annealing, tuned on other data.
        steps: Of Adam.
        particles: Draws of z per datum and step.
        draws: Of z per datum for the judgement.
        progress: Show a progress bar on a terminal.

    Example:
        >>> from pyrovae import MLP, Bernoulli, DiagonalNormal, StandardNormal
        >>> vae = VAE(StandardNormal(2), Bernoulli(MLP, 2, (8,)), DiagonalNormal(MLP, 2, (8,)))
        >>> path = tuned(vae, torch.zeros(4, 8), temperatures=2, chains=2, leapfrog=1)
        >>> inference_gaps(vae, torch.ones(3, 8), path=path, steps=5, draws=20).optimised.shape
        torch.Size([3])
    """
    chunks = list(batches(vae, x, y, size=chunk_size(x, particles)))
    with tqdm(total=len(chunks) * steps, disable=None if progress else True, desc="gaps") as bar:
        found = [log_weights_of_both(vae, batch, steps, particles, draws, bar) for batch in chunks]
    own, best = (torch.cat(column, 1) for column in zip(*found, strict=True))
    annealed = ais(vae, x, y, path=path, progress=progress)
    estimates = {f"iw{draws}": log_mean(own), f"iw{draws} from q*": log_mean(best)}
    return Gaps(own.mean(0), best.mean(0), estimates | {annealed.estimator: annealed.log_prob.double().cpu()})


def log_weights_of_both(
    vae: VAE, batch: tuple[Tensor, ...], steps: int, particles: int, draws: int, bar: "tqdm[Any]"
) -> tuple[Tensor, Tensor]:
    """Returns log w of a batch from q and from q*, shape ``(draws, n)`` each, by the same noise."""
    best = with_outputs(vae, best_outputs(vae, batch, steps=steps, particles=particles, bar=bar))
    chunk = max(1, min(draws, ROWS // max(WIDTH * len(batch[0]), batch[0].numel())))
    seed = int(torch.randint(2**62, ()))
    weights = []
    for judged in (vae, best):
        with seeded(seed), torch.no_grad():
            weights.append(log_weights(judged, *batch, particles=draws, chunk=chunk).double().cpu())
    return weights[0], weights[1]


def best_outputs(vae: VAE, batch: tuple[Tensor, ...], *, steps: int, particles: int, bar: "tqdm[Any]") -> Tensor:
    """Returns what the encoder should have said of each datum: its outputs after Adam on the ELBO by them alone."""
    outputs = said_by_encoder(vae, *batch).requires_grad_()
    twin = with_outputs(vae, outputs)
    optimizer = torch.optim.Adam([outputs], RATE)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    # Data and densities are checked where they are judged; here it would take a third of the time.
    with pyro.get_param_store().scope(), pyro.validation_enabled(is_validate=False), torch.enable_grad():
        for _ in range(steps):
            loss = -densities(twin.model, twin.guide, *batch, particles=particles).log_weight().mean(0).sum()
            (outputs.grad,) = torch.autograd.grad(loss, outputs)  # of nothing else: no parameter gets a gradient
            optimizer.step()
            decay.step()
            bar.update()
    return outputs.detach()


@torch.no_grad()
def said_by_encoder(vae: VAE, x: Tensor, y: Tensor | None = None) -> Tensor:
    """Returns what the encoder says of each datum, shape ``(n, outputs)``."""
    outputs: Tensor = vae.posterior.encoder(filled(x) if vae.missing else x, y)
    return outputs.clone()


def with_outputs(vae: VAE, outputs: Tensor) -> VAE:
    """Returns a twin of the VAE whose encoder says these outputs of a batch; all other modules are the same ones."""
    twin: VAE = with_part(vae, "posterior", with_part(vae.posterior, "encoder", Outputs(outputs)))
    return twin


def with_part(module: Any, name: str, part: nn.Module) -> Any:
    """Returns a shallow copy of a module with another submodule of that name."""
    twin = copy.copy(module)
    twin.__dict__["_modules"] = {**module._modules, name: part}
    return twin


def log_mean(log_w: Tensor) -> Tensor:
    """Returns the log of the mean weight from log weights ``(draws, n)``."""
    return log_w.logsumexp(0) - torch.tensor(len(log_w)).double().log()


def check(vae: VAE) -> None:
    if is_point(vae.posterior):
        raise NotApplicable("a point posterior has no ELBO to lose log p(x) by")
    if not is_proper(vae.prior):
        raise NotApplicable("a flat prior has no log p(x)")
    if not isinstance(getattr(vae.posterior, "encoder", None), nn.Module):
        raise NotApplicable("the posterior has no module 'encoder' whose outputs could be optimised")


def numbers_of(found: Gaps) -> dict[str, Any]:
    """Returns what ``evaluation.json`` keeps of one split."""
    parts = {name: getattr(found, name) for name in ("approximation", "amortisation", "inference")}
    return {
        "data": len(found.amortised),
        "estimator": found.estimator,
        "log_prob": {name: paired(values)._asdict() for name, values in found.estimates.items()},
        **{name: gap.mean for name, gap in parts.items()},
        **{f"{name}_standard_error": gap.standard_error for name, gap in parts.items()},
    }


def said(vae: VAE, found: dict[str, Gaps]) -> list[str]:
    """Says the gaps of both splits, how they differ, and of which family q* is the best."""
    test, training = (found[name].amortisation for name in ("test", "training"))
    # Other data, so the errors of both add up.
    apart = Paired(test.mean - training.mean, (test.standard_error**2 + training.standard_error**2) ** 0.5)
    fixed = [name for name, _ in vae.posterior.named_parameters() if not name.startswith("encoder.")]
    family = "the flow's weights are kept, so q* is the best of a part of the family: the approximation gap is at most"
    return [
        *(f"{name}: {part}" for name, part in found.items()),
        f"the encoder loses {apart} nats more on test data than on training data",
        *([f"{family} this"] if fixed else []),
    ]
