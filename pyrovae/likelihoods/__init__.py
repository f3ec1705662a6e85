"""Likelihoods: modules around a decoder with ``forward(z, y=None) -> Distribution``, p(x | z), event one datum.

``accepts`` names the supports of data that a likelihood can score: ``"binary"`` (0 or 1), ``"unit"`` ([0, 1]) and
``"real"``; ``measure`` says whether its numbers are probabilities (``"mass"``) or densities, which nobody may compare.
"""

from torch import nn

from pyrovae.likelihoods.bernoulli import Bernoulli
from pyrovae.likelihoods.gaussian import Gaussian

LIKELIHOODS: dict[str, type[nn.Module]] = {"bernoulli": Bernoulli, "gaussian": Gaussian}

__all__ = ["LIKELIHOODS", "Bernoulli", "Gaussian"]
