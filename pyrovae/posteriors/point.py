"""The posterior of a plain autoencoder, and of one that learns from damaged data."""

from collections.abc import Sequence
from typing import Annotated

import torch
from pyro.distributions import Delta, TorchDistribution
from torch import Tensor, nn

from pyrovae.errors import PyrovaeError
from pyrovae.networks import Network
from pyrovae.ranges import NonNegative, Range


class Point(nn.Module):
    r"""One code per datum, all of q(z | x) at one point, as in plain autoencoders (Hinton and Salakhutdinov, 2006).

    It has no density: log q is 0 at the code by convention, so that only log p(x | z) is left beside a flat prior, and
    nothing that weighs draws by q applies.

    With a corruption or noise it is a denoising autoencoder (Vincent et al., 2008): while it is trained the encoder
    reads :math:`\tilde x = m x + \sigma \epsilon`, with :math:`m` 0 for the share of elements that is corrupted and
    else 1, and the likelihood scores x itself. In evaluation, and where the encoder is frozen, it reads x.

    Args:
        network: Makes the encoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension of z.
        event_shape: Shape of one datum.
        classes: Number of classes the encoder reads; 0 reads none.
        support: Of the data: counts take no noise, which would make them negative.
        corruption: Share of the elements of x that the encoder reads as 0 in training.
        noise: Standard deviation of the normal noise that is added to all elements in training.

    Raises:
        PyrovaeError: Noise is to be added to counts.

    Example:
        >>> from pyrovae import MLP
        >>> q = Point(MLP, 3, (8,))(torch.zeros(5, 8))
        >>> q.log_prob(q.rsample())
        tensor([0., 0., 0., 0., 0.])
    """

    density = "nowhere"

    def __init__(
        self,
        network: Network,
        latent_dim: int,
        event_shape: Sequence[int],
        classes: int = 0,
        support: str = "unit",
        *,
        corruption: Annotated[float, Range(0, 1, open_high=True)] = 0.0,
        noise: NonNegative = 0.0,
    ) -> None:
        if noise and support == "count":
            hint = "posterior.corruption sets counts to 0 instead"
            raise PyrovaeError(f"posterior.noise = {noise:g} would make counts negative", hint=hint)
        super().__init__()
        self.classes, self.corruption, self.noise = classes, corruption, noise
        self.encoder = network(event_shape, (latent_dim,), classes)

    def forward(self, x: Tensor, y: Tensor | None = None) -> TorchDistribution:
        return Delta(self.encoder(self.corrupted(x) if self.learns else x, y), event_dim=1)

    @property
    def learns(self) -> bool:
        """Whether the encoder is being trained; another prior that is fitted to its codes wants those of x itself."""
        return self.training and all(parameter.requires_grad for parameter in self.encoder.parameters())

    def corrupted(self, x: Tensor) -> Tensor:
        """Returns x with some elements set to 0, and noise on all of them; no generator moves where there is none."""
        if self.corruption:
            x = torch.where(torch.rand_like(x) < self.corruption, 0.0, x)
        return x + self.noise * torch.randn_like(x) if self.noise else x
