r"""Scores of how latent dimensions and the factors that generated the data go with each other.

With factors v, latent dimensions z_j, and those that tell most, j = a, and second most, j = b, of a factor,

* *MIG* (Chen et al., 2018) is the mean over factors of :math:`(I(z_a; v) - I(z_b; v)) / H(v)`. Information is estimated
  from draws z ~ q(z | x), one a datum, by distances between neighbours (Ross, 2014), scikit-learn's
  ``mutual_info_classif``: it needs no density of q, so that any posterior will do, and is nearly unbiased;
* *SAP* (Kumar et al., 2018) is the mean over factors of the same gap between shares of test data whose factor is found
  from E[z_j | x] alone, by as many intervals as it has values;
* *DCI* (Eastwood and Williams, 2018) reads the importances of dimensions in forests that find each factor from all of
  E[z | x]. *Disentanglement* is one minus the entropy of a dimension's importances over factors, to the base of their
  number, weighted by its importance; *completeness* the same of a factor over dimensions; *informativeness* the share
  of test data that forests are right on.

Values of a factor count as classes without an order.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import entropy

Array = NDArray[Any]

TREES = 20  # of a forest
LEAF = 5  # data in a leaf at least: trees that part single data find noise important


class Part(NamedTuple):
    """What one part of the data says; matrices have a row for each dimension and a column for each factor.

    Attributes:
        told: I(z_j; v) / H(v).
        found: Share of test data whose factor is found from E[z_j | x].
        importance: Of each dimension in the forest that finds a factor, summing to 1 over dimensions.
        right: Share of test data whose factor such a forest finds, mean over factors.
    """

    told: Array
    found: Array
    importance: Array
    right: float


def part_of(z: Array, v: Array, codes: Array, test_codes: Array, test_v: Array) -> Part:
    """Compares draws and codes of some data with their factors."""
    forests = [forest(codes, column, test_codes, test) for column, test in zip(v.T, test_v.T, strict=True)]
    importance, right = zip(*forests, strict=True)
    return Part(
        information(z, v) / [entropy(np.bincount(column)) for column in v.T],
        found_alone(codes, v, test_codes, test_v),
        np.stack(importance, 1),
        float(np.mean(right)),
    )


def seed() -> int:
    """Draws a seed for scikit-learn from torch's generator."""
    return int(torch.randint(2**31, ()))


def information(z: Array, v: Array) -> Array:
    """Returns I(z_j; v_k) in nats, shape ``(latent_dim, factors)``, 0 where its estimate is below.

    Args:
        z: Draws, shape ``(n, latent_dim)``.
        v: Values of the factors, integers of shape ``(n, factors)``.
    """
    from sklearn.feature_selection import mutual_info_classif

    return np.stack([mutual_info_classif(z, column, random_state=seed()) for column in v.T], 1)


def found_alone(codes: Array, v: Array, test_codes: Array, test_v: Array) -> Array:
    """Returns the share of test data whose factor is found from one dimension, shape ``(latent_dim, factors)``."""
    from sklearn.tree import DecisionTreeClassifier

    def share(dimension: int, factor: int) -> float:
        tree = DecisionTreeClassifier(max_leaf_nodes=int(v[:, factor].max()) + 1, random_state=0)
        tree.fit(codes[:, [dimension]], v[:, factor])
        return float(tree.score(test_codes[:, [dimension]], test_v[:, factor]))

    return np.array([[share(j, k) for k in range(v.shape[1])] for j in range(codes.shape[1])])


def forest(codes: Array, v: Array, test_codes: Array, test_v: Array) -> tuple[Array, float]:
    """Returns the importance of each dimension for a factor, and the share of test data where the factor is found."""
    from sklearn.ensemble import RandomForestClassifier

    # Every split looks at all dimensions: among few, the best of them is at times noise.
    trees = RandomForestClassifier(TREES, max_features=None, min_samples_leaf=LEAF, random_state=seed())
    trees.fit(codes, v)
    return trees.feature_importances_, float(trees.score(test_codes, test_v))


def gap(scores: Array) -> float:
    """Returns by how much the best dimension is better than the next, mean over factors.

    Example:
        >>> gap(np.array([[1.0, 0.1], [0.2, 0.6], [0.0, 0.5]]))
        0.45
    """
    ordered = np.sort(scores, axis=0)
    return float((ordered[-1] - ordered[-2]).mean())


def separate(importance: Array) -> float:
    """Returns how much each row is about one column: 1 if about one alone, 0 if about all alike, weighted by its sum.

    Example:
        >>> separate(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]))
        0.333...
    """
    used = importance[importance.sum(1) > 0]
    weights = used.sum(1) / used.sum() if len(used) else np.zeros(0)
    return float(weights @ (1 - entropy(used, base=importance.shape[1], axis=1))) if len(used) else 0.0
