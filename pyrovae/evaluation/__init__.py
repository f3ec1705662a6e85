"""Evaluation: functions ``(vae, x, y=None)`` that return one value per datum, in nats, and change no parameter."""

from pyrovae.evaluation.annealing import Annealed, Sandwich, ais, bdmc, tuned
from pyrovae.evaluation.bounds import bounds
from pyrovae.evaluation.evidence import Estimate, Evidence, log_marginal
from pyrovae.evaluation.latent import active_units, distortion, rate
from pyrovae.evaluation.summary import evaluate

__all__ = [
    "Annealed",
    "Estimate",
    "Evidence",
    "Sandwich",
    "active_units",
    "ais",
    "bdmc",
    "bounds",
    "distortion",
    "evaluate",
    "log_marginal",
    "rate",
    "tuned",
]
