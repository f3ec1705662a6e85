"""Models small enough to be solved: linear-Gaussian ones in closed form, those with a 1-D latent by quadrature."""

import inspect
import math
from functools import partial
from typing import Any, NamedTuple

import torch
from pyro.distributions import MultivariateNormal, Normal
from torch import Tensor, nn
from torch.distributions import kl_divergence

from pyrovae import MLP, VAE, DiagonalNormal, Gaussian, StandardNormal, Vamp
from pyrovae.distributions import SCALE_REACH

linear = partial(MLP, hidden=[])
bent = partial(MLP, hidden=[8], activation="tanh")


class Linear(NamedTuple):
    """A linear-Gaussian VAE, data drawn from it, and what is known of them."""

    vae: VAE
    x: Tensor
    log_p: Tensor  # log N(x; b, WW' + s^2 I), shape (n,)
    gap: Tensor  # KL(q(z | x) || p(z | x)), shape (n,)
    rate: Tensor  # KL(q(z | x) || p(z)), shape (n,)


def raw_scale(scale: Tensor) -> Tensor:
    """Inverts `bounded_scale` in the tensor's own precision."""
    return SCALE_REACH * torch.atanh(scale.log() / SCALE_REACH)


def linear_vae(
    n: int = 16, d: int = 6, k: int = 2, noise: float = 0.5, shift: float = 0.0, widen: float = 1.0, seed: int = 0
) -> Linear:
    """Builds probabilistic PCA with orthogonal W; shift and widen move the guide away from the exact posterior."""
    torch.manual_seed(seed)
    parts = StandardNormal(k), Gaussian(linear, k, (d,), noise="fixed", scale=noise), DiagonalNormal(linear, k, (d,))
    vae = VAE(*parts).double()
    decoder, encoder = vae.likelihood.decoder.layers[0], vae.posterior.encoder.layers[0]
    w = torch.linalg.qr(torch.randn(d, k, dtype=torch.double)).Q * torch.linspace(2.0, 1.0, k)
    b = torch.randn(d, dtype=torch.double)
    s = vae.likelihood(torch.zeros(k, dtype=torch.double)).stddev[0].detach()
    precision = w.square().sum(0) + s**2
    a, scale = w.T / precision[:, None], s / precision.sqrt()
    with torch.no_grad():
        decoder.weight.copy_(w), decoder.bias.copy_(b)
        encoder.weight.copy_(torch.cat([a, torch.zeros_like(a)]))
        encoder.bias.copy_(torch.cat([shift - a @ b, raw_scale(widen * scale)]))
    marginal = MultivariateNormal(b, w @ w.T + s**2 * torch.eye(d, dtype=torch.double))
    x = marginal.sample((n,))
    q, exact = (Normal(m, c * scale).to_event(1) for m, c in ((shift + (x - b) @ a.T, widen), ((x - b) @ a.T, 1.0)))
    prior = Normal(torch.zeros_like(scale), torch.ones_like(scale)).to_event(1).expand((n,))
    return Linear(vae, x, marginal.log_prob(x), kl_divergence(q, exact), kl_divergence(q, prior))


def build(part: type[nn.Module], **options: Any) -> nn.Module:
    """Builds a part from what its constructor asks for: two latent dimensions, data of R^4, three classes."""
    known = {
        "latent_dim": 2, "event_shape": (4,), "support": "real", "network": bent,
        "posterior": lambda: DiagonalNormal(bent, 2, (4,)),
    } | options  # fmt: skip
    wanted = {name: known[name] for name in inspect.signature(part).parameters if name in known}
    return part(**{name: value() if inspect.isfunction(value) else value for name, value in wanted.items()}).double()


def curved_vae(prior: type[nn.Module], n: int = 6, seed: int = 1, **options: Any) -> tuple[VAE, Tensor]:
    """Builds a VAE with one latent dimension and a nonlinear decoder, and draws data from it."""
    torch.manual_seed(seed)
    posterior = DiagonalNormal(bent, 1, (3,))
    vae = VAE(
        build(prior, latent_dim=1, event_shape=(3,), posterior=posterior, **options),
        Gaussian(bent, 1, (3,), noise="fixed", scale=0.4),
        posterior,
    ).double()
    with torch.no_grad():
        for layer in (0, 2):
            vae.likelihood.decoder.layers[layer].weight.mul_(2.0)
    return vae, vae.sample(n, mean=False)


@torch.no_grad()
def quadrature(vae: VAE, x: Tensor, y: Tensor | None = None, *, reach: float = 12.0, points: int = 4001) -> Tensor:
    """Returns log p(x), or log p(x, y) with labels, by the trapezium rule over a 1-D latent."""
    z = torch.linspace(-reach, reach, points, dtype=torch.double)[:, None]
    log_prior = torch.stack([vae.prior(label).log_prob(z) for label in (y if y is not None else [None] * len(x))], 1)
    joint = log_prior + vae.likelihood(z[:, None]).log_prob(x)
    log_p = joint.logsumexp(0) + math.log(2 * reach / (points - 1))
    return log_p if y is None else log_p + vae.prior.labels().log_prob(y)


def score(draws: Tensor, expected: Tensor | float = 0.0) -> float:
    """Returns by how many standard errors the mean of independent draws (first dimension) misses what is expected."""
    error = draws.std(0) / math.sqrt(len(draws))
    return float(((draws.mean(0) - expected).abs() / error).max())


__all__ = ["Linear", "Vamp", "bent", "build", "curved_vae", "linear", "linear_vae", "quadrature", "score"]
