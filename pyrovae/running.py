"""Running an experiment leaves a directory that says what was done and what came out; a run that stopped goes on.

experiment.toml    every option, defaults included
manifest.json      versions, machine, device, seed, threads, configuration, hashes of the data, resumptions
metrics.jsonl      one row an epoch
checkpoint.pt      the best weights: tensors and plain values only
checkpoints/       the last two states of the training
evaluation.json    the numbers; log_marginal.npy the estimate per test datum
figures/           the pictures
failure.json       what `replay` shows again, where a loss or a gradient was not finite
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from signal import SIGINT
from typing import Any

import torch

from pyrovae import runs, storage
from pyrovae.checkpoints import BEST, Checkpoints
from pyrovae.configuration import Experiment, read
from pyrovae.errors import Interrupted, PyrovaeError
from pyrovae.experiment import Prepared, check_same_data, facts, prepare
from pyrovae.interrupts import Interrupts
from pyrovae.training import History, fit
from pyrovae.training.history import Record
from pyrovae.training.loggers import check_loggers, log_record, open_loggers
from pyrovae.training.processes import current
from pyrovae.training.replay import replay_step

# What may change when a run is resumed: how long it trains and how it is judged; all else would be another run.
CHANGEABLE = {
    "train.epochs", "train.patience", "train.nonfinite", "train.checkpoint_every", "data.path",
    "evaluation.particles", "evaluation.data",
}  # fmt: skip


def run(
    experiment: Experiment,
    directory: str | Path,
    data_dir: str | Path | None = None,
    *,
    device: str = "cpu",
    loggers: Sequence[str] = (),
    figures: bool = True,
) -> Any:
    """Trains, judges and draws an experiment, and leaves all of it in a new directory.

    One seed gives one result to the last bit on one machine at one number of threads; another number of threads changes
    losses by less than 1e-4 of them.

    Args:
        experiment: What to do.
        directory: Where; it must not exist, unless this process was started again by the launch that made it.
        data_dir: Where data are looked for first.
        device: ``"cpu"``, ``"cuda"`` or ``"mps"``.
        loggers: Mirrors of the record, see :data:`pyrovae.training.loggers.LOGGERS`.
        figures: Draw them; ``pyrovae figures`` does it later.

    Returns:
        What is printed, a VAE's evidence; of several processes the first one has it.

    Raises:
        PyrovaeError: Something cannot work, or the directory exists.
        Interrupted: A signal came; :func:`resume` goes on.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> small = {"train": {"epochs": 1}, "evaluation": {"particles": 50, "data": 20}}
        >>> with TemporaryDirectory() as folder:
        ...     evidence = run(Experiment.of("small", small), Path(folder) / "small", figures=False)
        >>> evidence.log_prob.shape
        torch.Size([20])
    """
    directory, data_dir = Path(directory), None if data_dir is None else Path(data_dir)
    if current().told(of_this_launch(directory)):
        return resume(directory, data_dir=data_dir, device=device, loggers=loggers, figures=figures)
    check_loggers(loggers)
    made = prepare(experiment, data_dir, device)
    if current().first:
        runs.create(directory)
    with writing(directory):
        if current().first:
            storage.write_toml(directory / runs.EXPERIMENT, made.experiment.to_dict())
            storage.write_json(directory / runs.MANIFEST, manifest_of(made, device))
        return conduct(made, directory, loggers, figures=figures)


def resume(
    directory: str | Path,
    overrides: Sequence[str] = (),
    data_dir: str | Path | None = None,
    *,
    device: str = "cpu",
    loggers: Sequence[str] = (),
    checkpoint: str | None = None,
    figures: bool = True,
) -> Any:
    """Goes on with a run from its newest state, and trains, judges and draws what is missing.

    The result equals that of a run which was never interrupted to the last bit, on the same machine with the same
    versions and number of threads; where these differ it is said and kept in the manifest.

    Args:
        directory: A run.
        overrides: What may change on the way, such as ``train.epochs=300``.
        data_dir: Where data are looked for first.
        device: Where it goes on.
        loggers: Mirrors of the record.
        checkpoint: Name of the state to go on from, by default the newest.
        figures: Draw them.

    Raises:
        PyrovaeError: Changes that would make it another run, other data, or a damaged checkpoint.
        Interrupted: A signal came.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> small = {"train": {"epochs": 1}, "evaluation": {"particles": 50, "data": 20}}
        >>> with TemporaryDirectory() as folder:
        ...     _ = run(Experiment.of("small", small), Path(folder) / "small", figures=False)
        ...     _ = resume(Path(folder) / "small", ["train.epochs=3"], figures=False)
        ...     len((Path(folder) / "small" / "metrics.jsonl").read_text().splitlines())
        3
    """
    directory, data_dir = Path(directory), None if data_dir is None else Path(data_dir)
    check_loggers(loggers)
    check_resumable(directory)
    with writing(directory):
        experiment = changed(directory, overrides)
        made = prepare(experiment, data_dir, device, only_prior=refitted(directory))
        check_same_data(made.dataset, directory)
        if current().first:
            note(directory, made, device)
        return conduct(made, directory, loggers, checkpoint, figures=figures)


def check_resumable(directory: Path) -> None:
    """Refuses runs of the first format, which kept their weights and nothing to go on from."""
    if (directory / BEST).exists() and not Checkpoints(directory).names():
        raise PyrovaeError(f"{directory} has no state to go on from", hint="start another run: pyrovae run")
    if refitted(directory) and not Checkpoints(directory).names():
        reason = f"{directory} has no state to go on from, and its encoder and decoder are those of another run"
        raise PyrovaeError(reason, hint="pyrovae refit-prior that run again")


def refitted(directory: Path) -> bool:
    """Tells whether a run has fitted nothing but a prior, to the codes of another run."""
    return "refit_of" in storage.read_json(directory / runs.MANIFEST)


def conduct(
    made: Prepared,
    directory: Path,
    loggers: Sequence[str] = (),
    checkpoint: str | None = None,
    *,
    figures: bool = True,
) -> Any:
    """Trains from the newest state there is; then the first process judges and draws."""
    experiment, program, first = made.experiment, made.experiment.program, current().first
    history = train(made, directory, loggers, checkpoint)
    if not first:
        return None
    manifest = storage.read_json(directory / runs.MANIFEST)
    minutes = {"training_minutes": history.records[-1]["seconds"] / 60}
    storage.write_json(directory / runs.MANIFEST, manifest | minutes)
    try:
        found = program.judge(experiment, made.module, made.dataset, directory)
        if figures:
            folder = directory / runs.FIGURES
            program.draw(made.module, made.dataset, list(history), folder, experiment.seed, history.best)
    except KeyboardInterrupt:  # what is missing is computed again
        raise Interrupted(SIGINT, history.records[-1]["step"], f"pyrovae resume {directory}") from None
    return found


def train(made: Prepared, directory: Path, loggers: Sequence[str], checkpoint: str | None) -> History:
    """Fits from the newest state, and keeps record, states and the best weights in the directory."""
    experiment, first = made.experiment, current().first
    checkpoints = Checkpoints(directory, checkpoint)
    state = checkpoints.latest(made.module)
    step = 0 if state is None else state["step"]
    if first:
        # The record is the state's: what was written after it is forgotten.
        storage.write_rows(directory / runs.METRICS, [] if state is None else state["records"])
        if state is not None:
            print(f"resumed from step {step} (epoch {state['epoch']})", file=sys.stderr)
    check_shared(directory, step)
    record = recording(directory, loggers, experiment, step) if first else nullcontext()
    with record as on_epoch, Interrupts() as interrupts:
        history = fit(
            made.module,
            made.dataset,
            made.objective,
            experiment.seed,
            on_epoch,
            checkpoints,
            interrupts,
            experiment.program.check,
            experiment.program.validate,
            **experiment.chosen("train"),
        )
    if first:
        checkpoints.keep_best(made.module.state_dict(), history.best, history.records[-1]["step"])
    if signal := interrupts():  # after the last step
        raise Interrupted(signal, history.records[-1]["step"], f"pyrovae resume {directory}")
    return history


def check_shared(directory: Path, step: int) -> None:
    """Waits for the first process, and refuses another folder than its."""
    theirs = current().told(step)
    if step != theirs:
        what = f"process {current().rank + 1} finds step {step} in {directory}, the first one step {theirs}"
        raise PyrovaeError(what, hint="processes on several machines need one shared runs folder")


@contextmanager
def recording(directory: Path, loggers: Sequence[str], experiment: Experiment, step: int) -> Iterator[Any]:
    """Yields what is called with each epoch's record: the file of metrics, and its mirrors."""
    opened = open_loggers(loggers, directory, experiment.to_dict(), step)
    with storage.appended(directory / runs.METRICS) as write, opened as log:

        def on_epoch(record: Record) -> None:
            write(record)
            log_record(log, record)

        yield on_epoch


def writing(directory: Path) -> Any:
    """Takes the run's lock, which the first process holds for all."""
    return runs.locked(directory) if current().first else nullcontext()


def of_this_launch(directory: Path) -> bool:
    """Tells whether a run was made by the launch that has started this process, and so started it again."""
    if not (directory / runs.MANIFEST).exists():
        return False
    launch = runs.launch()
    return launch is not None and storage.read_json(directory / runs.MANIFEST).get("launch") == launch


def manifest_of(made: Prepared, device: str) -> dict[str, Any]:
    configuration = made.experiment.to_dict()
    launch = runs.launch()
    return (
        runs.manifest(configuration, made.experiment.seed, device)
        | {"data": made.description, "model": facts(made.module), "processes": current().count}
        | ({} if launch is None else {"launch": launch})
    )


def changed(directory: Path, overrides: Sequence[str]) -> Experiment:
    """Returns the run's experiment with the changes that may be made.

    Raises:
        PyrovaeError: Others were asked for, or made in the file by hand; each is named with both values.
    """
    asked = read(directory / runs.EXPERIMENT, overrides)
    manifest = storage.read_json(directory / runs.MANIFEST)
    # Runs of the first revisions name no program.
    made = {"program": "vae"} | manifest.get("configuration", read(directory / runs.EXPERIMENT).to_dict())
    unlike = differences(made, asked.to_dict())
    refused = [f"{key}: {was} -> {now}" for key, (was, now) in unlike.items() if key not in CHANGEABLE]
    if refused:
        hint = f"a run can change {', '.join(sorted(CHANGEABLE))}; start another run for the rest"
        raise PyrovaeError(f"{directory} was trained otherwise: {'; '.join(refused)}", hint=hint, exit_code=2)
    return asked


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Returns what differs between two configurations, by key.

    Example:
        >>> differences({"seed": 0, "vae": {"latent_dim": 4}}, {"seed": 0, "vae": {"latent_dim": 8}})
        {'vae.latent_dim': (4, 8)}
    """
    a, b = flat(one), flat(other)
    return {key: (a.get(key), b.get(key)) for key in [*a, *b] if a.get(key) != b.get(key)}


def flat(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration by ``section.key``."""
    sections = {name: value for name, value in configuration.items() if isinstance(value, Mapping)}
    inner = {f"{name}.{key}": value for name, section in sections.items() for key, value in section.items()}
    return {name: value for name, value in configuration.items() if name not in sections} | inner


def note(directory: Path, made: Prepared, device: str) -> None:
    """Keeps in the manifest what is different now, and warns of what makes the last bits differ."""
    manifest = storage.read_json(directory / runs.MANIFEST)
    now = manifest_of(made, device)
    watched = ("versions", "machine", "threads", "device", "processes", "configuration")
    unlike = differences(*({name: content.get(name) for name in watched} for content in (manifest, now)))
    if "configuration" in manifest:
        unlike |= differences({"program": "vae"} | manifest["configuration"], now["configuration"])
    harmless = {key for key in unlike if key.startswith("configuration") or key in CHANGEABLE}
    others = [f"{key}: {was} -> {is_now}" for key, (was, is_now) in unlike.items() if key not in harmless]
    if others:
        print(f"warning: not equal to the last bit any more ({'; '.join(others)})", file=sys.stderr)
    storage.write_toml(directory / runs.EXPERIMENT, now["configuration"])
    resumed = {"at": datetime.now().astimezone().isoformat(timespec="seconds"), "process": os.getpid()}
    resumed |= {"changes": {key: list(pair) for key, pair in unlike.items() if not key.startswith("configuration.")}}
    kept = {name: now[name] for name in (*watched, "configuration_hash")} | {"launch": now.get("launch")}
    storage.write_json(
        directory / runs.MANIFEST, manifest | kept | {"resumed": [*manifest.get("resumed", []), resumed]}
    )


def replay(directory: Path, data_dir: Path | None = None) -> str:
    """Takes the failed step of a run again, with the same weights, batch and noise, and returns what it says.

    Raises:
        PyrovaeError: The run has not failed.
    """
    state, details = Checkpoints(directory).failed(), storage.read_json(directory / "failure.json", "rows")
    made = prepare(read(directory / runs.EXPERIMENT), data_dir, only_prior=refitted(directory))
    check_same_data(made.dataset, directory)
    options = made.experiment.chosen("train")
    return replay_step(made.module, made.dataset, made.objective, options, state, torch.tensor(details["rows"]))
