"""From the units of a user's file to those that the programs read, and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyrovae.errors import PyrovaeError


@dataclass(frozen=True, eq=False)
class Units:
    """An affine map for each element of a datum: the programs read (x - loc) / scale.

    Args:
        loc: What is subtracted, float64, of the event's shape.
        scale: What is then divided by, likewise, above 0.
        columns: The names of the elements, where the file names them.
        label: The name of the column that holds the labels, likewise.
        left_out: The names of the file's other columns.

    Example:
        >>> units = Units(torch.tensor([170.0, 70.0]), torch.tensor([10.0, 5.0]), ("height", "weight"))
        >>> units.to_model(torch.tensor([[180.0, 60.0]]))
        tensor([[ 1., -2.]])
        >>> Units.from_dict(units.to_dict()).to_user(torch.tensor([[1.0, -2.0]]))
        tensor([[180.,  60.]])
    """

    loc: Tensor
    scale: Tensor
    columns: tuple[str, ...] = ()
    label: str | None = None
    left_out: tuple[str, ...] = ()

    def to_model(self, x: Tensor) -> Tensor:
        """Returns a user's data, of shape `(..., *event_shape)`, as the programs read them."""
        return ((x.to(self.loc) - self.loc) / self.scale).to(x)

    def to_user(self, x: Tensor) -> Tensor:
        """Returns what the programs read or generate, of shape `(..., *event_shape)`, in the user's units."""
        return (x.to(self.loc) * self.scale + self.loc).to(x)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain lists, for JSON."""
        numbers = {"loc": self.loc.tolist(), "scale": self.scale.tolist()}
        return numbers | {"columns": list(self.columns), "label": self.label, "left_out": list(self.left_out)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Units":
        """Returns what `to_dict` described, to the last bit."""
        loc, scale = (torch.tensor(values[key], dtype=torch.float64) for key in ("loc", "scale"))
        return cls(loc, scale, tuple(values["columns"]), values["label"], tuple(values["left_out"]))


def identity(event_shape: tuple[int, ...], columns: tuple[str, ...]) -> Units:
    """Returns units that change nothing, for data whose columns have names."""
    loc = torch.zeros(event_shape, dtype=torch.float64)
    return Units(loc, torch.ones_like(loc), columns)


def fit_units(where: str, x: Tensor, columns: tuple[str, ...] = ()) -> Units:
    """Returns the units in which each element of these rows has mean 0 and standard deviation 1; NaN is passed over.

    An element that never changes has scale 1, so that it becomes 0.

    Args:
        where: What messages call the data.
        x: Rows, of shape `(n, *event_shape)`.
        columns: The names of the elements, where they have any.

    Raises:
        PyrovaeError: An element has no value in any row.

    Example:
        >>> units = fit_units("toy", torch.tensor([[1.0, 7.0], [3.0, 7.0]]))
        >>> units.loc.tolist(), units.scale.tolist()
        ([2.0, 7.0], [1.0, 1.0])
    """
    x = x.double()
    seen = ~x.isnan()
    _check_seen(where, seen.any(0), columns)
    low = torch.where(seen, x, torch.inf).amin(0)
    constant = low == torch.where(seen, x, -torch.inf).amax(0)
    loc = torch.where(constant, low, x.nanmean(0))  # the mean of equal numbers need not be that number
    deviation = (x - loc).square().nanmean(0).sqrt()
    return Units(loc, torch.where(constant, 1.0, deviation), columns)


def _check_seen(where: str, seen: Tensor, columns: tuple[str, ...]) -> None:
    if not seen.all():
        index = seen.logical_not().nonzero()[0].tolist()
        name = f"column '{columns[index[0]]}'" if columns else f"element {tuple(index)}"
        message = f"data set {where}: {name} has no value in the training rows"
        raise PyrovaeError(message, hint="leave it out, or hold out fewer rows")
