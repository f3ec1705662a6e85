"""Whether trainings with several seeds bear out a claim: an interval of the difference, and one of three words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from pyrovae.errors import PyrovaeError
from pyrovae.story.plan import Claim

LEVEL = 0.95  # of the intervals
HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "undecided"
Word = Literal["holds", "does not hold", "undecided"]


@dataclass(frozen=True)
class Interval:
    """A difference of means, or a ratio of spreads, over seeds and where it lies with 95 % confidence."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


def verdict(claim: Claim, values: Sequence[float], others: Sequence[float] | float) -> tuple[Word, Interval]:
    """Judges a claim.

    Args:
        claim: What is expected.
        values: The metric of one contender, one per seed.
        others: Those of the other one, or the number it is compared with.

    Returns:
        ``holds`` where the whole interval is on the expected side of the least difference, ``does not hold`` where it
        is on the other side, else ``undecided``; and the interval.

    Example:
        >>> claim = Claim("a beats b", "fid", "a", "lower", "b")
        >>> verdict(claim, [1.0, 1.1, 0.9], [5.0, 5.2, 4.9])[0], verdict(claim, [1.0, 9.0], [5.0, 4.0])[0]
        ('holds', 'undecided')
    """
    if claim.statistic == "spread":
        if isinstance(others, float | int):
            reason = f"'{claim.says}': a spread is compared with another contender's"
            raise PyrovaeError(reason, hint="name it in than", exit_code=2)
        found = ratio_of_spreads(values, others)
        limit = math.exp(claim.by) if claim.expected == "higher" else math.exp(-claim.by)
    else:
        found = difference(values, others)
        limit = claim.by if claim.expected == "higher" else -claim.by
    above, below = found.low > limit, found.high < limit
    right, wrong = (above, below) if claim.expected == "higher" else (below, above)
    return HOLDS if right else FAILS if wrong else UNDECIDED, found  # type: ignore[return-value]


def difference(values: Sequence[float], others: Sequence[float] | float) -> Interval:
    """Returns the difference of two means and its interval by Welch (1947), or by Student where one is a number."""
    mean = float(np.mean(values) - np.mean(others))
    sizes = [len(values)] if isinstance(others, float | int) else [len(values), len(others)]
    samples = [np.asarray(values, float)] + ([] if len(sizes) == 1 else [np.asarray(others, float)])
    if min(sizes) < 2:
        return Interval(mean, -math.inf, math.inf)  # one training says nothing of another one
    squares = [sample.var(ddof=1) / len(sample) for sample in samples]
    error = math.sqrt(sum(squares))
    if error == 0:
        return Interval(mean, mean, mean)
    freedom = error**4 / sum(square**2 / (size - 1) for square, size in zip(squares, sizes, strict=True))
    reach = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    return Interval(mean, mean - reach, mean + reach)


def ratio_of_spreads(values: Sequence[float], others: Sequence[float]) -> Interval:
    """Returns the ratio of two standard deviations and its interval by the F distribution of normal samples."""
    if min(len(values), len(others)) < 2:
        return Interval(math.nan, 0.0, math.inf)
    own, theirs = (float(np.std(sample, ddof=1)) for sample in (values, others))
    if theirs == 0 or own == 0:
        ratio = math.nan if own == theirs else math.inf if theirs == 0 else 0.0
        return Interval(ratio, 0.0, math.inf)
    tails = stats.f.ppf([(1 + LEVEL) / 2, (1 - LEVEL) / 2], len(values) - 1, len(others) - 1)
    low, high = (own / theirs / math.sqrt(tail) for tail in tails)
    return Interval(own / theirs, low, high)
