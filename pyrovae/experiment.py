"""From an experiment to its parts: data, VAE, objective; and from a run directory back to the trained VAE."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import torch

from pyrovae import runs, storage
from pyrovae.checkpoints import BEST, load_weights
from pyrovae.checks import check_combination
from pyrovae.configuration import Experiment, of_data, read
from pyrovae.data import Dataset
from pyrovae.data.permutation import Permutation
from pyrovae.errors import PyrovaeError
from pyrovae.networks.counts import log_counts
from pyrovae.objectives import Objective
from pyrovae.objectives.prior_fit import PriorFit
from pyrovae.schema import TABLES, construct, factory_of, options, row
from pyrovae.seeding import seeded
from pyrovae.training import History
from pyrovae.training.engines import ENGINES
from pyrovae.training.fit import check_leftover, check_size
from pyrovae.training.processes import current
from pyrovae.vae import VAE, filled, freezing_is_meant

EXAMPLES = 20_000  # training data handed to priors that start from data


def make_data(experiment: Experiment, data_dir: Path | None = None) -> Dataset:
    """Loads and checks the experiment's data."""
    source = factory_of("data", experiment.sections["data"])
    dataset: Dataset = construct(source, experiment.chosen("data"), {"data_dir": data_dir})
    return dataset


def named_data(
    name: str, overrides: Sequence[str] = (), data_dir: Path | None = None, *, like: Dataset | None = None
) -> Dataset:
    """Loads data by the name of a row of the table, or by the path of one's own .npy, .npz, .csv or folder.

    Args:
        name: A row or a path.
        overrides: Options, such as ``data.support=count``.
        data_dir: Where they are looked for first.
        like: Other data, whose binarisation these get where they have that option.

    Raises:
        PyrovaeError: There is no such name, or the file cannot be read.
    """
    kind = kind_of_own(name)
    own = name not in TABLES["data"] and (kind in ("csv", "array") or Path(name).is_dir())
    known = options(row("data", kind if own else name))  # names the nearest one where there is none
    same = [f"data.binarize={like.binarize}"] if like is not None and "binarize" in known else []
    section = {"name": kind, "path": name} if own else {"name": name}
    return make_data(of_data(section, [*same, *overrides]), data_dir)


def kind_of_own(path: str) -> str:
    """Returns which row of the table reads a user's file or folder.

    Example:
        >>> kind_of_own("people.csv"), kind_of_own("x.npz"), kind_of_own("photos")
        ('csv', 'array', 'folder')
    """
    if path.endswith((".csv", ".npy", ".npz")):
        return "csv" if path.endswith(".csv") else "array"
    sounds = (found for pattern in ("*.wav", "*/*.wav") for found in Path(path).glob(pattern))
    return "folder" if next(sounds, None) is None else "audio"


def describe(dataset: Dataset) -> dict[str, Any]:
    """Returns what a VAE must know of its data, and what tells whether two runs used the same ones."""
    return {
        "name": dataset.name,
        "event_shape": list(dataset.event_shape),
        "classes": list(dataset.classes),
        "support": dataset.support,
        "binarize": dataset.binarize,
        "max_level": dataset.max_level,
        "levels": dataset.levels,
        "missing": dataset.missing,
        "units": None if dataset.units is None else dataset.units.to_dict(),
        "sound": None if dataset.sound is None else dataset.sound.to_dict(),
        "seed": dataset.seed,
        "sizes": [len(split) for split in dataset],
        "hashes": dataset.hashes(),
    }


def make_vae(experiment: Experiment, description: Mapping[str, Any], dataset: Dataset | None = None) -> VAE:
    """Composes the experiment's VAE, with fresh weights from its seed.

    Args:
        experiment: What to compose.
        description: Of the data, see :func:`describe`.
        dataset: The data, for priors that start from them; not needed where weights are loaded afterwards.
    """
    torch.manual_seed(experiment.seed)
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
    encoder, decoder = (make_network(experiment, section) for section in ("encoder", "decoder"))
    networks = {"likelihood": decoder, "posterior": log_counts(encoder) if context["support"] == "count" else encoder}
    with seeded(0):  # a decoder may be asked for several numbers an element, which would look like a picture to it
        decoder((context["latent_dim"],), context["event_shape"])
    parts = {
        part: construct(
            factory_of(part, experiment.sections[part]), experiment.chosen(part), context | {"network": network}
        )
        for part, network in networks.items()
    }
    context |= {"classes": classes, "posterior": parts["posterior"]}
    prior = factory_of("prior", experiment.sections["prior"])
    if dataset is not None and "examples" in signature(prior).parameters:
        size = len(dataset.train)
        index = Permutation(size, experiment.seed)[torch.arange(min(EXAMPLES, size))]
        examples, context["example_labels"] = dataset.batch(index)
        context["examples"] = filled(examples)
    return VAE(construct(prior, experiment.chosen("prior"), context), **parts, missing=description["missing"])


def make_network(experiment: Experiment, section: str) -> Any:
    return partial(row("networks", experiment.sections[section]["name"]), **experiment.chosen(section))


def make_objective(experiment: Experiment, size: int) -> Objective:
    """Returns the experiment's objective for so many training data."""
    factory = factory_of("objective", experiment.sections["objective"])
    objective: Objective = construct(factory, experiment.chosen("objective"), {"size": size})
    return objective


@dataclass(frozen=True)
class Prepared:
    """An experiment whose parts are made and known to fit together."""

    experiment: Experiment
    dataset: Dataset
    description: dict[str, Any]
    vae: VAE
    objective: Objective


@freezing_is_meant()
def prepare(
    experiment: Experiment, data_dir: Path | None = None, device: str = "cpu", *, only_prior: bool = False
) -> Prepared:
    """Makes everything a run needs and refuses whatever cannot work, before anything is written.

    Options that the data decided, such as whether a mixture has a pool per class, are written into the experiment.

    Args:
        experiment: What to compose and train.
        data_dir: Where data are looked for first.
        device: Where it is trained.
        only_prior: Let nothing but the prior learn, by the density of the codes; weights of the rest come later.
    """
    check_device(device)
    dataset = make_data(experiment, data_dir)
    description = describe(dataset)
    vae = make_vae(experiment, description, dataset)
    objective = PriorFit() if only_prior else make_objective(experiment, len(dataset.train))
    if only_prior:
        freeze(vae, experiment)
    check_combination(vae, dataset, objective)
    check_sizes(experiment, dataset)
    check_leftover(objective, len(dataset.train), experiment.sections["train"]["batch_size"], current().count)
    check_engine(experiment, vae, objective)
    prior = experiment.sections["prior"]
    decided = {"labels": vae.pools} if "labels" in prior else {}
    sections = {**experiment.sections, "prior": {**prior, **decided}}
    # Made on the CPU and moved: every device starts from the same weights.
    return Prepared(replace(experiment, sections=sections), dataset.to(device), description, vae.to(device), objective)


def freeze(vae: VAE, experiment: Experiment) -> None:
    """Lets nothing but the prior learn.

    Raises:
        PyrovaeError: The prior has nothing to learn.
    """
    for part in (vae.likelihood, vae.posterior):
        part.requires_grad_(requires_grad=False)
    if not any(p.requires_grad for p in vae.parameters()):
        name = experiment.sections["prior"]["name"]
        hint = "--set prior.name=flow, or gaussian-mixture, or vamp"
        raise PyrovaeError(f"prior '{name}' has nothing to learn", hint=hint, exit_code=2)


def check_device(device: str) -> None:
    """Refuses a device that this machine does not have."""
    try:
        torch.empty(1, device=device)
    except Exception as error:  # torch raises its own kinds, some with pages of hints
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise PyrovaeError(
            f"no device '{device}': {reason}", hint="--device cpu is always there", exit_code=2
        ) from None


def facts(vae: VAE) -> dict[str, Any]:
    """Returns what a reader of the manifest wants to know of the model."""
    count = sum(p.numel() for p in vae.parameters())
    return {"parameters": count, "pools": vae.pools, "conditional": vae.conditional}


def check_sizes(experiment: Experiment, dataset: Dataset) -> None:
    """Refuses what ``fit`` and ``evaluate`` would refuse, before anything is written."""
    check_size(len(dataset.train), experiment.sections["train"]["batch_size"])
    if len(dataset.test) < 2:
        hint = "give more data, or a larger data.test"
        raise PyrovaeError("1 test datum to judge: a standard error needs 2", hint=hint)


def check_engine(experiment: Experiment, vae: VAE, objective: Objective) -> None:
    """Makes and drops the engine of the training, which says what it cannot do."""
    train = experiment.sections["train"]
    options = {"precision": train["precision"], "compile": train["compile"], "processes": current()}
    ENGINES[train["engine"]](vae, objective, lambda step: 1.0, train["clip"], **options)


def described(directory: Path) -> dict[str, Any]:
    """Returns what a run says of its data, with what manifests of the first revisions do not say."""
    data: dict[str, Any] = storage.read_json(directory / runs.MANIFEST, "data", "model")["data"]
    levels = 2 if data["support"] == "binary" else None
    return {"levels": levels, "missing": False, "units": None, "sound": None, "seed": 0} | data


def load(directory: Path | str, data_dir: Path | None = None) -> tuple[VAE, Dataset]:
    """Returns the trained VAE of a run and its data.

    Raises:
        PyrovaeError: The directory is no run, its checkpoint is damaged, or the data differ from those of the run.
    """
    directory = Path(directory)
    dataset = make_data(read(directory / runs.EXPERIMENT), data_dir)
    check_same_data(dataset, directory)
    return load_vae(directory), dataset


def check_same_data(dataset: Dataset, directory: Path) -> None:
    """Refuses data that are not those of a run."""
    if dataset.hashes() != described(directory)["hashes"]:
        raise PyrovaeError(
            f"data set {dataset.name} differs from the one that {directory} was trained on",
            hint="give --data-dir the folder that the run used",
        )


def load_vae(directory: Path) -> VAE:
    """Returns the trained VAE of a run; the data are not needed."""
    vae = make_vae(read(directory / runs.EXPERIMENT), described(directory))
    load_weights(directory / BEST, vae)
    return vae.eval()


def history_of(directory: Path) -> History:
    """Returns the record of a run's training."""
    return History(storage.read_rows(directory / runs.METRICS))
