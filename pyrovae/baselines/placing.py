"""Where methods put texts: the share of states that are right and the kilometres they are off, in one table.

Beside a trained stack stand the most frequent state with the mean place, and linear models of the same features:
logistic regression of the state and ridge regression of the place, whose penalties validation data choose.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from pyrovae import runs, storage
from pyrovae.baselines.stacked import StackedAutoencoder
from pyrovae.checks import format_table
from pyrovae.data import Dataset
from pyrovae.evaluation.manifolds import Measured
from pyrovae.judgement import weights_of
from pyrovae.sphere import great_circle, to_degrees
from pyrovae.vae import as_batch

if TYPE_CHECKING:
    from pyrovae.configuration import Experiment

Array = NDArray[Any]

INVERSE_PENALTIES = (0.1, 0.3, 1.0)  # of logistic regression
PENALTIES = (3.0, 10.0, 30.0, 100.0)  # of ridge regression
RESAMPLES = 500  # of the bootstrap
HEADER = ["method", "states right (%)", "mean error (km)", "median error (km)"]


class Placed(NamedTuple):
    """The states, shape ``(n,)``, and the latitudes and longitudes, shape ``(n, 2)``, that a method says."""

    method: str
    states: Array
    degrees: Array


class Score(NamedTuple):
    """How well a method does, with standard errors over the test data; that of a median is by the bootstrap."""

    method: str
    accuracy: Measured
    mean: Measured
    median: Measured

    def to_dict(self) -> dict[str, Any]:
        """Returns what JSON can hold."""
        values = {"accuracy": self.accuracy, "mean_kilometres": self.mean, "median_kilometres": self.median}
        flat = {name: found.value for name, found in values.items()}
        return {"method": self.method} | flat | {f"{k}_standard_error": v.standard_error for k, v in values.items()}

    def cells(self) -> list[str]:
        """Returns a row of the table."""
        return [self.method, str(Measured(*(100 * part for part in self.accuracy))), str(self.mean), str(self.median)]


def score(placed: Placed, states: Array, degrees: Array, seed: int = 0) -> Score:
    """Compares what a method says with what is so.

    Args:
        placed: What it says.
        states: The right states, shape ``(n,)``.
        degrees: The right places, shape ``(n, 2)``.
        seed: Of the bootstrap (Efron, 1979).

    Example:
        >>> found = score(Placed("toy", np.array([0, 1]), np.zeros((2, 2))), np.array([0, 0]), np.zeros((2, 2)))
        >>> found.accuracy, found.mean.value
        (Measured(value=0.5, standard_error=0.5), 0.0)
    """
    right, off = (placed.states == states).astype(float), great_circle(placed.degrees, degrees)
    draw = np.random.default_rng(seed)
    medians = [np.median(draw.choice(off, len(off))) for _ in range(RESAMPLES)]
    median = Measured(float(np.median(off)), float(np.std(medians, ddof=1)))
    return Score(placed.method, mean_of(right), mean_of(off), median)


def mean_of(values: Array) -> Measured:
    """Returns a mean and its standard error."""
    return Measured(float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5))


def constant(dataset: Dataset, stack: StackedAutoencoder, size: int) -> Placed:
    """Says the most frequent state of the training data and the mean of their places to all."""
    state = int(dataset.held_out("train")[1].bincount().argmax())  # type: ignore[union-attr]  # checked before training
    place = to_degrees(stack.loc[None]).cpu().numpy()
    return Placed("most frequent state, mean place", np.full(size, state), place.repeat(size, 0))


def linear(dataset: Dataset, stack: StackedAutoencoder, x: Array) -> Placed:
    """Says what linear models of the features say, fitted to the training data."""
    from sklearn.linear_model import LogisticRegression, Ridge  # scikit-learn takes a second

    train, chosen = (arrays(dataset, split) for split in ("train", "validation"))
    features = csr_matrix(train[0])
    vectors = stack.scaled(torch.from_numpy(train[2]).to(stack.loc)).cpu().numpy()

    def place(model: Any, x: Array) -> Array:
        found = torch.from_numpy(model.predict(csr_matrix(x))).to(stack.loc)
        return to_degrees(found * stack.scale + stack.loc).cpu().numpy()

    def mistakes(model: Any) -> float:
        return float((model.predict(csr_matrix(chosen[0])) != chosen[1]).mean())

    def kilometres(model: Any) -> float:
        return float(great_circle(place(model, chosen[0]), chosen[2]).mean())

    of_state = best(
        [LogisticRegression(C=c, max_iter=1000).fit(features, train[1]) for c in INVERSE_PENALTIES], mistakes
    )
    of_place = best([Ridge(alpha=alpha).fit(features, vectors) for alpha in PENALTIES], kilometres)
    return Placed("logistic and ridge regression", of_state.predict(csr_matrix(x)), place(of_place, x))


def best(models: Sequence[Any], loss: Callable[[Any], float]) -> Any:
    """Returns the model of the smallest loss."""
    return min(models, key=loss)


def arrays(dataset: Dataset, split: Any) -> tuple[Array, Array, Array]:
    """Returns features, states and places of a split."""
    x, y, degrees = dataset.held_out(split, targets=True)
    return x.cpu().numpy(), y.cpu().numpy(), degrees.cpu().numpy()


def network(experiment: "Experiment", stack: StackedAutoencoder, x: Tensor) -> Placed:
    """Says what a trained stack says, under the number of its epochs."""
    epochs, each = experiment.sections["train"]["epochs"], experiment.sections["stack"]["pretrain"]
    before = len(stack.layers) * each
    how = f"{before} of them pretraining" if before else "no pretraining"
    states, degrees = stack.eval().predict(*as_batch(stack, x))
    return Placed(f"stacked autoencoder, {epochs} epochs, {how}", states.cpu().numpy(), degrees.cpu().numpy())


def seen(dataset: Dataset, x: Array) -> float:
    """Returns the share of data whose features some training datum has too: the same text of another state, mostly."""
    known = {row.tobytes() for row in np.packbits(dataset.held_out("train")[0].cpu().numpy() > 0, axis=1)}
    return float(np.mean([row.tobytes() in known for row in np.packbits(x > 0, axis=1)]))


def scores(experiment: "Experiment", stack: StackedAutoencoder, dataset: Dataset) -> Iterator[Score]:
    """Yields how well each method does on the test data."""
    x, states, degrees = arrays(dataset, "test")
    methods = (
        constant(dataset, stack, len(x)),
        linear(dataset, stack, x),
        network(experiment, stack, torch.from_numpy(x)),
    )
    return (score(placed, states, degrees, experiment.seed) for placed in methods)


def judge(experiment: "Experiment", stack: StackedAutoencoder, dataset: Dataset, directory: Path) -> str:
    """Writes how well each method does into the run directory, and returns it as a table."""
    found = list(scores(experiment, stack, dataset))
    said = sentence(len(dataset.test), seen(dataset, arrays(dataset, "test")[0]))
    table = [HEADER, *(row.cells() for row in found)]
    numbers = {"data": len(dataset.test), "seed": experiment.seed, "weights": weights_of(directory), "sentence": said}
    methods = [row.to_dict() for row in found]
    storage.write_json(directory / runs.EVALUATION, numbers | {"methods": methods, "table": table, "sections": {}})
    return f"{format_table(table)}\n{said}"


def sentence(size: int, share: float) -> str:
    """Says what the numbers are of."""
    return f"{size} test data; {share:.1%} of them have the features of a training datum, mostly of another state"
