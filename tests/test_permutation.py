"""Laws of the computed permutation: each number once, an order that looks random, one for each key, no memory."""

import math
import tracemalloc
from collections import Counter
from time import perf_counter

import numpy as np
import pytest
import torch
from torch import Tensor

from pyrovae.data.permutation import Permutation, Tail
from pyrovae.errors import PyrovaeError

LARGE = (1023, 1024, 65_537, 999_983, 1_000_000)


def whole(size: int, key: int | tuple[int, ...]) -> Tensor:
    return Permutation(size, key)[torch.arange(size)]


def weakened(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """The mutation that the tests below are to catch."""
    monkeypatch.setattr("pyrovae.data.permutation.rounds", lambda size: count)


# --------------------------------------------------------------------------------------------------- each number once


@pytest.mark.parametrize("sizes", [range(1, 101), range(101, 201), range(201, 301), LARGE], ids=str)
def test_each_number_comes_once(sizes: range | tuple[int, ...]) -> None:
    for size in sizes:
        assert torch.equal(whole(size, (0, size)).sort().values, torch.arange(size))


def test_the_smallest() -> None:
    assert whole(1, 0).tolist() == [0]
    assert {tuple(whole(2, key).tolist()) for key in range(20)} == {(0, 1), (1, 0)}


def by_hand(size: int, key: tuple[int, ...], number: int) -> int:
    """The same permutation in whole numbers of any length, one number at a time."""
    height = math.isqrt(size) + (math.isqrt(size) ** 2 < size)
    width = size // height + (size % height > 0)
    count = 24 if size < 1024 else 8
    keys = [int(k) for k in np.random.SeedSequence([len(key), *key]).generate_state(count, np.uint64)]
    halves = list(divmod(number, width))
    for turn, word in enumerate(keys):
        x = (halves[1 - turn % 2] + word) % 2**64
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            x = (x ^ (x >> shift)) * factor % 2**64
        modulus = (height, width)[turn % 2]
        halves[turn % 2] = (halves[turn % 2] + (x // 2**32) * modulus // 2**32) % modulus
    found = halves[0] * width + halves[1]
    return found if found < size else by_hand(size, key, found)


@pytest.mark.parametrize("size", [1, 2, 3, 10, 300, 5000, 10**12, 2**62])
def test_it_is_what_whole_numbers_of_any_length_give(size: int) -> None:
    index = torch.linspace(0, size - 1, 50, dtype=torch.float64).long().clamp(max=size - 1)
    assert Permutation(size, (3, 4))[index].tolist() == [by_hand(size, (3, 4), number) for number in index.tolist()]


def test_the_order_stays_what_it_is() -> None:
    assert whole(10, (0, 1)).tolist() == [9, 7, 1, 5, 0, 4, 8, 2, 3, 6], (
        "old runs and old test rows are known by these numbers"
    )
    assert Permutation(10**12, 7)[torch.tensor([0, 1])].tolist() == [538944329599, 671154616228]


def test_any_shape_and_any_part_give_the_same() -> None:
    permutation = Permutation(20_000, 5)
    expected = permutation[torch.arange(20_000)]  # more than one block
    index = torch.randint(0, 20_000, (3, 4, 5), generator=torch.Generator().manual_seed(0))
    assert torch.equal(permutation[index], expected[index])
    assert torch.equal(permutation[index.transpose(0, 2)], expected[index.transpose(0, 2)])
    assert permutation[torch.tensor(7)] == expected[7]
    assert permutation[torch.tensor([], dtype=torch.int64)].shape == (0,)


@pytest.mark.parametrize("number", [-1, 10, 2**40])
def test_numbers_outside_are_refused(number: int) -> None:
    with pytest.raises(IndexError, match="Permutation"):
        Permutation(10, 0)[torch.tensor([3, number])]


def test_sizes_and_keys_that_are_none_are_refused() -> None:
    for size, key in ((0, 0), (-3, 0), (2**62 + 1, 0), (5, -1), (5, (0, -1))):
        with pytest.raises(PyrovaeError) as caught:
            Permutation(size, key)
        assert caught.value.hint


# ------------------------------------------------------------------------------------------------- it looks random


def excess(observed: Tensor, expected: float, freedom: int) -> float:
    """How many standard errors Pearson's chi-square is above its mean."""
    chi_square = ((observed.double() - expected) ** 2 / expected).sum().item()
    return (chi_square - freedom) / math.sqrt(2 * freedom)


def orders_of_five(keys: int = 2000) -> float:
    """Compares the frequencies of all 120 orders."""
    counts = Counter(tuple(whole(5, (1, key)).tolist()) for key in range(keys))
    observed = torch.tensor([*counts.values(), *[0] * (120 - len(counts))])
    return excess(observed, keys / 120, 119)


def pairs(x: Tensor, y: Tensor, size: int, bins: int = 16) -> float:
    """Compares the frequencies of pairs of all numbers, by which of 16 equal parts each of the two lies in."""
    cells = (x * bins // size) * bins + y * bins // size
    return excess(torch.bincount(cells, minlength=bins**2), len(cells) / bins**2, (bins - 1) ** 2)


def neighbours(size: int, key: int) -> float:
    """Compares where numbers go that are neighbours: in a line, in a column of the grid, or under other keys."""
    index = torch.arange(size)
    permutation = Permutation(size, (2, key))
    here = permutation[index]
    column = math.isqrt(size - 1) + 1
    there = [permutation[(index + stride) % size] for stride in (1, 2, column - 1, column, column + 1)]
    others = [Permutation(size, other)[index] for other in ((2, key + 1), (3, key), 2, (2, key, 0))]
    steps = [pairs((y - here) % size, here, size) for y in there]
    return max(*steps, *(pairs(here, y, size) for y in (*there, *others, index)))


def test_all_orders_of_few_numbers_are_equally_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    assert abs(orders_of_five()) < 4
    weakened(monkeypatch, 4)
    assert orders_of_five() > 20, "the test above would not see too few rounds"


@pytest.mark.parametrize("size", [1024, 5000, 100_003])
def test_where_a_number_goes_says_nothing_of_its_neighbours(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    assert max(neighbours(size, key) for key in range(5)) < 4.5  # the largest of 50
    weakened(monkeypatch, 2)
    assert neighbours(size, 0) > 100, "the test above would not see too few rounds"


def test_positions_are_as_frequent_as_chance_has_it() -> None:
    """Of 13 numbers, in a grid with three cells too many, each is at each place equally often."""
    orders = torch.stack([whole(13, (key, 1)) for key in range(1000)])
    counts = torch.stack([orders[:, place].bincount(minlength=13) for place in range(13)])
    assert abs(excess(counts, 1000 / 13, 12 * 12)) < 4
    stuck = torch.where(torch.arange(1000)[:, None] % 20 == 0, torch.arange(13), orders)
    counts = torch.stack([stuck[:, place].bincount(minlength=13) for place in range(13)])
    assert excess(counts, 1000 / 13, 12 * 12) > 4, "the test above would not see one order in 20 that is none"


def test_every_key_has_an_order_of_its_own() -> None:
    keys = [0, 1, (0, 0), (0, 1), (1, 0), (1, 1), (0, 0, 0), 2**40, (2**40, 1), 2**63]
    orders = {tuple(whole(300, key).tolist()) for key in keys}
    assert len(orders) == len(keys)
    assert torch.equal(whole(300, 4), whole(300, (4,)))


# ---------------------------------------------------------------------------------------------------- what it costs


def test_a_million_millions_take_no_memory_and_no_time() -> None:
    index = torch.arange(10**12 - 65_536, 10**12)
    Permutation(10**12, 0)[index]  # imports and caches
    tracemalloc.start()
    started = perf_counter()
    permutation = Permutation(10**12, (0, 1))
    found = permutation[index]
    seconds, (_, peak) = perf_counter() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.unique().numel() == len(index)
    assert 0 <= found.min() < 10**10
    assert 10**12 - 10**10 < found.max() < 10**12
    assert peak < 3e6  # the batch itself is half a megabyte
    assert seconds < 0.3  # 3 ms on an idle machine


# ------------------------------------------------------------------------------------------------------------- tails


@pytest.mark.parametrize("start", [0, 1, 37, 100])
def test_a_tail_is_what_is_left(start: int) -> None:
    permutation = Permutation(100, 2)
    tail, order = Tail(permutation, start), permutation[torch.arange(100)]
    assert len(tail) == 100 - start
    assert torch.equal(tail[torch.arange(len(tail))], order[start:])
    for step in (1, 7, 100, 1000):
        parts = list(tail.ascending(step))
        assert torch.equal(torch.cat(parts), order[start:].sort().values)
        assert max(map(len, parts)) <= step
    for position in (-1, 100 - start):
        with pytest.raises(IndexError):
            tail[torch.tensor([position])]
