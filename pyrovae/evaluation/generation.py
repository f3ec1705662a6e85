"""What a VAE generates, beside real data: distances over a classifier's features, classes, sharpness, memorisation.

A sample is a draw of x, not E[x | z]: where data are zeros and ones or have noise, a picture of probabilities would be
told from them at sight. Whatever is said of samples is also said of as many training data, which is what a perfect
model could reach. Where values are missing, samples get the holes of test data, and holes are read as 0.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, NamedTuple

import torch
from torch import Tensor

from pyrovae.data import Dataset
from pyrovae.data.alphabet import to_texts
from pyrovae.evaluation.classifier import Classifier, classifier_of, read_by
from pyrovae.evaluation.evidence import pieces
from pyrovae.evaluation.judged import Findings, Judged, NotApplicable
from pyrovae.evaluation.latent import vectors
from pyrovae.evaluation.manifolds import (
    Measured,
    Share,
    frechet_above,
    kernel,
    measured,
    nearest,
    overlap,
    share,
)
from pyrovae.evaluation.spectra import radial, sharpness
from pyrovae.ranges import Range
from pyrovae.vae import VAE, filled, is_proper

FEWEST = 50  # data on each side, below which nothing is said
CHUNK = 200  # samples decoded at once
NEAR = 0.01  # quantile of the distances of test data that samples should not fall below
SHOWN = 10  # samples beside their nearest training data
NEAREST = ("sample", "nearest training text")


class Sets(NamedTuple):
    """As many test data, samples and their means E[x | z], of shape ``(n, *event_shape)``, and more training data."""

    data: Tensor
    samples: Tensor
    means: Tensor
    training: Tensor


def generation(
    judged: Judged,
    *,
    samples: Annotated[int, Range(FEWEST)] = 2000,
    neighbours: Annotated[int, Range(1, FEWEST - 1)] = 5,
    resamples: Annotated[int, Range(2)] = 100,
    training: Annotated[int, Range(FEWEST)] = 50_000,
) -> Findings:
    """Compares samples with test data, as many of each, chosen at random.

    Args:
        judged: The VAE, its data, and where the classifier is kept.
        samples: How many, or as many as there are test or training data.
        neighbours: k of precision, recall, density and coverage.
        resamples: Of the bootstrap that tells the errors of Fréchet distances.
        training: Training data, chosen at random, among which nearest neighbours are looked for.

    Raises:
        NotApplicable: The prior is flat, there are too few data, or samples are not finite.
    """
    if not is_proper(judged.vae.prior):
        raise NotApplicable("a flat prior has nothing to draw from")
    sets, x, y = gather(judged, samples, training)
    parts = [
        *by_classifier(judged, x, y, sets, neighbours, resamples),
        *fine_scales(sets),
        memorisation(sets, judged.dataset),
    ]
    return Findings(
        {"samples": len(x)} | {name: number for part in parts for name, number in part.numbers.items()},
        [sentence for part in parts for sentence in part.sentences],
        {name: figure for part in parts for name, figure in part.figures.items()},
    )


def gather(judged: Judged, samples: int, training: int) -> tuple[Sets, Tensor, Tensor | None]:
    """Returns what is compared, and the test data with their holes and labels."""
    dataset = judged.dataset
    x, y = judged.held_out("test")
    size = min(samples, len(x), len(dataset.train), training)
    if size < FEWEST:
        raise NotApplicable(f"{size} data to compare with are too few, {FEWEST} are the least")
    # at random, since their order may mean something: the first half of MNIST's test data is the neater one
    order = torch.randperm(len(x))[:size]
    x, y = x[order].cpu(), None if y is None else y[order].cpu()
    drawn, means = (like(found, x) for found in draw(judged.vae, size))
    if not drawn.isfinite().all():
        raise NotApplicable("samples are not finite")
    return Sets(filled(x), drawn, means, training_data(dataset, training)), x, y


@torch.no_grad()
def draw(vae: VAE, size: int, y: int | None = None) -> tuple[Tensor, Tensor]:
    """Returns draws of x and E[x | z] at the same z, of class y where it is given."""
    found = []
    for count in pieces(size, CHUNK):
        labels = vae.labels(count, y)
        likelihood = vae.likelihood(vae.prior(labels).expand((count,)).sample(), labels)
        found.append((likelihood.sample().float().cpu(), likelihood.mean.float().cpu()))
    drawn, means = zip(*found, strict=True)
    return torch.cat(drawn), torch.cat(means)


def like(samples: Tensor, x: Tensor) -> Tensor:
    """Returns samples with 0 wherever data, in turn, have no value."""
    return torch.where(x[torch.arange(len(samples)) % len(x)].isnan(), 0.0, samples)


def training_data(dataset: Dataset, most: int) -> Tensor:
    """Returns some training data at random, no more of them in memory than that."""
    rows = dataset.train.take(torch.randperm(len(dataset.train))[:most])
    return filled(replace(dataset, train=rows).held_out("train")[0]).cpu()


def by_classifier(
    judged: Judged, x: Tensor, y: Tensor | None, sets: Sets, neighbours: int, resamples: int
) -> Iterator[Findings]:
    """Yields what rests on a classifier, or that there is none."""
    if y is None or not judged.dataset.classes:
        yield Findings({}, ["no labels, so no classifier whose features could judge samples (FID, KID, precision)"])
        return
    classifier = classifier_of(judged.dataset, judged.cache)
    features, classes = read_by(classifier, sets.data)
    right = share(classes == y)
    yield Findings(
        {"classifier": "own, not Inception", **numbers(classifier_accuracy=right)},
        [
            f"own classifier, right on {right} of {len(y)} test data, which limits what it can judge; its features are "
            "not Inception's: no distance over them compares with a published FID or KID"
        ],
    )
    training, samples = (read_by(classifier, rows)[0] for rows in (sets.training[: len(x)], sets.samples))
    yield distances(features, training, samples, resamples)
    yield overlaps(features, training, samples, neighbours)
    if judged.vae.pools or judged.vae.conditional:
        yield class_accuracy(judged, classifier, x)


def distances(data: Tensor, training: Tensor, samples: Tensor, resamples: int) -> Findings:
    """Says Fréchet and kernel distances of samples and of training data from test data, by their features."""
    far, floor, above = frechet_above(data, training, samples, resamples=resamples)
    kernels = kernel(data, samples), kernel(data, training)
    kid, kid_floor, kid_above = map(measured, (*kernels, kernels[0] - kernels[1]))
    return Findings(
        numbers(
            fid=far,
            fid_training=floor,
            fid_above_training=above,
            kid=kid,
            kid_training=kid_floor,
            kid_above_training=kid_above,
        ),
        [
            f"FID over its features = {far} ({len(samples)} samples, error by bootstrap); as many training data have "
            f"{floor}",
            f"KID over its features = {kid} (error over disjoint blocks); training data have {kid_floor}",
        ],
    )


def overlaps(data: Tensor, training: Tensor, samples: Tensor, neighbours: int) -> Findings:
    """Says precision, recall, density and coverage of samples and of training data, by their features."""
    found, real = (overlap(data, others, neighbours=neighbours) for others in (samples, training))
    return Findings(
        numbers(**found._asdict(), **{f"{name}_training": value for name, value in real._asdict().items()}),
        [f"k = {neighbours} nearest: {found}", f"as many training data have {real}"],
    )


def numbers(**values: Measured | Share) -> dict[str, Any]:
    """Returns numbers by name, each with its error or interval, as ``evaluation.json`` keeps them.

    Example:
        >>> numbers(fid=Measured(2.0, 0.1))
        {'fid': 2.0, 'fid_standard_error': 0.1}
    """
    kept: dict[str, Any] = {}
    for name, found in values.items():
        error = {"interval": [*found[1:]]} if isinstance(found, Share) else {"standard_error": found.standard_error}
        kept |= {name: found.value, **{f"{name}_{key}": value for key, value in error.items()}}
    return kept


def class_accuracy(judged: Judged, classifier: Classifier, x: Tensor) -> Findings:
    """Says how many samples that were drawn with a label the classifier takes for that class."""
    names, size = judged.dataset.classes, math.ceil(len(x) / len(judged.dataset.classes))
    hits = [read_by(classifier, like(draw(judged.vae, size, y)[0], x))[1] == y for y in range(len(names))]
    shares = dict(zip(names, map(share, hits), strict=True))
    worst = min(shares, key=lambda name: shares[name].value)
    total = share(torch.cat(hits))
    return Findings(
        numbers(class_accuracy=total)
        | {"by_class": {name: numbers(accuracy=found) for name, found in shares.items()}, "draws_a_class": size},
        [
            f"{total} of draws with a label are taken for its class ({size} of each); lowest: {worst}, {shares[worst]}",
        ],
    )


def fine_scales(sets: Sets) -> Iterator[Findings]:
    """Yields the sharpness of pictures; of vectors, nothing."""
    if sets.data.dim() < 3:
        return
    from pyrovae.figures.generated import spectra

    found, of_means = (sharpness(pictures, sets.data) for pictures in (sets.samples, sets.means))
    floor = sharpness(sets.training[: len(sets.data)], sets.data)
    named = {"test data": sets.data, "samples": sets.samples, "E[x | z] of the samples": sets.means}
    spectrum = {name: radial(pictures) for name, pictures in named.items()}
    frequency = spectrum["test data"][0]
    yield Findings(
        numbers(sharpness=found, sharpness_training=floor, sharpness_of_means=of_means),
        [
            f"sharpness = {found}: share of spectral energy above half the Nyquist frequency, over that of test data "
            f"(training data {floor}; E[x | z], without the noise of pixels, {of_means})"
        ],
        {"spectra": spectra(frequency, {name: power for name, (_, power) in spectrum.items()})},
    )


def memorisation(sets: Sets, dataset: Dataset) -> Findings:
    """Says how many samples lie as near to training data as 1 % of the test data do; compare Meehan et al. (2020)."""
    from pyrovae.figures.generated import beside_nearest
    from pyrovae.figures.texts import text_table
    from pyrovae.gallery import span_of

    size = len(sets.data)
    points = torch.cat([sets.samples, sets.data])
    index, distance = nearest(vectors(points, dataset), vectors(sets.training, dataset))
    own, real = distance[:size], distance[size:]
    limit = torch.quantile(real, NEAR, interpolation="higher")
    found, floor = share(own <= limit), share(real <= limit)
    closest = own.argsort()[:SHOWN]
    pairs = sets.samples[closest], sets.training[index[closest]]
    figure = (
        text_table([*zip(*(to_texts(codes, dataset.alphabet) for codes in pairs), strict=True)], columns=NEAREST)
        if dataset.alphabet
        else beside_nearest(*pairs, distance=own[closest], span=span_of(dataset))
    )
    medians = own.median().item(), real.median().item()
    return Findings(
        numbers(memorised=found, memorised_test=floor)
        | dict(zip(("nearest_median", "nearest_median_test"), medians, strict=True))
        | {"training": len(sets.training)},
        [
            f"{found} of samples are as near to a training datum as {floor} of test data are; median distance "
            f"{medians[0]:.3g}, of test data {medians[1]:.3g} (Euclidean, {len(sets.training)} of {len(dataset.train)} "
            "training data)"
        ],
        {"nearest": figure},
    )
