r"""From latent space to paper.

More than two dimensions are shown through a linear map, :math:`z \mapsto A (z - c)`, with A the first two principal
directions of the data. Data and components go through the same map, so a component :math:`N(m, \mathrm{diag}(s^2))` is
drawn as what it is on that plane: :math:`N(A (m - c), A \, \mathrm{diag}(s^2) A^\top)`. What sticks out of the plane
is not seen; the names of the axes say how much of the variance is in it.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.patches import Ellipse
from sklearn.decomposition import PCA

from pyrovae.errors import PyrovaeError
from pyrovae.figures.arrays import Array

SIGMAS = 2.0


@dataclass(frozen=True)
class Plane:
    """The map: `matrix` is A, `(2, D)`, `centre` is c, `(D,)`, `names` label the axes."""

    matrix: Array
    centre: Array
    names: tuple[str, str]

    def points(self, z: Array) -> Array:
        """Returns where latent points fall, `(n, D)` -> `(n, 2)`."""
        return (z - self.centre) @ self.matrix.T

    def covariance(self, scale: Array) -> Array:
        """Returns the covariance on paper of independent coordinates with standard deviations `scale`, `(D,)` -> `(2,
        2)`."""
        return (self.matrix * scale**2) @ self.matrix.T


def plane_of(z: Array) -> Plane:
    """Returns the identity when z, `(n, D)`, has two dimensions, else its first two principal components.

    Example:
        >>> plane_of(np.zeros((5, 2))).names
        ('$z_1$', '$z_2$')
        >>> plane_of(np.eye(4) * [9, 3, 1, 1]).names
        ('PC 1 (89 % of variance)', 'PC 2 (9 % of variance)')
    """
    if z.shape[1] == 2:
        return Plane(np.eye(2), np.zeros(2), ("$z_1$", "$z_2$"))
    if len(z) < 2:
        raise PyrovaeError(f"'z' should hold 2 data or more to find principal components, got {len(z)}")
    # the exact solver: the default one may draw random numbers, and a figure should not depend on a seed
    pca = PCA(2, svd_solver="full").fit(z)
    first, second = (_axis_name(index, share) for index, share in enumerate(pca.explained_variance_ratio_, start=1))
    return Plane(pca.components_, pca.mean_, (first, second))


def _axis_name(index: int, share: float) -> str:
    """Names a principal component; equal data have no variance to share out."""
    return f"PC {index} ({100 * share:.0f} % of variance)" if np.isfinite(share) else f"PC {index}"


def ellipse(centre: Array, covariance: Array) -> Ellipse:
    """Returns the curve at two standard deviations of a normal on the plane (86 % of its mass is inside).

    Example:
        >>> shape = ellipse(np.zeros(2), np.diag([1.0, 4.0]))
        >>> float(shape.width), float(shape.height), float(shape.angle)
        (4.0, 8.0, 0.0)
    """
    variances, directions = np.linalg.eigh(covariance)
    # rounding may leave the variance of a degenerate component a little below zero
    width, height = 2 * SIGMAS * np.sqrt(np.maximum(variances, 0))
    angle = np.degrees(np.arctan2(directions[1, 0], directions[0, 0]))
    return Ellipse((centre[0], centre[1]), width, height, angle=angle)
