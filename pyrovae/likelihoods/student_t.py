"""The likelihood of real data with heavy tails."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from pyrovae import continuous
from pyrovae.distributions import bounded_scale, unbounded_scale
from pyrovae.errors import PyrovaeError
from pyrovae.likelihoods.location_scale import LocationScale, Noise
from pyrovae.networks import Network
from pyrovae.ranges import Range

DF = Range(1.01, 1e4)


class StudentT(LocationScale):
    r"""Independent Student's t pixels, for data with outliers; tails fixed or learned (Takahashi et al., 2018).

    Degrees of freedom are :math:`\nu = 1 + s` with a bounded scale s, so that the mean exists. The numbers are
    densities for any data, those of grey levels and counts too.

    Args:
        network: Makes the decoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension of z.
        event_shape: Shape of one datum.
        classes: Number of classes the decoder reads; 0 reads none.
        noise: Whether the scale is fixed, one learned number, or read from z for each pixel.
        scale: To start from where it is learned; see :class:`Gaussian`.
        tails: Whether the degrees of freedom are fixed or one learned number.
        df: Degrees of freedom, to start from where they are learned.

    Raises:
        PyrovaeError: The degrees of freedom have no mean, or nothing left of the tails.

    Example:
        >>> from pyrovae import MLP
        >>> StudentT(MLP, 2, (8,), tails="fixed", df=3.0)(torch.zeros(5, 2)).base_dist.df.unique()
        tensor([3.])
    """

    accepts = ("real", "unit", "levels", "count", "binary")
    measure = "density"
    raw_df: Tensor

    def __init__(
        self,
        network: Network,
        latent_dim: int,
        event_shape: Sequence[int],
        classes: int = 0,
        *,
        noise: Noise = "shared",
        scale: float = 0.1,
        tails: Literal["fixed", "shared"] = "shared",
        df: Annotated[float, DF] = 5.0,
    ) -> None:
        super().__init__(network, latent_dim, event_shape, classes, noise=noise, scale=scale)
        if DF.complaint(df):
            raise PyrovaeError(f"likelihood.df = {df:g}", hint=f"give a number of {DF}")
        raw_df = torch.tensor(unbounded_scale(df - 1))
        if tails == "fixed":
            self.register_buffer("raw_df", raw_df)
        else:
            self.raw_df = nn.Parameter(raw_df)

    def family(self, loc: Tensor, scale: Tensor) -> continuous.StudentT:
        return continuous.StudentT(1 + bounded_scale(self.raw_df), loc, scale)
