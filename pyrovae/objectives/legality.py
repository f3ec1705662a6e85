"""What an objective needs of a VAE: densities where it compares them, one latent site, factors over dimensions."""

from typing import Any

import pyro
import torch
from pyro.distributions import Delta, Distribution, Independent

from pyrovae.densities import Densities, Site, densities
from pyrovae.errors import PyrovaeError
from pyrovae.seeding import seeded
from pyrovae.vae import as_batch, reads

AUTOENCODER = "objective.name = 'elbo', particles = 1, free_bits = 0"
WASSERSTEIN = "objective.name = 'mmd', alpha = 1 with a proper prior is a Wasserstein autoencoder"


def check_parts(objective: Any, vae: Any) -> None:
    """Lets a point posterior and an improper prior go together only, and with a loss that compares no densities.

    Raises:
        PyrovaeError: Another combination; the nearest one that can be trained is the hint.
    """
    prior, posterior = getattr(vae, "prior", None), getattr(vae, "posterior", None)
    point, improper = getattr(posterior, "density", "everywhere") == "nowhere", getattr(prior, "proper", True) is False
    if improper and not point:
        raise PyrovaeError(
            f"prior {type(prior).__name__} is improper: with posterior {type(posterior).__name__} "
            "the loss bounds nothing",
            hint="posterior.name = 'point' makes an autoencoder of it; else prior.name = 'standard-normal'",
        )
    if point and improper and not (objective.autoencodes and objective.num_particles == 1):
        raise PyrovaeError(
            f"objective {objective!r} cannot train an autoencoder: all draws of a point posterior are one point",
            hint=f"{AUTOENCODER}; {WASSERSTEIN}",
        )
    if point and not improper and objective.compares_densities:
        raise PyrovaeError(
            f"posterior {type(posterior).__name__} has no density: its KL to prior {type(prior).__name__} is infinite",
            hint=f"prior.name = 'flat' with {AUTOENCODER} is an autoencoder; {WASSERSTEIN}",
        )


def is_point(distribution: Distribution) -> bool:
    """Tells whether a distribution is one point, which has no density."""
    return isinstance(getattr(distribution, "base_dist", distribution), Delta)


def blank_sites(vae: Any) -> Densities | None:
    """Returns the sites of two blank data, or nothing where the VAE does not say what its data look like."""
    likelihood: Any = getattr(vae, "likelihood", None)
    shape = getattr(likelihood, "event_shape", None)
    if shape is None:
        return None
    y = torch.zeros(2, dtype=torch.long) if reads(likelihood) or reads(vae.prior) else None
    batch = as_batch(vae, torch.zeros(2, *shape), y)
    try:
        with torch.no_grad(), pyro.get_param_store().scope(), seeded(0):
            return densities(vae.model, vae.guide, *batch)
    except RuntimeError:
        return None  # parts of unlike shapes: `check_combination` says which


def only_latent(sites: Densities, wanted_by: str) -> tuple[Site, Site]:
    """Returns q(z | x) and p(z) where z is one site.

    Raises:
        PyrovaeError: There are several, whose aggregate posteriors are not independent of each other.
    """
    if len(sites.guide) != 1:
        raise PyrovaeError(
            f"{wanted_by} reads one latent site, the programs have {', '.join(sites.guide) or 'none'}",
            hint="objective.name = 'elbo' takes any number",
        )
    ((name, posterior),) = sites.guide.items()
    return posterior, sites.model[name]


def check_batch(rows: int, wanted_by: str) -> None:
    """Raises for a batch of one datum, which says nothing of the aggregate posterior."""
    if rows < 2:
        raise PyrovaeError(
            f"{wanted_by} compares the data of a batch, and this batch has {rows}",
            hint="set train.batch_size so that no batch of one is left over",
        )


def per_dimension(site: Site, part: str, wanted_by: str) -> Any:
    """Returns the distribution of each dimension of z, batch shape ``(particles, n, latent_dim)``.

    Raises:
        PyrovaeError: The distribution is not independent over dimensions.
    """
    distribution: Any = site.distribution
    factors = isinstance(distribution, Independent) and distribution.reinterpreted_batch_ndims == 1
    if not factors or distribution.base_dist.event_shape or is_point(distribution):
        raise PyrovaeError(
            f"{wanted_by} needs a {part} that is independent over dimensions, not {type(distribution).__name__}",
            hint=f"{part}.name = '{'standard-normal' if part == 'prior' else 'diagonal-normal'}'",
        )
    return distribution.base_dist
