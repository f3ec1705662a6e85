"""The image sets that are downloaded, and the one function that downloads them."""

from pathlib import Path

from pyrovae.data.celeba import CELEBA
from pyrovae.data.cifar10 import CIFAR10
from pyrovae.data.download import Source, locate
from pyrovae.data.emnist import emnist_source
from pyrovae.data.images import TORCHVISION, idx_source
from pyrovae.data.omniglot import OMNIGLOT
from pyrovae.data.svhn import SVHN
from pyrovae.errors import PyrovaeError, did_you_mean

SOURCES: dict[str, Source] = {
    source.name: source for source in (*map(idx_source, TORCHVISION), emnist_source(), CIFAR10, SVHN, CELEBA, OMNIGLOT)
}


def fetch(name: str, data_dir: str | Path | None = None, *, force: bool = False) -> Path:
    """Downloads a set unless it is there, and checks its files either way.

    Args:
        name: A key of `SOURCES`.
        data_dir: Where to look first, and where to download to.
        force: Download and replace the files even if they are there.

    Returns:
        The folder that holds the files.

    Raises:
        PyrovaeError: The set is not one that is downloaded, a file is damaged, or there is no network.

    Example:
        >>> try:
        ...     fetch("sprites")
        ... except PyrovaeError as error:
        ...     print(error)
        'sprites' is not downloaded
    """
    if name not in SOURCES:
        raise PyrovaeError(f"'{name}' is not downloaded", hint=did_you_mean(name, SOURCES), exit_code=2)
    folder = locate(SOURCES[name], data_dir, force=force)
    SOURCES[name].check(folder)
    return folder
