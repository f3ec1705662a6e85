"""What a VAE generates, beside real data: distances over a classifier's features, classes, sharpness, memorisation.

A sample is a draw of x, not E[x | z], unless means are asked for: where data are zeros and ones or have noise, a
picture of probabilities would be told from them at sight. Whatever is said of samples is also said of as many training
data, which is what a perfect model could reach. Where values are missing, samples get the holes of test data, and holes
are read as 0.
"""

import math
from collections.abc import Iterator
from typing import Annotated

import torch
from torch import Tensor

from pyrovae.data import Dataset
from pyrovae.data.alphabet import to_texts
from pyrovae.evaluation.classifier import Classifier, classifier_of, read_by
from pyrovae.evaluation.judged import Findings, Judged
from pyrovae.evaluation.latent import vectors
from pyrovae.evaluation.manifolds import frechet_above, kernel, measured, nearest, overlap, share
from pyrovae.evaluation.readings import Readings, confidence, modes, numbers
from pyrovae.evaluation.samples import FEWEST, Box, Sets, Source, draw, gather, like, source_of
from pyrovae.evaluation.spectra import radial, sharpness
from pyrovae.ranges import Range

NEAR = 0.01  # quantile of the distances of test data that samples should not fall below
SHOWN = 10  # samples beside their nearest training data
GRID = 64  # samples in a picture
NEAREST = ("sample", "nearest training text")


def generation(
    judged: Judged,
    *,
    samples: Annotated[int, Range(FEWEST)] = 2000,
    neighbours: Annotated[int, Range(1, FEWEST - 1)] = 5,
    resamples: Annotated[int, Range(2)] = 100,
    training: Annotated[int, Range(FEWEST)] = 50_000,
    source: Source | None = None,
    means: bool = False,
) -> Findings:
    """Compares samples with test data, as many of each, chosen at random.

    Args:
        judged: The VAE, its data, and where the classifier is kept.
        samples: How many, or as many as there are test or training data.
        neighbours: k of precision, recall, density and coverage.
        resamples: Of the bootstrap that tells the errors of Fréchet distances.
        training: Training data, chosen at random, among which nearest neighbours are looked for, and whose codes make
            up the box.
        source: Where codes are drawn: from the prior, or from the box of training codes, uniformly; by default from
            the prior unless that is flat.
        means: Judge E[x | z], which has no noise of pixels, in place of draws of x.

    Raises:
        NotApplicable: There is nothing to draw codes from, there are too few data, or samples are not finite.
    """
    box = source_of(judged, source, training)
    sets, x, y = gather(judged, samples, training, box, means=means)
    parts = [
        said_of_source(box, means=means),
        *by_classifier(judged, x, y, sets, neighbours, resamples, box, means=means),
        *drawn(sets, judged.dataset, box),
        *fine_scales(sets),
        memorisation(sets, judged.dataset),
    ]
    return Findings(
        {"samples": len(x)} | {name: number for part in parts for name, number in part.numbers.items()},
        [sentence for part in parts for sentence in part.sentences],
        {name: figure for part in parts for name, figure in part.figures.items()},
    )


def said_of_source(box: Box | None, *, means: bool) -> Findings:
    """Says what is judged, where it is not draws of x at draws of the prior."""
    sentences = [*([str(box)] if box else []), *(["what is judged is E[x | z], no draw of x"] if means else [])]
    return Findings({"source": "box" if box else "prior", "means": means}, sentences)


def by_classifier(
    judged: Judged,
    x: Tensor,
    y: Tensor | None,
    sets: Sets,
    neighbours: int,
    resamples: int,
    box: Box | None = None,
    *,
    means: bool = False,
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
    (training, learned), (samples, drawn) = (
        read_by(classifier, rows) for rows in (sets.training[: len(x)], sets.samples)
    )
    yield distances(features, training, samples, resamples)
    yield overlaps(features, training, samples, neighbours)
    # a box holds the codes of all classes: where only the prior reads labels, it draws none by them
    if judged.vae.conditional or (judged.vae.pools and box is None):
        yield class_accuracy(judged, classifier, x, box, means=means)
    yield confidence(classifier, Readings(samples, features, training))
    yield modes(Readings(drawn, classes, learned), judged.dataset.classes, resamples)


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


def class_accuracy(
    judged: Judged, classifier: Classifier, x: Tensor, box: Box | None = None, *, means: bool = False
) -> Findings:
    """Says how many samples that were drawn with a label the classifier takes for that class."""
    names, size = judged.dataset.classes, math.ceil(len(x) / len(judged.dataset.classes))
    drawn = (draw(judged.vae, size, y, box=box)[means] for y in range(len(names)))
    hits = [read_by(classifier, like(rows, x))[1] == y for y, rows in enumerate(drawn)]
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


def drawn(sets: Sets, dataset: Dataset, box: Box | None) -> Iterator[Findings]:
    """Yields a picture of what is judged, of data that are pictures."""
    if sets.data.dim() < 3:
        return
    from pyrovae.figures import image_grid
    from pyrovae.gallery import span_of

    where = "the box of training codes" if box else "the prior"
    figure = image_grid(sets.samples[:GRID], title=f"what is judged, drawn from {where}", span=span_of(dataset))
    yield Findings({}, [], {"drawn": figure})


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
