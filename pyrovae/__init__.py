"""Variational autoencoders as Pyro programs: prior × likelihood × posterior, trained by an objective, honestly judged.

Public names load on first use, so that ``pyrovae --help`` does not wait for torch.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "vae": ["VAE"],
    "checks": ["check"],
    "mixtures": ["DiagonalNormalMixture", "Mixture"],
    "priors": [
        *["PRIORS", "Flat", "FlowPrior", "FullCovarianceMixture", "GaussianMixture", "Product", "StandardLaplace"],
        *["StandardNormal", "Vamp"],
    ],
    "posteriors": [
        *["POSTERIORS", "DiagonalLaplace", "DiagonalNormal", "DiagonalStudentT", "FlowPosterior"],
        *["FullCovarianceNormal", "InverseAutoregressive", "LowRankNormal", "Point"],
    ],
    "likelihoods": [
        *["LIKELIHOODS", "AutoregressiveCategorical", "Bernoulli", "Binomial", "Categorical", "ContinuousBernoulli"],
        *["DiscretizedLogistic", "DiscretizedLogisticMixture", "Gaussian", "Laplace", "Multinomial"],
        *["NegativeBinomial", "Poisson", "StudentT", "ZeroInflatedNegativeBinomial"],
    ],
    "networks": ["MLP", "NETWORKS", "conv", "gated_conv", "gated_mlp", "gru", "log_counts", "one_hot", "resnet"],
    "objectives": ["ELBO", "IWAE", "MMD", "OBJECTIVES", "PIWAE", "STL", "TC", "AnalyticELBO", "DReG", "Renyi"],
    "data": ["DATA", "Dataset", "Split", "make_dataset"],
    "baselines": ["GAN", "Generator", "Minimax"],
    "training": ["History", "fit"],
    "analysis": ["to_datatree"],
    "netcdf": ["load_datatree", "save_datatree"],
    "evaluation": ["active_units", "distortion", "log_marginal", "rate"],
    "configuration": ["Experiment"],
    "experiment": ["load"],
    "running": ["resume", "run"],
    "checkpoints": ["Checkpoints"],
    "errors": ["Interrupted", "PyrovaeError"],
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'pyrovae' has no attribute '{name}'")
    return getattr(import_module(f"pyrovae.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
