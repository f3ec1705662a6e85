"""Priors: modules with ``forward(y=None) -> Distribution``, p(z), or p(z | y) where they read labels.

Positional parameters of a constructor are what the composition supplies, keyword-only ones are the options of an
experiment file. ``classes`` is the number of classes a prior reads; 0 means that it ignores labels. A prior that reads
them also has ``labels()``, the distribution p(y).
"""

from torch import nn

from pyrovae.priors.flat import Flat
from pyrovae.priors.flow import FlowPrior
from pyrovae.priors.full_covariance_mixture import FullCovarianceMixture
from pyrovae.priors.gaussian_mixture import GaussianMixture
from pyrovae.priors.laplace import StandardLaplace
from pyrovae.priors.product import Product
from pyrovae.priors.standard_normal import StandardNormal
from pyrovae.priors.vamp import Vamp

PRIORS: dict[str, type[nn.Module]] = {
    "standard-normal": StandardNormal,
    "gaussian-mixture": GaussianMixture,
    "full-covariance-mixture": FullCovarianceMixture,
    "vamp": Vamp,
    "flow": FlowPrior,
    "laplace": StandardLaplace,
    "product": Product,
    "flat": Flat,
}

__all__ = [
    "PRIORS",
    "Flat",
    "FlowPrior",
    "FullCovarianceMixture",
    "GaussianMixture",
    "Product",
    "StandardLaplace",
    "StandardNormal",
    "Vamp",
]
