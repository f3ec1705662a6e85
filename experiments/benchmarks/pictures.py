"""Pictures like MNIST's, made and not downloaded: 28 x 28 bytes with a few strokes, most of them 0."""

from typing import NamedTuple

import torch
from torch import Tensor

SIDE, STROKES, WIDTH = 28, 2, 1.6
PIXELS = SIDE**2
PIECE = 2000  # pictures drawn at once


class Setting(NamedTuple):
    """A network, the same way there and back, and the batches that it is trained with."""

    hidden: tuple[int, ...]
    latent: int
    batch: int

    @property
    def name(self) -> str:
        return "-".join(str(size) for size in (PIXELS, *self.hidden, self.latent))


SETTINGS = (Setting((400,), 50, 256), Setting((200, 200), 50, 100))


def pictures(rows: int, seed: int = 0) -> Tensor:
    """Returns bytes 0..255 of shape `(rows, 784)`: straight strokes with grey edges, about a fifth of the pixels."""
    noise = torch.Generator().manual_seed(seed)
    parts = [strokes(min(PIECE, rows - start), noise) for start in range(0, rows, PIECE)]
    return torch.cat(parts).flatten(1)


def strokes(rows: int, noise: torch.Generator) -> Tensor:
    """Draws strokes between random points; a pixel is as white as it is near to one."""
    axis = torch.arange(SIDE, dtype=torch.float32)
    pixels = torch.cartesian_prod(axis, axis)
    start, end = (4 + (SIDE - 8) * torch.rand(2, rows, STROKES, 1, 2, generator=noise)).unbind(0)
    along = end - start
    share = ((pixels - start) * along).sum(-1) / along.square().sum(-1).clamp(min=1e-6)
    nearest = start + share.clamp(0, 1).unsqueeze(-1) * along
    distance = (pixels - nearest).norm(dim=-1).amin(1)
    return (255 * (WIDTH + 0.5 - distance).clamp(0, 1)).round().to(torch.uint8)
