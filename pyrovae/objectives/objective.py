"""What objectives share: they are Pyro's own ``ELBO``s, take ``(model, guide, *batch)``, and own beta.

A subclass says one thing, its bound per datum. As in Pyro, losses are sums over the batch: whoever prints divides.
``loss_and_grads`` is a training step and moves the schedule of beta on; ``loss`` judges, and does not.
"""

from abc import abstractmethod
from typing import Any

import torch
from pyro import infer
from torch import Tensor, nn

from pyrovae.densities import Densities, Program, densities
from pyrovae.errors import PyrovaeError
from pyrovae.objectives.criterion import Criterion
from pyrovae.objectives.legality import check_parts
from pyrovae.schedules import ScheduleSpec, make_schedule


class Objective(Criterion, infer.ELBO):
    """Minus a lower bound on the log density of what the programs observe.

    Args:
        particles: Draws of z per datum.
        beta: Weight of log q(z | x) - log p(z), a number or a schedule; never of log p(y) (Higgins et al., 2017).

    Attributes:
        autoencodes: Whether it trains a point posterior with an improper prior, an autoencoder.
        compares_densities: Whether it reads log q(z | x), which a point posterior has not.

    Raises:
        PyrovaeError: Fewer than one particle.
    """

    autoencodes: bool = False
    compares_densities: bool = True

    def __init__(self, *, particles: int = 1, beta: ScheduleSpec = 1.0) -> None:
        if particles < 1:
            raise PyrovaeError(f"objective.particles = {particles}", hint="give a whole number above 0", exit_code=2)
        super().__init__(num_particles=particles, vectorize_particles=True, max_plate_nesting=1)
        self.weight, self.warmup = make_schedule(beta, key="objective.beta")
        self.step = 0

    def __repr__(self) -> str:
        shown = {"particles": self.num_particles, "beta": self.beta} | self.shown()
        return f"{type(self).__name__}({', '.join(f'{key}={value:g}' for key, value in shown.items())})"

    def shown(self) -> dict[str, float]:
        """Returns the options that the repr shows beside particles and beta."""
        return {}

    def schedule(self, step: int) -> float:
        """Returns the weight of the divergence at a step."""
        return self.weight(step)

    @abstractmethod
    def bound(self, sites: Densities, beta: float | Tensor) -> Tensor:
        """Returns the bound per datum, shape ``(n,)``, in nats."""

    def judged(self, sites: Densities) -> Tensor:
        """Returns the bound per datum that validation and selection read: at beta = 1, without further terms."""
        return self.bound(sites, 1.0)

    def check(self, vae: Any) -> None:
        """Refuses a VAE that this objective cannot train, before the first step.

        Args:
            vae: Any object; what it does not say of its parts is not checked.

        Raises:
            PyrovaeError: A point posterior or an improper prior where it has no place, with the nearest combination.
        """
        check_parts(self, vae)

    def per_datum(self, model: Program, guide: Program, *batch: Any, beta: float | Tensor | None = None) -> Tensor:
        """Runs the programs and returns the bound per datum, at the schedule's beta unless one is given."""
        sites = densities(model, guide, *batch, particles=self.num_particles)
        return self.bound(sites, self.beta if beta is None else beta)

    def differentiable_loss(
        self, model: Program, guide: Program, *batch: Any, beta: float | Tensor | None = None
    ) -> Tensor:
        """Returns the loss summed over the batch, with a gradient, at the schedule's beta unless one is given."""
        sites = densities(model, guide, *batch, particles=self.num_particles)
        require_rsample(sites)
        return -self.bound(sites, self.beta if beta is None else beta).sum()

    def batch_loss(self, module: nn.Module, *batch: Any, beta: float | Tensor | None = None) -> Tensor:
        """Returns the loss of a module with both programs."""
        vae: Any = module
        return self.differentiable_loss(vae.model, vae.guide, *batch, beta=beta)

    def loss(self, model: Program, guide: Program, *batch: Any) -> float:
        with torch.no_grad():
            return -self.per_datum(model, guide, *batch).sum().item()

    def loss_and_grads(self, model: Program, guide: Program, *batch: Any) -> float:
        loss = self.differentiable_loss(model, guide, *batch)
        loss.backward()
        self.step += 1
        return loss.item()

    def _get_trace(self, model: Program, guide: Program, args: Any, kwargs: Any) -> Any:
        raise NotImplementedError("objectives read densities(model, guide, *batch), not traces")


def require_rsample(sites: Densities) -> None:
    """Raises where a draw of z hides its parameters from the gradient, which would silently train half a model."""
    for name, site in sites.guide.items():
        if not site.distribution.has_rsample:
            raise PyrovaeError(
                f"posterior of site '{name}' is not reparametrised: {type(site.distribution).__name__}",
                hint="use a posterior with rsample, or pyro.infer.TraceGraph_ELBO",
            )
