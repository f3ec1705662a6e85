"""Two bounds for two networks: the tighter one for the decoder, the one with the cleaner gradient for the encoder."""

from typing import Any

import torch
from pyro import poutine
from torch import Tensor

from pyrovae.densities import Densities, Program, densities
from pyrovae.objectives.iwae import IWAE, importance_bound
from pyrovae.objectives.objective import require_rsample
from pyrovae.schedules import ScheduleSpec


class PIWAE(IWAE):
    r"""PIWAE: the model learns by the bound of all particles, the guide by that of groups (Rainforth et al., 2018).

    .. math:: \nabla_\theta\, \mathcal{L}_{MK}, \qquad \nabla_\phi\, \frac{1}{M} \sum_{m=1}^{M} \mathcal{L}_K^{(m)}

    on the same draws, with :math:`\phi` the parameters that the guide reads (those a VampPrior shares with it are
    among them) and :math:`\theta` all others. The value is that of the model's bound, IWAE of all particles.

    Args:
        particles: Draws of z per datum, M K in all.
        beta: Weight of the divergence within the importance weights, a number or a schedule.
        groups: M; unset, every draw is a group and the guide learns by the ELBO.

    Raises:
        PyrovaeError: Particles that cannot be dealt out to the groups evenly.

    Example:
        >>> PIWAE(particles=64, groups=8)
        PIWAE(particles=64, beta=1, groups=8)
    """

    def __init__(self, *, particles: int = 5, beta: ScheduleSpec = 1.0, groups: int | None = None) -> None:
        super().__init__(particles=particles, beta=beta, groups=particles if groups is None else groups)

    def bound(self, sites: Densities, beta: float | Tensor) -> Tensor:
        return importance_bound(sites.log_weight(beta))

    def differentiable_loss(
        self, model: Program, guide: Program, *batch: Any, beta: float | Tensor | None = None
    ) -> Tensor:
        """Returns the loss of the model, with a gradient that is the guide's own for the guide's parameters."""
        model, guide = (poutine.trace(program, param_only=True) for program in (model, guide))
        sites = densities(model, guide, *batch, particles=self.num_particles)
        require_rsample(sites)
        weights = sites.log_weight(self.beta if beta is None else beta)
        loss = -importance_bound(weights).sum()
        inference = parameters(guide)
        generative = {key: p for key, p in parameters(model).items() if key not in inference}
        grouped = -importance_bound(weights, self.groups).sum()
        return loss.detach() + linear(grouped, inference) + linear(loss, generative)


def parameters(program: Any) -> dict[int, Tensor]:
    """Returns the leaves that a traced program has read, each once, whatever its names."""
    leaves = [site["value"].unconstrained() for site in program.trace.nodes.values() if site["type"] == "param"]
    return {id(leaf): leaf for leaf in leaves}


def linear(loss: Tensor, leaves: dict[int, Tensor]) -> Tensor:
    """Returns 0 with the gradient of a loss in these leaves: two losses then add up to one that has both gradients."""
    result = torch.zeros_like(loss)
    if leaves:
        gradients = torch.autograd.grad(loss, list(leaves.values()), retain_graph=True, allow_unused=True)
        for leaf, gradient in zip(leaves.values(), gradients, strict=True):
            result = result if gradient is None else result + ((leaf - leaf.detach()) * gradient).sum()
    return result
