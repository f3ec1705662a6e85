"""What objectives share: they are Pyro's own ``ELBO``s, take ``(model, guide, *batch)``, and own beta.

A subclass says one thing, its bound per datum. As in Pyro, losses are sums over the batch: whoever prints divides.
``loss_and_grads`` is a training step and moves the schedule of beta on; ``loss`` judges, and does not.
"""

from abc import abstractmethod
from typing import Any

import torch
from pyro import infer
from torch import Tensor

from pyrovae.densities import Densities, Program, densities
from pyrovae.errors import PyrovaeError
from pyrovae.schedules import ScheduleSpec, make_schedule


class Objective(infer.ELBO):
    """Minus a lower bound on the log density of what the programs observe.

    Args:
        particles: Draws of z per datum.
        beta: Weight of log q(z | x) - log p(z), a number or a schedule; never of log p(y) (Higgins et al., 2017).

    Raises:
        PyrovaeError: Fewer than one particle.
    """

    def __init__(self, *, particles: int = 1, beta: ScheduleSpec = 1.0) -> None:
        if particles < 1:
            raise PyrovaeError(f"objective.particles = {particles}", hint="give a whole number above 0", exit_code=2)
        super().__init__(num_particles=particles, vectorize_particles=True, max_plate_nesting=1)
        self.schedule, self.warmup = make_schedule(beta, key="objective.beta")
        self.step = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}(particles={self.num_particles}, beta={self.beta:g})"

    @property
    def beta(self) -> float:
        """Weight of the divergence at this step."""
        return self.schedule(self.step)

    @abstractmethod
    def bound(self, sites: Densities, beta: float | Tensor) -> Tensor:
        """Returns the bound per datum, shape ``(n,)``, in nats."""

    def per_datum(self, model: Program, guide: Program, *batch: Any, beta: float | Tensor | None = None) -> Tensor:
        """Runs the programs and returns the bound per datum, at the schedule's beta unless one is given."""
        sites = densities(model, guide, *batch, particles=self.num_particles)
        return self.bound(sites, self.beta if beta is None else beta)

    def differentiable_loss(self, model: Program, guide: Program, *batch: Any) -> Tensor:
        sites = densities(model, guide, *batch, particles=self.num_particles)
        require_rsample(sites)
        return -self.bound(sites, self.beta).sum()

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
