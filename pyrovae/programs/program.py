"""What a row of the table of programs says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from pyrovae.data import Dataset
from pyrovae.objectives.criterion import Criterion
from pyrovae.training.loop import Validate

if TYPE_CHECKING:
    from pyrovae.configuration import Experiment


@dataclass(frozen=True)
class Program:
    """A kind of system: what an experiment file says of it, and how it is made, trained, judged and drawn.

    Attributes:
        summary: What it is, in a sentence.
        sections: Of an experiment file, see :mod:`pyrovae.schema`.
        compose: Takes an experiment, the description of its data, and the data where parts start from them; returns the
            module with fresh weights, by torch's seed.
        criterion: Takes an experiment and the number of training data; returns what trains the module.
        check: Takes module, data and criterion, and refuses what cannot work.
        validate: Gives an epoch's numbers of validation data.
        judge: Takes an experiment, the trained module, its data and the run directory, where it writes what it finds;
            its result is printed.
        draw: Takes module, data, records, folder, seed and the best epoch; returns the paths of the pictures.
        selects: Whether a lower validation loss tells better weights from worse.
        lacks: Sections of an evaluation that have nothing to say of such a system, with the reason.
    """

    summary: str
    sections: tuple[str, ...]
    compose: "Callable[[Experiment, Mapping[str, Any], Dataset | None], nn.Module]"
    criterion: "Callable[[Experiment, int], Criterion]"
    check: Callable[[Any, Dataset, Any], None]
    validate: Validate
    judge: "Callable[[Experiment, Any, Dataset, Path], Any]"
    draw: Callable[..., list[Path]]
    selects: bool = True
    lacks: Mapping[str, str] = field(default_factory=dict)
