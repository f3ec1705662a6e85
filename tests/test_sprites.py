"""Laws of the sprites: every combination of factors once, and each factor does to the picture what its name says."""

import itertools

import numpy as np
import pytest
import torch

from pyrovae.data import DATA
from pyrovae.data.sprites import FACTORS, MARGIN, SHAPES, SIDE, SYMMETRY, factor_grid, render, sprite_factors
from pyrovae.errors import PyrovaeError

SMALL = {"scales": 2, "orientations": 4, "positions": 3}
EVERY_SHAPE = pytest.mark.parametrize("shape", range(3), ids=SHAPES)


def picture(
    shape: int, scale: float = 1.0, orientation: float = 0.0, x: float = 0.5, y: float = 0.5, size: int = 64
) -> np.ndarray:
    """Returns shares of white, `(size, size)`."""
    return render(np.array([[shape, scale, orientation, x, y]]), size)[0, 0] / 255


def centroid(white: np.ndarray) -> np.ndarray:
    """Returns column and line of the centre of mass, in pixels."""
    middle = np.arange(len(white)) + 0.5
    return np.array([white.sum(0) @ middle, white.sum(1) @ middle]) / white.sum()


def test_every_combination_occurs_once_in_lexicographic_order() -> None:
    grid = factor_grid(**SMALL)
    assert len(grid) == 3 * 2 * 4 * 3 * 3
    rows = list(map(tuple, grid.tolist()))
    assert rows == sorted(set(rows))
    sizes = [len(np.unique(column)) for column in grid.T]
    assert dict(zip(FACTORS, sizes, strict=True)) == dict(zip(FACTORS, (3, 2, 4, 3, 3), strict=True))
    assert grid.min(0).tolist() == [0, 0.5, 0, 0, 0]
    assert grid.max(0).tolist() == [2, 1, 0.75, 1, 1]


@pytest.mark.parametrize("binarize", ["threshold", "none"])
def test_no_two_combinations_of_the_default_grid_share_a_picture(binarize: str) -> None:
    x = np.concatenate([split.x.numpy() for split in DATA["sprites"](binarize=binarize)])
    assert x.nbytes < 50_000_000
    rows = np.packbits(x, axis=-1) if binarize == "threshold" else x
    assert len({row.tobytes() for row in rows}) == len(factor_grid()) == 9600


def test_rendering_is_deterministic_and_row_by_row() -> None:
    grid = factor_grid(**SMALL)
    order = np.random.default_rng(0).permutation(len(grid))
    together = render(grid, 32)
    assert np.array_equal(render(grid[order], 32), together[order])
    # A sprite is drawn on a window around it, whose size depends on its neighbours in the block.
    assert np.array_equal(np.concatenate([render(grid[i : i + 1], 32) for i in order[:40]]), together[order[:40]])


@EVERY_SHAPE
def test_the_window_leaves_no_part_of_a_sprite_out(shape: int) -> None:
    rng = np.random.default_rng(shape)
    factors = np.column_stack([np.full(50, shape), rng.uniform(0.3, 1, 50), rng.uniform(0, 1, (50, 3))])
    beside_a_huge_one = np.concatenate([factors, [[shape, 6.0, 0.0, 0.5, 0.5]]])  # its window is the whole picture
    alone = np.concatenate([render(row[None]) for row in factors])
    for block in np.array_split(np.arange(50), 5):
        pair = np.concatenate([beside_a_huge_one[block], beside_a_huge_one[-1:]])
        assert np.array_equal(render(pair)[:-1], alone[block])


@EVERY_SHAPE
def test_the_area_is_the_square_of_the_scale(shape: int) -> None:
    for scale, orientation in itertools.product((0.5, 0.75, 1.0), (0.0, 0.13, 0.5)):
        area = picture(shape, scale, orientation, size=128).sum()
        # Two in a hundred: a smooth edge that runs askew is summed over pixels, not integrated.
        assert area == pytest.approx((SIDE * scale * 128) ** 2, rel=0.02)


@EVERY_SHAPE
def test_the_centroid_moves_linearly_with_the_position(shape: int) -> None:
    for position, orientation in itertools.product((0.0, 0.25, 0.4, 1.0), (0.0, 0.3)):
        expected = 64 * (MARGIN + (1 - 2 * MARGIN) * np.array([position, 1 - position]))
        found = centroid(picture(shape, 0.7, orientation, position, 1 - position))
        # A tenth of a pixel: pixels do not know where within them an edge lies.
        assert found == pytest.approx(expected, abs=0.1)


@EVERY_SHAPE
def test_a_sprite_stays_within_the_picture(shape: int) -> None:
    whole = picture(shape, 1.0, 0.5).sum()
    for x, y in itertools.product((0.0, 1.0), repeat=2):
        for orientation in (0.0, 0.25, 0.5, 0.75):
            assert picture(shape, 1.0, orientation, x, y).sum() == pytest.approx(whole, rel=0.02)


@EVERY_SHAPE
def test_a_turn_by_the_symmetry_changes_nothing_and_no_smaller_turn_of_the_grid_does(shape: int) -> None:
    upright = picture(shape)
    assert abs(picture(shape, orientation=1.0) - upright).max() <= 1 / 255
    for orientation in np.arange(1, 8) / 8:
        assert abs(picture(shape, orientation=orientation) - upright).max() > 0.5


@EVERY_SHAPE
def test_a_quarter_turn_is_counter_clockwise(shape: int) -> None:
    quarter = SYMMETRY[shape] / 4
    for start in (0.0, 0.1):
        turned = np.rot90(picture(shape, orientation=start))  # the first axis points down: counter-clockwise as seen
        assert abs(picture(shape, orientation=start + quarter) - turned).max() <= 1 / 255


def test_the_square_at_0_has_level_sides_and_the_ellipse_lies() -> None:
    square, ellipse = picture(0), picture(1)
    assert (square == square.max()).sum() == 16 * 16 == square.sum()
    columns, lines = (np.flatnonzero(ellipse.max(axis) > 0.5) for axis in (0, 1))
    assert len(columns) == pytest.approx(2 * len(lines), abs=2)


def test_the_heart_at_0_is_upright() -> None:
    heart = picture(2)
    assert np.array_equal(heart, np.fliplr(heart))
    width = heart.sum(1)
    lines = np.flatnonzero(width > 0.5)
    top, bottom = lines[0], lines[-1]
    assert width[lines].argmax() < len(lines) / 2
    assert width[bottom] < 3, "its tip is below"
    first_white = heart.argmax(0)[heart.max(0) == 1]
    assert first_white[len(first_white) // 2] >= top + 2, "between its halves is a cleft"


def test_antialiased_edges_carry_the_share_that_is_covered() -> None:
    # Side 0.25 * 0.6 * 40 = 6 pixels, the centroid moved by a quarter of a pixel from the middle.
    white = picture(0, 0.6, 0.0, 0.5 + 0.25 / 40 / (1 - 2 * MARGIN), 0.5, size=40)
    assert white[20, 15:26] == pytest.approx([0, 0, 0.75, 1, 1, 1, 1, 1, 0.25, 0, 0], abs=0.01)


def test_factors_match_the_rows_of_every_split() -> None:
    options = {**SMALL, "validation": 20, "test": 0.25, "seed": 3}
    pictures, factors = DATA["sprites"](size=32, binarize="none", **options), sprite_factors(**options)  # type: ignore[arg-type]
    for shown, known in zip(pictures, factors, strict=True):
        assert np.array_equal(shown.x.numpy(), render(known.x.double().numpy(), 32))
        assert shown.y is not None
        assert known.y is not None
        assert torch.equal(shown.y, known.y)
        assert torch.equal(known.y, known.x[:, 0].long())
    other = sprite_factors(**{**options, "seed": 4})  # type: ignore[arg-type]
    assert not torch.equal(other.test.x, factors.test.x)


def test_the_default_set_is_binary_and_labelled_by_shape() -> None:
    data = DATA["sprites"](**SMALL)
    assert (data.support, data.event_shape, data.classes) == ("binary", (1, 64, 64), SHAPES)
    counts = torch.cat([split.y for split in data if split.y is not None]).bincount()
    assert counts.tolist() == [72, 72, 72]
    x, _ = data.batch(torch.arange(8))
    assert set(x.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("factors", [np.zeros((2, 4)), np.array([[3, 1, 0, 0, 0.0]]), np.zeros(5)])
def test_rows_that_are_no_factors_are_refused(factors: np.ndarray) -> None:
    with pytest.raises(PyrovaeError, match="no rows of shape, scale, orientation"):
        render(factors)
