"""What draws data from a prior and a decoder, whatever has trained them."""

from typing import Any

import torch
from torch import Tensor, nn

from pyrovae.errors import PyrovaeError


class Generative(nn.Module):
    """Draws of z ~ p(z) and x ~ p(x | z), for a module that has a prior and a likelihood.

    Attributes:
        prior: Module with ``forward(y=None)``, p(z) or p(z | y).
        likelihood: Module with ``forward(z, y=None)``, p(x | z).
    """

    # Any module that keeps the contract will do; typed as such, every attribute would be "Tensor or Module".
    prior: Any
    likelihood: Any

    @property
    def conditional(self) -> bool:
        """Whether the likelihood, and a posterior beside it, reads labels."""
        return bool(reads(self.likelihood))

    @property
    def pools(self) -> bool:
        """Whether the prior reads labels."""
        return bool(reads(self.prior))

    @torch.no_grad()
    def sample(self, size: int, y: int | Tensor | None = None, *, mean: bool = True) -> Tensor:
        """Draws data from the model, all of them from the pool of class y where one is given.

        Args:
            size: How many.
            y: A class, or one per datum, shape ``(size,)``.
            mean: Return E[x | z] of each drawn z, the usual picture, instead of a draw of x.

        Returns:
            Shape ``(size, *event_shape)``.

        Raises:
            PyrovaeError: No part reads labels, or the class does not exist.
        """
        y = self.labels(size, y)
        return self.decode(self.prior(y).expand((size,)).sample(), y, mean=mean)

    @torch.no_grad()
    def decode(self, z: Tensor, y: Tensor | None = None, *, mean: bool = True) -> Tensor:
        """Returns E[x | z], or a draw, for codes z of any leading shape ``(..., latent_dim)``."""
        likelihood = self.likelihood(z, y)
        return likelihood.mean if mean else likelihood.sample()

    def labels(self, size: int, y: int | Tensor | None = None) -> Tensor | None:
        """Returns one label per datum: y itself, or draws where a conditional model must have them.

        They come from the prior's weights, or uniformly where the prior does not read labels.
        """
        classes = reads(self.prior) or reads(self.likelihood)
        device = next(self.parameters()).device
        if y is not None:
            return torch.as_tensor(check_label(y, classes), device=device).expand(size)
        if not self.conditional:
            return None
        return self.prior.labels().sample((size,)) if self.pools else torch.randint(classes, (size,), device=device)


def reads(part: nn.Module) -> int:
    """Returns how many classes a part reads: its ``classes``, none where it says nothing."""
    return int(getattr(part, "classes", 0))


def check_label(y: Any, classes: int) -> Any:
    if not classes:
        raise PyrovaeError(
            f"no pool of class {y}: this model reads no labels",
            hint="a VAE trained with prior.labels = true, or with vae.conditional = true, does",
        )
    if not 0 <= int(torch.as_tensor(y).min()) <= int(torch.as_tensor(y).max()) < classes:
        raise PyrovaeError(f"unknown class {y}", hint=f"classes are 0 to {classes - 1}")
    return y
