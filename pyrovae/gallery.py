"""Every picture of a run: computes what the figures draw from a trained VAE and its test data, and saves them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

from pyrovae import figures
from pyrovae.data import Dataset
from pyrovae.mixtures import Mixture
from pyrovae.paths import linear
from pyrovae.seeding import seeded
from pyrovae.text_gallery import text_pictures
from pyrovae.vae import VAE, is_proper

SHOWN = 64  # samples of the prior
PAIRS = 20  # reconstructions
MAPPED = 2000  # codes in the latent map
SIDE = 20  # codes along each axis of the manifold
STEPS = 9  # of a traversal or an interpolation
ANCHORS, FRAMES = 6, 60  # of the walk
RANGE = (0.0, 1.0)  # black and white of data that are not real-valued


@torch.no_grad()
def draw(
    vae: VAE,
    dataset: Dataset,
    records: Sequence[Mapping[str, Any]],
    folder: Path,
    seed: int = 0,
    best: int | None = None,
) -> list[Path]:
    """Draws training curves, reconstructions, samples, pools, map, manifold, traversals, interpolations and a walk.

    Args:
        vae: The trained VAE.
        dataset: Its data; only test data are drawn.
        records: One row per epoch, as in ``metrics.jsonl``.
        folder: Where the pictures are written.
        seed: Of the samples.
        best: The epoch whose weights the VAE has; by default told from the records, see ``training_curves``.

    Returns:
        The paths of the pictures, PNGs and one GIF; of texts, which do not move, PNGs alone.
    """
    x, y = dataset.held_out("test")
    span = span_of(dataset)
    with seeded(seed):
        drawn = list(tqdm(pictures(vae, dataset, x, y, records, best), desc="figures", unit="figure", disable=None))
        paths = [figures.save(figure, folder / f"{name}.png") for name, figure in drawn]
        if dataset.alphabet:
            return paths
        frames, label = walk(vae, x, y, seed)
        walked = figures.animate(decode(vae, frames, label), folder / "walk.gif", span=span)
    return [*paths, walked]


def pictures(
    vae: VAE,
    dataset: Dataset,
    x: Tensor,
    y: Tensor | None,
    records: Sequence[Mapping[str, Any]],
    best: int | None = None,
) -> Iterator[tuple[str, Figure]]:
    span = span_of(dataset)
    names = [dataset.classes[int(label)] for label in y[:PAIRS]] if y is not None and dataset.classes else None
    if records:
        yield "training", figures.training_curves(records, best=best)
    z = vae.embed(x[:MAPPED], label_of(vae, y, slice(MAPPED)))
    yield "latent_map", latent_map(vae, dataset, z, None if y is None else y[:MAPPED])
    if dataset.alphabet:
        yield from text_pictures(vae, dataset, x, y)
        return
    pairs = vae.reconstruct(x[:PAIRS], label_of(vae, y, slice(PAIRS)))
    yield "reconstructions", figures.reconstructions(x[:PAIRS].nan_to_num(), pairs, labels=names, span=span)
    if is_proper(vae.prior):
        yield "samples", figures.image_grid(vae.sample(SHOWN), title="samples of the prior, E[x | z]", span=span)
    if is_proper(vae.prior) and (vae.pools or vae.conditional):
        by_class = {name: vae.sample(10, y=label) for label, name in enumerate(dataset.classes)}
        yield "pools" if vae.pools else "samples_by_class", figures.pools(by_class, span=span)
    start = label_of(vae, y, 0)
    if z.shape[1] == 2:
        yield "manifold", manifold(vae, dataset, as_codes(figures.manifold_points(SIDE), z), start)
    decoded, dimensions, moved = spread_points(vae, x, y)
    yield "traversals", figures.traversals(decoded, dimensions=dimensions, values=moved, span=span)
    way, ends = interpolation_points(vae, x, y)
    yield "interpolation", figures.interpolation(way, originals=ends, span=span)


def span_of(dataset: Dataset) -> tuple[float, float] | None:
    """Returns black and white of a data set, if it has them."""
    return None if dataset.support in ("real", "count") else RANGE


def label_of(vae: VAE, y: Tensor | None, rows: Any) -> Tensor | None:
    """Returns the labels that a conditional VAE reads with some rows; others read none."""
    return y[rows] if vae.conditional and y is not None else None


def decode(vae: VAE, z: Tensor, label: Tensor | None = None) -> Tensor:
    """Decodes codes of any leading shape, all with one label where the VAE is conditional."""
    return vae.decode(z, None if label is None else label.expand(z.shape[:-1]))


def as_codes(points: Any, z: Tensor) -> Tensor:
    return torch.as_tensor(points, dtype=z.dtype, device=z.device)


def latent_map(vae: VAE, dataset: Dataset, z: Tensor, y: Tensor | None) -> Figure:
    loc, scale = components(vae.prior(), z.shape[1]) if is_proper(vae.prior) else (None, None)
    one_each = vae.pools and loc is not None and len(loc) == len(dataset.classes)
    return figures.latent_map(
        z,
        y,
        classes=dataset.classes,
        component_loc=loc,
        component_scale=scale,
        component_labels=dataset.classes if one_each else None,
    )


def components(prior: Any, dim: int) -> tuple[Tensor | None, Tensor | None]:
    """Returns means and standard deviations of a prior's components, ``(K, D)``; nothing where it has no moments."""
    parts = prior.components if isinstance(prior, Mixture) else prior
    try:
        return parts.mean.reshape(-1, dim), parts.variance.sqrt().reshape(-1, dim)
    except NotImplementedError:
        return None, None


def manifold(vae: VAE, dataset: Dataset, plane: Tensor, label: Tensor | None) -> Figure:
    """Decodes a plane of codes; the variables of vectors are drawn in the user's units."""
    decoded, units = decode(vae, plane, label), dataset.units
    if units is None or len(dataset.event_shape) > 1:
        return figures.manifold(decoded, SIDE, SIDE, span=span_of(dataset))
    return figures.manifold(units.to_user(decoded), SIDE, SIDE, names=units.columns or None, scale=units.scale)


def spread_points(vae: VAE, x: Tensor, y: Tensor | None) -> tuple[Tensor, list[int], Tensor]:
    """Moves each dimension through the codes' central 98 % around the first test datum, those used most first."""
    z = vae.embed(x[:MAPPED], label_of(vae, y, slice(MAPPED)))
    points, dimensions, moved = traversal_points(z[0], z)
    return decode(vae, points, label_of(vae, y, 0)), dimensions, moved


def traversal_points(start: Tensor, z: Tensor) -> tuple[Tensor, list[int], Tensor]:
    """Returns points around a code, ``(dimensions, steps, D)``, the dimensions and the steps in deviations of z."""
    spread = z.std(0)
    dimensions = spread.argsort(descending=True)[:10]
    reach = torch.linspace(-2.3, 2.3, STEPS, device=z.device)
    points = start.repeat(len(dimensions), STEPS, 1)
    for row, d in enumerate(dimensions):
        points[row, :, d] = z[:, d].mean() + reach * spread[d]
    return points, dimensions.tolist(), reach.round(decimals=2)


def interpolation_points(vae: VAE, x: Tensor, y: Tensor | None, *, rows: int = 5) -> tuple[Tensor, Tensor]:
    """Goes straight from one test datum to another: of another class where there are labels, of its own class where
    the VAE is conditional, whose decoder reads one label along the way.

    Returns:
        What is decoded on the way, shape ``(rows, steps, *event_shape)``, and the data at both ends.
    """
    rows = min(rows, len(x) // 2)
    ends = torch.arange(2 * rows) if y is None else pairs(y, rows, alike=vae.conditional)
    z = vae.embed(x[ends], label_of(vae, y, ends)).unflatten(0, (rows, 2))
    points = linear(z[:, 0], z[:, 1], steps=STEPS)
    label = label_of(vae, y, ends)
    labels = None if label is None else label.unflatten(0, (rows, 2))[:, :1].expand(rows, STEPS)
    return vae.decode(points, labels), x[ends].unflatten(0, (rows, 2))


def pairs(y: Tensor, rows: int, *, alike: bool) -> Tensor:
    """Returns data in pairs, each of one class or of two, as far as there are such data."""
    wanted = [torch.where((y[rows:] == y[first]) == alike)[0] for first in range(rows)]
    others = [int(found[min(first, len(found) - 1)]) if len(found) else first for first, found in enumerate(wanted)]
    return torch.stack([torch.arange(rows), rows + torch.tensor(others)], 1).flatten()


def walk(vae: VAE, x: Tensor, y: Tensor | None, seed: int) -> tuple[Tensor, Tensor | None]:
    """Returns a closed path through the codes of a few test data, of one class where the VAE is conditional."""
    label = label_of(vae, y, 0)
    rows = torch.arange(len(x)) if label is None or y is None else torch.where(y == label)[0]
    anchors = vae.embed(x[rows[:ANCHORS]], label_of(vae, y, rows[:ANCHORS]))
    return as_codes(figures.walk_path(anchors, steps=FRAMES, seed=seed), anchors), label
