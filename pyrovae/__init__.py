"""Variational autoencoders as Pyro programs: prior × likelihood × posterior, trained by an objective, honestly judged.

Public names load on first use, so that ``pyrovae --help`` does not wait for torch.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "vae": ["VAE"],
    "checks": ["check"],
    "distributions": ["DiagonalNormalMixture", "Mixture"],
    "priors": ["PRIORS", "GaussianMixture", "StandardNormal", "Vamp"],
    "posteriors": ["POSTERIORS", "DiagonalNormal", "FullCovarianceNormal"],
    "likelihoods": ["LIKELIHOODS", "Bernoulli", "Gaussian"],
    "networks": ["MLP", "NETWORKS", "conv"],
    "objectives": ["ELBO", "IWAE", "OBJECTIVES", "AnalyticELBO"],
    "data": ["DATA", "Dataset", "Split", "make_dataset"],
    "training": ["History", "fit"],
    "evaluation": ["active_units", "distortion", "log_marginal", "rate"],
    "configuration": ["Experiment"],
    "experiment": ["load", "run"],
    "errors": ["PyrovaeError"],
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'pyrovae' has no attribute '{name}'")
    return getattr(import_module(f"pyrovae.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
