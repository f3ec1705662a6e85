r"""The variational mixture of posteriors: the prior is the encoder's own answer to learned pseudo-inputs."""

from collections.abc import Sequence
from typing import Literal

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from pyrovae.errors import PyrovaeError
from pyrovae.priors.mixture import MixturePrior, classes_read

SQUEEZE = 0.02  # pixels start in [0.02, 0.98]: the sigmoid's slope is too small to learn from nearer to 0 and 1

UNFIT = {  # by the posterior's `density`: why it cannot be mixed, and the nearest one that can
    "own-draws": ("knows its density at its own draws only", "flow"),
    "nowhere": ("has no density", "diagonal-normal"),
}


class Vamp(MixturePrior):
    r"""Mixture of the posteriors of learned pseudo-inputs u, p(z) = sum_k w_k q(z | u_k) (Tomczak and Welling, 2018).

    Pixels in [0, 1] are sigmoids of free parameters: a clamp has no gradient at 0 and 1 and would freeze binary starts.

    Args:
        posterior: The VAE's own posterior, whose parameters are shared.
        event_shape: Shape of one datum.
        support: Of the data: real data have pseudo-inputs of any value, binary, levels and unit data in (0, 1).
        classes: Number of classes of the data.
        examples: Data to start from, shape ``(n, *event_shape)``; without them pseudo-inputs start random.
        example_labels: Their labels, shape ``(n,)``.
        labels: One group of pseudo-inputs per class.
        pseudo_inputs: Number of pseudo-inputs in all, with labels a multiple of the number of classes.

    Raises:
        PyrovaeError: Labels without classes, fewer examples than pseudo-inputs, counts as data, or a posterior whose
            density is not known everywhere.

    Example:
        >>> from pyrovae import MLP, DiagonalNormal
        >>> prior = Vamp(DiagonalNormal(MLP, 2, (8,)), (8,), pseudo_inputs=50)
        >>> prior().log_prob(torch.zeros(3, 2)).shape
        torch.Size([3])
    """

    pseudo_labels: Tensor
    size_key = "pseudo_inputs"

    def __init__(
        self,
        posterior: nn.Module,
        event_shape: Sequence[int],
        support: Literal["binary", "levels", "unit", "count", "real", "characters"] = "unit",
        classes: int = 0,
        examples: Tensor | None = None,
        example_labels: Tensor | None = None,
        *,
        labels: bool = False,
        pseudo_inputs: int = 500,
    ) -> None:
        check_vamp(posterior, support)
        super().__init__(pseudo_inputs, classes_read(classes, labels=labels))
        self.posterior = posterior
        self.support, self.real = support, support == "real"
        group = torch.arange(pseudo_inputs) * max(classes, 1) // pseudo_inputs
        if examples is None:
            examples = (
                torch.randn(pseudo_inputs, *event_shape) if self.real else torch.rand(pseudo_inputs, *event_shape)
            )
        else:
            rows = choose(len(examples), pseudo_inputs, example_labels if labels else None, group)
            group = group if example_labels is None else example_labels[rows]
            examples = examples[rows].nan_to_num(0.0)  # what is missing starts as the encoder reads it
        self.raw = nn.Parameter(examples if self.real else (SQUEEZE + (1 - 2 * SQUEEZE) * examples).logit())
        self.register_buffer("pseudo_labels", group)

    def pseudo_inputs(self) -> Tensor:
        """Returns the pseudo-inputs u, shape ``(K, *event_shape)``."""
        return self.raw if self.real else self.raw.sigmoid()

    def components(self) -> TorchDistribution:
        distribution: TorchDistribution = self.posterior(self.pseudo_inputs(), self.pseudo_labels)
        return distribution


def check_vamp(posterior: nn.Module, support: str) -> None:
    """Refuses what has no posterior between the data, or none whose density is known where another one is."""
    if support in ("count", "characters"):
        what = "counts" if support == "count" else "characters"
        raise PyrovaeError(
            f"prior.name = 'vamp' on {what}: its pseudo-inputs learn in small steps, and no datum is between {what}",
            hint="set prior.name to 'gaussian-mixture'",
        )
    density = getattr(posterior, "density", "everywhere")
    if density != "everywhere":
        reason, name = UNFIT[density]
        raise PyrovaeError(
            f"prior.name = 'vamp' mixes q(z | u) of many u at one z, but posterior {type(posterior).__name__} {reason}",
            hint=f"set posterior.name to '{name}', or prior.name to 'flow'",
        )


def choose(rows: int, size: int, labels: Tensor | None, group: Tensor) -> Tensor:
    """Draws ``size`` different rows, where labels are given those of each component's group."""
    if labels is None:
        if rows < size:
            raise PyrovaeError(f"{size} pseudo-inputs from {rows} data", hint=f"set prior.pseudo_inputs <= {rows}")
        return torch.randperm(rows)[:size]
    groups = zip(*group.unique(return_counts=True), strict=True)
    return torch.cat([chosen_of_class(labels, int(y), int(n)) for y, n in groups])


def chosen_of_class(labels: Tensor, y: int, size: int) -> Tensor:
    (rows,) = torch.where(labels == y)
    if len(rows) < size:
        raise PyrovaeError(
            f"{size} pseudo-inputs of class {y} from {len(rows)} data", hint="set a smaller prior.pseudo_inputs"
        )
    return rows[torch.randperm(len(rows))[:size]]
