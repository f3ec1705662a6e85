"""Posteriors: modules around an encoder with ``forward(x, y=None) -> Distribution``, q(z | x).

Their positional parameters are a network (see :mod:`pyrovae.networks`), ``latent_dim``, ``event_shape`` and
``classes``, the number of classes the encoder reads in a conditional VAE.
"""

from torch import nn

from pyrovae.posteriors.diagonal_normal import DiagonalNormal
from pyrovae.posteriors.full_covariance_normal import FullCovarianceNormal

POSTERIORS: dict[str, type[nn.Module]] = {
    "diagonal-normal": DiagonalNormal,
    "full-covariance-normal": FullCovarianceNormal,
}

__all__ = ["POSTERIORS", "DiagonalNormal", "FullCovarianceNormal"]
