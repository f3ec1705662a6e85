r"""How far two sets of points are apart, and how much of one lies where the other is.

Fréchet distance (FID, Heusel et al., 2017) and kernel distance (KID, Bińkowski et al., 2018) by torchmetrics:

.. math:: \mathrm{FID} = \|\mu - \nu\|^2 + \operatorname{tr}(A + B - 2 (A B)^{1/2}), \qquad
    \mathrm{KID} = \mathrm{MMD}^2_k, \quad k(u, v) = (u^\top v / d + 1)^3

Precision and recall (Kynkäänniemi et al., 2019), density and coverage (Naeem et al., 2020) look at balls around each
point that reach to its k-th neighbour in its own set.
"""

import math
import warnings
from typing import NamedTuple

import torch
from scipy.stats import binomtest
from torch import Tensor, nn

BLOCKS = 10  # sets of a kernel distance, from which it has its error
ROWS = 512  # of a matrix of distances that is in memory at once


class Measured(NamedTuple):
    """A number and its standard error.

    Example:
        >>> str(Measured(12.3456, 0.0421))
        '12.346 ± 0.042'
    """

    value: float
    standard_error: float

    def __str__(self) -> str:
        digits = 1 - math.floor(math.log10(self.standard_error)) if 0 < self.standard_error < math.inf else 3
        return f"{self.value:.{max(0, digits)}f} ± {self.standard_error:.{max(0, digits)}f}"


class Share(NamedTuple):
    """A share of independent points, with the 95 % interval of Wilson (1927)."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1%} ({self.low:.1%} to {self.high:.1%})"


def share(hits: Tensor) -> Share:
    """Returns the share of points that are hit, from Booleans of shape ``(n,)``.

    Example:
        >>> str(share(torch.tensor([True] * 8 + [False] * 2)))
        '80.0% (49.0% to 94.3%)'
    """
    found = binomtest(int(hits.sum()), len(hits))
    interval = found.proportion_ci(0.95, method="wilson")
    return Share(float(found.statistic), float(interval.low), float(interval.high))


def frechet(data: Tensor, others: Tensor) -> float:
    """Returns the Fréchet distance between two sets of features, each taken as a Gaussian; NaN where any is not finite.

    Its expectation falls with the number of points, so only distances from sets of the same size are comparable.

    Args:
        data: Features, shape ``(n, d)``.
        others: Features, shape ``(m, d)``.

    Example:
        >>> points = torch.tensor([[-1.0], [1.0]])
        >>> frechet(points, points + 3)  # equal variances, means that are 3 apart
        9.0
    """
    from torchmetrics.image.fid import FrechetInceptionDistance  # half a second

    if not (data.isfinite().all() and others.isfinite().all()):
        return math.nan  # LAPACK would end the process
    metric = FrechetInceptionDistance(nn.Identity(), normalize=True, input_img_size=(data.shape[1],))  # type: ignore[arg-type]
    metric.update(data.double(), real=True)
    metric.update(others.double(), real=False)
    return float(metric.compute())


def frechet_above(data: Tensor, training: Tensor, samples: Tensor, *, resamples: int) -> tuple[Measured, ...]:
    """Returns the Fréchet distances from data to samples and to training data, and by how much the first is larger.

    Standard errors are those of the bootstrap (Efron, 1979): all three sets are drawn anew with replacement, the data
    once for both distances.

    Args:
        data: Features, shape ``(n, d)``.
        training: Features of as many other real data.
        samples: Features of as many samples.
        resamples: Of the bootstrap.
    """

    def distances(*sets: Tensor) -> Tensor:
        real, other, fake = sets
        far, floor = frechet(real, fake), frechet(real, other)
        return torch.tensor([far, floor, far - floor], dtype=torch.double)

    sets = (data, training, samples)
    redrawn = torch.stack(
        [distances(*(rows[torch.randint(len(rows), (len(rows),))] for rows in sets)) for _ in range(resamples)]
    )
    return tuple(map(Measured, distances(*sets).tolist(), redrawn.std(0).tolist()))


def kernel(data: Tensor, others: Tensor, *, blocks: int = BLOCKS) -> Tensor:
    """Returns the squared kernel distance between two sets of as many features, from each of some disjoint blocks.

    Each is unbiased, 0 in expectation for equal distributions, and they are independent, so that their mean has an
    honest standard error (Zaremba et al., 2013); torchmetrics' own deviation over subsets that overlap is none.

    Args:
        data: Features in no order, shape ``(n, d)``.
        others: The same.
        blocks: How many.

    Returns:
        Shape ``(blocks,)``.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    size = min(len(data), len(others)) // blocks
    found = []
    for start in range(0, size * blocks, size):
        with warnings.catch_warnings(action="ignore"):  # that it keeps the features
            metric = KernelInceptionDistance(nn.Identity(), subsets=1, subset_size=size)
        metric.update(data[start : start + size].double(), real=True)
        metric.update(others[start : start + size].double(), real=False)
        found.append(metric.compute()[0])
    return torch.stack(found)


def measured(values: Tensor) -> Measured:
    """Returns the mean of independent values and its standard error."""
    return Measured(values.mean().item(), values.std().item() / math.sqrt(len(values)))


class Overlap(NamedTuple):
    """How two sets overlap; errors are over the points of one set, with the other as it is.

    Attributes:
        precision: Share of the samples inside the ball of any datum.
        recall: Share of the data inside the ball of any sample.
        density: Balls of data that a sample lies in, over k: 1 in expectation where the distributions are equal.
        coverage: Share of the data whose ball holds a sample.
    """

    precision: Share
    recall: Share
    density: Measured
    coverage: Share

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self._asdict().items())


def overlap(data: Tensor, samples: Tensor, *, neighbours: int) -> Overlap:
    """Returns precision, recall, density and coverage of samples.

    Args:
        data: Features of real data, shape ``(n, d)``.
        samples: Features of samples, shape ``(m, d)``.
        neighbours: k; balls reach to the k-th other point of the same set, which lies inside.

    Example:
        >>> line = torch.arange(4.0)[:, None]
        >>> print(overlap(line, line + 100, neighbours=1).coverage)
        0.0% (0.0% to 49.0%)
    """
    reach, reach_of_samples = radii(data, neighbours), radii(samples, neighbours)
    held, covered, recalled = [], torch.zeros(len(data), dtype=torch.bool), []
    for rows in samples.split(ROWS):
        inside = apart(rows, data) <= reach
        held.append(inside.sum(1))
        covered |= inside.any(0)
    for rows in data.split(ROWS):
        recalled.append((apart(rows, samples) <= reach_of_samples).any(1))
    balls = torch.cat(held)
    return Overlap(share(balls > 0), share(torch.cat(recalled)), measured(balls.double() / neighbours), share(covered))


def radii(points: Tensor, neighbours: int) -> Tensor:
    """Returns the distance of each point to its k-th nearest other, shape ``(n,)``."""
    # the nearest of all is the point itself
    return torch.cat([apart(rows, points).kthvalue(neighbours + 1, dim=1).values for rows in points.split(ROWS)])


def apart(points: Tensor, others: Tensor) -> Tensor:
    """Returns distances of shape ``(n, m)``.

    Equal ones are equal to the last bit: copies of data lie on the rims of balls, where products of matrices, and so
    scikit-learn's distances, would toss a coin.
    """
    return torch.cdist(points, others, compute_mode="donot_use_mm_for_euclid_dist")


def nearest(points: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Returns which of the others is nearest to each point, and how far it is, both of shape ``(n,)``.

    Example:
        >>> nearest(torch.tensor([[0.0], [5.0]]), torch.tensor([[6.0], [1.0]]))
        (tensor([1, 0]), tensor([1., 1.]))
    """
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(others.flatten(1).numpy())
    index = torch.from_numpy(search.kneighbors(points.flatten(1).numpy(), return_distance=False)[:, 0])
    # again, since the search rounds: a copy is at 0, and equal distances are equal
    return index, (points - others[index]).flatten(1).norm(dim=1)
