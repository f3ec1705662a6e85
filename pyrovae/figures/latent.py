"""Where the data lie in latent space, and the components of the prior among them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import patheffects, rc_context
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from pyrovae.errors import PyrovaeError
from pyrovae.figures.arrays import Array, same_length, to_array, to_batch
from pyrovae.figures.projection import SIGMAS, Plane, ellipse, plane_of
from pyrovae.figures.style import FAINT, INK, RC, ClassStyle, blank, class_style

LEGEND_ROWS = 22
BINS = 60
FEW_COMPONENTS = 40  # more ellipses than this are drawn faintly and without names, or they hide the data
HALO = [patheffects.withStroke(linewidth=2.5, foreground="white")]


class Group(NamedTuple):
    """The points of one class, `(n, D)`."""

    name: str
    points: Array
    style: ClassStyle


class Component(NamedTuple):
    """One component of the prior: `loc` and `scale` are `(D,)`."""

    name: str
    loc: Array
    scale: Array
    color: str


@rc_context(RC)
def latent_map(
    z: ArrayLike,
    y: ArrayLike | None = None,
    *,
    classes: Sequence[str] = (),
    component_loc: ArrayLike | None = None,
    component_scale: ArrayLike | None = None,
    component_labels: Sequence[str] | None = None,
) -> Figure:
    """Draws latent points coloured by class, and the components of a mixture prior as 2-sigma ellipses.

    Read: classes that part are classes the code tells apart; an ellipse without points is prior mass no datum uses;
    points without an ellipse are data the prior does not generate. One dimension is drawn as histograms, more than two
    by principal components.

    Args:
        z: Latent points, `(n, D)`.
        y: Their classes, `(n,)`, indices into `classes`; a negative one is drawn as unlabelled.
        classes: The names of the classes; by default the numbers in `y`.
        component_loc: The means of the prior's components, `(K, D)`.
        component_scale: Their standard deviations, `(K, D)`; without them only the means are marked.
        component_labels: K names written at the means (of up to 40 components); one that names a class takes its
        colour.

    Example:
        >>> figure = latent_map(np.random.default_rng(0).normal(size=(50, 5)), component_loc=np.zeros((3, 5)))
        >>> figure.axes[0].get_xlabel().startswith("PC 1")
        True
    """
    points = to_batch(z, "z", leading=2).astype(float)
    if not np.isfinite(points).all():
        row = np.flatnonzero(~np.isfinite(points).all(axis=1))[0]
        raise PyrovaeError(f"'z' holds values that are not finite, first in row {row}")
    groups = _groups(points, y, classes)
    components = _components(component_loc, component_scale, component_labels, groups)
    if components and components[0].loc.shape != points.shape[1:]:
        raise PyrovaeError(f"'component_loc' should have {points.shape[1]} columns, got {len(components[0].loc)}")
    figure = blank(6.5, 3.6 if points.shape[1] == 1 else 5.2)
    draw = _draw_line if points.shape[1] == 1 else _draw_plane
    draw(figure.add_subplot(), groups, components)
    if y is not None:
        _add_legend(figure, groups)
    return figure


def _groups(points: Array, y: ArrayLike | None, classes: Sequence[str]) -> list[Group]:
    """Splits the points by class; a class keeps its style whichever others are present."""
    if y is None:
        return [Group("", points, class_style(0))]
    labels = to_array(y).reshape(-1).astype(int)
    same_length(z=len(points), y=len(labels))
    if classes and labels.max() >= len(classes):
        raise PyrovaeError(f"'y' holds class {labels.max()}, but 'classes' names {len(classes)}")
    groups = [] if labels.min() >= 0 else [Group("unlabelled", points[labels < 0], ClassStyle(FAINT, "o"))]
    for label in np.unique(labels[labels >= 0]):
        name = str(classes[label]) if classes else str(label)
        groups.append(Group(name, points[labels == label], class_style(label)))
    return groups


def _components(
    loc: ArrayLike | None, scale: ArrayLike | None, labels: Sequence[str] | None, groups: Sequence[Group]
) -> list[Component]:
    """Pairs means with standard deviations (zero if unknown), names and colours."""
    if loc is None:
        return []
    locs = to_batch(loc, "component_loc", leading=2).astype(float)
    scales = np.zeros_like(locs) if scale is None else to_batch(scale, "component_scale", leading=2).astype(float)
    names = [""] * len(locs) if labels is None else [str(label) for label in labels]
    same_length(component_loc=len(locs), component_scale=len(scales), component_labels=len(names))
    if locs.shape != scales.shape:
        raise PyrovaeError(f"'component_scale' should have shape {locs.shape}, got {scales.shape}")
    colors = {group.name: group.style.color for group in groups if group.name}
    return [Component(name, m, s, colors.get(name, INK)) for name, m, s in zip(names, locs, scales, strict=True)]


def _draw_plane(axes: Axes, groups: Sequence[Group], components: Sequence[Component]) -> None:
    """Draws points and ellipses on the plane of the data, at equal scale in both directions."""
    total = np.concatenate([group.points for group in groups])
    plane = plane_of(total)
    # many points are drawn small and let each other shine through
    size, alpha = float(np.clip(20000 / len(total), 4, 24)), float(np.clip(1200 / len(total), 0.5, 0.9))
    for group in groups:
        x, y = plane.points(group.points).T
        axes.scatter(x, y, size, group.style.color, marker=group.style.marker, alpha=alpha, linewidths=0)
    _draw_ellipses(axes, plane, components)
    axes.autoscale_view()
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(xlabel=plane.names[0], ylabel=plane.names[1])


def _draw_ellipses(axes: Axes, plane: Plane, components: Sequence[Component]) -> None:
    """Draws the components as one collection: hundreds of single patches take seconds to lay out."""
    few = len(components) <= FEW_COMPONENTS
    centres = [plane.points(component.loc[None])[0] for component in components]
    shapes = [ellipse(m, plane.covariance(c.scale)) for m, c in zip(centres, components, strict=True)]
    look: dict[str, Any] = {"linewidth": 1.4, "path_effects": HALO} if few else {"linewidth": 0.6, "alpha": 0.2}
    colors = [component.color for component in components]
    axes.add_collection(PatchCollection(shapes, facecolor="none", edgecolor=colors, **look))
    for centre, component in zip(centres, components, strict=True):
        if few:
            _mark(axes, centre, component)


def _draw_line(axes: Axes, groups: Sequence[Group], components: Sequence[Component]) -> None:
    """Draws a one-dimensional latent space as one histogram per class, and components as 2-sigma bars above them."""
    edges = np.histogram_bin_edges(np.concatenate([group.points for group in groups]), BINS).tolist()
    for group in groups:
        color = group.style.color
        axes.hist(group.points[:, 0], edges, color=color, alpha=0.15)
        axes.hist(group.points[:, 0], edges, color=color, histtype="step")
    top = axes.get_ylim()[1]
    for index, component in enumerate(components, start=1):
        height = top * (1 + 0.06 * index)
        reach = SIGMAS * component.scale[0]
        axes.plot([component.loc[0] - reach, component.loc[0] + reach], [height] * 2, color=component.color)
        _mark(axes, np.array([component.loc[0], height]), component)
    axes.set(xlabel="$z_1$", ylabel="data per bin")


def _mark(axes: Axes, centre: Array, component: Component) -> None:
    """Puts a cross at a component's mean, or its name."""
    if not component.name:
        axes.plot(*centre, marker="+", markersize=5, color=component.color, path_effects=HALO)
        return
    # annotate, since a name far from all points must still widen the page
    axes.plot(*centre, marker="", color=component.color)
    axes.annotate(
        component.name,
        (centre[0], centre[1]),
        ha="center",
        va="center",
        color=INK,
        fontweight="bold",
        fontsize=8,
        path_effects=HALO,
    )


def _add_legend(figure: Figure, groups: Sequence[Group]) -> None:
    """Names the classes beside the plot, with opaque symbols of one size, however faint the points are."""
    symbols = [Line2D([], [], linestyle="", markersize=6, **group.style._asdict()) for group in groups]
    names = [group.name for group in groups]
    columns = -(-len(groups) // LEGEND_ROWS)
    figure.legend(symbols, names, loc="outside right upper", ncols=columns, handletextpad=0.3, columnspacing=1)
