"""The digits that come with scikit-learn: no download, a second of training, eight by eight pixels."""

from pathlib import Path

from pyrovae.data.binarize import Binarize
from pyrovae.data.dataset import Dataset
from pyrovae.data.make import make_dataset
from pyrovae.ranges import Natural

# 1,797 images: 200 and 397 held out leave a round 1,200.
VALIDATION, TEST = 200, 397


def digits(data_dir: str | Path | None = None, *, binarize: Binarize = "dynamic", seed: Natural = 0) -> Dataset:
    """Handwritten digits, 1,797 images of 8 x 8 in 17 grey levels (Alpaydin and Kaynak, UCI, 1998).

    Split into 1,200 training, 200 validation and 397 test images.

    Args:
        data_dir: Not read: scikit-learn brings the images.
        binarize: How grey pixels become zeros and ones.
        seed: Names the split and the noise of what is binarised once.

    Example:
        >>> data = digits()
        >>> [len(split) for split in data], data.event_shape, data.max_level, data.support
        ([1200, 200, 397], (1, 8, 8), 16, 'binary')
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x = images.reshape(-1, 1, 8, 8).astype("uint8")  # floats that hold the levels 0..16
    classes = tuple("0123456789")
    return make_dataset(
        "digits",
        x,
        labels,
        test=TEST,
        validation=VALIDATION,
        classes=classes,
        max_level=16,
        binarize=binarize,
        seed=seed,
    )
