"""Mixed precision where it is safe: the products of networks in bfloat16, densities and all else in float32."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

PRODUCTS = (functional.linear, functional.conv2d, functional.conv_transpose2d, torch.conv2d, torch.conv_transpose2d)


class products_in_bf16(TorchFunctionMode):  # a context, named as one
    """Runs linear and convolutional layers under autocast to bfloat16 and returns their output in float32.

    Autocast of whole programs would hand logits and log densities on in bfloat16, which has three digits: sums of 784
    of them are wrong by nats.

    Example:
        >>> with products_in_bf16():
        ...     torch.nn.functional.linear(torch.ones(1, 3), torch.full((1, 3), 1.001)).dtype
        torch.float32
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        given: Mapping[str, Any] = kwargs or {}
        if func not in PRODUCTS:
            return func(*args, **given)
        (first, *_) = (value for value in (*args, *given.values()) if isinstance(value, Tensor))
        with torch.autocast(first.device.type, dtype=torch.bfloat16):
            return func(*args, **given).to(first.dtype)
