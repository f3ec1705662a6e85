"""How every network reads labels: as one-hot features (or constant planes of an image) beside its input."""

import torch
from torch import Tensor


def append_label(value: Tensor, y: Tensor | None, classes: int, *, event_dim: int) -> Tensor:
    """Appends one-hot labels along the first event dimension; returns the value alone where no class is read.

    Args:
        value: Shape ``(*batch, channels, *rest)`` with ``event_dim`` dimensions after the batch.
        y: Labels, broadcastable with ``batch``.
        classes: How many there are; 0 means that labels are not read.
        event_dim: Number of event dimensions of the value.

    Raises:
        ValueError: Labels are read and not given.

    Example:
        >>> append_label(torch.zeros(5, 2, 7, 7), torch.arange(5), 10, event_dim=3).shape
        torch.Size([5, 12, 7, 7])
    """
    if not classes:
        return value
    if y is None:
        raise ValueError("this network reads labels 'y', which were not given")
    batch, spatial = value.shape[: value.dim() - event_dim], value.shape[value.dim() - event_dim + 1 :]
    # Rows of a unit matrix: `one_hot` looks at the labels' values, which a graph traced once cannot do.
    one_hot = torch.eye(classes, dtype=value.dtype, device=value.device)[y]
    planes = one_hot[(...,) + (None,) * len(spatial)]
    return torch.cat([value, planes.expand(*batch, classes, *spatial)], dim=-event_dim)
