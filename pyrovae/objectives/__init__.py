"""Objectives: ``pyro.infer.ELBO``s that read densities and return minus a bound, summed over the batch, in nats."""

from pyrovae.objectives.analytic_elbo import AnalyticELBO
from pyrovae.objectives.elbo import ELBO
from pyrovae.objectives.iwae import IWAE
from pyrovae.objectives.objective import Objective

OBJECTIVES: dict[str, type[Objective]] = {"elbo": ELBO, "analytic-elbo": AnalyticELBO, "iwae": IWAE}

__all__ = ["ELBO", "IWAE", "OBJECTIVES", "AnalyticELBO", "Objective"]
