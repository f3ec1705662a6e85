r"""Ways from one code to another: straight, on a sphere, or where the prior is dense.

Each takes two codes of shape ``(..., D)`` and returns ``(..., steps, D)``, both ends included. Code t of T + 1 is at
the share :math:`s = t / T` of the way.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import LBFGS

from pyrovae.errors import PyrovaeError, did_you_mean
from pyrovae.priors.flat import Improper

Path = Callable[..., Tensor]

PARALLEL = 1e-4  # sine of the angle below which directions are mixed in a straight line
WEIGHT = 4.0  # of log p(z) against the square of the way
ITERATIONS = 200  # of L-BFGS at most


def linear(start: Tensor, stop: Tensor, *, steps: int, prior: Any = None) -> Tensor:
    r"""Returns the straight path, :math:`z_s = (1 - s) a + s b`.

    Args:
        start: Codes a, shape ``(..., D)``.
        stop: Codes b, the same shape.
        steps: Codes on the path, 2 or more.
        prior: Not looked at.

    Example:
        >>> linear(torch.tensor([0.0, 2.0]), torch.tensor([4.0, 0.0]), steps=3)
        tensor([[0., 2.],
                [2., 1.],
                [4., 0.]])
    """
    share = shares(start, steps)
    return start[..., None, :] * (1 - share) + stop[..., None, :] * share


def spherical(start: Tensor, stop: Tensor, *, steps: int, prior: Any = None) -> Tensor:
    r"""Returns the path that turns evenly about the origin while its norm goes straight (Shoemake, 1985; White, 2016).

    .. math:: z_s = \bigl((1 - s) |a| + s |b|\bigr)
        \left(\frac{\sin((1 - s) \theta)}{\sin \theta} \frac{a}{|a|}
        + \frac{\sin(s \theta)}{\sin \theta} \frac{b}{|b|}\right)

    with :math:`\theta` the angle between a and b. Where that is 0 or half a turn, or a code is 0, no plane is told in
    which to turn, and the path is straight.

    Args:
        start: Codes a, shape ``(..., D)``.
        stop: Codes b, the same shape.
        steps: Codes on the path, 2 or more.
        prior: Not looked at.

    Example:
        >>> spherical(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0]), steps=3)[1]
        tensor([0.7071, 0.7071])
    """
    share = shares(start, steps)
    a, b = start[..., None, :], stop[..., None, :]
    norms = a.norm(dim=-1, keepdim=True), b.norm(dim=-1, keepdim=True)
    tiny = torch.finfo(start.dtype).tiny
    u, v = (code / norm.clamp(min=tiny) for code, norm in zip((a, b), norms, strict=True))
    # exact near half a turn too, where the arc cosine of a product is not, and the sine divides by what it misses
    angle = 2 * torch.atan2((u - v).norm(dim=-1, keepdim=True), (u + v).norm(dim=-1, keepdim=True))
    norm = norms[0] * (1 - share) + norms[1] * share
    turned = norm * (((1 - share) * angle).sin() * u + (share * angle).sin() * v) / angle.sin()
    plane = (angle.sin() > PARALLEL) & (norms[0] > tiny) & (norms[1] > tiny)
    return torch.where(plane, turned, linear(start, stop, steps=steps))


def dense(start: Tensor, stop: Tensor, *, steps: int, prior: Any, weight: float = WEIGHT) -> Tensor:
    r"""Returns a path of least action: short, and where the prior is dense.

    The action of T steps is minimised by L-BFGS from the straight path, with both ends fixed,

    .. math:: A = T \sum_{t=1}^{T} |z_t - z_{t-1}|^2 - \frac{w}{T} \sum_{t=0}^{T} \log p(z_t),

    which for many steps is that of a curve, :math:`\int |\dot z|^2 - w \log p(z) \, ds`. A path that ends with a
    higher action than the straight one, as it may where log p has several valleys, is left straight.

    Args:
        start: Codes a, shape ``(..., D)``.
        stop: Codes b, the same shape.
        steps: Codes on the path, 2 or more.
        prior: p(z) with a batch shape that broadcasts with ``(..., steps)``.
        weight: w; 0 gives the straight path.

    Raises:
        PyrovaeError: The prior is flat.

    Example:
        >>> from pyrovae import StandardNormal
        >>> ends = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
        >>> path = dense(*ends, steps=3, prior=StandardNormal(2)())
        >>> path[1].norm() < linear(*ends, steps=3)[1].norm()
        tensor(True)
    """
    check_dense(prior)
    straight = linear(start, stop, steps=steps)
    inner = straight[..., 1:-1, :].detach().contiguous().requires_grad_()
    if not inner.numel():
        return straight
    ends = straight[..., :1, :], straight[..., -1:, :]
    search = LBFGS([inner], max_iter=ITERATIONS, tolerance_change=1e-7, line_search_fn="strong_wolfe")

    @torch.enable_grad()
    def closure() -> Tensor:
        total = action(torch.cat([ends[0], inner, ends[1]], -2), prior, weight).sum()
        (gradient,) = torch.autograd.grad(total, inner)  # of nothing else: the prior's parameters are not touched
        inner.grad = gradient.contiguous()
        return total

    search.step(closure)
    with torch.no_grad():
        found = torch.cat([ends[0], inner, ends[1]], -2)
        better = action(found, prior, weight) < action(straight, prior, weight)
        return torch.where(better[..., None, None], found, straight)


def action(path: Tensor, prior: Any, weight: float = WEIGHT) -> Tensor:
    """Returns the action of paths, see :func:`dense`, from shape ``(..., steps, D)`` to ``(...)``."""
    moves = path.diff(dim=-2).square().sum((-2, -1))
    count = path.shape[-2] - 1
    density: Tensor = prior.log_prob(path).sum(-1)
    return count * moves - weight / count * density


PATHS: dict[str, Path] = {"linear": linear, "spherical": spherical, "density": dense}


def shares(code: Tensor, steps: int) -> Tensor:
    """Returns how far along each code of a path is, shape ``(steps, 1)``."""
    return torch.linspace(0, 1, steps, dtype=code.dtype, device=code.device)[:, None]


def check_dense(prior: Any) -> None:
    """Refuses a prior that is as dense everywhere.

    Raises:
        PyrovaeError: The prior is flat.
    """
    if isinstance(prior, Improper):
        hint = "take linear or spherical, or give the run a prior: pyrovae refit-prior RUN --set prior.name=flow"
        raise PyrovaeError("path 'density' follows log p(z), and a flat prior is as dense everywhere", hint=hint)


def path_named(name: str) -> Path:
    """Returns a path of the table.

    Raises:
        PyrovaeError: There is none of that name.

    Example:
        >>> try:
        ...     path_named("speherical")
        ... except PyrovaeError as error:
        ...     print(error)
        unknown path 'speherical'
    """
    if name not in PATHS:
        raise PyrovaeError(f"unknown path '{name}'", hint=did_you_mean(name, PATHS), exit_code=2)
    return PATHS[name]
