"""Objectives: each is a ``pyro.infer.ELBO`` whose loss is minus a bound, summed over the batch, in nats."""

from pyrovae.objectives.analytic_elbo import AnalyticELBO
from pyrovae.objectives.dreg import DReG
from pyrovae.objectives.elbo import ELBO
from pyrovae.objectives.iwae import IWAE
from pyrovae.objectives.mmd import MMD
from pyrovae.objectives.objective import Objective
from pyrovae.objectives.piwae import PIWAE
from pyrovae.objectives.renyi import Renyi
from pyrovae.objectives.stl import STL
from pyrovae.objectives.tc import TC

OBJECTIVES: dict[str, type[Objective]] = {
    "elbo": ELBO,
    "analytic-elbo": AnalyticELBO,
    "iwae": IWAE,
    "piwae": PIWAE,
    "renyi": Renyi,
    "mmd": MMD,
    "tc": TC,
    "stl": STL,
    "dreg": DReG,
}

__all__ = ["ELBO", "IWAE", "MMD", "OBJECTIVES", "PIWAE", "STL", "TC", "AnalyticELBO", "DReG", "Objective", "Renyi"]
