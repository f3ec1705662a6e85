"""Stacked denoising autoencoders as a program of the table: trained greedily, judged by where they put texts."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pyrovae.baselines.greedy import Greedy
from pyrovae.baselines.stacked import StackedAutoencoder
from pyrovae.data import Dataset
from pyrovae.errors import PyrovaeError
from pyrovae.programs.program import Program
from pyrovae.seeding import seeded
from pyrovae.sphere import great_circle
from pyrovae.training.history import Record
from pyrovae.vae import as_batch

if TYPE_CHECKING:
    from pyrovae.configuration import Experiment

LEAST = 2  # epochs of fine-tuning: selection has then something to select from
DENSITY = "a stack of autoencoders gives no density of x"
POSTERIOR = "a stack of autoencoders has codes, and no distribution of them"
PRIOR = "a stack of autoencoders has no prior to draw from"
LACKS = (
    dict.fromkeys(("evidence", "ais", "gaps", "outliers"), DENSITY)
    | dict.fromkeys(
        ("nuts", "calibration", "latent", "analysis", "continuity", "disentanglement", "gradients"), POSTERIOR
    )
    | {"generation": PRIOR, "representation": "what its last layer holds of states is in its table"}
)


def compose(
    experiment: "Experiment", description: Mapping[str, Any], dataset: Dataset | None = None
) -> StackedAutoencoder:
    """Composes the experiment's stack, and tells it of the training data."""
    chosen = experiment.part("stack", {})
    network = {key: chosen[key] for key in ("hidden", "corruption", "dropout")}
    stack = StackedAutoencoder(description["event_shape"], len(description["classes"]), **network)
    if dataset is not None and dataset.train.targets is not None:
        stack.start_from(dataset.train.x, dataset.train.targets)
    return stack


def criterion(experiment: "Experiment", size: int) -> Greedy:
    """Returns what trains the stack on so many data.

    Raises:
        PyrovaeError: Pretraining leaves no epochs for fine-tuning.
    """
    chosen, train = experiment.part("stack", {}), experiment.sections["train"]
    layers, left = len(chosen["hidden"]), train["epochs"] - len(chosen["hidden"]) * chosen["pretrain"]
    if left < LEAST:
        message = f"train.epochs = {train['epochs']} with stack.pretrain = {chosen['pretrain']} for {layers} layers"
        hint = f"set train.epochs to {layers * chosen['pretrain'] + LEAST} or more, for fine-tuning"
        raise PyrovaeError(message, hint=hint, exit_code=2)
    return Greedy(layers, size, train["batch_size"], pretrain=chosen["pretrain"], location=chosen["location"])


def check(stack: StackedAutoencoder, dataset: Dataset, criterion: Greedy) -> None:
    """Refuses data that are no features with a state and a place.

    Raises:
        PyrovaeError: No labels or one only, no coordinates, values but 0 and 1, another shape or number of classes.
    """
    hint = "--set data.name=places, or data.path = 'mine.csv' with text, state, latitude and longitude"
    if dataset.train.targets is None or dataset.train.y is None:
        lacking = "labels" if dataset.train.y is None else "coordinates"
        raise PyrovaeError(f"data set {dataset.name} has no {lacking}", hint=hint)
    if dataset.support != "binary":
        raise PyrovaeError(f"data set {dataset.name} holds {dataset.support} values, a stack reads 0 and 1", hint=hint)
    if len(dataset.train.y.unique()) < 2:
        raise PyrovaeError(f"data set {dataset.name}: all training data are of one class", hint=hint)
    ours, theirs = (stack.event_shape, stack.classes), (dataset.event_shape, len(dataset.classes))
    if ours != theirs:
        what = "{} with {} classes"
        message = f"model expects {what.format(*ours)}, data set {dataset.name} has {what.format(*theirs)}"
        raise PyrovaeError(message, hint="compose it with the data's event_shape and classes")


@torch.no_grad()
def validate(stack: StackedAutoencoder, dataset: Dataset, criterion: Greedy, seed: int) -> Record:
    """Returns the loss of the phase that has just been trained, per datum, of validation data without noise.

    In fine-tuning the share of states that are right and the median error in kilometres are with it.
    """
    stack.eval()
    x, y, degrees = as_batch(stack, *dataset.held_out("validation", targets=True))
    phase = criterion.phase(criterion.step - 1)
    with seeded(seed):
        record = {"phase": phase, "validation_loss": criterion.loss_of(phase, stack, x, y, degrees).item() / len(x)}
    if phase < criterion.layers:
        return record
    states, places = stack.predict(x)
    accuracy = (states == y).double().mean().item()
    kilometres = float(torch.from_numpy(great_circle(places.cpu(), degrees.cpu())).median())
    return record | {"accuracy": accuracy, "median_kilometres": kilometres}


def judged(experiment: "Experiment", stack: StackedAutoencoder, dataset: Dataset, directory: Path) -> str:
    """Compares the stack with simpler methods on the test data, and returns the table."""
    from pyrovae.baselines.placing import judge  # scikit-learn takes a second

    return judge(experiment, stack, dataset, directory)


def drawn(
    stack: StackedAutoencoder, dataset: Dataset, records: Any, folder: Path, seed: int = 0, best: int | None = None
) -> list[Path]:
    """Draws the training and a map of the test data."""
    from pyrovae import figures  # matplotlib takes a second

    x, y, degrees = as_batch(stack, *dataset.held_out("test", targets=True))
    states, places = (found.cpu().numpy() for found in stack.eval().predict(x))
    background = dataset.held_out("train", targets=True)[2].numpy()
    found = {"training": figures.greedy_curves(records, best=best)} if records else {}
    found["map"] = figures.place_map(
        degrees.cpu().numpy(), places, great_circle(degrees.cpu(), places), y.cpu().numpy(), states, background
    )
    return [figures.save(figure, folder / f"{name}.png") for name, figure in found.items()]


STACKED_PROGRAM = Program(
    summary="Stacked denoising autoencoders with a head for the state and one for the place of a text.",
    sections=("data", "stack", "train"),
    compose=compose,
    criterion=criterion,
    check=check,
    validate=validate,
    judge=judged,
    draw=drawn,
    lacks=LACKS,
)
