"""A small classifier of one data set, whose accuracy and features judge samples of the same data.

It is trained on the training data alone, from a fixed seed and for a fixed number of steps, and kept in the user's
cache under the hash of what it has read: never in a run. Its features are its own: a distance over them is comparable
with those of other models of the same data and the same recipe, and with no published FID.
"""

import hashlib
import re
from contextlib import suppress
from math import prod
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, silu
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR
from tqdm import trange

from pyrovae import checkpoints
from pyrovae.data import Dataset
from pyrovae.errors import PyrovaeError
from pyrovae.networks.characters import unit_vectors
from pyrovae.networks.conv import conv
from pyrovae.networks.mlp import MLP
from pyrovae.seeding import seeded
from pyrovae.vae import filled

KIND = "classifier"
RECIPE = 1  # to be raised with anything below that changes what is learned
FEATURES = 64
STEPS, BATCH, RATE, DECAY = 1500, 128, 2e-3, 1.0
SCALED_BY = 1000  # training data that tell location and scale
ROWS = 2**22  # numbers of x read at once


class Classifier(nn.Module):
    """Logits of the classes from 64 features, of pictures by two convolutions, of vectors by a perceptron.

    Args:
        event_shape: Shape of one datum.
        classes: How many.
        counts: Read log(1 + x).
        levels: Of texts, whose codes are read as unit vectors; 0 of other data.

    Example:
        >>> classifier = Classifier((1, 8, 8), 10)
        >>> classifier(torch.zeros(5, 1, 8, 8)).shape, classifier.features(torch.zeros(5, 1, 8, 8)).shape
        (torch.Size([5, 10]), torch.Size([5, 64]))
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, event_shape: tuple[int, ...], classes: int, *, counts: bool = False, levels: int = 0) -> None:
        super().__init__()
        self.counts, self.levels = counts, levels
        event_shape = (*event_shape, levels - 1) if levels else event_shape
        # one location and scale of all pixels, one of each column of a table
        shape = event_shape if len(event_shape) == 1 else ()
        self.register_buffer("loc", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))
        self.network = (
            conv(event_shape, (FEATURES,), channels=(16, 32), hidden=128)
            if len(event_shape) > 1
            else MLP(event_shape, (FEATURES,), hidden=(128,))
        )
        self.head = nn.Linear(FEATURES, classes)

    def features(self, x: Tensor) -> Tensor:
        """Returns the penultimate layer, shape ``(n, 64)``."""
        return silu(self.network((self.read(x) - self.loc) / self.scale))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x))
        return logits

    def read(self, x: Tensor) -> Tensor:
        x = filled(x)
        if self.levels:
            return unit_vectors(x, self.levels)
        return x.log1p() if self.counts else x

    def scale_by(self, x: Tensor) -> None:
        """Sets location and scale to those of some data; a column that is constant keeps its scale."""
        read = self.read(x)
        rows = read if self.loc.dim() else read.reshape(-1, 1)
        loc, scale = rows.mean(0), rows.std(0)
        self.loc.copy_(loc.reshape(self.loc.shape))
        self.scale.copy_(torch.where(scale > 0, scale, 1.0).reshape(self.scale.shape))


@torch.no_grad()
def read_by(classifier: Classifier, x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns features in double precision, shape ``(n, 64)``, and the likeliest classes, shape ``(n,)``."""
    parts = [classifier.features(rows) for rows in x.split(max(1, ROWS // prod(x.shape[1:])))]
    features = torch.cat(parts)
    return features.double(), classifier.head(features).argmax(-1)


def classifier_of(dataset: Dataset, cache: Path | None = None) -> Classifier:
    """Returns the classifier of a data set: the one in the cache if it is whole and its own, else a new one.

    Args:
        dataset: Data with labels.
        cache: A folder, made if need be; without one, or where it cannot be written, the classifier is not kept.

    Example:
        >>> from pyrovae.data import DATA
        >>> path = path_of(DATA["digits"](), Path("classifiers"))
        >>> path.name.startswith("digits-"), path.suffix
        (True, '.pt')
    """
    if cache is None:
        return trained(dataset)
    path = path_of(dataset, cache)
    found = kept(path, dataset)
    if found is None:
        found = trained(dataset)
        keep(path, found)
    return found


def path_of(dataset: Dataset, cache: Path) -> Path:
    """Names the file of a data set's classifier by the hash of the training data, how they are read, and the recipe."""
    reading = (dataset.support, dataset.binarize, dataset.max_level, dataset.event_shape, len(dataset.classes))
    key = hashlib.sha256(repr((RECIPE, dataset.train.hash(), *reading)).encode()).hexdigest()[:12]
    return cache / f"{re.sub(r'[^A-Za-z0-9._-]', '_', dataset.name)}-{key}.pt"


def kept(path: Path, dataset: Dataset) -> Classifier | None:
    """Returns the classifier in a file, or none where it is missing, damaged, or of other data."""
    classifier = untrained(dataset)
    try:
        content = checkpoints.read(path, KIND)
        checkpoints.take(path, content, classifier)
    except PyrovaeError:
        return None
    return settled(classifier) if content.get("key") == path.stem else None


def keep(path: Path, classifier: Classifier) -> None:
    """Writes a classifier; where that cannot be, nothing is lost but the time of the next training."""
    with suppress(OSError, PyrovaeError):
        path.parent.mkdir(parents=True, exist_ok=True)
        checkpoints.write(path, {"key": path.stem, "weights": classifier.state_dict()}, KIND)


def untrained(dataset: Dataset) -> Classifier:
    levels = (dataset.levels or 0) if dataset.alphabet else 0
    return Classifier(dataset.event_shape, len(dataset.classes), counts=dataset.support == "count", levels=levels)


@torch.enable_grad()
def trained(dataset: Dataset) -> Classifier:
    """Trains a classifier on the training data as the programs read them, for 1,500 batches of 128, whatever their
    number."""
    with seeded(RECIPE):
        classifier = untrained(dataset)
        classifier.scale_by(drawn_from(dataset, SCALED_BY)[0])
        optimizer = AdamW(classifier.parameters(), lr=RATE, weight_decay=DECAY)
        schedule = CosineAnnealingLR(optimizer, STEPS)
        for _ in trange(STEPS, disable=None, desc=KIND):
            x, y = drawn_from(dataset, BATCH)
            optimizer.zero_grad()
            cross_entropy(classifier(x), y).backward()
            optimizer.step()
            schedule.step()
    return settled(classifier)


def drawn_from(dataset: Dataset, size: int) -> tuple[Tensor, Tensor]:
    """Draws training data with replacement, binarised afresh where the data are."""
    x, y = dataset.batch(torch.randint(len(dataset.train), (size,)))
    assert y is not None, "a classifier is asked of data with labels"
    return x.cpu(), y.cpu()


def settled(classifier: Classifier) -> Classifier:
    """Returns a classifier that nobody trains any more."""
    classifier.requires_grad_(requires_grad=False)
    return classifier.eval()
