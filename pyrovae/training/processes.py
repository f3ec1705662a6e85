"""The processes that train together: what one alone does by itself, and what several say to each other."""

import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed

from pyrovae.errors import PyrovaeError


@dataclass(frozen=True)
class Processes:
    """How many processes train one model, and which of them this is.

    Example:
        >>> ALONE.first, ALONE.share(torch.arange(5))
        (True, tensor([0, 1, 2, 3, 4]))
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes, judges and speaks."""
        return self.rank == 0

    def share(self, index: Tensor) -> Tensor:
        """Returns the rows of a batch that are this process's; the batch itself does not depend on their number."""
        return index[self.rank :: self.count]

    def sums(self, gradients: Sequence[Tensor], loss: Tensor | float, rows: int) -> tuple[float, int]:
        r"""Adds up gradients in place, loss and rows over all processes, in one message.

        Losses are sums over data, so their gradients add up to that of the whole batch, however uneven the shares:
        :math:`\sum_r g_r = \sum_r n_r \bar g_r`.
        """
        if self.count == 1:
            return float(loss), rows
        like = gradients[0]
        numbers = torch.tensor([float(loss), float(rows)], dtype=like.dtype, device=like.device)
        flat = torch.cat([numbers, *(gradient.flatten() for gradient in gradients)])
        distributed.all_reduce(flat)
        parts = flat[2:].split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        return float(flat[0]), round(float(flat[1]))

    def any(self, number: int) -> int:
        """Returns the largest of the processes' numbers."""
        if self.count == 1:
            return number
        largest = torch.tensor(number)
        distributed.all_reduce(largest, distributed.ReduceOp.MAX)
        return int(largest)

    def told(self, value: Any) -> Any:
        """Returns the first process's value, tensors and plain values; what the others give is not read."""
        return self.gathered(value)[0] if self.count > 1 else value

    def gathered(self, value: Any) -> list[Any]:
        """Returns every process's value, by rank; no message is unpickled into objects."""
        if self.count == 1:
            return [value]
        buffer = io.BytesIO()
        torch.save(value, buffer)
        own = torch.frombuffer(buffer.getbuffer(), dtype=torch.uint8).clone()
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.count)]
        distributed.all_gather(sizes, torch.tensor([len(own)]))
        longest = int(max(sizes))
        texts = [torch.zeros(longest, dtype=torch.uint8) for _ in range(self.count)]
        distributed.all_gather(texts, torch.cat([own, torch.zeros(longest - len(own), dtype=torch.uint8)]))
        return [
            torch.load(io.BytesIO(text[: int(size)].numpy().tobytes()), weights_only=True)
            for text, size in zip(texts, sizes, strict=True)
        ]

    def same_weights(self, module: torch.nn.Module) -> None:
        """Gives every process the first one's weights."""
        if self.count > 1:
            for tensor in module.state_dict().values():
                distributed.broadcast(tensor, 0)


ALONE = Processes()


@contextmanager
def joined(device: str = "cpu") -> Iterator[tuple[Processes, str]]:
    """Joins the processes that ``torchrun`` started with this one, and yields them and this one's own device.

    They speak through gloo, tensors on CUDA through nccl (*not run*: written for machines that have it).
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE, device
        return
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    distributed.init_process_group("cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo")
    try:
        yield current(), device
    except RuntimeError as error:
        if not re.search("gloo|nccl", str(error), re.IGNORECASE):
            raise
        reason = f"process {distributed.get_rank() + 1} has lost another one"
        raise PyrovaeError(reason, hint="pyrovae launch starts all of them again, from the last checkpoint") from error
    finally:
        distributed.destroy_process_group()


def current() -> Processes:
    """Returns the group that this process belongs to."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return ALONE
    return Processes(distributed.get_rank(), distributed.get_world_size())
