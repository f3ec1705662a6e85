"""The improper prior of a plain autoencoder."""

from typing import Any

import torch
from pyro.distributions import ImproperUniform, TorchDistribution
from torch import Tensor, nn
from torch.distributions import constraints

from pyrovae.errors import PyrovaeError


class Improper(ImproperUniform):
    """Density one at every real vector, log p(z) = 0: it scores, and cannot be drawn from.

    Example:
        >>> Improper(constraints.real_vector, (), (2,)).log_prob(torch.randn(3, 2))
        tensor([0., 0., 0.])
    """

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        # Pyro's is in the default precision and on the CPU, whatever the value's.
        return value.new_zeros(()).expand(super().log_prob(value).shape)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        raise PyrovaeError(
            "an improper prior has no samples: its density is one everywhere, so there is nothing to draw from",
            hint="fit a density to the codes of vae.embed(x), or train with a proper prior",
        )


class Flat(nn.Module):
    """Improper prior, log p(z) = 0 everywhere, of plain autoencoders; ignores labels (Hinton and Salakhutdinov, 2006).

    With a posterior that has a density the bound would have no maximum: decoder and posterior could spread z forever.

    Args:
        latent_dim: Dimension of z.

    Example:
        >>> Flat(3)().event_shape
        torch.Size([3])
    """

    classes = 0
    proper = False

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim

    def forward(self, y: Tensor | None = None) -> TorchDistribution:
        return Improper(constraints.real_vector, torch.Size(), torch.Size([self.latent_dim]))
