"""What the sections of an evaluation read, and what they return: a section is one function and one line of a table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from pyrovae.data import Dataset
from pyrovae.data.dataset import SplitName
from pyrovae.vae import VAE


class NotApplicable(Exception):
    """A section has nothing to say of a VAE or its data; the message is the reason."""


@dataclass(frozen=True)
class Judged:
    """A trained VAE and what it is judged on.

    Attributes:
        vae: The VAE, whose parameters nobody changes.
        dataset: Its data.
        seed: Of all draws.
        data: How many test data are read at most.
        log_prob: Importance-sampled log p(x) of the first test data, shape ``(n,)``, where there is one.
        cache: Where classifiers that help to judge are kept; nowhere unless given.
        against: Other data of the same shape, in `pyrovae evaluate --against`.
        background: Another VAE of the same data, in `pyrovae evaluate --background`.
    """

    vae: VAE
    dataset: Dataset
    seed: int = 0
    data: int | None = None
    log_prob: Tensor | None = None
    cache: Path | None = None
    against: Dataset | None = None
    background: VAE | None = None

    def held_out(self, split: SplitName = "test", most: int | None = None) -> tuple[Tensor, Tensor | None]:
        """Returns the first rows of a split and their labels: at most ``most``, of test data at most ``data``."""
        x, y = self.dataset.held_out(split)
        limits = [limit for limit in (most, self.data if split == "test" else None) if limit is not None]
        size = min([len(x), *limits])
        return x[:size], None if y is None else y[:size]

    def read(self, y: Tensor | None) -> Tensor | None:
        """Returns the labels that the VAE reads beside x: a conditional one's, none of any other."""
        return y if self.vae.conditional else None


@dataclass(frozen=True)
class Findings:
    """What a section has found.

    Attributes:
        numbers: By name, as ``evaluation.json`` keeps them.
        sentences: What they say, one line each, for the terminal and the report.
        figures: Pictures by name.
        reasons: What speaks against the run's importance-sampled log p(x).
        tree: Groups of ArviZ's DataTree by path, for ``analysis.nc``.
    """

    numbers: dict[str, Any]
    sentences: list[str]
    figures: Mapping[str, Figure] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    tree: Mapping[str, Any] = field(default_factory=dict)


# Takes what is judged, and its sizes by keyword; raises NotApplicable.
Section = Callable[..., Findings]
