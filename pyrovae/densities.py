r"""The core: one run of both programs, read as log densities per datum. Everything numerical is written on top of it.

A guide q(z | x) and a model p(x, z) are run once under a ``particles`` plate. What comes back is, per sample site, the
log density of shape ``(particles, n)``, the value and the distribution. With :math:`z_k \sim q(z \mid x)`,

.. math:: \log w_k = \log p(x, z_k) - \log q(z_k \mid x)

is the log weight on which the ELBO, the importance-weighted bounds, log p(x), k-hat, rate and distortion all stand.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyro
from pyro import poutine
from pyro.distributions import TorchDistribution
from pyro.poutine import Trace
from pyro.poutine.util import site_is_subsample
from torch import Tensor

from pyrovae.distributions import detached

Program = Callable[..., Any]


class Site(NamedTuple):
    """One ``pyro.sample`` statement of a run.

    Attributes:
        log_prob: Log density per particle and datum, shape ``(particles, n)``, in nats.
        value: What was drawn or observed.
        distribution: What it was drawn from, batch shape broadcastable with ``(particles, n)``.
        observed: Whether the value was given.
        scale, mask: What the program multiplied and masked the log density by.
    """

    log_prob: Tensor
    value: Tensor
    distribution: TorchDistribution
    observed: bool
    scale: float | Tensor = 1.0
    mask: bool | Tensor | None = None


@dataclass(frozen=True)
class Densities:
    """The sites of one run of model and guide, by name."""

    model: dict[str, Site]
    guide: dict[str, Site]

    @property
    def evidence(self) -> Tensor:
        """Log density of all that was observed given the latent sites, shape ``(particles, n)``."""
        return total(site.log_prob for site in self.model.values() if site.observed)

    @property
    def divergence(self) -> Tensor:
        """log q(z | x) - log p(z) at the drawn z, whose mean is the KL, shape ``(particles, n)``."""
        return total(site.log_prob - self.model[name].log_prob for name, site in self.guide.items())

    def log_weight(self, beta: float | Tensor = 1.0) -> Tensor:
        """Returns evidence - beta * divergence: at beta = 1 the log importance weight, shape ``(particles, n)``."""
        return self.evidence - beta * self.divergence


def densities(
    model: Program, guide: Program, *batch: Any, particles: int = 1, path_derivative: bool = False
) -> Densities:
    """Runs guide and model once and returns their log densities per site, particle and datum.

    Masks and scales that the programs set are honoured, as in Pyro's own objectives.

    Args:
        model: Pyro program p(x, z), every sample site inside a plate named ``"data"``.
        guide: Pyro program q(z | x), the same.
        batch: Arguments of both, as a rule ``x`` or ``x, y``.
        particles: Number of draws of the latent sites per datum.
        path_derivative: Cut the gradient of log q through its parameters, and leave that through z
            (Roeder, Wu and Duvenaud, 2017).

    Raises:
        ValueError: A site stands outside the data plate, or a latent site of one program is missing in the other.

    Example:
        >>> import pyrovae, torch
        >>> vae = pyrovae.VAE(
        ...     pyrovae.StandardNormal(2), pyrovae.Bernoulli(pyrovae.MLP, 2, (8,)),
        ...     pyrovae.DiagonalNormal(pyrovae.MLP, 2, (8,)))
        >>> densities(vae.model, vae.guide, torch.ones(5, 8), particles=3).model["x"].log_prob.shape
        torch.Size([3, 5])
    """

    model_trace, guide_trace = traces(model, guide, *batch, particles=particles)
    if path_derivative:
        for site in random_sites(guide_trace).values():
            site["fn"] = detached(site["fn"])
    result = Densities(sites(model_trace), sites(guide_trace))
    check_latents(result)
    return result


def traces(model: Program, guide: Program, *batch: Any, particles: int = 1) -> tuple[Trace, Trace]:
    """Runs the guide, then the model on its draws, each under a ``particles`` plate, and returns both traces."""

    def traced(program: Program) -> Trace:
        with pyro.plate("particles", particles, dim=-2):
            return poutine.trace(program).get_trace(*batch)

    guide_trace = traced(guide)
    return traced(poutine.replay(model, trace=guide_trace)), guide_trace


def random_sites(trace: Trace) -> dict[str, Any]:
    """Returns the trace's sample sites without the plates, which Pyro records as sample sites too."""
    return {
        name: site for name, site in trace.nodes.items() if site["type"] == "sample" and not site_is_subsample(site)
    }


def in_data_plate(site: dict[str, Any]) -> bool:
    """Tells whether the site is one per datum; a global one would be summed over data before any log-mean-exp."""
    return "data" in {frame.name for frame in site["cond_indep_stack"]}


def sites(trace: Trace) -> dict[str, Site]:
    for name, site in random_sites(trace).items():
        if not in_data_plate(site):
            raise ValueError(f"site '{name}' stands outside plate 'data': every sample site must be inside it")
    trace.compute_log_prob()
    return {
        name: Site(site["log_prob"], site["value"], site["fn"], site["is_observed"], site["scale"], site["mask"])
        for name, site in random_sites(trace).items()
    }


def check_latents(result: Densities) -> None:
    latent = {name for name, site in result.model.items() if not site.observed}
    if latent != set(result.guide):
        raise ValueError(f"latent sites differ: model {sorted(latent)}, guide {sorted(result.guide)}")


def total(terms: Any) -> Tensor:
    """Sums tensors of equal shape, without the float that ``sum`` starts from."""
    first, *rest = terms
    for term in rest:
        first = first + term
    return first
