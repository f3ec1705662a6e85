"""What a trained VAE of text shows: texts in tables and in files, where other data have pictures and numbers."""

from collections.abc import Iterator
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from pyrovae import figures, storage
from pyrovae.data import Dataset
from pyrovae.data.alphabet import to_texts
from pyrovae.vae import VAE, is_proper

SHOWN = 20  # reconstructions, and samples down a page
ACROSS = 3  # samples side by side


def table_of(codes: Tensor, alphabet: str) -> list[list[str]]:
    """Returns the texts of codes of shape ``(rows, columns, L)``.

    Example:
        >>> import torch
        >>> table_of(torch.tensor([[[1, 0], [2, 1]]]), "ab")
        [['a', 'ba']]
    """
    return [to_texts(row, alphabet) for row in codes]


def sample_table(vae: VAE, dataset: Dataset) -> Figure:
    """Draws samples of x, and not the likeliest text of each z, which is a tamer one."""
    drawn = vae.sample(SHOWN * ACROSS, mean=False).unflatten(0, (SHOWN, ACROSS))
    return figures.text_table(table_of(drawn, dataset.alphabet), title="samples of the prior")


def text_pictures(vae: VAE, dataset: Dataset, x: Tensor, y: Tensor | None) -> Iterator[tuple[str, Figure]]:
    """Yields tables of reconstructions, samples and pools, traversals and interpolations, by name.

    Args:
        vae: The trained VAE.
        dataset: Its data.
        x: Test data.
        y: Their labels, where the VAE reads them.
    """
    from pyrovae.gallery import interpolation_points, label_of, spread_points

    few = slice(SHOWN)
    pairs = [to_texts(codes, dataset.alphabet) for codes in (x[few], vae.reconstruct(x[few], label_of(vae, y, few)))]
    titles: tuple[str, ...] = ("data", "likeliest text of E[z | x]")
    yield "reconstructions", figures.text_table([*zip(*pairs, strict=True)], columns=titles)
    if is_proper(vae.prior):
        yield "samples", sample_table(vae, dataset)
    if is_proper(vae.prior) and (vae.pools or vae.conditional):
        drawn = torch.stack([vae.sample(6, y=label, mean=False) for label in range(len(dataset.classes))])
        table = figures.text_table(table_of(drawn, dataset.alphabet), rows=dataset.classes)
        yield "pools" if vae.pools else "samples_by_class", table
    decoded, dimensions, moved = spread_points(vae, x, y)
    names = [f"z{d}" for d in dimensions]
    steps = [f"{step:g}" for step in moved.tolist()]
    yield "traversals", figures.text_table(table_of(decoded, dataset.alphabet), rows=names, columns=steps)
    way, ends = interpolation_points(vae, x, y)
    titles = ("from", *[""] * way.shape[1], "to")
    rows = zip(*(table_of(codes, dataset.alphabet) for codes in (ends[:, :1], way, ends[:, 1:])), strict=True)
    yield "interpolation", figures.text_table([[*a, *between, *b] for a, between, b in rows], columns=titles)


def write_texts(path: Path, codes: Tensor, alphabet: str) -> Path:
    """Writes texts, codes of shape ``(..., L)``, to .txt, one a line, to .csv, or as a table to .png.

    In a .png the last dimension but one runs to the right where there is another one, and else down.
    """
    if path.suffix == ".png":
        rows = codes if codes.dim() > 2 else codes.unsqueeze(1)
        return figures.save(figures.text_table(table_of(rows, alphabet)), path)
    texts = to_texts(codes.reshape(-1, codes.shape[-1]), alphabet)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        storage.write_table(path, ["text"], [[text] for text in texts])
    else:
        storage.write(path, "".join(f"{text}\n" for text in texts).encode())
    return path
