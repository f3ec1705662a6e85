"""Evaluation: functions ``(vae, x, y=None)`` that return one value per datum, in nats, and change no parameter."""

from pyrovae.evaluation.evidence import Estimate, Evidence, log_marginal
from pyrovae.evaluation.latent import active_units, distortion, rate
from pyrovae.evaluation.summary import evaluate

__all__ = ["Estimate", "Evidence", "active_units", "distortion", "evaluate", "log_marginal", "rate"]
