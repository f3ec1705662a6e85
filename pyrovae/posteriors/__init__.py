"""Posteriors: modules around an encoder with ``forward(x, y=None) -> Distribution``, q(z | x).

Their positional parameters are a network (see :mod:`pyrovae.networks`), ``latent_dim``, ``event_shape`` and
``classes``, the number of classes the encoder reads in a conditional VAE.
"""

from torch import nn

from pyrovae.posteriors.diagonal_normal import DiagonalNormal
from pyrovae.posteriors.flow import FlowPosterior
from pyrovae.posteriors.full_covariance_normal import FullCovarianceNormal
from pyrovae.posteriors.iaf import InverseAutoregressive
from pyrovae.posteriors.laplace import DiagonalLaplace
from pyrovae.posteriors.low_rank_normal import LowRankNormal
from pyrovae.posteriors.point import Point
from pyrovae.posteriors.student_t import DiagonalStudentT

POSTERIORS: dict[str, type[nn.Module]] = {
    "diagonal-normal": DiagonalNormal,
    "full-covariance-normal": FullCovarianceNormal,
    "low-rank-normal": LowRankNormal,
    "laplace": DiagonalLaplace,
    "student-t": DiagonalStudentT,
    "flow": FlowPosterior,
    "iaf": InverseAutoregressive,
    "point": Point,
}

__all__ = [
    "POSTERIORS",
    "DiagonalLaplace",
    "DiagonalNormal",
    "DiagonalStudentT",
    "FlowPosterior",
    "FullCovarianceNormal",
    "InverseAutoregressive",
    "LowRankNormal",
    "Point",
]
