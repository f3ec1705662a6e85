"""From an experiment to its parts: data, module, criterion; and from a run directory back to what was trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pyrovae import runs, storage
from pyrovae.checkpoints import BEST, load_weights
from pyrovae.configuration import Experiment, of_data, read
from pyrovae.data import Dataset
from pyrovae.errors import PyrovaeError
from pyrovae.objectives import Objective
from pyrovae.objectives.criterion import Criterion
from pyrovae.objectives.prior_fit import PriorFit
from pyrovae.schema import TABLES, construct, factory_of, options, row
from pyrovae.training import History
from pyrovae.training.engines import ENGINES
from pyrovae.training.fit import check_leftover, check_size
from pyrovae.training.processes import current
from pyrovae.vae import VAE, freezing_is_meant


def make_data(experiment: Experiment, data_dir: Path | None = None) -> Dataset:
    """Loads and checks the experiment's data."""
    source = factory_of("data", experiment.sections["data"])
    dataset: Dataset = construct(source, experiment.chosen("data"), {"data_dir": data_dir})
    return dataset


def named_data(
    name: str, overrides: Sequence[str] = (), data_dir: Path | None = None, *, like: Dataset | None = None
) -> Dataset:
    """Loads data by the name of a row of the table, or by the path of a .npy, .npz or .csv, or a folder of files.

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
        "alphabet": dataset.alphabet,
        "seed": dataset.seed,
        "sizes": [len(split) for split in dataset],
        "hashes": dataset.hashes(),
    }


def make_module(experiment: Experiment, description: Mapping[str, Any], dataset: Dataset | None = None) -> Any:
    """Composes the experiment's VAE, or other program, with fresh weights from its seed.

    Args:
        experiment: What to compose.
        description: Of the data, see :func:`describe`.
        dataset: The data, for parts that start from them; not needed where weights are loaded afterwards.
    """
    torch.manual_seed(experiment.seed)
    return experiment.program.compose(experiment, description, dataset)


@dataclass(frozen=True)
class Prepared:
    """An experiment whose parts are made and known to fit together."""

    experiment: Experiment
    dataset: Dataset
    description: dict[str, Any]
    module: Any
    objective: Criterion


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
    module = make_module(experiment, description, dataset)
    objective = PriorFit() if only_prior else experiment.program.criterion(experiment, len(dataset.train))
    if only_prior:
        freeze(module, experiment)
    experiment.program.check(module, dataset, objective)
    check_sizes(experiment, dataset)
    check_leftover(objective, len(dataset.train), experiment.sections["train"]["batch_size"], current().count)
    check_engine(experiment, module, objective)
    sections = {**experiment.sections, **decided(experiment, module)}
    # Made on the CPU and moved: every device starts from the same weights.
    return Prepared(
        replace(experiment, sections=sections), dataset.to(device), description, module.to(device), objective
    )


def decided(experiment: Experiment, module: Any) -> dict[str, Any]:
    """Returns sections with the options that the data decided."""
    prior = experiment.sections.get("prior", {})
    return {"prior": {**prior, "labels": module.pools}} if "labels" in prior else {}


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


def facts(module: Any) -> dict[str, Any]:
    """Returns what a reader of the manifest wants to know of the model."""
    count = sum(p.numel() for p in module.parameters())
    reads = {name: bool(getattr(module, name, False)) for name in ("pools", "conditional")}
    return {"parameters": count, **reads}


def check_sizes(experiment: Experiment, dataset: Dataset) -> None:
    """Refuses what ``fit`` and ``evaluate`` would refuse, before anything is written."""
    check_size(len(dataset.train), experiment.sections["train"]["batch_size"])
    if len(dataset.test) < 2:
        hint = "give more data, or a larger data.test"
        raise PyrovaeError("1 test datum to judge: a standard error needs 2", hint=hint)


def check_engine(experiment: Experiment, module: Any, objective: Criterion) -> None:
    """Makes and drops the engine of the training, which says what it cannot do."""
    train = experiment.sections["train"]
    options = {"precision": train["precision"], "compile": train["compile"], "processes": current()}
    if train["engine"] == "svi" and not isinstance(objective, Objective):
        hint = "use engine 'traced' or 'eager'"
        raise PyrovaeError(f"train.engine = 'svi' with program '{experiment.kind}', which has no guide", hint=hint)
    ENGINES[train["engine"]](module, objective, lambda step: 1.0, train["clip"], **options)


def described(directory: Path) -> dict[str, Any]:
    """Returns what a run says of its data, with what manifests of the first revisions do not say."""
    data: dict[str, Any] = storage.read_json(directory / runs.MANIFEST, "data", "model")["data"]
    levels = 2 if data["support"] == "binary" else None
    standard = {"levels": levels, "missing": False, "units": None, "sound": None, "seed": 0, "alphabet": ""}
    return standard | data


def load(directory: Path | str, data_dir: Path | None = None) -> tuple[Any, Dataset]:
    """Returns the trained VAE, or other program, of a run and its data.

    Raises:
        PyrovaeError: The directory is no run, its checkpoint is damaged, or the data differ from those of the run.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from pyrovae import Experiment, run
        >>> small = {"train": {"epochs": 1}, "evaluation": {"particles": 50, "data": 20}}
        >>> with TemporaryDirectory() as folder:
        ...     _ = run(Experiment.of("small", small), Path(folder) / "small", figures=False)
        ...     vae, digits = load(Path(folder) / "small")
        >>> vae.sample(3).shape, digits.name
        (torch.Size([3, 1, 8, 8]), 'digits')
    """
    directory = Path(directory)
    dataset = make_data(read(directory / runs.EXPERIMENT), data_dir)
    check_same_data(dataset, directory)
    return load_module(directory), dataset


def check_same_data(dataset: Dataset, directory: Path) -> None:
    """Refuses data that are not those of a run."""
    if dataset.hashes() != described(directory)["hashes"]:
        raise PyrovaeError(
            f"data set {dataset.name} differs from the one that {directory} was trained on",
            hint="give --data-dir the folder that the run used",
        )


def load_module(directory: Path) -> Any:
    """Returns what a run has trained; the data are not needed."""
    module = make_module(read(directory / runs.EXPERIMENT), described(directory))
    load_weights(directory / BEST, module)
    return module.eval()


def load_vae(directory: Path) -> VAE:
    """Returns the trained VAE of a run; the data are not needed.

    Raises:
        PyrovaeError: The run is of another program.
    """
    module = load_module(directory)
    check_vae(module, directory)
    vae: VAE = module
    return vae


def check_vae(module: Any, directory: Path) -> None:
    """Refuses what has no programs, for whom it cannot do without."""
    if not isinstance(module, VAE):
        made = read(directory / runs.EXPERIMENT)
        reason = made.program.lacks.get("evidence", "it is no VAE")
        raise PyrovaeError(
            f"{directory} is of program '{made.kind}': {reason}", hint="give a run of a VAE", exit_code=2
        )


def history_of(directory: Path) -> History:
    """Returns the record of a run's training."""
    return History(storage.read_rows(directory / runs.METRICS))
