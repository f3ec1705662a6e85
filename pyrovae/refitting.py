"""Another prior for a VAE that is trained: encoder and decoder stay, the prior learns where the codes lie.

It makes a run of its own, with the new prior in its experiment, so that everything that reads runs reads it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from pyrovae import runs, storage
from pyrovae.comparison import sentence
from pyrovae.configuration import Experiment, read
from pyrovae.data.permutation import Permutation
from pyrovae.errors import PyrovaeError
from pyrovae.evaluation.evidence import batches
from pyrovae.evaluation.paired import paired
from pyrovae.experiment import Prepared, check_same_data, load_vae, prepare
from pyrovae.judgement import weights_of
from pyrovae.judging import Request, evaluate_run
from pyrovae.priors.em import start_at
from pyrovae.priors.gaussian_mixture import GaussianMixture
from pyrovae.running import conduct, differences, manifest_of
from pyrovae.vae import is_point

CODES, CHUNK = 10_000, 1000  # training data that tell where a mixture starts, and how many are encoded at once
SAMPLES = ("generation",)  # sections that judge samples
CHANGEABLE = ("prior", "train", "evaluation")  # sections that may differ from those of the run


def refit(
    source: Path, overrides: Sequence[str], directory: Path, data_dir: Path | None = None, *, device: str = "cpu"
) -> Iterator[str]:
    """Fits a prior to the codes of a run, in a new run, and yields what that changed in words."""
    made = fit_prior(source, overrides, directory, data_dir, device=device)
    with runs.locked(directory):
        yield from judged(made, source, directory, data_dir)


def fit_prior(
    source: Path, overrides: Sequence[str], directory: Path, data_dir: Path | None = None, *, device: str = "cpu"
) -> Prepared:
    """Fits a prior to the codes of a run, in a new run.

    Args:
        source: The run whose encoder and decoder are kept.
        overrides: The new prior, such as ``prior.name=flow``, and how it is trained, such as ``train.epochs=20``.
        directory: Of the new run; it must not exist.
        data_dir: Where data are looked for first.
        device: Where it is trained.

    Raises:
        PyrovaeError: Something else than the prior and its training is to change, or the prior has nothing to learn.
    """
    experiment = refit_of(source, overrides)
    made = prepare(experiment, data_dir, device, only_prior=True)
    check_same_data(made.dataset, source)
    take_over(made, source)
    start(made)
    runs.create(directory)
    with runs.locked(directory):
        storage.write_toml(directory / runs.EXPERIMENT, made.experiment.to_dict())
        origin = {"run": source.resolve().name, "weights": weights_of(source)}
        storage.write_json(directory / runs.MANIFEST, manifest_of(made, device) | {"refit_of": origin})
        conduct(made, directory)
    return made


def refit_of(source: Path, overrides: Sequence[str]) -> Experiment:
    """Returns the experiment of a run with another prior.

    Raises:
        PyrovaeError: Something else is to change, or the prior is the one that is there.
    """
    before, after = read(source / runs.EXPERIMENT), read(source / runs.EXPERIMENT, overrides)
    unlike = differences(before.to_dict(), after.to_dict())
    refused = [key for key in unlike if key.split(".")[0] not in CHANGEABLE]
    if refused:
        hint = "prior, train and evaluation may change; start another run for the rest"
        raise PyrovaeError(f"refit-prior cannot change {', '.join(refused)}", hint=hint, exit_code=2)
    if not any(key.startswith("prior.") for key in unlike):
        raise PyrovaeError(f"{source} has that prior", hint="--set prior.name=flow, or its options", exit_code=2)
    return after


def take_over(made: Prepared, source: Path) -> None:
    """Gives a VAE the encoder and the decoder of a run; a prior that reads the encoder shares it."""
    trained = load_vae(source)
    for part in ("likelihood", "posterior"):
        getattr(made.module, part).load_state_dict(getattr(trained, part).state_dict())


@torch.no_grad()
def start(made: Prepared) -> None:
    """Lets a mixture start where the codes of training data lie; other priors start as ever."""
    prior, vae = made.module.prior, made.module
    if isinstance(prior, GaussianMixture):
        size = len(made.dataset.train)
        index = Permutation(size, made.experiment.seed)[torch.arange(min(CODES, size))]
        x, y = made.dataset.batch(index)
        z = torch.cat([vae.embed(*batch) for batch in batches(vae, x, y if vae.conditional else None, size=CHUNK)])
        start_at(prior, z, y, seed=made.experiment.seed)


def judged(made: Prepared, source: Path, directory: Path, data_dir: Path | None) -> Iterator[str]:
    """Yields log p(x) and the quality of samples before and after; an autoencoder has no log p(x) before."""
    point = is_point(made.module.posterior)
    sections = ["evidence", *["ais"] * point, *SAMPLES]
    yield f"after, {directory}:"
    yield from evaluate_run(directory, Request(only=sections, keep=True), data_dir)
    with runs.locked(source):
        yield f"before, {source}:" + " an autoencoder has no log p(x)" * point
        yield from evaluate_run(source, Request(only=["evidence", *SAMPLES], keep=True), data_dir)
    if not point:
        yield change(source, directory)


def change(source: Path, directory: Path) -> str:
    """Says what the new prior changed in log p(x), on the same data by the same estimator."""
    names = [path.resolve().name for path in (directory, source)]
    numbers = [storage.read_json(path / runs.EVALUATION) for path in (directory, source)]
    if any(numbers[0][key] != numbers[1][key] for key in ("estimator", "quantity", "data")):
        return f"log p(x) of {names[1]} was estimated otherwise: pyrovae evaluate {source} --only evidence"
    after, before = (storage.read_array(path / runs.PER_DATUM).astype(float) for path in (directory, source))
    gain = paired(torch.from_numpy(np.asarray(after - before)))
    better, worse = names if gain.mean >= 0 else names[::-1]
    return f"{sentence(better, worse, gain._replace(mean=abs(gain.mean)))} (paired over {len(after)} data)"
