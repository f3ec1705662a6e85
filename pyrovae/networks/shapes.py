"""What every network knows of itself: the shapes it maps between, and how many classes it reads."""

from collections.abc import Callable, Sequence

from torch import nn

Network = Callable[..., nn.Module]  # network(in_shape, out_shape, classes)


class Shaped(nn.Module):
    """A module that keeps the shapes of one input and one output, and prints them.

    Example:
        >>> Shaped([1, 28, 28], [16], 10)
        Shaped((1, 28, 28) and 10 classes -> (16,))
    """

    def __init__(self, in_shape: Sequence[int], out_shape: Sequence[int], classes: int) -> None:
        super().__init__()
        self.in_shape, self.out_shape, self.classes = tuple(in_shape), tuple(out_shape), classes

    def extra_repr(self) -> str:
        labels = f" and {self.classes} classes" if self.classes else ""
        return f"{self.in_shape}{labels} -> {self.out_shape}"
