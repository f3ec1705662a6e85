"""The GAN as a program of the table: two networks and a game, judged by its samples alone."""

import math
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyrovae import runs, storage
from pyrovae.baselines.gan import GAN, Generator, spectrally_normalised
from pyrovae.baselines.minimax import Minimax, check, logits_of, validate
from pyrovae.data import Dataset
from pyrovae.errors import PyrovaeError
from pyrovae.evaluation.manifolds import measured
from pyrovae.judgement import standing_evaluation, weights_of
from pyrovae.programs.program import Program
from pyrovae.ranges import NonNegative
from pyrovae.seeding import seeded

if TYPE_CHECKING:
    from pyrovae.configuration import Experiment

NO_ENCODER, NO_DENSITY = "a GAN has no encoder", "a GAN gives no density"
LACKS = {
    "evidence": "a GAN has no encoder and gives no density",
    **dict.fromkeys(("ais", "nuts", "outliers"), NO_DENSITY),
    **dict.fromkeys(
        ("gaps", "calibration", "latent", "analysis", "continuity", "representation", "disentanglement", "gradients"),
        NO_ENCODER,
    ),
}


def gan_options(*, latent_dim: int = 16, penalty: NonNegative = 1.0, spectral_norm: bool = False) -> dict[str, Any]:
    """Options of the game: the dimension of z, the weight of R1, and whether to normalise the discriminator."""
    return {"latent_dim": latent_dim, "penalty": penalty, "spectral_norm": spectral_norm}


def compose(experiment: "Experiment", description: Mapping[str, Any], dataset: Dataset | None = None) -> GAN:
    """Composes the experiment's GAN.

    Raises:
        PyrovaeError: The prior reads labels, or needs the posterior or the data that only a VAE gives it.
    """
    chosen, shape = experiment.sections["gan"], tuple(description["event_shape"])
    check_prior(experiment)
    prior = experiment.part("prior", {"latent_dim": chosen["latent_dim"], "classes": 0})
    generator = Generator(experiment.network("decoder"), chosen["latent_dim"], shape, description["support"])
    discriminator = experiment.network("discriminator")(shape, (1,))
    return GAN(prior, generator, spectrally_normalised(discriminator) if chosen["spectral_norm"] else discriminator)


def check_prior(experiment: "Experiment") -> None:
    """Refuses priors that read what a GAN has not."""
    section = experiment.sections["prior"]
    if section.get("labels"):
        raise PyrovaeError("prior.labels = true, but a GAN reads no labels", hint="set it to false", exit_code=2)
    if "posterior" in signature(experiment.factory("prior")).parameters:
        reason = f"prior '{section['name']}' is made of posteriors, and {NO_ENCODER}"
        raise PyrovaeError(reason, hint="prior.name = 'gaussian-mixture', or 'standard-normal'", exit_code=2)


def criterion(experiment: "Experiment", size: int) -> Minimax:
    """Returns the experiment's game.

    Raises:
        PyrovaeError: It should stop where validation does not improve.
    """
    if experiment.sections["train"]["patience"] is not None:
        reason = "train.patience with program 'gan', whose losses do not say which epoch is best"
        raise PyrovaeError(reason, hint="leave it out, and set train.epochs", exit_code=2)
    chosen = experiment.sections["gan"]
    return Minimax(penalty=chosen["penalty"], spectral_norm=chosen["spectral_norm"])


def judge(experiment: "Experiment", gan: GAN, dataset: Dataset, directory: Path) -> str:
    """Says how well the discriminator tells samples from test data, which bounds their divergence from below.

    Written with both losses to the run directory; sections that stand there of the same weights stay.
    """
    with seeded(experiment.seed):
        logits = logits_of(gan, dataset.held_out("test")[0])
    found = measured(logits.divergence.double())
    sentence = (
        f"Jensen-Shannon divergence of samples from test data >= {found} nats, by the discriminator; none has more"
    )
    numbers = {
        "estimator": "discriminator's bound on",
        "quantity": "the Jensen-Shannon divergence of samples",
        "measure": "none",
        "mean": found.value,
        "standard_error": found.standard_error,
        "data": len(logits.real),
        **logits.numbers(),
        "verdict": f"not applicable: {NO_DENSITY}",
        "seed": experiment.seed,
        "sentence": f"{sentence} than log 2 = {math.log(2):.2f}",
        "weights": weights_of(directory),
        "sections": standing_evaluation(directory).get("sections", {}),
    }
    storage.write_json(directory / runs.EVALUATION, numbers)
    return str(numbers["sentence"])


def drawn(*arguments: Any) -> list[Path]:
    """Draws the game, samples and a walk."""
    from pyrovae.baselines.pictures import draw  # matplotlib takes a second

    return draw(*arguments)


GAN_PROGRAM = Program(
    summary="Generative adversarial network: prior, decoder and discriminator, trained by a minimax game.",
    sections=("data", "gan", "prior", "decoder", "discriminator", "train"),
    compose=compose,
    criterion=criterion,
    check=check,
    validate=validate,
    judge=judge,
    draw=drawn,
    selects=False,
    lacks=LACKS,
)
