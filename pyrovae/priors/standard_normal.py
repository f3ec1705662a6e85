"""The prior every other one is compared with."""

import torch
from pyro.distributions import Normal, TorchDistribution
from torch import Tensor, nn


class StandardNormal(nn.Module):
    """Standard normal, p(z) = N(0, I); ignores labels (Kingma and Welling, 2014).

    Args:
        latent_dim: Dimension of z.

    Example:
        >>> StandardNormal(3)().event_shape
        torch.Size([3])
    """

    classes = 0
    loc: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.register_buffer("loc", torch.zeros(latent_dim), persistent=False)

    def forward(self, y: Tensor | None = None) -> TorchDistribution:
        return Normal(self.loc, torch.ones_like(self.loc)).to_event(1)
