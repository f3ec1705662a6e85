"""The likelihoods of counts that vary more than chance alone would have it, with and without additional zeros."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pyro import distributions as dist
from torch import Tensor, nn

from pyrovae.distributions import bounded_scale
from pyrovae.likelihoods.counts import Counts
from pyrovae.networks import Network
from pyrovae.scalar import Widened, wide

Dispersion = Literal["element", "datum"]


class NegativeBinomial(Counts):
    r"""Independent negative binomial counts by mean and dispersion (Lopez et al., 2018).

    With mean :math:`\mu` and :math:`r` failures (``total_count``), both bounded, the variance is
    :math:`\mu + \mu^2 / r`: that of a Poisson distribution for large r.

    Args:
        network: Makes the decoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension of z.
        event_shape: Shape of one datum.
        classes: Number of classes the decoder reads; 0 reads none.
        rate: Expected count to start from; 1e-4 to 1e4 times as much can be reached.
        dispersion: Whether r is one learned number per element, or read from z for each datum's elements.

    Example:
        >>> from pyrovae import MLP
        >>> NegativeBinomial(MLP, 2, (8,), rate=50.0)(torch.zeros(5, 2)).mean.shape
        torch.Size([5, 8])
    """

    gates: ClassVar[int] = 0  # numbers per element beside rate and dispersion

    def __init__(
        self,
        network: Network,
        latent_dim: int,
        event_shape: Sequence[int],
        classes: int = 0,
        *,
        rate: float = 1.0,
        dispersion: Dispersion = "element",
    ) -> None:
        numbers = 1 + self.gates + (dispersion == "datum")
        super().__init__(network, latent_dim, event_shape, classes, numbers, rate=rate)
        self.raw_total_count = nn.Parameter(torch.zeros(tuple(event_shape)))

    def elements(self, numbers: Tensor) -> Widened:
        rate, *raw = numbers.unbind(self.axis)
        return Widened(self.counts(rate, *raw), numbers.dtype)

    def counts(self, rate: Tensor, raw: Tensor | float = 0.0) -> dist.TorchDistribution:
        """Returns the distribution in float64; ``raw`` is the decoder's share of the dispersion."""
        total_count = bounded_scale(wide(self.raw_total_count + raw))
        return dist.NegativeBinomial(total_count, logits=self.rate(rate).log() - total_count.log())


class ZeroInflatedNegativeBinomial(NegativeBinomial):
    r"""Independent negative binomial counts of which a share, read from z, is lost and counts 0 (Lopez et al., 2018).

    With lost share :math:`\pi` and the mean :math:`\mu` of the others, the mean is :math:`(1 - \pi) \mu`.

    Args:
        network: Makes the decoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension of z.
        event_shape: Shape of one datum.
        classes: Number of classes the decoder reads; 0 reads none.
        rate: Expected count to start from, before any is lost; 1e-4 to 1e4 times as much can be reached.
        dispersion: Whether r is one learned number per element, or read from z for each datum's elements.

    Example:
        >>> from pyrovae import MLP
        >>> ZeroInflatedNegativeBinomial(MLP, 2, (8,), rate=50.0)(torch.zeros(5, 2)).mean.shape
        torch.Size([5, 8])
    """

    gates: ClassVar[int] = 1

    def elements(self, numbers: Tensor) -> Widened:
        gate, rate, *raw = numbers.unbind(self.axis)
        inflated = dist.ZeroInflatedDistribution(self.counts(rate, *raw), gate_logits=wide(gate))
        return Widened(inflated, numbers.dtype)
