"""Means of differences over the same data, with the standard error of the difference and not of either mean."""

import math
from typing import NamedTuple

from torch import Tensor


class Paired(NamedTuple):
    """Mean of a difference per datum, and its standard error, in nats."""

    mean: float
    standard_error: float

    def __str__(self) -> str:
        return f"{self.mean:.2f}{plus_minus(self.standard_error, 2)}"

    def exceeds(self, limit: float, errors: float) -> bool:
        """Tells whether the mean is above a limit by more than so many standard errors.

        Example:
            >>> Paired(0.5, 0.1).exceeds(0.1, 2), Paired(0.5, 0.3).exceeds(0.1, 2)
            (True, False)
        """
        return self.mean - errors * self.standard_error > limit


def paired(difference: Tensor) -> Paired:
    """Returns mean and standard error of a difference per datum, shape ``(n,)``; the error of one datum is NaN.

    Example:
        >>> import torch
        >>> str(paired(torch.tensor([1.0, 2.0, 3.0])))
        '2.00 ± 0.58'
    """
    values, size = difference.double(), len(difference)
    error = values.std().item() / math.sqrt(size) if size > 1 else math.nan
    return Paired(values.mean().item(), error)


def plus_minus(error: float, digits: int) -> str:
    """Writes an error, or nothing where one datum has none."""
    return "" if math.isnan(error) else f" ± {error:.{digits}f}"
