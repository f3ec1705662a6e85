"""What people do with a trained VAE: embed, score, sample, reconstruct, traverse and interpolate; files in, files out.

A picture goes to ``.png``, a path to ``.gif`` too; numbers go to ``.npy``, or to ``.csv`` with the names of the
columns; sounds go to ``.wav``, texts to ``.txt``, one a line, or to ``.csv``. Data are read as the run's own were (grey
levels, binarisation, standardisation, spectrograms) and are written in the user's units.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from pyrovae import figures, gallery, storage
from pyrovae.data.apply import read_rows
from pyrovae.data.spectrograms import Spectrograms
from pyrovae.data.units import Units
from pyrovae.errors import PyrovaeError
from pyrovae.evaluation import Evidence, log_marginal
from pyrovae.evaluation.evidence import batches
from pyrovae.experiment import check_vae, described, load, load_module
from pyrovae.generative import Generative
from pyrovae.paths import path_named
from pyrovae.seeding import seeded
from pyrovae.text_gallery import write_texts
from pyrovae.vae import VAE

CHUNK = 1000  # data encoded at once
SHOWN = 20  # data in a picture of reconstructions
ANIMATED = 48  # steps of a path in a GIF, 4 seconds each way
PAUSE = 0.2  # seconds of silence after a sound
SHOW = (".png", ".wav")  # what is looked at or listened to, and not reckoned with

Rows = tuple[Tensor, Tensor | None]


@dataclass(frozen=True)
class Trained:
    """The VAE of a run, or what else it has trained, and what the run says of its data."""

    directory: Path
    vae: VAE
    description: dict[str, Any]

    @property
    def span(self) -> tuple[float, float] | None:
        """Black and white of its data, if they have them."""
        return None if self.description["support"] in ("real", "count") else gallery.RANGE

    @property
    def units(self) -> Units | None:
        """What its data were standardised by."""
        units = self.description.get("units")
        return None if units is None else Units.from_dict(units)

    @property
    def sound(self) -> Spectrograms | None:
        """How its data became pictures, if they are sounds."""
        sound = self.description.get("sound")
        return None if sound is None else Spectrograms.from_dict(sound)

    @property
    def alphabet(self) -> str:
        """The characters of its data, if they are text."""
        return str(self.description["alphabet"])

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What data can be written to."""
        if self.alphabet:
            return (".png", ".txt", ".csv")
        return (".png", ".npy", ".csv", *([] if self.sound is None else [".wav"]))

    @property
    def standardised(self) -> bool:
        """Whether densities are of other units than the user's."""
        units = self.units
        return units is not None and bool((units.scale != 1).any())

    def rows(self, data: Path | None = None, data_dir: Path | None = None, label: str | None = None) -> Rows:
        """Returns the rows of a file, of the run's test data by default, with the labels that the VAE reads.

        Args:
            data: The file; labels are its own, or all those of one class where it is named.
            data_dir: Where the run's data are looked for first.
            label: A class, by name or number.

        Raises:
            PyrovaeError: The file does not fit the model, or lacks labels that the model reads; or the model reads no
                rows, because it has no encoder.
        """
        check_vae(self.vae, self.directory)
        if label is not None and not self.vae.conditional:
            hint = "train with vae.conditional = true"
            raise PyrovaeError(f"--class {label}: this VAE reads no labels", hint=hint, exit_code=2)
        if data is None:
            x, y = load(self.directory, data_dir)[1].held_out("test")
        else:
            x, y = read_rows(data, self.description, labels=self.vae.conditional and label is None)
        if not self.vae.conditional:
            return x, None
        if label is not None:
            y = torch.full((len(x),), class_number(label, self.description["classes"]))
        if y is None:
            hint = "give labels (.npz with x and y, the label column, a sub-folder a class), or --class"
            raise PyrovaeError(f"{data} has no labels, which this VAE reads", hint=hint, exit_code=2)
        return x, y


def open_run(directory: Path) -> Trained:
    """Opens a run for use; the data it was trained on are not needed."""
    return Trained(directory, load_module(directory), described(directory))


@torch.no_grad()
def embed(
    run: Trained, output: Path, data: Path | None = None, data_dir: Path | None = None, *, label: str | None = None
) -> Path:
    """Writes E[z | x] of each row to a .npy or .csv file, shape ``(n, latent_dim)``."""
    check_suffix(output, ".npy", ".csv")
    z = torch.cat([run.vae.embed(*batch) for batch in batches(run.vae, *run.rows(data, data_dir, label), size=CHUNK)])
    return write_numbers(output, z, [f"z{d}" for d in range(z.shape[1])])


def score(
    run: Trained,
    output: Path,
    data: Path | None = None,
    data_dir: Path | None = None,
    *,
    label: str | None = None,
    particles: int = 1000,
    seed: int = 0,
) -> Evidence:
    """Writes log p(x) of each row as the model reads it, its Monte-Carlo error and its k-hat to a .csv file.

    Returns:
        The evidence, whose mean and verdict are over all rows.
    """
    check_suffix(output, ".csv")
    x, y = run.rows(data, data_dir, label)
    with seeded(seed):
        evidence = log_marginal(run.vae, x, y, particles=particles, progress=True)
    names = ["row", evidence.name + (", x standardised" if run.standardised else ""), "mc_error", "khat"]
    columns = (evidence.log_prob.tolist(), evidence.mc_error.tolist(), evidence.khat.tolist())
    storage.write_table(output, names, [[str(i), *map(repr, row)] for i, row in enumerate(zip(*columns, strict=True))])
    return evidence


@torch.no_grad()
def sample(
    run: Trained,
    output: Path,
    label: str | None = None,
    *,
    count: int = 64,
    seed: int = 0,
    mean: bool = False,
) -> Path:
    """Draws data, all of one class where one is named; pictures and sounds, and numbers if asked, are E[x | z].

    Texts are draws of x everywhere, or if asked the likeliest text of each z.
    """
    check_suffix(output, *run.suffixes)
    if not isinstance(run.vae, Generative):
        check_vae(run.vae, run.directory)
    y = None if label is None else class_number(label, run.description["classes"])
    with seeded(seed):
        drawn = run.vae.sample(count, y, mean=mean or (output.suffix in SHOW and not run.alphabet))
    title = f"samples of {'the prior' if label is None else f'class {label}'}, E[x | z]"
    return save(run, output, drawn, lambda: figures.image_grid(drawn, title=title, span=run.span))


@torch.no_grad()
def reconstruct(
    run: Trained, output: Path, data: Path | None = None, data_dir: Path | None = None, *, label: str | None = None
) -> Path:
    """Saves E[x | z] at z = E[z | x] of each row; what is missing in a row is imputed. Pictures show the first 20."""
    x, y = run.rows(data, data_dir, label)
    back = torch.cat([run.vae.reconstruct(*batch) for batch in batches(run.vae, x, y, size=CHUNK)])
    pairs = x[:SHOWN].nan_to_num(), back[:SHOWN]
    if run.alphabet and output.suffix == ".png":
        return write_texts(output, torch.stack(pairs, 1), run.alphabet)
    return save(run, output, back, lambda: figures.reconstructions(*pairs, span=run.span))


@torch.no_grad()
def traverse(
    run: Trained,
    output: Path,
    data: Path | None = None,
    data_dir: Path | None = None,
    *,
    row: int = 0,
    label: str | None = None,
) -> Path:
    """Saves what moving each latent dimension does to one datum: rows are dimensions, columns are steps."""
    x, y = run.rows(data, data_dir, label)
    if row >= len(x):
        raise PyrovaeError(f"row {row} of {len(x)}", hint=f"rows are 0 to {len(x) - 1}", exit_code=2)
    few = slice(gallery.MAPPED)
    z = run.vae.embed(x[row : row + 1], None if y is None else y[row : row + 1])
    others = run.vae.embed(x[few], None if y is None else y[few])
    if len(others.unique(dim=0)) < 2:  # a single datum does not say how far codes go: the prior does
        with seeded(0):
            others = run.vae.prior().expand((gallery.MAPPED,)).sample()
    points, dimensions, moved = gallery.traversal_points(z[0], others)
    decoded = gallery.decode(run.vae, points, None if y is None else y[row])
    labels: dict[str, Any] = {"dimensions": dimensions, "values": moved, "span": run.span}
    return save(run, output, decoded, lambda: figures.traversals(decoded, **labels))


@torch.no_grad()
def interpolate(
    run: Trained,
    output: Path,
    ends: tuple[str, str],
    data_dir: Path | None = None,
    *,
    path: str = "linear",
    steps: int | None = None,
    label: str | None = None,
) -> Path:
    """Saves a path of :data:`pyrovae.paths.PATHS` in latent space between two data, both test indices or files.

    A conditional VAE decodes the whole path with one label, the first datum's unless one is named. A GIF goes there
    and back, so that its loop has no jump of its own.

    Raises:
        PyrovaeError: There is no such path or datum, or the path follows a density that the prior has not.
    """
    check_suffix(output, *run.suffixes, *([] if run.alphabet else [".gif"]))
    animated, way = output.suffix == ".gif", path_named(path)
    steps = steps or (ANIMATED if animated else gallery.STEPS)
    (x, y), (x_end, y_end) = (endpoint(run, end, data_dir, label) for end in ends)
    labels = None if y is None else y.expand(1, steps)
    codes = run.vae.embed(x, y), run.vae.embed(x_end, y_end)
    decoded = run.vae.decode(way(*codes, steps=steps, prior=run.vae.prior(labels)), labels)
    if animated:
        return figures.animate(torch.cat([decoded[0], decoded[0, 1:-1].flip(0)]), output, span=run.span)
    originals = torch.stack([x, x_end], 1)
    return save(run, output, decoded[0], lambda: figures.interpolation(decoded, originals=originals, span=run.span))


def endpoint(run: Trained, end: str, data_dir: Path | None, label: str | None) -> Rows:
    """Returns one datum, a test index or a file, as a batch."""
    x, y = run.rows(None if end.isdecimal() else Path(end), data_dir, label)
    row = int(end) if end.isdecimal() else 0
    if row >= len(x):
        raise PyrovaeError(f"test datum {end} of {len(x)}", hint=f"they are 0 to {len(x) - 1}", exit_code=2)
    if not end.isdecimal() and len(x) != 1:
        raise PyrovaeError(
            f"{end} holds {len(x)} data, not 1", hint="give a file of one datum, or a test index", exit_code=2
        )
    return x[row : row + 1], None if y is None else y[row : row + 1]


def save(run: Trained, path: Path, values: Tensor, draw: Any) -> Path:
    """Saves data as a picture, as sounds one after the other, as texts, or as numbers in the user's units."""
    check_suffix(path, *run.suffixes)
    if run.alphabet:
        return write_texts(path, values, run.alphabet)
    if path.suffix == ".png":
        return figures.save(draw(), path)
    units = run.units
    values = values if units is None else units.to_user(values)
    if path.suffix == ".wav":
        return write_sounds(path, run.sound or Spectrograms(), values)
    names = units.columns if units is not None and units.columns else None
    return write_numbers(path, values, names or [f"x{d}" for d in range(values[0].numel())])


def write_numbers(path: Path, values: Tensor, names: Sequence[str]) -> Path:
    """Writes an array to .npy, or its flattened rows to .csv."""
    array = values.detach().cpu().numpy()
    if path.suffix == ".npy":
        storage.write_array(path, array)
    else:
        storage.write_table(path, names, [[f"{number:.9g}" for number in row] for row in array.reshape(-1, len(names))])
    return path


def write_sounds(path: Path, sound: Spectrograms, decibels: Tensor) -> Path:
    """Writes spectrograms, of shape ``(..., 1, mels, frames)``, as sounds one after the other, each with a pause."""
    waves = sound.waves(decibels.detach().cpu().reshape(-1, *sound.event_shape))
    waves = waves / waves.abs().amax(1, keepdim=True).clamp(min=1)  # as loud as they can be without being cut off
    path.parent.mkdir(parents=True, exist_ok=True)
    storage.write_sound(path, sound.rate, pad(waves, (0, round(PAUSE * sound.rate))).flatten().numpy())
    return path


def check_suffix(path: Path, *known: str) -> None:
    if path.suffix not in known:
        hint = f"end it in {' or '.join(known)}"
        raise PyrovaeError(f"cannot write '{path.name}'", hint=hint, exit_code=2)


def class_number(label: str, classes: Sequence[str]) -> int:
    """Returns the number of a class given by name or number.

    Example:
        >>> class_number("coat", ["shirt", "coat"]), class_number("0", ["shirt", "coat"])
        (1, 0)
    """
    if label in classes:
        return list(classes).index(label)
    if label.isdecimal() and int(label) < len(classes):
        return int(label)
    hint = f"classes: {', '.join(classes)}" if classes else "the data have no classes"
    raise PyrovaeError(f"unknown class '{label}'", hint=hint)
