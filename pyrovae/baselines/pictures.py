"""The pictures of a GAN's run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from pyrovae import figures
from pyrovae.baselines.gan import GAN
from pyrovae.data import Dataset
from pyrovae.figures.adversarial import game_curves
from pyrovae.gallery import ANCHORS, FRAMES, SHOWN, as_codes, span_of
from pyrovae.seeding import seeded


@torch.no_grad()
def draw(
    gan: GAN,
    dataset: Dataset,
    records: Sequence[Mapping[str, Any]],
    folder: Path,
    seed: int = 0,
    best: int | None = None,
) -> list[Path]:
    """Draws the curves of the game, samples, and a walk between draws of the prior.

    Args:
        gan: The trained GAN.
        dataset: Its data, of which only the span is read.
        records: One row per epoch, as in ``metrics.jsonl``.
        folder: Where the pictures are written.
        seed: Of the samples.
        best: Of no matter here: the weights are those of the last epoch.

    Returns:
        The paths of the pictures, PNGs and one GIF.
    """
    span = span_of(dataset)
    with seeded(seed):
        samples, anchors = gan.sample(SHOWN), gan.prior().expand((ANCHORS,)).sample()
    path = gan.decode(as_codes(figures.walk_path(anchors, steps=FRAMES, seed=seed), anchors))
    drawn = {"samples": figures.image_grid(samples, title="samples of the generator", span=span)}
    if records:
        drawn = {"training": game_curves(records)} | drawn
    paths = [figures.save(figure, folder / f"{name}.png") for name, figure in drawn.items()]
    return [*paths, figures.animate(path, folder / "walk.gif", span=span)]
