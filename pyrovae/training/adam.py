"""torch's fused Adam, without what ``Optimizer.step`` looks up anew at every call."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

SETTLE = 100  # steps: a mean of gradients that have ceased falls by a factor of 0.9 ** 100 = 3e-5 meanwhile
TINY_MEAN, TINY_SQUARE = 1e-30, 1e-36


class Adam(torch.optim.Adam):
    """The same numbers and the same state as ``torch.optim.Adam(parameters, fused=True)``.

    Kingma and Ba (2015), "Adam: A Method for Stochastic Optimization", with their epsilon.

    Args:
        parameters: What is trained.
        betas: Decays of the means of gradients and of their squares.

    Example:
        >>> weight = nn.Parameter(torch.ones(2))
        >>> weight.grad = torch.tensor([3.0, 0.0])
        >>> optimizer = Adam([weight])
        >>> optimizer.move(0.1)
        >>> weight.data
        tensor([0.9000, 1.0000])
    """

    def __init__(self, parameters: Iterable[nn.Parameter], betas: tuple[float, float] = (0.9, 0.999)) -> None:
        super().__init__(parameters, lr=1.0, betas=betas, fused=True)
        self.known: list[list[Tensor]] = []  # parameters with gradients, their moments and steps

    def move(self, learning_rate: float) -> None:
        """Takes a step at this learning rate with the gradients that the parameters hold."""
        (group,) = self.param_groups
        group["lr"] = learning_rate
        moved = [p for p in group["params"] if p.grad is not None]
        if len(self.known) == 0 or len(moved) != len(self.known[0]) or any(map(differ, moved, self.known[0])):
            self.step()
            states = [self.state[p] for p in moved]
            self.known = [moved, *([state[key] for state in states] for key in ("exp_avg", "exp_avg_sq", "step"))]
            return
        parameters, means, squares, steps = self.known
        beta1, beta2 = group["betas"]
        with torch.no_grad():
            adam(
                parameters,
                [p.grad for p in parameters if p.grad is not None],
                means,
                squares,
                [],
                steps,
                fused=True,
                amsgrad=False,
                beta1=beta1,
                beta2=beta2,
                lr=learning_rate,
                weight_decay=0.0,
                eps=group["eps"],
                maximize=False,
            )

    def settle(self) -> None:
        """Sets to zero what is left of gradients that have ceased, a pixel's that is hardly ever white.

        Below 1e-38 numbers are denormal, and many processors compute with them many times slower. No step of a weight
        depends on means of 1e-30 nor on squares of 1e-36, beside an epsilon of 1e-8.
        """
        for state in self.state.values():
            for key, tiny in (("exp_avg", TINY_MEAN), ("exp_avg_sq", TINY_SQUARE)):
                state[key].mul_(state[key].abs() >= tiny)

    def restart(self) -> None:
        """Forgets all means, and so starts anew: those of a loss with gradients ten times larger would hold back the
        steps of another one for thousands of steps."""
        self.state.clear()
        self.known = []

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over a state, whose tensors are others."""
        super().load_state_dict(state_dict)
        self.known = []


def differ(one: Tensor, other: Tensor) -> bool:
    return one is not other


def norm_of(gradients: list[Tensor]) -> Tensor:
    """Returns the Euclidean norm of all gradients together, by products of vectors, which are quicker than norms.

    Example:
        >>> norm_of([torch.tensor([[3.0]]), torch.tensor([0.0, 4.0])])
        tensor(5.)
    """
    flat = [gradient.reshape(-1) for gradient in gradients]
    return torch.stack([torch.dot(vector, vector) for vector in flat]).sum().sqrt()
