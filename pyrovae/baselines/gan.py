"""A generator and a discriminator; the generator is a VAE's prior and decoder, so samples of both are judged alike."""

from collections.abc import Sequence
from typing import Any

from pyro.distributions import Delta
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.parametrizations import spectral_norm

from pyrovae.errors import PyrovaeError
from pyrovae.generative import Generative, reads
from pyrovae.networks import Network
from pyrovae.objectives.mmd import draws
from pyrovae.vae import is_proper

BOUNDED = ("levels", "unit", "binary")  # supports of data in [0, 1]


class Generator(nn.Module):
    """One datum for each z, all of p(x | z) at one point: the decoder's numbers, in [0, 1] through a sigmoid.

    It has no density. Where a VAE's likelihood is asked for a mean or a draw, both are that datum.

    Args:
        network: Makes the decoder, see :mod:`pyrovae.networks`.
        latent_dim: Dimension of z.
        event_shape: Shape of one datum.
        support: Of the data, see :class:`pyrovae.data.Dataset`; real data go through no sigmoid.

    Raises:
        PyrovaeError: The data are counts, which no smooth function of z can be.

    Example:
        >>> import torch
        >>> from pyrovae import MLP
        >>> Generator(MLP, 16, (1, 28, 28))(torch.zeros(5, 16)).mean.shape
        torch.Size([5, 1, 28, 28])
    """

    classes = 0

    def __init__(
        self, network: Network, latent_dim: int, event_shape: Sequence[int], support: str = BOUNDED[0]
    ) -> None:
        super().__init__()
        if support == "count":
            raise PyrovaeError("a GAN makes numbers, not counts", hint="train program 'vae', or data.support = 'real'")
        self.event_shape, self.accepts = tuple(event_shape), BOUNDED if support in BOUNDED else (support,)
        self.decoder = network((latent_dim,), event_shape)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Delta:
        numbers = self.decoder(z)
        made = numbers.sigmoid() if self.accepts == BOUNDED else numbers
        return Delta(made, event_dim=len(self.event_shape))


class GAN(Generative):
    """Generative adversarial network: a generator, and a discriminator that tells its data from others (Goodfellow et
    al., 2014).

    A prior whose draws have a gradient learns with the generator; any other, such as a mixture, stays as it starts.

    Args:
        prior: Module with ``forward(y=None)``, p(z), event shape ``(latent_dim,)``.
        likelihood: The generator, see :class:`Generator`.
        discriminator: Network from one datum to one number, the logit of its being real: shape
            ``(..., *event_shape) -> (..., 1)``.

    Raises:
        PyrovaeError: The prior cannot be drawn from, or a part reads labels.

    Example:
        >>> from pyrovae import MLP, StandardNormal
        >>> gan = GAN(StandardNormal(2), Generator(MLP, 2, (1, 8, 8)), MLP((1, 8, 8), (1,)))
        >>> gan.logits(gan.sample(5)).shape
        torch.Size([5])
    """

    missing = False
    discriminator: Any

    def __init__(self, prior: nn.Module, likelihood: nn.Module, discriminator: nn.Module) -> None:
        super().__init__()
        if not is_proper(prior):
            raise PyrovaeError("a flat prior has nothing to draw from", hint="prior.name = 'standard-normal'")
        if any(map(reads, (prior, likelihood, discriminator))):
            raise PyrovaeError("a GAN reads no labels", hint="give no part any classes; prior.labels = false")
        self.prior, self.likelihood, self.discriminator = prior, likelihood, discriminator

    def generate(self, size: int) -> Tensor:
        """Draws data with a gradient, shape ``(size, *event_shape)``."""
        made: Tensor = self.likelihood(draws(self.prior().expand((size,)))).mean
        return made

    def logits(self, x: Tensor) -> Tensor:
        """Returns the discriminator's log odds that data are real, shape ``(n,)``."""
        found: Tensor = self.discriminator(x).squeeze(-1)
        return found

    def logits_beside(self, x: Tensor) -> Tensor:
        """Returns the same, with a gradient by x alone: the discriminator's parameters are numbers here."""
        fixed = {name: parameter.detach() for name, parameter in self.discriminator.named_parameters()}
        found: Tensor = functional_call(self.discriminator, fixed, x).squeeze(-1)
        return found


def spectrally_normalised(network: nn.Module) -> nn.Module:
    r"""Divides the weight of each linear and convolutional layer by its largest singular value (Miyato et al., 2018).

    A layer is then 1-Lipschitz (a convolution nearly: its weight is taken as a matrix of ``(out, in * height * width)``
    as the paper does). The value is followed by power iteration, which moves at each call in training mode.

    Args:
        network: Changed in place.

    Returns:
        The network.

    Example:
        >>> import torch
        >>> from pyrovae import MLP
        >>> weight = spectrally_normalised(MLP((8,), (1,))).layers[0].weight
        >>> round(torch.linalg.matrix_norm(weight, 2).item(), 1)
        1.0
    """
    for layer in list(network.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d):
            spectral_norm(layer)
    return network
