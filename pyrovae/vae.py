r"""A VAE is a prior p(z), a likelihood p(x | z) and a posterior q(z | x), read by Pyro as a model and a guide.

What labels y mean, once and for all:

* **Pools**: a prior that reads labels (``prior.classes > 0``) is observed with them, y ~ p(y), z ~ p(z | y), and the
  loss bounds log p(x, y). Without labels z ~ p(z) = sum_y p(y) p(z | y) exactly, and it bounds log p(x).
* **Conditional**: likelihood and posterior read y as well and y is not scored: the loss bounds log p(x | y).
* Parts that do not read labels ignore them.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import pyro
import torch
from pyro.distributions import Distribution
from pyro.nn import PyroModule, pyro_method
from torch import Tensor, nn

from pyrovae.distributions import masked
from pyrovae.errors import PyrovaeError
from pyrovae.generative import Generative, reads


class VAE(Generative, PyroModule):
    """Variational autoencoder as two Pyro programs (Kingma and Welling, 2014; Rezende et al., 2014).

    Args:
        prior: Module with ``forward(y=None)``, p(z) or p(z | y), event shape ``(latent_dim,)``.
        likelihood: Module with ``forward(z, y=None)``, p(x | z), event shape that of one datum.
        posterior: Module with ``forward(x, y=None)``, q(z | x), event shape ``(latent_dim,)``.
        missing: Take NaN in x as not observed: it counts nothing in the likelihood, and the encoder reads 0 in its
            place (Mattei and Frellsen, 2019).

    Raises:
        PyrovaeError: A part is no module; one of likelihood and posterior reads labels and the other does not, or
            numbers of classes differ. The programs raise it where a part returns what Pyro cannot draw from, and where
            x has another shape than ``(n, *event_shape)`` of the likelihood.

    Example:
        >>> from pyrovae import MLP, Bernoulli, DiagonalNormal, GaussianMixture
        >>> vae = VAE(
        ...     prior=GaussianMixture(2, classes=10, labels=True),
        ...     likelihood=Bernoulli(MLP, 2, (1, 8, 8)),
        ...     posterior=DiagonalNormal(MLP, 2, (1, 8, 8)))
        >>> vae.sample(5, y=3).shape
        torch.Size([5, 1, 8, 8])
    """

    posterior: Any  # typed as a module, every attribute of it would be "Tensor or Module"

    def __init__(self, prior: nn.Module, likelihood: nn.Module, posterior: nn.Module, *, missing: bool = False) -> None:
        super().__init__()
        for name, part in {"prior": prior, "likelihood": likelihood, "posterior": posterior}.items():
            check_module(name, part)
        self.missing = missing
        # Of one datum. The guide must not ask the likelihood for it: it would read parameters that are not its own.
        self.event_shape: tuple[int, ...] | None = getattr(likelihood, "event_shape", None)
        self.prior = prior
        self.likelihood = likelihood
        self.posterior = posterior
        check_classes(*(reads(part) for part in (prior, likelihood, posterior)))
        if self.conditional and self.pools:
            self.prior.freeze_weights()  # y is not scored, so nothing could train them

    @pyro_method
    def model(self, x: Tensor | None = None, y: Tensor | None = None, size: int | None = None) -> Tensor:
        """Draws z ~ p(z), x ~ p(x | z), or scores x where it is given; draws ``size`` data where nothing is.

        With pools, labels that are given are scored too, y ~ p(y), z ~ p(z | y); without them z has the exact marginal
        and there is no site ``y``. A conditional VAE needs labels.
        """
        with pyro.plate("data", rows(x, y, size)):
            if self.pools and not self.conditional and y is not None:
                y = pyro.sample("y", self.prior.labels(), obs=y)
            z = pyro.sample("z", drawable("prior", self.prior(y)))
            likelihood, x = self.observation(z, x, y)
            return cast(Tensor, pyro.sample("x", likelihood, obs=x))

    @pyro_method
    def guide(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Draws z ~ q(z | x)."""
        with pyro.plate("data", rows(x, y)):
            return cast(Tensor, pyro.sample("z", self.encode(x, y)))

    def observation(self, z: Tensor, x: Tensor | None, y: Tensor | None = None) -> tuple[Any, Tensor | None]:
        """Returns p(x | z) and the x to score under it: values that are missing count nothing."""
        likelihood = drawable("likelihood", self.likelihood(z, y))
        if x is not None:
            check_shape(x, self.event_shape)
        return (masked(likelihood, ~x.isnan()), filled(x)) if self.missing and x is not None else (likelihood, x)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Any:
        """Returns q(z | x); values that are missing are read as 0."""
        check_shape(x, self.event_shape)
        return drawable("posterior", self.posterior(filled(x) if self.missing else x, y))

    def quantity(self, y: Tensor | None = None) -> str:
        """Names what the programs bound when they are given these labels.

        Example:
            >>> from pyrovae import MLP, Bernoulli, DiagonalNormal, StandardNormal
            >>> VAE(StandardNormal(2), Bernoulli(MLP, 2, (4,)), DiagonalNormal(MLP, 2, (4,))).quantity()
            'log p(x)'
        """
        x, given = "observed x" if self.missing else "x", getattr(self.likelihood, "given", "")
        scored = f"{x}, y" if self.pools and not self.conditional and y is not None else x
        conditions = ", ".join(filter(None, ("y" * self.conditional, given)))
        return f"log p({scored} | {conditions})" if conditions else f"log p({scored})"

    @torch.no_grad()
    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Returns E[x | z] at z = E[z | x], shape of x; where x is missing it is imputed."""
        return self.decode(self.embed(x, y), y)

    @torch.no_grad()
    def embed(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Returns E[z | x], shape ``(n, latent_dim)``; of a flow the mean of draws from fixed noise."""
        z: Tensor = self.encode(x, y).mean
        return z


@contextmanager
def freezing_is_meant() -> Iterator[None]:
    """Spares who freezes a part Pyro's warning of each of its tensors, at each step."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*was not registered in the param store")
        yield


def as_batch(module: nn.Module, x: Tensor, *others: Tensor | None) -> tuple[Tensor, ...]:
    """Returns what programs take, x and what else is given, on the module's device and x in its precision."""
    check_shape(x, getattr(module, "event_shape", None))
    parameter = next(module.parameters())
    return (x.to(parameter), *(other.to(parameter.device) for other in others if other is not None))


def rows(x: Tensor | None, y: Tensor | None, size: int | None = None) -> int:
    """Returns the number of data: of x, else of y, else size."""
    for given in (x, y):
        if given is not None:
            return len(given)
    if size is None:
        raise ValueError("the model needs data 'x', labels 'y', or the number of data to draw, 'size'")
    return size


def filled(x: Tensor) -> Tensor:
    """Puts 0, which every likelihood can score, where x is missing."""
    return torch.where(x.isnan(), 0.0, x)


def is_point(posterior: nn.Module) -> bool:
    """Tells whether q(z | x) is one point without a density, as a plain autoencoder's is."""
    return bool(getattr(posterior, "density", "everywhere") == "nowhere")


def is_proper(prior: nn.Module) -> bool:
    """Tells whether p(z) integrates to one, so that there is something to draw from."""
    return bool(getattr(prior, "proper", True))


def check_module(name: str, part: Any) -> None:
    if not isinstance(part, nn.Module):
        reason = f"the {name} is no torch.nn.Module but {type(part).__name__}: nothing of it would be trained"
        raise PyrovaeError(reason, hint="derive its class from nn.Module, and pass an instance")


def drawable(name: str, returned: Any) -> Any:
    """Refuses what Pyro cannot draw from, such as a distribution of torch's own."""
    if not isinstance(returned, Distribution):
        kind = f"{type(returned).__module__}.{type(returned).__qualname__}".removeprefix("builtins.")
        hint = "take it from pyro.distributions, which has those of torch.distributions under the same names"
        raise PyrovaeError(f"the {name} returned {kind}, which is no distribution of Pyro's", hint=hint)
    return returned


def check_shape(x: Any, event: Sequence[int] | None) -> None:
    """Refuses x of another event shape, which broadcasting would score as if nothing were wrong."""
    if not isinstance(x, Tensor):
        raise PyrovaeError(f"x is no tensor but {type(x).__name__}", hint="torch.as_tensor(x) makes one of an array")
    if event is not None and x.shape[1:] != tuple(event):
        expected = ", ".join(["n", *map(str, event)])
        hint = "one datum is a batch of one: x[None]" if x.shape == tuple(event) else "see x.permute and x.reshape"
        raise PyrovaeError(f"x has shape {tuple(x.shape)}, this VAE reads ({expected})", hint=hint)


def check_classes(prior: int, likelihood: int, posterior: int) -> None:
    if likelihood != posterior:
        raise PyrovaeError(
            f"likelihood reads {likelihood} classes, posterior {posterior}",
            hint="a conditional VAE gives both the same number of classes, any other VAE gives neither",
        )
    if prior and likelihood and prior != likelihood:
        raise PyrovaeError(f"prior reads {prior} classes, likelihood {likelihood}", hint="give them the same number")
