"""What numbers an option may be, said in its annotation, as ``alpha: Annotated[float, Range(0)] = 0.5`` does.

A number without a range is finite and above 0.
"""

import math
from typing import Annotated, NamedTuple


class Range(NamedTuple):
    """Numbers from ``low`` to ``high``, both included unless ``open_high``.

    Example:
        >>> Range(0).complaint(-1.0), Range(0, 1).complaint(0.5), Range(0, 1, open_high=True).complaint(1.0)
        ('0 or more', '', '0 or more and below 1')
    """

    low: float = -math.inf
    high: float = math.inf
    open_high: bool = False

    def complaint(self, value: float) -> str:
        """Returns what the number should be and is not, or nothing."""
        inside = self.low <= value and (value < self.high if self.open_high else value <= self.high)
        return "" if inside else str(self)

    def __str__(self) -> str:
        low = f"{self.low:g} or more" if math.isfinite(self.low) else ""
        high = f"{'below' if self.open_high else 'at most'} {self.high:g}" if math.isfinite(self.high) else ""
        return " and ".join(filter(None, (low, high)))


AnyNumber = Annotated[float, Range()]
NonNegative = Annotated[float, Range(0)]
Natural = Annotated[int, Range(0)]  # whole numbers from 0
Share = Annotated[float, Range(0, 1)]
