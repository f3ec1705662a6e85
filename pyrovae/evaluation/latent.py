r"""How a VAE uses its latent space: rate, distortion and active units.

Minus the ELBO is rate plus distortion (minus log p(y) where labels are observed):

.. math:: R = \mathbb{E}_q[\log q(z \mid x) - \log p(z)], \qquad D = -\mathbb{E}_q[\log p(x \mid z)]
"""

from collections.abc import Callable

import pyro
import torch
from torch import Tensor

from pyrovae.data import Dataset
from pyrovae.densities import Densities, densities
from pyrovae.errors import PyrovaeError
from pyrovae.evaluation.evidence import batches
from pyrovae.networks.characters import unit_vectors
from pyrovae.objectives.free_bits import closed_form
from pyrovae.objectives.legality import per_dimension
from pyrovae.vae import VAE

CHUNK = 1000  # data at once, or draws of fewer data
COLLAPSED = 0.1  # nats per datum: a rate below it says nothing of x


def rate(vae: VAE, x: Tensor, y: Tensor | None = None, *, particles: int = 1) -> Tensor:
    """Returns the sampled KL(q(z | x) || p(z)) per datum, shape ``(n,)``, in nats (Alemi et al., 2018).

    Raises:
        PyrovaeError: x has another shape than the VAE reads.

    Example:
        >>> from pyrovae import MLP, Bernoulli, DiagonalNormal, StandardNormal
        >>> vae = VAE(StandardNormal(2), Bernoulli(MLP, 2, (8,)), DiagonalNormal(MLP, 2, (8,)))
        >>> rate(vae, torch.ones(5, 8), particles=10).shape
        torch.Size([5])
    """
    return averaged(lambda sites: sites.divergence, vae, x, y, particles)


def distortion(vae: VAE, x: Tensor, y: Tensor | None = None, *, particles: int = 1) -> Tensor:
    """Returns -E_q[log p(x | z)] per datum, shape ``(n,)``, in nats (Alemi et al., 2018).

    Raises:
        PyrovaeError: x has another shape than the VAE reads.

    Example:
        >>> from pyrovae import MLP, Bernoulli, DiagonalNormal, StandardNormal
        >>> vae = VAE(StandardNormal(2), Bernoulli(MLP, 2, (8,)), DiagonalNormal(MLP, 2, (8,)))
        >>> distortion(vae, torch.ones(5, 8), particles=10).shape
        torch.Size([5])
    """
    return averaged(lambda sites: -sites.model["x"].log_prob, vae, x, y, particles)


@torch.no_grad()
def averaged(read: Callable[[Densities], Tensor], vae: VAE, x: Tensor, y: Tensor | None, particles: int = 1) -> Tensor:
    """Returns what is read of shape ``(particles, n)`` from the densities, averaged over particles."""
    with pyro.get_param_store().scope():
        return torch.cat(
            [
                read(densities(vae.model, vae.guide, *batch, particles=particles)).mean(0)
                for batch in batches(vae, x, y, size=max(1, CHUNK // particles))
            ]
        )


@torch.no_grad()
def active_units(vae: VAE, x: Tensor, y: Tensor | None = None, *, threshold: float = 0.01) -> Tensor:
    """Tells which latent dimensions carry data: Var_x(E[z_d | x]) > threshold (Burda et al., 2016).

    Returns:
        Booleans, shape ``(latent_dim,)``.

    Example:
        >>> from pyrovae import MLP, Bernoulli, DiagonalNormal, StandardNormal
        >>> vae = VAE(StandardNormal(2), Bernoulli(MLP, 2, (8,)), DiagonalNormal(MLP, 2, (8,)))
        >>> active_units(vae, torch.zeros(100, 8))
        tensor([False, False])
    """
    return torch.cat([vae.embed(*batch) for batch in batches(vae, x, y, size=CHUNK)]).var(0) > threshold


def kl_of_dimensions(sites: Densities) -> Tensor | None:
    """Returns the closed-form KL of each latent dimension, summed over data; nothing where there is none."""
    if list(sites.guide) != ["z"]:
        return None
    try:
        posterior = per_dimension(sites.guide["z"], "posterior", "kl")
        prior = per_dimension(sites.model["z"], "prior", "kl")
        kl = closed_form(posterior, prior)
    except PyrovaeError:
        return None
    return kl.expand(sites.guide["z"].value.shape).mean(0).sum(0).double().cpu()


def vectors(x: Tensor, dataset: Dataset) -> Tensor:
    """Returns data whose distances mean something: unit vectors for the codes of texts, other data as they are.

    Example:
        >>> from pyrovae.data import make_dataset
        >>> x = torch.tensor([[1, 2], [2, 0], [1, 1]], dtype=torch.uint8)
        >>> text = make_dataset("toy", x, support="characters", alphabet="ab", validation=1, test=1)
        >>> vectors(x[:2].float(), text).flatten(1).diff(dim=0).norm()  # two characters differ
        tensor(1.7321)
    """
    return unit_vectors(x, dataset.levels) if dataset.alphabet and dataset.levels else x
