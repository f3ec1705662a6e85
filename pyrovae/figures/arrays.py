"""The door through which every array enters: a torch tensor, a list or an array goes in, a numpy array comes out."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyrovae.errors import PyrovaeError

Array = NDArray[Any]


def to_array(values: ArrayLike) -> Array:
    """Returns `values` as a numpy array; a tensor may sit on any device, require gradients, or be bfloat16.

    Example:
        >>> import torch
        >>> to_array(torch.ones(2, requires_grad=True, dtype=torch.bfloat16))
        array([1., 1.], dtype=float32)
    """
    tensor: Any = values
    if hasattr(tensor, "detach"):
        tensor = tensor.detach().cpu()
        # numpy has no bfloat16
        tensor = tensor.float() if tensor.is_floating_point() and tensor.element_size() < 4 else tensor
    return np.asarray(tensor)


def to_batch(values: ArrayLike, name: str, *, leading: int = 1) -> Array:
    """Returns `values` as an array with `leading` non-empty axes in front of the event, else says which array fails.

    Example:
        >>> try:
        ...     to_batch([], "images")
        ... except PyrovaeError as error:
        ...     print(error)
        'images' is empty: nothing to draw
    """
    array = to_array(values)
    if array.ndim < leading:
        raise PyrovaeError(f"'{name}' should have {leading} axes or more, got shape {array.shape}")
    if array.size == 0:
        raise PyrovaeError(f"'{name}' is empty: nothing to draw", hint="pass at least one datum")
    return array


def same_length(**lengths: int) -> None:
    """Refuses arrays that should run in parallel and do not.

    Example:
        >>> try:
        ...     same_length(images=3, labels=2)
        ... except PyrovaeError as error:
        ...     print(error)
        lengths should agree, got images: 3, labels: 2
    """
    if len(set(lengths.values())) > 1:
        listing = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise PyrovaeError(f"lengths should agree, got {listing}")
