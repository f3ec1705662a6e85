"""The VAE as a program of the table: trained by an objective, judged by its evidence."""

from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pyrovae.checks import check_combination
from pyrovae.data import Dataset
from pyrovae.data.permutation import Permutation
from pyrovae.errors import PyrovaeError
from pyrovae.evaluation import Estimate
from pyrovae.judgement import judge
from pyrovae.networks import log_counts, one_hot
from pyrovae.objectives import Objective
from pyrovae.programs.program import Program
from pyrovae.seeding import seeded
from pyrovae.training.monitor import validate
from pyrovae.vae import VAE, filled

if TYPE_CHECKING:
    from pyrovae.configuration import Experiment

EXAMPLES = 20_000  # training data handed to priors that start from data


def compose(experiment: "Experiment", description: Mapping[str, Any], dataset: Dataset | None = None) -> VAE:
    """Composes the experiment's VAE.

    Args:
        experiment: What to compose.
        description: Of the data, see :func:`pyrovae.experiment.describe`.
        dataset: The data, for priors that start from them; not needed where weights are loaded afterwards.
    """
    conditional, classes = experiment.sections["vae"]["conditional"], len(description["classes"])
    if conditional and not classes:
        raise PyrovaeError(
            f"vae.conditional = true, but data set {description['name']} has no labels", hint="set it to false"
        )
    context = {
        "latent_dim": experiment.sections["vae"]["latent_dim"],
        "event_shape": tuple(description["event_shape"]),
        "support": description["support"],
        "levels": description["levels"],
        "classes": classes if conditional else 0,
    }
    encoder, decoder = (experiment.network(section) for section in ("encoder", "decoder"))
    networks = {"likelihood": decoder, "posterior": reading(encoder, context["support"], context["levels"])}
    with seeded(0):  # a decoder may be asked for several numbers an element, which would look like a picture to it
        decoder((context["latent_dim"],), context["event_shape"])
    parts = {part: experiment.part(part, context | {"network": network}) for part, network in networks.items()}
    context |= {"classes": classes, "posterior": parts["posterior"]}
    if dataset is not None and "examples" in signature(experiment.factory("prior")).parameters:
        context["examples"], context["example_labels"] = examples_of(dataset, experiment.seed)
    return VAE(experiment.part("prior", context), **parts, missing=description["missing"])


def reading(encoder: Any, support: str, levels: int | None) -> Any:
    """Returns an encoder that reads data of a support as numbers that a network can use."""
    if support == "characters" and levels is not None:
        return one_hot(encoder, levels)
    return log_counts(encoder) if support == "count" else encoder


def examples_of(dataset: Dataset, seed: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Returns training data for priors that start from them."""
    size = len(dataset.train)
    x, y = dataset.batch(Permutation(size, seed)[torch.arange(min(EXAMPLES, size))])
    return filled(x), y


def criterion(experiment: "Experiment", size: int) -> Objective:
    """Returns the experiment's objective for so many training data."""
    objective: Objective = experiment.part("objective", {"size": size})
    return objective


def judged(experiment: "Experiment", vae: VAE, dataset: Dataset, directory: Path) -> Estimate:
    """Estimates log p(x) of the test data."""
    return judge(experiment, vae, dataset, directory)[0]


def drawn(*arguments: Any) -> list[Path]:
    """Draws all pictures of a VAE."""
    from pyrovae.gallery import draw  # matplotlib takes a second

    return draw(*arguments)


VAE_PROGRAM = Program(
    summary="Variational autoencoder: prior, likelihood and posterior, trained on a bound of log p(x).",
    sections=(
        "data",
        "vae",
        "prior",
        "posterior",
        "likelihood",
        "encoder",
        "decoder",
        "objective",
        "train",
        "evaluation",
    ),
    compose=compose,
    criterion=criterion,
    check=check_combination,
    validate=validate,
    judge=judged,
    draw=drawn,
)
