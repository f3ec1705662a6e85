r"""What a classifier of the data reads in samples: how sure it is, and which classes it finds how often.

A classifier is sure of much that is no datum: confidence says that samples look like one class and not like two, and
nothing of whether they are good.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyrovae.evaluation.classifier import Classifier
from pyrovae.evaluation.judged import Findings
from pyrovae.evaluation.manifolds import Measured, Share, measured, share

SURE = 0.9  # probability of the likeliest class from which on the classifier is sure
PRESENT = 0.1  # of its share among test data, from which on a class counts as found


class Readings(NamedTuple):
    """A value of samples, of as many test data, and of as many training data."""

    samples: Any
    test: Any
    training: Any

    def numbers(self, name: str) -> dict[str, Any]:
        """Returns the three under a name, as :func:`numbers` keeps them."""
        return numbers(**{name: self.samples, f"{name}_test": self.test, f"{name}_training": self.training})


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


@torch.no_grad()
def likeliest(classifier: Classifier, features: Tensor) -> Tensor:
    """Returns the probability of the likeliest class from features, shape ``(n,)`` in double precision."""
    logits = classifier.head(features.to(classifier.head.weight))
    return logits.double().softmax(-1).amax(-1)


def confidence(classifier: Classifier, features: Readings) -> Findings:
    """Says how sure a classifier is of samples, of test data, and of training data, which it has learned from."""
    found = [likeliest(classifier, rows) for rows in features]
    means, sure = Readings(*map(measured, found)), Readings(*(share(rows > SURE) for rows in found))
    return Findings(
        means.numbers("confidence") | sure.numbers("confident"),
        [
            f"its confidence (mean probability of the likeliest class) in samples = {means.samples}, in test data "
            f"{means.test}, in training data, which it has learned from, {means.training}",
            f"it is sure (above {SURE}) of {sure.samples} of samples, {sure.test} of test data, {sure.training} of "
            "training data",
        ],
    )


def modes(classes: Readings, names: Sequence[str], resamples: int) -> Findings:
    """Says which classes samples have, and how far their shares are from those among test data.

    Args:
        classes: As the classifier reads them, shape ``(n,)`` each.
        names: Of the classes.
        resamples: Of the bootstrap that tells the error of the distance.
    """
    found, real = ([share(rows == y) for y in range(len(names))] for rows in classes[:2])
    missing = [n for n, a, b in zip(names, found, real, strict=True) if a.value < PRESENT * b.value]
    present = sum(b.value > 0 for b in real) - len(missing)
    far, floor = (shares_apart(classes.test, rows, len(names), resamples) for rows in (classes[0], classes[2]))
    without = f"; not {', '.join(missing)}" if missing else ""
    most = max(range(len(names)), key=lambda y: abs(found[y].value - real[y].value))
    return Findings(
        numbers(class_distance=far, class_distance_training=floor)
        | {"classes_found": present, "classes_missing": missing}
        | {"shares": {n: numbers(samples=a, test=b) for n, a, b in zip(names, found, real, strict=True)}},
        [
            f"{present} of {present + len(missing)} classes are found among samples, with a tenth of their share among "
            f"test data or more{without}",
            f"class shares as it reads them are off by {far} (total variation; training data {floor}), most that of "
            f"{names[most]}: {found[most]} of samples, {real[most]} of test data",
        ],
    )


def shares_apart(data: Tensor, others: Tensor, size: int, resamples: int) -> Measured:
    r"""Returns the total variation :math:`\frac{1}{2} \sum_y |p_y - q_y|` of two sets' class shares.

    Its error is that of the bootstrap; it is above 0 for equal distributions too, by what finite sets differ.

    Args:
        data: Classes, shape ``(n,)``.
        others: Classes, shape ``(m,)``.
        size: Number of classes.
        resamples: Of the bootstrap, over both sets.

    Example:
        >>> shares_apart(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 0, 0]), 2, 10).value
        0.5
    """

    def apart(*sets: Tensor) -> float:
        p, q = (torch.bincount(rows, minlength=size).double() / len(rows) for rows in sets)
        return (p - q).abs().sum().item() / 2

    def again(rows: Tensor) -> Tensor:
        return rows[torch.randint(len(rows), (len(rows),))]

    redrawn = [apart(again(data), again(others)) for _ in range(resamples)]
    return Measured(apart(data, others), torch.tensor(redrawn, dtype=torch.double).std().item())
