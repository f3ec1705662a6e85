"""Places on the earth: degrees, unit vectors, and kilometres along great circles.

Errors of latitude and longitude are not errors on the ground: a degree of longitude is 111 km at the equator and 40 km
in the north of Alaska, whose islands lie on both sides of longitude 180. Unit vectors know neither, and half the
squared distance of two of them is 1 - cos(angle).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

RADIUS = 6371.0088  # kilometres, the mean one of the International Union of Geodesy and Geophysics
ROWS = 100  # of a matrix of distances, of which the diagonal is read

Array = NDArray[np.floating]


def to_vectors(degrees: Tensor) -> Tensor:
    """Returns the unit vectors, shape ``(n, 3)``, of latitudes and longitudes in degrees, shape ``(n, 2)``.

    Example:
        >>> to_vectors(torch.tensor([[0.0, 0.0], [0.0, 90.0], [90.0, 5.0]])).round(decimals=3).abs()
        tensor([[1., 0., 0.],
                [0., 1., 0.],
                [0., 0., 1.]])
    """
    latitude, longitude = torch.deg2rad(degrees).unbind(-1)
    across = latitude.cos()
    return torch.stack([across * longitude.cos(), across * longitude.sin(), latitude.sin()], -1)


def to_degrees(vectors: Tensor) -> Tensor:
    """Returns latitude and longitude in degrees, shape ``(n, 2)``, of vectors of any length but 0, shape ``(n, 3)``.

    Example:
        >>> to_degrees(3 * to_vectors(torch.tensor([[40.0, -100.0]])))
        tensor([[  40., -100.]])
    """
    x, y, z = vectors.unbind(-1)
    return torch.rad2deg(torch.stack([torch.atan2(z, torch.hypot(x, y)), torch.atan2(y, x)], -1))


def great_circle(one: Array | Tensor, other: Array | Tensor) -> Array:
    """Returns the kilometres between two places, row by row, by the haversine formula.

    Args:
        one: Latitude and longitude in degrees, shape ``(n, 2)``.
        other: Likewise.

    Example:
        >>> great_circle(np.array([[0.0, 0.0]]), np.array([[0.0, 90.0]])).round()
        array([10008.])
    """
    from sklearn.metrics.pairwise import haversine_distances  # scikit-learn takes a second

    pairs = (np.radians(np.asarray(degrees, dtype=np.float64)) for degrees in (one, other))
    pieces = zip(*(np.split(rows, range(ROWS, len(rows), ROWS)) for rows in pairs), strict=True)
    return RADIUS * np.concatenate([haversine_distances(*piece).diagonal() for piece in pieces])
