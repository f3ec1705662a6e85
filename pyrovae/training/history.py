"""The record of a training, one row an epoch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Record = dict[str, Any]


@dataclass
class History:
    """Rows as ``metrics.jsonl`` keeps them; losses, rate and distortion are nats per datum.

    Attributes:
        records: One per epoch: epoch, step; beta and learning_rate of its last step; train_loss, the mean over the
            epoch at each step's own beta; of validation data at beta = 1 validation_loss, rate (of a point posterior,
            which has none, -log p(z)), distortion and label_loss, -log p(y), 0 where labels are not scored; seconds
            since the start.
        best: The epoch whose weights the VAE was left with.

    Example:
        >>> history = History([{"epoch": 1, "rate": 2.0}, {"epoch": 2, "rate": 3.0}])
        >>> history["rate"]
        [2.0, 3.0]
    """

    records: list[Record] = field(default_factory=list)
    best: int = 0

    def __getitem__(self, name: str) -> list[Any]:
        return [record[name] for record in self.records]

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)
