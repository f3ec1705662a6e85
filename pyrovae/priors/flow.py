"""A prior that is a normal bent by a learned flow; with labels one flow that reads the class."""

from collections.abc import Sequence

import torch
from pyro.distributions import Normal, TorchDistribution
from torch import Tensor, nn

from pyrovae.flows import FlowDistribution, coupling_flow
from pyrovae.priors.mixture import MixturePrior, classes_read


class FlowPrior(MixturePrior):
    """Standard normal through a learned coupling flow; with labels one that reads the class (Chen et al., 2017).

    With labels, p(z | y) starts near N(m_y, I), the means m_y are learned, and p(z) is the exact sum over classes, for
    the price of one pass per class.

    Args:
        latent_dim: Dimension of z, 2 or more.
        classes: Number of classes of the data.
        labels: One pool per class.
        layers: Number of coupling layers.
        hidden: Widths of the hidden layers of each coupling layer's network.
        spread: Standard deviation of the means at the start, with labels: pools that start apart stay purer.

    Raises:
        PyrovaeError: Labels without classes, or a z of one dimension.

    Example:
        >>> FlowPrior(2)().log_prob(torch.zeros(5, 2)).shape
        torch.Size([5])
    """

    def __init__(
        self,
        latent_dim: int,
        classes: int = 0,
        *,
        labels: bool = False,
        layers: int = 4,
        hidden: Sequence[int] = (64, 64),
        spread: float = 1.0,
    ) -> None:
        classes = classes_read(classes, labels=labels)
        super().__init__(classes or 1, classes)
        self.flow = coupling_flow(latent_dim, classes, layers=layers, hidden=hidden)
        if classes:
            self.loc = nn.Parameter(spread * torch.randn(classes, latent_dim))
        else:
            # One pool: its weight is 1, and its mean the flow's own shift.
            del self.logits
            self.register_buffer("loc", torch.zeros(latent_dim), persistent=False)

    def forward(self, y: Tensor | None = None) -> TorchDistribution:
        if not self.classes:
            return FlowDistribution(standard(self.loc), self.flow)
        # A mixture masked to one class, as other priors have it, would pay for all of them.
        return super().forward() if y is None else self.pool(y)

    def components(self) -> TorchDistribution:
        return self.pool(torch.arange(self.classes, device=self.loc.device))

    def pool(self, y: Tensor) -> FlowDistribution:
        """Returns p(z | y), batch shape that of y."""
        # `one_hot` reads its argument's values, which a traced step has not.
        one_hot = torch.eye(self.classes, dtype=self.loc.dtype, device=self.loc.device)[y]
        return FlowDistribution(standard(self.loc[y]), self.flow, one_hot)


def standard(loc: Tensor) -> TorchDistribution:
    return Normal(loc, torch.ones_like(loc)).to_event(1)
