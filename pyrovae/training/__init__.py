"""Training: one function that fits a VAE and returns the record of it."""

from pyrovae.training.fit import fit
from pyrovae.training.history import History

__all__ = ["History", "fit"]
