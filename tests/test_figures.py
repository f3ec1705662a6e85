"""Figures draw what they are given: pixels at their place, geometry against closed forms, files whole or absent."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any, Never

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from scipy.stats import norm

from pyrovae.errors import PyrovaeError
from pyrovae.figures import (
    animate,
    image_grid,
    interpolation,
    latent_map,
    manifold,
    manifold_points,
    pools,
    reconstructions,
    save,
    to_image,
    training_curves,
    traversals,
    walk_path,
)
from pyrovae.figures.images import BAR, PAPER, value_range
from pyrovae.figures.layout import even_columns
from pyrovae.figures.projection import ellipse, plane_of

EVENTS = {"grey": (1, 5, 4), "colour": (3, 5, 4), "matrix": (5, 4), "channels": (2, 5, 4), "vector": (6,), "scalar": ()}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def only(figure: Figure) -> Axes:
    (axes,) = figure.axes
    return axes


def pictures(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(image.get_array()) for image in only(figure).images]


def names(axes: Axes, axis: str) -> list[str]:
    return [label.get_text() for label in getattr(axes, f"get_{axis}ticklabels")()]


# ------------------------------------------------------------------------------------------------- one datum


def test_grey_and_colour_events_keep_their_orientation(rng: np.random.Generator) -> None:
    grey, colour = rng.random((1, 5, 4)), rng.random((3, 5, 4))
    np.testing.assert_array_equal(to_image(grey), grey[0])
    np.testing.assert_array_equal(to_image(grey[0]), grey[0])
    for channel in range(3):
        np.testing.assert_array_equal(to_image(colour)[..., channel], colour[channel])


def test_other_channels_lie_side_by_side(rng: np.random.Generator) -> None:
    event = rng.random((2, 5, 4))
    np.testing.assert_array_equal(to_image(event), np.hstack(event))


def test_bars_rise_and_hang_from_zero_by_their_value() -> None:
    height, width = (strip := to_image(np.array([0.5, -1.0, 0.0]), span=(-1, 1))).shape
    inked = (strip == BAR).sum(axis=0)[[10, width // 2, width - 10]] / height
    np.testing.assert_allclose(inked, [0.25, 0.5, 0], atol=1.5 / height)
    # the first stands in the upper half, the second hangs in the lower
    assert (strip[height // 2 + 1 :, 10] == PAPER).all()
    assert (strip[: height // 2 - 1, width // 2] == PAPER).all()


def test_a_long_vector_is_averaged_to_a_strip_of_the_same_size() -> None:
    ramp = np.linspace(0, 1, 5000)
    filled = (to_image(ramp) == BAR).mean(axis=0)
    assert to_image(ramp).shape == (*to_image(ramp[:7]).shape[:1], 384)
    np.testing.assert_allclose(filled, np.linspace(0, 1, 384), atol=0.02)


def test_value_range_is_fixed_for_unit_data_and_bytes_and_widened_otherwise() -> None:
    assert value_range(np.array([0.4, 0.6])) == (0, 1)
    assert value_range(torch.tensor([3, 9], dtype=torch.uint8)) == (0, 255)
    assert value_range(np.array([-2.0, np.nan, np.inf, 0.5])) == (-2, 1)
    np.testing.assert_allclose(to_image(np.full((2, 2), 51, dtype=np.uint8)), 0.2)


def test_a_few_counts_far_beyond_the_others_do_not_blacken_the_page(rng: np.random.Generator) -> None:
    counts = rng.poisson(4.0, size=(50, 1, 8, 8)) * rng.integers(0, 2, size=(50, 1, 8, 8))
    assert value_range(counts) == (0, counts.max())
    usual = np.quantile(counts[counts > 0], 0.995, method="lower")
    counts[7, 0, 0, 0] = 100_000
    assert value_range(counts) == (0, usual)
    assert value_range(-counts.astype(float)) == (-usual, 1)
    assert only(image_grid(counts)).get_xlabel() == f"black: 0, white: {usual:g} or more"
    assert only(manifold(counts, 5, 10)).get_title(loc="left") == f"black: 0, white: {usual:g} or more"
    assert only(image_grid(counts.reshape(50, -1) - 1.0)).get_xlabel().startswith("bottom: -1, top: ")
    assert only(image_grid(rng.random((3, 4, 4)))).get_xlabel() == ""


def test_values_outside_the_span_are_clipped_not_rescaled() -> None:
    np.testing.assert_array_equal(to_image([[-1.0, 0.25], [0.5, 7.0]], span=(0, 1)), [[0, 0.25], [0.5, 1]])


# -------------------------------------------------------------------------------------------------- many data


@pytest.mark.parametrize("shape", EVENTS.values(), ids=EVENTS)
def test_every_image_figure_takes_every_event_shape(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    images = rng.random((6, *shape))
    table = images.reshape(2, 3, *shape)
    figures = {
        image_grid(images, labels=range(6)): 6,
        reconstructions(images, images, labels="abcdef"): 12,
        pools({"a": images[:4], "b": images[4:]}): 6,
        traversals(table, dimensions=[0, 1], values=[-1, 0, 1]): 6,
        interpolation(table, originals=table[:, :2]): 10,
    }
    assert [len(only(figure).images) for figure in figures] == list(figures.values())
    for figure in (*figures, manifold(images, 2, 3)):
        figure.draw_without_rendering()


@pytest.mark.parametrize("ideal", [0.3, 1.0, 2.7, 4.5, 9.5, 20.0, 300.0])
def test_columns_fill_their_rows_or_all_but_the_last(ideal: float) -> None:
    for count in (*range(1, 40), 61, 64, 100):
        columns = even_columns(count, ideal)
        near = [d for d in range(1, count + 1) if count % d == 0 and 1 / 1.5 <= d / ideal <= 1.5]
        assert 1 <= columns <= count
        if near:
            assert abs(np.log(columns / ideal)) == pytest.approx(min(abs(np.log(np.array(near) / ideal))))
            assert columns in near
        else:
            rows = -(-count // columns)
            assert count > (rows - 1) * columns, "no row is empty"
            assert columns <= max(1, np.ceil(ideal))


def test_a_grid_of_64_tall_data_is_full(rng: np.random.Generator) -> None:
    left = [image.get_extent()[0] for image in only(image_grid(rng.random((64, 28, 20)))).images]
    assert np.unique(left, return_counts=True)[1].tolist() == [8] * 8


def test_each_pool_has_full_rows_of_its_own(rng: np.random.Generator) -> None:
    axes = only(pools({"ten": rng.random((10, 4, 4)), "many": rng.random((42, 4, 4))}))
    rows = np.unique([image.get_extent()[3] for image in axes.images], return_counts=True)[1]
    assert rows.tolist() == [10, 21, 21]


def test_a_grid_places_row_by_row_from_the_top(rng: np.random.Generator) -> None:
    images = rng.random((5, 1, 4, 4)) / 2  # never white: the range shown must not follow the data
    figure = image_grid(torch.tensor(images), columns=3, title="samples")
    for picture, event in zip(pictures(figure), images, strict=True):
        np.testing.assert_array_equal(picture, event[0])
    axes = only(figure)
    assert {image.get_clim() for image in axes.images} == {(0, 1)}
    assert axes.get_title(loc="left") == "samples"
    left, right, bottom, top = np.array([image.get_extent() for image in axes.images]).T
    assert left[0] == left[3] < left[1] == left[4] < left[2]
    assert top[0] == top[2] < bottom[0] < top[3]
    assert axes.yaxis_inverted()
    assert right[0] < left[1]


def test_a_rendered_page_shows_each_pixel_where_it_belongs() -> None:
    event = np.array([[1.0, 0.0], [0.0, 0.0]])
    figure = image_grid(event[None])
    figure.set_dpi(50)
    figure.savefig(buffer := io.BytesIO(), format="rgba", dpi=50)
    width, height = (figure.get_size_inches() * 50).astype(int)
    page = np.frombuffer(buffer.getvalue(), np.uint8).reshape(height, width, 4)[..., 0]
    (x, y), (u, v) = only(figure).get_window_extent().get_points() * 50 / figure.dpi
    at = {key: page[int(height - y - (v - y) * up), int(x + (u - x) * right)] for key, right, up in
          [("top left", 0.25, 0.75), ("top right", 0.75, 0.75), ("bottom left", 0.25, 0.25)]}  # fmt: skip
    assert at == {"top left": 255, "top right": 0, "bottom left": 0}


def test_tensors_that_require_gradients_and_half_precision_are_drawn() -> None:
    images = torch.full((2, 1, 3, 3), 0.5, dtype=torch.bfloat16, requires_grad=True)
    np.testing.assert_array_equal(pictures(image_grid(images))[1], np.full((3, 3), 0.5))


def test_labels_stand_above_their_data_and_are_cut_to_the_cell(rng: np.random.Generator) -> None:
    figure = image_grid(rng.random((3, 4, 4)), columns=3, labels=torch.tensor([7, 8, 9]))
    for text, image in zip(only(figure).texts, only(figure).images, strict=True):
        left, right, _, top = image.get_extent()
        assert text.get_position()[0] == pytest.approx((left + right) / 2)
        assert text.get_position()[1] < top
    assert [text.get_text() for text in only(figure).texts] == ["7", "8", "9"]
    upper, lower = only(image_grid(rng.random((2, 4, 4)), columns=1, labels="ab")).images
    plain, below = only(image_grid(rng.random((2, 4, 4)), columns=1)).images
    room = [two.get_extent()[3] - one.get_extent()[2] for one, two in ((upper, lower), (plain, below))]
    assert room[0] > room[1] + 0.05, "a label has room of its own"
    (long,) = only(image_grid(rng.random((1, 4, 4)), labels=["x" * 500])).texts
    assert long.get_text().endswith("…")
    assert len(long.get_text()) < 100


def test_a_reconstruction_lies_below_its_datum_and_shares_its_range(rng: np.random.Generator) -> None:
    x = rng.random((12, 4, 4))
    figure = reconstructions(x, 3 * x, columns=5)
    images, shown = only(figure).images, pictures(figure)
    for above, below in zip(images[:12], images[12:], strict=True):
        (left, _, bottom, _), (left_below, _, _, top_below) = above.get_extent(), below.get_extent()
        assert left == left_below
        assert 0 < top_below - bottom < 0.1
    # brighter by three, before and after: one range for both
    np.testing.assert_allclose(np.array(shown[12:]), 3 * np.array(shown[:12]))
    assert names(only(figure), "y") == ["data"] * 3 + ["reconstruction"] * 3


def test_pools_show_every_sample_in_the_rows_of_its_class(rng: np.random.Generator) -> None:
    data = {"ant": rng.random((7, 4, 4)), "none": np.zeros((0, 4, 4)), "bee": rng.random((2, 4, 4))}
    figure = pools(data, columns=3)
    np.testing.assert_array_equal(np.array(pictures(figure)), np.concatenate([data["ant"], data["bee"]]))
    axes = only(figure)
    assert names(axes, "y") == ["ant", "none", "bee"]
    ant, none, bee = axes.get_yticks()
    middle = [np.mean(image.get_extent()[2:]) for image in axes.images]
    assert ant == pytest.approx(middle[3])
    assert bee == pytest.approx(middle[7])
    assert min(none - middle[6], bee - none) > 1, "an empty pool keeps a row of its own"


def test_traversals_name_dimensions_values_and_kl(rng: np.random.Generator) -> None:
    images = rng.random((2, 3, 4, 4))
    figure = traversals(images, dimensions=[0, 9], values=torch.tensor([-1.0, 0.0, 1.5]), kl=torch.tensor([1.0, 0.125]))
    assert names(only(figure), "y") == ["$z_{1}$  1.00 nats", "$z_{10}$  0.12 nats"]
    assert names(only(figure), "x") == ["-1", "0", "1.5"]
    np.testing.assert_array_equal(np.array(pictures(figure)), images.reshape(6, 4, 4))


def test_interpolation_puts_the_originals_outside_and_apart(rng: np.random.Generator) -> None:
    images, ends = rng.random((2, 4, 3, 3)), rng.random((2, 2, 3, 3))
    figure = interpolation(images, originals=ends)
    shown = np.array(pictures(figure)).reshape(2, 6, 3, 3)
    np.testing.assert_array_equal(shown, np.concatenate([ends[:, :1], images, ends[:, 1:]], axis=1))
    left = [image.get_extent()[0] for image in only(figure).images[:6]]
    gaps = np.diff(left)
    assert gaps[0] > gaps[1] * 1.1
    assert gaps[-1] > gaps[1] * 1.1
    assert names(only(figure), "x")[:2] == ["data", "0"]
    assert names(only(figure), "x")[-2:] == ["1", "data"]


def test_the_manifold_is_one_page_without_gaps(rng: np.random.Generator) -> None:
    images = rng.random((6, 1, 5, 4))
    (page,) = pictures(manifold(images, 2, 3))
    for index, event in enumerate(images):
        row, column = divmod(index, 3)
        np.testing.assert_array_equal(page[5 * row : 5 * row + 5, 4 * column : 4 * column + 4], event[0])
    assert page.shape == (10, 12)


def test_the_manifold_of_vectors_has_a_map_of_each_variable_with_its_own_range(rng: np.random.Generator) -> None:
    values = rng.normal(size=(6, 4)) * [1, 10, 100, 0]
    values[0, 1] = np.nan
    figure = manifold(torch.tensor(values), 2, 3, names=["a", "$b$ or $c$", "d" * 200, "e"])
    for index, axes in enumerate(figure.axes):
        (image,) = axes.images
        np.testing.assert_array_equal(image.get_array().filled(np.nan), values[:, index].reshape(2, 3))
        low, high = np.nanmin(values[:, index]), np.nanmax(values[:, index])
        assert image.get_clim() == (low, high)
        assert axes.get_xlabel() == f"{low:.4g} to {high:.4g}"
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[:2] + titles[3:] == ["a", "$b$ or $c$", "e"]
    assert titles[2].endswith("…")
    figure.draw_without_rendering()
    assert [axes.get_title(loc="left") for axes in manifold(values[:, :2], 2, 3).axes] == ["$x_{1}$", "$x_{2}$"]


def test_a_map_over_more_than_a_decade_is_logarithmic() -> None:
    values = np.array([[1.0, 1.0, 0.0], [10.0, 9.0, 30.0], [100.0, 5.0, 2.0], [10.0, 4.0, 1.0]])
    figure = manifold(values, 2, 2)
    maps = [axes.images[0] for axes in figure.axes]
    np.testing.assert_allclose(maps[0].norm(values[:, 0]), [0, 0.5, 1, 0.5])
    np.testing.assert_allclose(maps[1].norm(values[:, 1]), (values[:, 1] - 1) / 8)
    assert [axes.get_xlabel() for axes in figure.axes] == ["1 to 100, log", "1 to 9", "0 to 30"]


def test_of_many_variables_those_that_vary_most_are_drawn(rng: np.random.Generator) -> None:
    scale = rng.permutation(50) + 1.0
    values = np.outer([-1.0, 1.0, -1.0, 1.0], scale) + 1000 * rng.normal(size=50)
    for unit, kept in ((None, scale > 14), (scale**2, scale < 37)):
        figure = manifold(values, 2, 2, scale=unit)
        titles = [axes.get_title(loc="left") for axes in figure.axes]
        assert titles == [f"$x_{{{index + 1}}}$" for index in np.flatnonzero(kept)]
        assert figure.get_suptitle().startswith("the 36 of 50 variables that vary most")


def test_manifold_points_enclose_equal_prior_mass() -> None:
    grid = manifold_points(5, reach=0.8).reshape(5, 5, 2)
    np.testing.assert_allclose(norm.cdf(grid[2, :, 0]), [0.1, 0.3, 0.5, 0.7, 0.9])
    np.testing.assert_allclose(norm.cdf(grid[:, 2, 1]), [0.9, 0.7, 0.5, 0.3, 0.1])
    np.testing.assert_array_equal(grid[0, :, 1], np.full(5, grid[0, 0, 1]))


@pytest.mark.parametrize(
    "draw",
    [
        lambda: image_grid(np.zeros((0, 4, 4))),
        lambda: image_grid(np.zeros((3, 4, 4)), labels=["a"]),
        lambda: reconstructions(np.zeros((3, 4, 4)), np.zeros((2, 4, 4))),
        lambda: pools({"a": np.zeros((1, 4, 4)), "b": np.zeros((1, 5, 4))}),
        lambda: pools({}),
        lambda: manifold(np.zeros((5, 4, 4)), 2, 3),
        lambda: manifold(np.zeros((6, 4)), 2, 3, names=["a"]),
        lambda: manifold(np.zeros((6, 4)), 2, 3, scale=np.ones(3)),
        lambda: manifold_points(1),
        lambda: manifold_points(3, reach=1.0),
        lambda: traversals(np.zeros((2, 3, 4, 4)), dimensions=[0], values=[1, 2, 3]),
        lambda: traversals(np.zeros((2, 3, 4, 4)), dimensions=[0, 1], values=[1, 2]),
        lambda: interpolation(np.zeros((2, 3, 4, 4)), originals=np.zeros((2, 3, 4, 4))),
        lambda: latent_map(np.zeros((3, 2)), [0, 1]),
        lambda: latent_map(np.zeros((3, 2)), [0, 1, 2], classes=["a", "b"]),
        lambda: latent_map(np.array([[0.0, np.nan]])),
        lambda: latent_map(np.zeros((1, 3))),
        lambda: latent_map(np.eye(3), component_loc=np.zeros((2, 4))),
        lambda: latent_map(np.eye(3), component_loc=np.zeros((2, 3)), component_scale=np.ones((2, 1))),
        lambda: walk_path(np.zeros((5, 2)), steps=4, seed=0),
        lambda: training_curves([]),
    ],
)
def test_input_that_does_not_fit_is_a_user_error(draw: Any) -> None:
    with pytest.raises(PyrovaeError):
        draw()


# ------------------------------------------------------------------------------------------------ latent space


def test_a_projected_component_has_the_moments_of_its_projected_draws(rng: np.random.Generator) -> None:
    z = rng.normal(size=(400, 4)) * [5, 3, 1, 0.5] @ np.linalg.qr(rng.normal(size=(4, 4)))[0]
    z += 7
    plane, scale = plane_of(z), np.array([0.5, 1.0, 2.0, 0.1])
    np.testing.assert_allclose(plane.points(z).mean(axis=0), 0, atol=1e-9)
    draws = plane.points(rng.normal(size=(200_000, 4)) * scale + 1)
    # standard error of a covariance of 200 000 draws is about 0.3 % of its scale
    np.testing.assert_allclose(np.cov(draws.T), plane.covariance(scale), atol=0.03)
    np.testing.assert_allclose(draws.mean(axis=0), plane.points(np.ones((1, 4)))[0], atol=0.03)
    np.testing.assert_allclose(plane.matrix @ plane.matrix.T, np.eye(2), atol=1e-12)
    # principal components decorrelate the data they were found on, the larger one first
    covariance = np.cov(plane.points(z).T)
    assert abs(covariance[0, 1]) < 1e-9
    assert covariance[0, 0] > covariance[1, 1]


@pytest.mark.parametrize("variances", [(4.0, 1.0), (1.0, 4.0)])
@pytest.mark.parametrize("correlation", [-0.9, 0.0, 0.6])
def test_an_ellipse_is_the_curve_at_mahalanobis_distance_two(correlation: float, variances: Any) -> None:
    centre = np.array([3.0, -1.0])
    covariance = np.array([[variances[0], 2 * correlation], [2 * correlation, variances[1]]])
    shape = ellipse(centre, covariance)
    angle = np.linspace(0, 2 * np.pi, 50)
    boundary = shape.get_patch_transform().transform(np.stack([np.cos(angle), np.sin(angle)], 1)) - centre
    distance = np.sqrt(np.einsum("ni,ij,nj->n", boundary, np.linalg.inv(covariance), boundary))
    np.testing.assert_allclose(distance, 2)


def test_ellipses_on_the_map_are_where_the_components_are(rng: np.random.Generator) -> None:
    loc, scale = np.array([[0.0, 0.0], [10.0, -5.0]]), np.array([[1.0, 2.0], [0.5, 0.25]])
    axes = only(
        latent_map(rng.normal(size=(30, 2)), component_loc=torch.tensor(loc), component_scale=torch.tensor(scale))
    )
    shapes = axes.collections[-1].get_paths()
    for path, m, s in zip(shapes, loc, scale, strict=True):
        box = path.get_extents()
        np.testing.assert_allclose([box.min, box.max], [m - 2 * s, m + 2 * s], atol=1e-6)
    (low, high) = axes.get_xlim()
    assert min(-2 - low, high - 11) > 0, "a component far from the data is still on the page"


def test_points_are_drawn_by_class_with_one_legend_entry_each(rng: np.random.Generator) -> None:
    z, y = rng.normal(size=(60, 2)), np.repeat([0, 1, 2], 20)
    figure = latent_map(z, torch.tensor(y), classes=["a", "b", "c"])
    for label, points in enumerate(only(figure).collections[:3]):
        np.testing.assert_allclose(points.get_offsets(), z[y == label])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "c"]
    assert (only(figure).get_xlabel(), only(figure).get_ylabel()) == ("$z_1$", "$z_2$")


def test_forty_classes_look_different_and_an_absent_class_changes_no_style(rng: np.random.Generator) -> None:
    y = np.arange(40)
    figure = latent_map(rng.normal(size=(40, 2)), y)
    looks = {(line.get_color(), line.get_marker()) for line in figure.legends[0].legend_handles}
    assert len(looks) == 40
    later = latent_map(rng.normal(size=(39, 2)), y[1:]).legends[0].legend_handles
    assert later[0].get_color() == figure.legends[0].legend_handles[1].get_color()


def test_unlabelled_data_and_named_components(rng: np.random.Generator) -> None:
    figure = latent_map(
        rng.normal(size=(4, 3)), [-1, 0, 1, 1], classes=["a", "b"], component_loc=np.eye(3)[:2],
        component_scale=np.ones((2, 3)), component_labels=["b", "other"],
    )  # fmt: skip
    handles = dict(zip(["unlabelled", "a", "b"], figure.legends[0].legend_handles, strict=True))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(handles)
    edges = only(figure).collections[-1].get_edgecolor()
    assert matplotlib.colors.to_hex(edges[0]) == handles["b"].get_color() != matplotlib.colors.to_hex(edges[1])
    assert [text.get_text() for text in only(figure).texts] == ["b", "other"]


def test_axes_say_how_much_variance_the_plane_holds() -> None:
    corners = np.array([[s * 3, t, 0] for s in (-1, 1) for t in (-1, 1)])
    axes = only(latent_map(corners))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("PC 1 (90 % of variance)", "PC 2 (10 % of variance)")


def test_one_dimension_is_counted_per_class(rng: np.random.Generator) -> None:
    z, y = rng.normal(size=(90, 1)), np.repeat([0, 1], [60, 30])
    axes = only(latent_map(z, y, component_loc=[[1.0]], component_scale=[[0.5]]))
    counts = [sum(bar.get_height() for bar in bars) for bars in axes.containers if len(bars) > 1]
    assert counts == [60, 30]
    np.testing.assert_allclose(axes.lines[0].get_xdata(), [0, 2])


# ---------------------------------------------------------------------------------------------------- training


def records(epochs: int, **changing: Any) -> list[dict[str, float]]:
    """Returns records with a validation loss that is lowest in epoch 3."""
    keys = ("train_loss", "rate", "distortion")
    constant = {"beta": 1.0, "learning_rate": 1e-3}
    return [
        {"epoch": e, "validation_loss": abs(e - 3.0) + 7, **dict.fromkeys(keys, float(e)), **constant}
        | {key: schedule(e) for key, schedule in changing.items()}
        for e in range(1, epochs + 1)
    ]


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes]


def marked(figure: Figure) -> list[list[float]]:
    """Returns the place of the ring in the panel of the loss."""
    return [line.get_xydata().tolist()[0] for line in figure.axes[0].lines if line.get_label().startswith("kept")]


def test_curves_hold_the_records_and_mark_the_kept_epoch() -> None:
    figure = training_curves(records(6))
    loss = figure.axes[0]
    assert [len(axes.lines) for axes in figure.axes] == [3, 2]
    np.testing.assert_array_equal(loss.lines[1].get_xydata(), [[e, abs(e - 3.0) + 7] for e in range(1, 7)])
    assert marked(figure) == [[3, 7]]
    assert marked(training_curves(records(6), best=5)) == [[5, 9]]


def test_the_kept_epoch_is_after_the_warm_up() -> None:
    warmed = records(9, beta=lambda e: min(1.0, e / 5))
    assert marked(training_curves(warmed)) == [[5, 9]]
    assert marked(training_curves(warmed, best=4)) == [[4, 8]], "whoever knows it, knows better"
    assert marked(training_curves(warmed[:4])) == [[4, 8]], "a warm-up that does not end keeps the last weights"
    again = records(9, beta=lambda e: [0.0, 1.0][e % 2] if e < 7 else 1.0)
    assert marked(training_curves(again)) == [[7, 11]], "beta had its last value before, but left it"


def test_schedules_are_drawn_if_they_change_and_stated_if_they_do_not() -> None:
    moving = {"beta": lambda e: min(1.0, e / 3), "learning_rate": lambda e: 1e-3 / e}
    for drawn, stated in (
        ((), "beta 1, learning rate 0.001"),
        (("beta",), "learning rate 0.001"),
        (("learning_rate",), "beta 1"),
        (("beta", "learning_rate"), ""),
    ):
        figure = training_curves(records(6, **{key: moving[key] for key in drawn}))
        words = [key.replace("_", " ").capitalize() for key in drawn]
        assert titles(figure) == ["Loss", "Rate and distortion", *words]
        assert figure.get_supxlabel() == stated
        for axes, key in zip(figure.axes[2:], drawn, strict=True):
            np.testing.assert_allclose(axes.lines[0].get_ydata(), [moving[key](e) for e in range(1, 7)])


def test_missing_null_and_infinite_records_leave_holes() -> None:
    rows = [
        {"epoch": 1, "train_loss": 5.0},
        {"epoch": 2, "train_loss": None},
        {"train_loss": float("inf")},
        {"train_loss": 2.0},
    ]
    figure = training_curves(rows)
    loss, terms = figure.axes
    np.testing.assert_array_equal(loss.lines[0].get_xydata(), [[1, 5], [2, np.nan], [3, np.nan], [4, 2]])
    assert len(loss.lines) == 1, "no validation loss, no kept epoch"
    assert [text.get_text() for text in terms.texts] == ["not recorded"]
    assert figure.get_supxlabel() == "", "nothing is said of what was not recorded"


def test_a_single_epoch_is_visible() -> None:
    figure = training_curves(records(1))
    assert all(axes.lines[0].get_marker() == "o" for axes in figure.axes)
    low, high = figure.axes[0].get_xlim()
    assert low < 1 < high


# --------------------------------------------------------------------------------------------------- animation


@pytest.mark.parametrize(("anchors", "steps"), [(1, 3), (2, 7), (5, 5), (6, 100)])
def test_a_walk_visits_every_point_once(rng: np.random.Generator, anchors: int, steps: int) -> None:
    z = rng.normal(size=(anchors, 3))
    path = walk_path(torch.tensor(z), steps=steps, seed=1)
    assert path.shape == (steps, 3)
    distance = np.abs(path[:, None] - z[None]).max(axis=2).min(axis=0)
    np.testing.assert_allclose(distance, 0, atol=1e-12)


def test_a_walk_closes_without_a_jump_a_kink_or_a_stop(rng: np.random.Generator) -> None:
    path = walk_path(rng.normal(size=(6, 2)), steps=600, seed=0)
    velocity = np.diff(np.concatenate([path, path[:2]]), axis=0)
    speed, bend = np.linalg.norm(velocity, axis=1), np.linalg.norm(np.diff(velocity, axis=0), axis=1)
    assert 0 < speed[599] < 1.05 * speed[:599].max()
    assert bend[598:].max() < 1.05 * bend[:598].max()


def test_a_walk_depends_on_its_seed_alone(rng: np.random.Generator) -> None:
    z = rng.normal(size=(8, 2))
    np.testing.assert_array_equal(walk_path(z, steps=16, seed=3), walk_path(z, steps=16, seed=3))
    assert np.abs(walk_path(z, steps=16, seed=3) - walk_path(z, steps=16, seed=4)).max() > 0.1


def test_a_gif_has_the_frames_the_size_and_the_pixels(tmp_path: Path) -> None:
    frames = np.eye(6).reshape(6, 1, 2, 3)
    with Image.open(animate(torch.tensor(frames), tmp_path / "new" / "a.gif", fps=10)) as gif:
        assert (gif.n_frames, gif.size, gif.info["loop"], gif.info["duration"]) == (6, (192, 128), 0, 100)
        for index, frame in enumerate(frames):
            gif.seek(index)
            np.testing.assert_array_equal(np.asarray(gif.convert("L"))[32::64, 32::64], frame[0] * 255)


def test_a_gif_takes_colour_vectors_and_a_scale(tmp_path: Path, rng: np.random.Generator) -> None:
    for name, shape, size in [("colour", (3, 8, 8), (24, 24)), ("vector", (6,), (384 * 3, 128 * 3))]:
        with Image.open(animate(rng.random((3, *shape)), tmp_path / f"{name}.gif", scale=3)) as gif:
            assert (gif.n_frames, gif.size) == (3, size)


# ------------------------------------------------------------------------------------------------------- files


def test_a_notebook_shows_a_figure_that_pyplot_does_not_know() -> None:
    shown = image_grid(np.zeros((1, 4, 4)))._repr_png_()  # type: ignore[attr-defined]
    assert Image.open(io.BytesIO(shown)).format == "PNG"


def test_save_makes_folders_and_writes_a_png(tmp_path: Path) -> None:
    path = save(image_grid(np.zeros((1, 4, 4))), tmp_path / "a" / "b" / "c.png")
    assert path == tmp_path / "a" / "b" / "c.png"
    assert [file.name for file in path.parent.iterdir()] == ["c.png"]
    with Image.open(path) as page:
        assert page.format == "PNG"
        assert page.info["dpi"] == pytest.approx((150, 150), abs=1)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any, file: Any, *args: Any, **options: Any) -> Never:
        with open(file, "wb") as half:
            half.write(b"half")
        raise OSError("disk full")

    for kind in (Figure, Image.Image):
        monkeypatch.setattr(kind, "savefig" if kind is Figure else "save", fail)
    for name, write in [
        ("a.png", lambda path: save(Figure(), path)),
        ("a.gif", lambda path: animate(np.eye(4)[None], path)),
    ]:
        (tmp_path / name).write_bytes(b"old")
        with pytest.raises(OSError, match="disk full"):
            write(tmp_path / name)
        assert (tmp_path / name).read_bytes() == b"old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.gif", "a.png"]


def test_drawing_changes_no_global_state(rng: np.random.Generator) -> None:
    before = dict(matplotlib.rcParams)
    training_curves(records(2))
    latent_map(rng.normal(size=(9, 3)), np.arange(9) % 2)
    with pytest.raises(PyrovaeError):
        latent_map(np.full((2, 2), np.nan))
    assert dict(matplotlib.rcParams) == before


def test_importing_and_drawing_never_touch_pyplot() -> None:
    draw = "import sys, pyrovae.figures as f; f.training_curves([{'rate': 1.0}])"
    program = f"{draw}; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
