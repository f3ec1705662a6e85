"""Grey pixels to zeros and ones, exactly and reproducibly.

A grey pixel of level k out of `max_level` is read as the probability k / max_level of a white one (Salakhutdinov and
Murray, 2008, "On the Quantitative Analysis of Deep Belief Networks"). Four rules are in use, and numbers obtained under
different rules are not comparable:

- `dynamic`: training images are drawn afresh at every visit, validation and test images once, by a named seed;
- `static`: every image is drawn once, by a named seed;
- `threshold`: white where the level is above one half;
- `none`: the grey values are kept.

Bytes are drawn in bytes: `u < k`, with u uniform on the integers 0..max_level - 1, is white with probability
k / max_level exactly, without a rounded float in between and at a quarter of the cost of `torch.bernoulli`.
"""

from hashlib import sha256
from typing import Literal, get_args

import torch
from torch import Generator, Tensor

from pyrovae.errors import PyrovaeError, did_you_mean

Binarize = Literal["dynamic", "static", "threshold", "none"]


def check_binarize(rule: str) -> None:
    """Refuses a rule that does not exist.

    Raises:
        PyrovaeError: `rule` is not one of the four.
    """
    if rule not in get_args(Binarize):
        raise PyrovaeError(f"unknown binarize '{rule}'", hint=did_you_mean(rule, get_args(Binarize)), exit_code=2)


def stream(seed: int, purpose: str) -> Generator:
    """Returns a random stream of its own for each seed and purpose, untouched by torch's global generator.

    Example:
        >>> first, again, other = stream(0, "test"), stream(0, "test"), stream(0, "split")
        >>> first.initial_seed() == again.initial_seed(), first.initial_seed() == other.initial_seed()
        (True, False)
    """
    # The generator of the CPU (mt19937) reads 32 bits of its seed; hashing keeps seeds 0, 1, 2 ... unrelated.
    return Generator().manual_seed(int.from_bytes(sha256(f"{seed}/{purpose}".encode()).digest()[:4], "big"))


def draw(x: Tensor, max_level: int | None, generator: Generator | None = None) -> Tensor:
    """Draws each pixel white with the probability that its level states.

    Args:
        x: Levels 0..`max_level` as uint8, or probabilities in [0, 1] as floats, of any shape.
        max_level: The level of white; ignored for floats.
        generator: Where the noise comes from; torch's global generator of the device of `x` by default.

    Returns:
        True where white, of the shape of `x`.

    Example:
        >>> draw(torch.tensor([0, 16], dtype=torch.uint8), 16)
        tensor([False,  True])
    """
    if x.is_floating_point():
        noise = torch.rand(x.shape, dtype=x.dtype, device=x.device, generator=generator)
    else:
        assert max_level is not None, "Dataset refuses bytes without max_level"
        noise = bytes_below(max_level, x, generator)
    return noise < x


def bytes_below(bound: int, like: Tensor, generator: Generator | None = None) -> Tensor:
    """Returns independent bytes, uniform on 0..bound - 1, of the shape and on the device of another tensor.

    For 255, white of nearly all pictures, eight bytes come from each word of the generator, and a byte that is 255 is
    drawn again: as exact as ``torch.randint``, whose every byte takes a word and a division, in a fifth of its time.

    Example:
        >>> bytes_below(255, torch.empty(1000)).dtype, int(bytes_below(2, torch.empty(1000)).max())
        (torch.uint8, 1)
    """
    if bound != 255:
        return torch.randint(0, bound, like.shape, dtype=torch.uint8, device=like.device, generator=generator)
    words = torch.empty(-(-like.numel() // 8), dtype=torch.int64, device=like.device)
    drawn = words.random_(-(2**63), None, generator=generator).view(torch.uint8)
    # Words of eight comparisons are searched eight times as fast as their bytes, and few have one.
    rare = (drawn == torch.full_like(drawn, 255)).view(torch.int64).nonzero()[:, 0]
    refused = (drawn.view(-1, 8)[rare] == 255).nonzero()
    again = torch.randint(0, 255, (len(refused),), dtype=torch.uint8, device=like.device, generator=generator)
    drawn.view(-1, 8)[rare[refused[:, 0]], refused[:, 1]] = again
    return drawn[: like.numel()].view(like.shape)


def binarize_once(x: Tensor, rule: Binarize, max_level: int | None, *, seed: int, purpose: str) -> Tensor:
    """Returns zeros and ones (uint8) that depend on the data, the rule, the seed and the purpose only.

    The noise is drawn on the CPU, whatever the device of `x`, so that every device sees the same images.

    Example:
        >>> x = torch.tensor([7, 8, 9], dtype=torch.uint8)
        >>> binarize_once(x, "threshold", 16, seed=0, purpose="test")
        tensor([0, 0, 1], dtype=torch.uint8)
    """
    if rule == "threshold":
        return keep_missing(x, (x > (0.5 if max_level is None else max_level / 2)).to(torch.uint8))
    return keep_missing(x, draw(x.cpu(), max_level, stream(seed, purpose)).to(x.device, torch.uint8))


def keep_missing(x: Tensor, bits: Tensor) -> Tensor:
    """Returns the bits drawn for x, as floats with NaN where x has NaN, if it has any.

    Example:
        >>> keep_missing(torch.tensor([0.9, torch.nan]), torch.tensor([1, 0]))
        tensor([1., nan])
    """
    if not x.is_floating_point() or not x.isnan().any():
        return bits
    return torch.where(x.isnan(), x, bits.to(x.dtype))
