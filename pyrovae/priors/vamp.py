r"""The variational mixture of posteriors: the prior is the encoder's own answer to learned pseudo-inputs."""

from collections.abc import Sequence
from typing import Literal

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from pyrovae.errors import PyrovaeError
from pyrovae.priors.mixture import MixturePrior

SQUEEZE = 0.02  # pixels start in [0.02, 0.98]: the sigmoid's slope is too small to learn from nearer to 0 and 1


class Vamp(MixturePrior):
    r"""Mixture of the posteriors of learned pseudo-inputs u, p(z) = sum_k w_k q(z | u_k) (Tomczak and Welling, 2018).

    Pixels in [0, 1] are sigmoids of free parameters: a clamp has no gradient at 0 and 1 and would freeze binary starts.

    Args:
        posterior: The VAE's own posterior, whose parameters are shared.
        event_shape: Shape of one datum.
        support: Of the data: ``"real"`` data have pseudo-inputs of any value, others in (0, 1).
        classes: Number of classes of the data.
        examples: Data to start from, shape ``(n, *event_shape)``; without them pseudo-inputs start random.
        example_labels: Their labels, shape ``(n,)``.
        labels: One group of pseudo-inputs per class.
        pseudo_inputs: Number of pseudo-inputs in all.

    Raises:
        PyrovaeError: Labels without classes, or fewer examples than pseudo-inputs.

    Example:
        >>> from pyrovae import MLP, DiagonalNormal
        >>> prior = Vamp(DiagonalNormal(MLP, 2, (8,)), (8,), pseudo_inputs=50)
        >>> prior().log_prob(torch.zeros(3, 2)).shape
        torch.Size([3])
    """

    pseudo_labels: Tensor

    def __init__(
        self,
        posterior: nn.Module,
        event_shape: Sequence[int],
        support: Literal["binary", "unit", "real"] = "unit",
        classes: int = 0,
        examples: Tensor | None = None,
        example_labels: Tensor | None = None,
        *,
        labels: bool = False,
        pseudo_inputs: int = 500,
    ) -> None:
        if labels and not classes:
            raise PyrovaeError("prior.labels = true, but the data have no labels", hint="set prior.labels to false")
        super().__init__(pseudo_inputs, classes if labels else 0)
        self.posterior = posterior
        self.real = support == "real"
        group = torch.arange(pseudo_inputs) * max(classes, 1) // pseudo_inputs
        if examples is None:
            examples = (
                torch.randn(pseudo_inputs, *event_shape) if self.real else torch.rand(pseudo_inputs, *event_shape)
            )
        else:
            rows = choose(len(examples), pseudo_inputs, example_labels if labels else None, group)
            group = group if example_labels is None else example_labels[rows]
            examples = examples[rows]
        self.raw = nn.Parameter(examples if self.real else (SQUEEZE + (1 - 2 * SQUEEZE) * examples).logit())
        self.register_buffer("pseudo_labels", group)

    def pseudo_inputs(self) -> Tensor:
        """Returns the pseudo-inputs u, shape ``(K, *event_shape)``."""
        return self.raw if self.real else self.raw.sigmoid()

    def components(self) -> TorchDistribution:
        distribution: TorchDistribution = self.posterior(self.pseudo_inputs(), self.pseudo_labels)
        return distribution


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
