"""Data sets: what the programs read, where it comes from, and how it is split and binarised.

`DATA` maps the name in a configuration to the function that loads it. The positional parameter of each, `data_dir`, is
what the caller supplies; its keyword-only parameters are the keys of the `[data]` table. A new data set is one
function that ends in `make_dataset`, and one line here.
"""

from collections.abc import Callable

from pyrovae.data.arrays import array
from pyrovae.data.audio import audio
from pyrovae.data.bags import bag_of_words
from pyrovae.data.celeba import celeba
from pyrovae.data.cifar10 import cifar10
from pyrovae.data.dataset import Dataset, Split
from pyrovae.data.digits import digits
from pyrovae.data.emnist import emnist
from pyrovae.data.folder import folder
from pyrovae.data.images import fashion_mnist, kmnist, mnist
from pyrovae.data.make import make_dataset
from pyrovae.data.omniglot import omniglot
from pyrovae.data.places import places
from pyrovae.data.sprites import sprites
from pyrovae.data.svhn import svhn
from pyrovae.data.tables import csv_table
from pyrovae.data.text import text
from pyrovae.data.torchvision_sets import fetch

DATA: dict[str, Callable[..., Dataset]] = {
    "digits": digits,
    "mnist": mnist,
    "fashion-mnist": fashion_mnist,
    "kmnist": kmnist,
    "emnist": emnist,
    "omniglot": omniglot,
    "cifar10": cifar10,
    "svhn": svhn,
    "celeba": celeba,
    "sprites": sprites,
    "array": array,
    "csv": csv_table,
    "places": places,
    "folder": folder,
    "audio": audio,
    "text": text,
    "bag-of-words": bag_of_words,
}

__all__ = ["DATA", "Dataset", "Split", "fetch", "make_dataset"]
