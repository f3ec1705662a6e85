"""Likelihoods: modules around a decoder with ``forward(z, y=None) -> Distribution``, p(x | z), event one datum.

Elements of a datum are independent given z: what comes back is ``Independent`` over one-dimensional distributions,
so that single elements can be masked. A likelihood whose elements are not says ``independent = False``.

``accepts`` names the supports of data that a likelihood can score, the one it was made for first: ``"binary"``
(0 or 1), ``"levels"`` (grey levels k / (levels - 1), k = 0, ..., levels - 1), ``"unit"`` (any number in [0, 1]),
``"count"`` (0, 1, 2, ...), ``"real"`` and ``"characters"`` (codes of characters, 0 from the end of the text on).

``measure`` says whether its numbers are probabilities (``"mass"``) or densities, which nobody may compare: the density
of data that are discrete has no upper bound, since a narrow peak can sit on each of their values.
"""

from torch import nn

from pyrovae.likelihoods.autoregressive_categorical import AutoregressiveCategorical
from pyrovae.likelihoods.bernoulli import Bernoulli
from pyrovae.likelihoods.binomial import Binomial
from pyrovae.likelihoods.categorical import Categorical
from pyrovae.likelihoods.continuous_bernoulli import ContinuousBernoulli
from pyrovae.likelihoods.discretized_logistic import DiscretizedLogistic
from pyrovae.likelihoods.discretized_logistic_mixture import DiscretizedLogisticMixture
from pyrovae.likelihoods.gaussian import Gaussian
from pyrovae.likelihoods.laplace import Laplace
from pyrovae.likelihoods.likelihood import Likelihood
from pyrovae.likelihoods.multinomial import Multinomial
from pyrovae.likelihoods.negative_binomial import NegativeBinomial, ZeroInflatedNegativeBinomial
from pyrovae.likelihoods.poisson import Poisson
from pyrovae.likelihoods.student_t import StudentT

LIKELIHOODS: dict[str, type[nn.Module]] = {
    "bernoulli": Bernoulli,
    "continuous-bernoulli": ContinuousBernoulli,
    "gaussian": Gaussian,
    "laplace": Laplace,
    "student-t": StudentT,
    "discretized-logistic": DiscretizedLogistic,
    "discretized-logistic-mixture": DiscretizedLogisticMixture,
    "binomial": Binomial,
    "categorical": Categorical,
    "poisson": Poisson,
    "negative-binomial": NegativeBinomial,
    "zero-inflated-negative-binomial": ZeroInflatedNegativeBinomial,
    "multinomial": Multinomial,
    "autoregressive-categorical": AutoregressiveCategorical,
}

__all__ = [
    "LIKELIHOODS",
    "AutoregressiveCategorical",
    "Bernoulli",
    "Binomial",
    "Categorical",
    "ContinuousBernoulli",
    "DiscretizedLogistic",
    "DiscretizedLogisticMixture",
    "Gaussian",
    "Laplace",
    "Likelihood",
    "Multinomial",
    "NegativeBinomial",
    "Poisson",
    "StudentT",
    "ZeroInflatedNegativeBinomial",
]
