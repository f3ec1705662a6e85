"""Mirrors of a training's record: TensorBoard, Weights & Biases, Trackio. ``metrics.jsonl`` is the record itself.

A mirror may break: it then says so in one line, is dropped, and the training goes on without it.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, redirect_stdout, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import numpy as np
from PIL import Image
from tqdm import tqdm

from pyrovae.errors import PyrovaeError, did_you_mean

IDENTITY = "tracker.id"  # in a run directory: what tells the run from those in directories of the same name


class Logger(Protocol):
    """What takes numbers and pictures of a training, and may raise whatever it likes."""

    def log(self, step: int, numbers: Mapping[str, float]) -> None: ...

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        """Takes 8-bit grey levels (height, width) or colours (height, width, 3)."""

    def close(self) -> None: ...


class TensorBoard:
    """Event files in the run directory; what an interrupted training wrote after ``step`` is hidden."""

    def __init__(self, directory: Path, step: int = 0) -> None:
        from torch.utils.tensorboard import SummaryWriter  # its package is optional, and takes a second to import

        self.writer = SummaryWriter(str(directory / "tensorboard"), purge_step=step + 1)

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        for name, number in numbers.items():
            self.writer.add_scalar(name, number, step)
        self.writer.flush()  # waits for its thread, and raises what went wrong there (where it prints a traceback, too)

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        self.writer.add_image(name, picture, step, dataformats="HW" if picture.ndim == 2 else "HWC")
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


class Tracker:
    """A module with the ``init``, ``log`` and ``finish`` of Weights & Biases, set up by its own environment variables.

    A resumed run goes on under its identity. Steps it takes again are ignored by wandb and appear twice in Trackio.
    """

    def __init__(self, name: str, directory: Path, configuration: Mapping[str, Any]) -> None:
        options, token = TRACKERS[name], identity(directory)
        label = f"{directory.resolve().name}-{token}"
        self.module: Any = import_module(name)
        with redirect_stdout(sys.stderr):  # Trackio talks on stdout, which is for results
            self.module.init(
                project="pyrovae", name=label, config=dict(configuration), resume="allow", **options(directory, token)
            )

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        self.module.log(dict(numbers), step=step)

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        drawn = Image.fromarray(picture)  # of an array, wandb would guess the range
        self.module.log({name: self.module.Image(drawn)}, step=step)

    def close(self) -> None:
        with redirect_stdout(sys.stderr):
            self.module.finish()


# The only modules a tracker may be, and what only they know. wandb resumes by id, Trackio by name; wandb's copy of the
# console is off, as a terminal may show more than a training.
TRACKERS: dict[str, Callable[[Path, str], dict[str, Any]]] = {
    "wandb": lambda directory, identity: {"id": identity, "dir": str(directory), "settings": {"console": "off"}},
    "trackio": lambda directory, identity: {},
}

LOGGERS: dict[str, Callable[..., Logger]] = {
    "tensorboard": lambda directory, configuration, step: TensorBoard(directory, step),
    "wandb": lambda directory, configuration, step: Tracker("wandb", directory, configuration),
    "trackio": lambda directory, configuration, step: Tracker("trackio", directory, configuration),
}

# What a logger imports, and what installs it.
NEEDS = {
    "tensorboard": ("torch.utils.tensorboard", 'pip install "pyrovae[tensorboard]"'),
    "wandb": ("wandb", "pip install wandb"),
    "trackio": ("trackio", "pip install trackio"),
}


def identity(directory: Path) -> str:
    """Returns what a run is known by at trackers, drawn once; Trackio makes folders of it."""
    path = directory / IDENTITY
    if not path.exists():
        path.write_text(uuid4().hex[:8], encoding="ascii")
    token = path.read_text(encoding="ascii")
    if not re.fullmatch(r"[0-9a-f]{8}", token):
        raise PyrovaeError(f"{path} is damaged", hint="remove it")
    return token


class Fanout(AbstractContextManager["Fanout"]):
    """Forwards to several loggers; one that fails is dropped with a warning."""

    def __init__(self) -> None:
        self.loggers: dict[str, Logger] = {}

    def __exit__(self, *raised: object) -> None:
        self.close()

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        self._each(lambda logger: logger.log(step, numbers))

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        self._each(lambda logger: logger.image(step, name, picture))

    def close(self) -> None:
        while self.loggers:
            name, logger = self.loggers.popitem()
            with self.dropped(name):
                logger.close()

    def _each(self, call: Callable[[Logger], None]) -> None:
        for name, logger in list(self.loggers.items()):
            with self.dropped(name):
                call(logger)

    @contextmanager
    def dropped(self, name: str) -> Iterator[None]:
        """Drops a logger that fails; Ctrl-C is no ``Exception`` and passes."""
        try:
            yield
        except Exception as error:
            tqdm.write(f"warning: logger '{name}' failed and is dropped: {reason(error)}", file=sys.stderr)
            if name in self.loggers:
                with suppress(Exception):  # one warning is enough
                    self.loggers.pop(name).close()


def open_loggers(names: Iterable[str], directory: Path, configuration: Mapping[str, Any], step: int = 0) -> Fanout:
    """Opens loggers as one, for a ``with`` statement; what goes wrong after :func:`check_loggers` is a warning.

    Args:
        names: Keys of :data:`LOGGERS`.
        directory: The run's; it exists.
        configuration: The resolved experiment.
        step: The last step of the checkpoint that a resumed training starts from; 0 for a fresh one.
    """
    names, opened = list(dict.fromkeys(names)), Fanout()
    check_loggers(names)
    for name in names:
        with opened.dropped(name):
            opened.loggers[name] = LOGGERS[name](directory, configuration, step)
    return opened


def check_loggers(names: Iterable[str]) -> None:
    """Refuses loggers that do not exist or cannot be imported; nothing is opened or written."""
    for name in names:
        if name not in LOGGERS:
            raise PyrovaeError(f"unknown logger '{name}'", hint=did_you_mean(name, LOGGERS), exit_code=2)
        module, remedy = NEEDS[name]
        try:
            import_module(module)
        except Exception as error:  # a broken installation fails in other ways than a missing one
            raise PyrovaeError(f"logger '{name}' cannot be imported: {reason(error)}", hint=remedy) from error


def reason(error: Exception) -> str:
    """Returns an error on one line."""
    return ": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])


def log_record(logger: Logger, record: Mapping[str, Any]) -> None:
    """Logs an epoch's record at its step."""
    logger.log(record["step"], dict(flat(record)))


def flat(record: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yields the numbers of a record, those of a list under its name and their index; the step is their axis.

    Example:
        >>> dict(flat({"step": 10, "epoch": 1, "kl": [0.5, 2.0], "note": None}))
        {'epoch': 1.0, 'kl/0': 0.5, 'kl/1': 2.0}
    """
    for name, value in record.items():
        if isinstance(value, list):
            yield from flat({f"{name}/{index}": item for index, item in enumerate(value)})
        elif isinstance(value, int | float) and name != "step":
            yield name, float(value)
