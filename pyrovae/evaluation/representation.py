"""What codes E[z | x] tell of the labels, beside what x itself tells by the same means.

*Probes* are classifiers of scikit-learn that are fitted to codes of training data and judged on codes of test data: a
linear one, one by nearest neighbours, and a linear one that has seen few labels.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyrovae.data import Dataset
from pyrovae.evaluation.clustering import clustering, in_percent
from pyrovae.evaluation.evidence import batches
from pyrovae.evaluation.judged import Findings, Judged, NotApplicable
from pyrovae.evaluation.latent import CHUNK, vectors
from pyrovae.evaluation.manifolds import measured, share
from pyrovae.ranges import Range
from pyrovae.vae import VAE, filled

Array = NDArray[Any]

STEPS = 500  # of L-BFGS at most: a probe that has not quite converged is as right as one that has


class View(NamedTuple):
    """One way to see the data: points, float64 of shape ``(n, d)``, of training and of test data."""

    train: Array
    test: Array


def representation(
    judged: Judged,
    *,
    training: Annotated[int, Range(2)] = 10_000,
    neighbours: Annotated[int, Range(1)] = 5,
    few: Annotated[int, Range(1)] = 10,
    subsets: Annotated[int, Range(2)] = 10,
    resamples: Annotated[int, Range(2)] = 100,
) -> Findings:
    """Probes codes and x for the labels, and clusters the codes.

    Args:
        judged: The VAE and its data.
        training: Training data at most that probes are fitted to.
        neighbours: Of the probe by nearest neighbours, Euclidean.
        few: Labels of each class that the few-label probe sees.
        subsets: Random choices of these labels.
        resamples: Of the bootstrap over test data that tells the errors of clusterings.

    Raises:
        NotApplicable: There are no labels, or the encoder has read them.
    """
    vae, dataset = judged.vae, judged.dataset
    x, y = shortened(dataset, training).held_out("train")
    test_x, test_y = judged.held_out("test")
    if y is None or test_y is None:
        raise NotApplicable("the data have no labels")
    if vae.conditional:
        raise NotApplicable("the encoder reads the labels")
    if len(y.unique()) < 2:
        raise NotApplicable("the data have one class")
    codes = View(codes_of(vae, x), codes_of(vae, test_x))
    pixels = View(*(points_of(rows, dataset) for rows in (x, test_x)))
    labels = View(y.cpu().numpy(), test_y.cpu().numpy())
    parts = [
        *probes(codes, pixels, labels, neighbours),
        few_labels(codes, pixels, labels, few, subsets),
        clustering(vae, codes.test, labels.test, len(dataset.classes), resamples),
    ]
    return Findings(
        {"training": len(x), "data": len(test_x)}
        | {key: value for part in parts for key, value in part.numbers.items()},
        [sentence for part in parts for sentence in part.sentences],
    )


def shortened(dataset: Dataset, most: int) -> Dataset:
    """Returns a data set with the first of its training rows, in memory."""
    return replace(dataset, train=dataset.train.take(torch.arange(min(most, len(dataset.train)))))


@torch.no_grad()
def codes_of(vae: VAE, x: Tensor) -> Array:
    """Returns E[z | x], float64 of shape ``(n, latent_dim)``."""
    return torch.cat([vae.embed(*batch) for batch in batches(vae, x, None, size=CHUNK)]).double().cpu().numpy()


def points_of(x: Tensor, dataset: Dataset) -> Array:
    """Returns x as vectors, as an encoder reads it: 0 where it is missing, log counts, unit vectors of characters."""
    values = filled(vectors(x, dataset)).flatten(1).double().cpu()
    return (values.log1p() if dataset.support == "count" else values).numpy()


def standardised(view: View) -> View:
    """Gives each dimension mean 0 and deviation 1 over the training data."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(view.train)
    return View(scaler.transform(view.train), scaler.transform(view.test))


def linear() -> Any:
    """Returns logistic regression with scikit-learn's default penalty."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=STEPS)


def hits(probe: Any, view: View, labels: View) -> Tensor:
    """Fits a classifier to training data and tells which test data it is right on, Booleans of shape ``(n,)``."""
    with warnings.catch_warnings(action="ignore"):  # that the steps did not suffice
        probe.fit(view.train, labels.train)
    return torch.from_numpy(probe.predict(view.test) == labels.test)


def probes(codes: View, pixels: View, labels: View, neighbours: int) -> Iterator[Findings]:
    """Yields what the linear probe and nearest neighbours reach on codes and on x, all labels seen."""
    from sklearn.neighbors import KNeighborsClassifier

    nearest = partial(KNeighborsClassifier, min(neighbours, len(labels.train)))
    yield compared("linear", "linear probe", linear, standardised(codes), standardised(pixels), labels)
    # Unscaled: dimensions that carry nothing hardly vary, and would be as far apart as the others.
    yield compared("nearest", f"{neighbours} nearest neighbours", nearest, codes, pixels, labels)


def compared(key: str, name: str, probe: Callable[[], Any], codes: View, pixels: View, labels: View) -> Findings:
    """Says how often a probe is right on codes, on x, and by how much more often on codes, over the same test data."""
    of_codes, of_pixels = (hits(probe(), view, labels) for view in (codes, pixels))
    own, base = share(of_codes), share(of_pixels)
    above = measured(of_codes.double() - of_pixels.double())
    return Findings(
        {
            key: own.value,
            f"{key}_interval": [own.low, own.high],
            f"{key}_of_x": base.value,
            f"{key}_of_x_interval": [base.low, base.high],
            f"{key}_above_x": above.value,
            f"{key}_above_x_standard_error": above.standard_error,
        },
        [f"{name}: right on {own} of test codes, on {base} of x itself; codes - x = {in_percent(above)} points"],
    )


def few_labels(codes: View, pixels: View, labels: View, few: int, subsets: int) -> Findings:
    """Says what a linear probe reaches with few labels of each class; scales are those of all training data."""
    rows = [few_of_each(labels.train, few) for _ in range(subsets)]
    found = {}
    for key, view in (("few", standardised(codes)), ("few_of_x", standardised(pixels))):
        rights = [
            hits(linear(), View(view.train[some], view.test), View(labels.train[some], labels.test)).double().mean()
            for some in rows
        ]
        found[key] = torch.stack(rights)
    numbers = {key: value for name, values in found.items() for key, value in over_subsets(name, values).items()}
    of_codes, of_pixels = (f"{100 * values.mean():.1f}% (sd {100 * values.std():.1f}%)" for values in found.values())
    return Findings(
        numbers | {"few_labels": few, "few_subsets": subsets},
        [
            f"linear probe with {few} labels a class, mean over {subsets} choices of them: right on {of_codes} of test "
            f"codes, on {of_pixels} of x itself"
        ],
    )


def over_subsets(name: str, values: Tensor) -> dict[str, float]:
    return {name: values.mean().item(), f"{name}_standard_deviation": values.std().item()}


def few_of_each(y: Array, few: int) -> Array:
    """Draws rows, ``few`` of each class, or all where there are fewer.

    Example:
        >>> y = np.array([0, 1, 1, 1, 2, 2])
        >>> y[few_of_each(y, 2)].tolist()
        [0, 1, 1, 2, 2]
    """
    of_class = (np.flatnonzero(y == label) for label in np.unique(y))
    return np.concatenate([rows[torch.randperm(len(rows))[:few].numpy()] for rows in of_class])
