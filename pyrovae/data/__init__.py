"""Data sets: what the programs read, where it comes from, and how it is split and binarised.

`DATA` maps the name in a configuration to the function that loads it. The positional parameter of each, `data_dir`, is
what the caller supplies; its keyword-only parameters are the keys of the `[data]` table. A new data set is one
function that ends in `make_dataset`, and one line here.
"""

from collections.abc import Callable

from pyrovae.data.arrays import array
from pyrovae.data.dataset import Dataset, Split
from pyrovae.data.digits import digits
from pyrovae.data.images import fashion_mnist, fetch, mnist
from pyrovae.data.make import make_dataset

DATA: dict[str, Callable[..., Dataset]] = {
    "digits": digits,
    "mnist": mnist,
    "fashion-mnist": fashion_mnist,
    "array": array,
}

__all__ = ["DATA", "Dataset", "Split", "fetch", "make_dataset"]
