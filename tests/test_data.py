"""Laws of a data set: exact binarisation, splits and hashes that stay, every mistake named with its sample or file."""

import errno
import gzip
import inspect
import io
import itertools
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torch import Tensor

from pyrovae.data import DATA, Dataset, Split, fetch, make_dataset
from pyrovae.data.binarize import binarize_once, bytes_below, draw, stream
from pyrovae.data.idx import MAX_BYTES, read_idx
from pyrovae.data.images import FILES, TORCHVISION, cache_dir
from pyrovae.errors import PyrovaeError

RULES = ["dynamic", "static", "threshold", "none"]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads the data of the machine, and none writes outside its own folder."""
    monkeypatch.delenv("PYROVAE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def grey(n: int = 40, max_level: int = 255, shape: tuple[int, ...] = (1, 3, 2)) -> Tensor:
    return torch.randint(0, max_level + 1, (n, *shape), generator=stream(0, "grey"), dtype=torch.uint8)


def toy(binarize: Any = "dynamic", **options: Any) -> Dataset:
    options = {"max_level": 255, "test": 0.25, "validation": 10, **options}
    return make_dataset("toy", grey(), torch.arange(40) % 4, binarize=binarize, **options)


def refusal(action: Callable[[], object]) -> str:
    """Returns the message of the refusal, which must come with a hint."""
    with pytest.raises(PyrovaeError) as caught:
        action()
    assert caught.value.hint
    return str(caught.value)


# ---------------------------------------------------------------------------------------------- binarisation


def largest_z(rule: Callable[[Tensor, int], Tensor], max_level: int, draws: int = 200_000) -> float:
    """How many standard errors the frequency of white is from level / max_level, at the worst of four levels."""
    torch.manual_seed(1)
    worst = 0.0
    for level in (0, max_level // 3, max_level - 1, max_level):
        p = level / max_level
        frequency = rule(torch.full((draws,), level, dtype=torch.uint8), max_level).double().mean().item()
        error = (p * (1 - p) / draws) ** 0.5
        worst = max(worst, abs(frequency - p) / error if error else (0.0 if frequency == p else float("inf")))
    return worst


def or_equal(x: Tensor, max_level: int) -> Tensor:
    return torch.randint(0, max_level, x.shape, dtype=torch.uint8) <= x


def one_too_many(x: Tensor, max_level: int) -> Tensor:
    return torch.randint(0, max_level + 1, x.shape).to(x.dtype) < x


@pytest.mark.parametrize("max_level", [255, 16, 3])
def test_white_has_exactly_the_probability_of_its_level(max_level: int) -> None:
    assert largest_z(draw, max_level) < 4
    for mutation in (or_equal, one_too_many):
        assert largest_z(mutation, max_level) > 4, "the test above would not see this mistake"


@pytest.mark.parametrize("bound", [255, 16])
def test_every_byte_below_a_bound_is_as_frequent_as_another(bound: int) -> None:
    """Mutations: 255 is not drawn again; it becomes 0; only the first byte of a word is drawn again."""
    torch.manual_seed(0)
    drawn = bytes_below(bound, torch.empty(1001, 999)).flatten()
    counts = torch.bincount(drawn.long(), minlength=256)
    assert counts[bound:].sum() == 0
    expected = len(drawn) / bound
    chi2 = ((counts[:bound] - expected) ** 2 / expected).sum()
    assert abs(chi2 - (bound - 1)) < 5 * (2 * (bound - 1)) ** 0.5


def test_float_pixels_are_drawn_with_their_probability() -> None:
    torch.manual_seed(0)
    p = torch.tensor([0.0, 0.3, 1.0]).expand(100_000, 3)
    frequency = draw(p, None).double().mean(0)
    assert frequency[0] == 0
    assert frequency[2] == 1
    assert abs(frequency[1] - 0.3) < 4 * (0.3 * 0.7 / 100_000) ** 0.5


def test_zeros_and_ones_stay_as_they_are_under_every_rule() -> None:
    bits = torch.eye(6, dtype=torch.uint8)
    for rule in RULES:
        data = make_dataset("bits", bits, binarize=rule, validation=1, test=1)  # type: ignore[arg-type]
        assert (data.max_level, data.support) == (1, "binary")
        x, _ = data.batch(torch.arange(4))
        assert torch.equal(x, data.held_out("train")[0])
        assert (x.sum(1) == 1).all()


def test_threshold_is_above_one_half() -> None:
    x = torch.tensor([0, 127, 128, 255], dtype=torch.uint8)
    assert binarize_once(x, "threshold", 255, seed=0, purpose="test").tolist() == [0, 0, 1, 1]
    assert binarize_once(x / 255, "threshold", None, seed=0, purpose="test").tolist() == [0, 0, 1, 1]


def test_dynamic_draws_training_rows_afresh_and_the_others_never() -> None:
    data, index = toy(), torch.arange(20)
    torch.manual_seed(0)
    first, again = data.batch(index)[0], data.batch(index)[0]
    torch.manual_seed(0)
    assert torch.equal(data.batch(index)[0], first), "the noise is that of torch's global generator"
    assert not torch.equal(first, again)
    for split in ("train", "validation", "test"):
        assert torch.equal(data.held_out(split)[0], data.held_out(split)[0])  # type: ignore[arg-type]
    assert data.train.x.max() > 1
    assert data.validation.x.max() == 1 == data.test.x.max()


def test_held_out_rows_ignore_and_spare_the_global_generator() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    hashes = toy().hashes()
    toy().held_out("train")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert toy().hashes() == hashes


def test_every_split_and_every_seed_has_noise_of_its_own() -> None:
    x = torch.full((1000,), 128, dtype=torch.uint8)
    drawn = [
        binarize_once(x, "static", 255, seed=seed, purpose=purpose)
        for seed in (0, 1)
        for purpose in ("train", "validation", "test")
    ]
    agreement = torch.stack([(a == b).double().mean() for i, a in enumerate(drawn) for b in drawn[:i]])
    assert (agreement - 0.5).abs().max() < 4 * 0.5 / 1000**0.5


def test_static_stores_once_what_dynamic_draws_for_the_whole_of_train() -> None:
    static, dynamic = toy("static"), toy("dynamic")
    assert static.train.x.max() == 1
    assert dynamic.train.x.max() > 1
    assert static.max_level == dynamic.max_level == 255, "white of the source, for files that are read later"
    assert torch.equal(static.held_out("train")[0], dynamic.held_out("train")[0])
    assert torch.equal(static.batch(torch.arange(5))[0], static.held_out("train")[0][:5])
    assert static.hashes()["test"] == dynamic.hashes()["test"]


@pytest.mark.parametrize("binarize", RULES)
def test_programs_read_float32_within_the_support(binarize: str) -> None:
    data = toy(binarize)
    x, y = data.batch(torch.tensor([3, 0]))
    assert x.dtype == torch.float32
    assert x.shape == (2, *data.event_shape)
    assert y is not None
    assert y.dtype == torch.int64
    for split in ("train", "validation", "test"):
        x, _ = data.held_out(split)  # type: ignore[arg-type]
        assert x.dtype == torch.float32
        assert x.min() >= 0
        assert x.max() <= 1
        assert ((x == 0) | (x == 1)).all() == (data.support == "binary") == (binarize != "none")


def test_grey_values_are_levels_over_white() -> None:
    data = make_dataset("grey", grey(max_level=16), max_level=16)
    assert data.support == "levels"
    assert torch.equal(data.held_out("validation")[0], data.validation.x.float() / 16)
    assert torch.equal(data.batch(torch.arange(3))[0], data.train.x[:3].float() / 16)


def test_what_a_reader_does_to_a_batch_does_not_reach_the_data() -> None:
    data = make_dataset("real", torch.randn(20, 3, generator=stream(0, "real")))
    hashes = data.hashes()
    data.held_out("test")[0].zero_()
    data.batch(torch.arange(3))[0].zero_()
    assert data.hashes() == hashes


# ------------------------------------------------------------------------------------------ splits and storage


def test_splits_are_a_permutation_that_never_changes() -> None:
    x = np.arange(20, dtype=np.float64)[:, None] + 0.5
    data = make_dataset("rows", x, validation=4, test=0.25)
    assert [len(split) for split in data] == [11, 4, 5]
    rows = [(split.x[:, 0] - 0.5).int().tolist() for split in data]
    assert sorted(row for split in rows for row in split) == list(range(20))
    assert rows[2] == [8, 2, 11, 19, 12], "the same on every platform: an old run's test rows must stay test rows"


def test_test_rows_depend_on_the_seed_but_not_on_the_validation_size() -> None:
    few, many, other = toy(validation=2), toy(validation=20), toy(validation=2, seed=1)
    assert few.hashes()["test"] == many.hashes()["test"] != other.hashes()["test"]


def test_a_published_test_set_keeps_its_order() -> None:
    test = (grey(7).numpy(), np.zeros(7, dtype=np.uint8))
    data = make_dataset("toy", grey(), torch.arange(40) % 2, test=test, validation=10)
    assert [len(split) for split in data] == [30, 10, 7]
    assert np.array_equal(data.test.x.numpy(), test[0])
    assert data.classes == ("0", "1")


def test_labels_follow_their_rows() -> None:
    x = torch.arange(60).reshape(30, 2)
    data = make_dataset("toy", x, torch.arange(30) % 3)
    for split in data:
        assert split.y is not None
        assert torch.equal(split.x[:, 0].long() // 2 % 3, split.y)


@pytest.mark.parametrize(
    ("values", "dtype", "max_level", "support"),
    [
        (np.array([[0, 1], [1, 0], [1, 1]]), torch.uint8, 1, "binary"),
        (np.array([[True, False]] * 3), torch.uint8, 1, "binary"),
        (np.array([[0.0, 1.0]] * 3), torch.uint8, 1, "binary"),
        (np.array([[0, 255]] * 3, dtype=np.uint16), torch.uint8, 255, "levels"),
        (np.array([[0, 2]] * 3, dtype=">i8"), torch.uint8, 255, "levels"),
        (np.array([[0.5, 1.0]] * 3), torch.float32, None, "unit"),
        (np.array([[0.5, 1.0]] * 3, dtype=">f4"), torch.float32, None, "unit"),
        (np.array([[0.5, -1.0]] * 3, dtype=np.float16), torch.float32, None, "real"),
        (torch.tensor([[0.5, 7.0]] * 3, dtype=torch.bfloat16), torch.float32, None, "real"),
    ],
)
def test_storage_follows_from_the_values(values: Any, dtype: torch.dtype, max_level: int | None, support: str) -> None:
    data = make_dataset("toy", values, validation=1, test=1)
    assert (data.train.x.dtype, data.max_level, data.support) == (dtype, max_level, support)
    assert torch.equal(data.held_out("test")[0], data.held_out("train")[0]) or support == "binary"


def test_a_data_set_does_not_see_later_changes_of_its_source() -> None:
    x, test = np.zeros((10, 2), dtype=np.uint8), np.zeros((3, 2), dtype=np.uint8)
    data = make_dataset("toy", x, test=(test, None), max_level=255)
    x += 1
    test += 1
    assert not any(split.x.any() for split in data)


def test_hashes_see_one_bit_and_one_label() -> None:
    split = Split(grey(4), torch.zeros(4, dtype=torch.int64))
    other_x, other_y = split.x.clone(), torch.tensor([0, 0, 0, 1])
    other_x[0] ^= 1
    assert len({split.hash(), Split(other_x, split.y).hash(), Split(split.x, other_y).hash()}) == 3


def test_moving_keeps_everything_else() -> None:
    data = toy().to("cpu")
    assert data.hashes() == toy().hashes()
    assert data.classes == toy().classes
    assert toy().to("meta").train.x.is_meta


def test_summary_names_what_a_reader_asks() -> None:
    text = toy(classes=("a", "b", "c", "d")).summary()
    for part in ("20 train, 10 validation, 10 test", "(1, 3, 2)", "a 10", "dynamic", *toy().hashes().values()):
        assert part in text
    many = make_dataset("many", grey(), torch.arange(40), validation=1, test=1)
    assert "classes       40\n" in many.summary()
    assert "real, stored as float32" in make_dataset("r", torch.randn(9, 2, generator=stream(0, "r"))).summary()


# --------------------------------------------------------------------------------------------- named mistakes


def spoiled(value: float, *index: int) -> Tensor:
    x = torch.full((40, 6), 0.5)
    x[index] = value
    return x


MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "empty": (lambda: make_dataset("X", torch.zeros(0, 3)), "data set is empty"),
    "no pixels": (lambda: make_dataset("X", torch.zeros(5, 0)), "data set is empty"),
    "no event": (lambda: make_dataset("X", torch.zeros(5)), "shape (5,) has no event"),
    "text": (lambda: make_dataset("X", np.array([["a"]])), "pixels are <U1, not numbers"),
    "labels short": (lambda: make_dataset("X", grey(), torch.arange(33)), "40 images but 33 labels"),
    "labels 2-d": (lambda: make_dataset("X", grey(), torch.zeros(40, 1)), "40 images but labels of shape (40, 1)"),
    "labels float": (lambda: make_dataset("X", grey(), torch.zeros(40)), "labels are float32, not integers 0..C-1"),
    "labels from 1": (lambda: make_dataset("X", grey(), torch.arange(40) % 3 + 1), "labels reach 3 but none is 0"),
    "label below 0": (lambda: make_dataset("X", grey(), torch.arange(40) - 1), "sample 0 has label -1"),
    "label unnamed": (lambda: toy(classes=("a", "b")), "sample 2 has label 2, not one of 0..1"),
    "labels once": (
        lambda: make_dataset("X", grey(), torch.zeros(40).long(), test=(grey(), None)),
        "only one of training and test rows has labels",
    ),
    "nan": (lambda: make_dataset("X", spoiled(torch.nan, 17, 2)), "data set X: sample 17 has 1 non-finite pixel"),
    "inf": (lambda: make_dataset("X", spoiled(torch.inf, 17)), "data set X: sample 17 has 6 non-finite pixels"),
    "too large": (lambda: make_dataset("X", np.full((4, 1), 1e300)), "sample 0 has 1 non-finite pixel"),
    "nan in test": (
        lambda: make_dataset("X", grey(shape=(6,)) / 255, test=(spoiled(torch.nan, 3, 0), None)),
        "data set X (test): sample 3",
    ),
    "byte as float": (
        lambda: make_dataset("X", spoiled(255.0, 3, 1), binarize="dynamic"),
        "data set X: sample 3 has pixel 255.0, outside [0, 1]",
    ),
    "real": (lambda: make_dataset("X", spoiled(-1.5, 3, 1), binarize="static"), "sample 3 has pixel -1.5, outside"),
    "counts": (lambda: make_dataset("X", torch.tensor([[-3, 900]])), "integer pixels run from -3 to 900"),
    "above white": (lambda: make_dataset("X", torch.arange(20)[:, None], max_level=16), "sample 17 has level 17"),
    "white 0": (lambda: make_dataset("X", grey(), max_level=0), "max_level is 0, not in 1..255"),
    "white of floats": (lambda: make_dataset("X", spoiled(1, 1), max_level=16), "max_level needs integer pixels"),
    "no white": (
        lambda: Dataset("X", Split(grey()), Split(grey()), Split(grey()), "levels"),
        "bytes without max_level",
    ),
    "few rows": (lambda: make_dataset("X", grey(2)), "2 rows are too few for 1 validation and 1 test rows"),
    "few with test": (lambda: make_dataset("X", grey(), test=(grey(), None), validation=40), "for 40 validation rows"),
    "size": (lambda: make_dataset("X", grey(), validation=1.5), "validation = 1.5 is neither a fraction nor"),
    "size nan": (lambda: make_dataset("X", grey(), test=float("inf")), "test = inf is neither a fraction nor"),
    "rule": (lambda: toy("dynamics"), "unknown binarize 'dynamics'"),
    "split": (lambda: toy().held_out("valid"), "unknown split 'valid'"),  # type: ignore[arg-type]
    "other shape": (lambda: make_dataset("X", grey(), test=(grey(shape=(6,)), None)), "test rows (6,) uint8"),
    "other type": (lambda: make_dataset("X", grey(), test=(grey() / 255, None)), "test rows (1, 3, 2) float32"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(mistake: str) -> None:
    action, message = MISTAKES[mistake]
    assert message in refusal(action)


# ------------------------------------------------------------------------------------------------- IDX files


def idx_bytes(values: np.ndarray) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def idx_file(folder: Path, content: bytes, name: str = "train-images-idx3-ubyte") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


IMAGES = (np.arange(10 * 28 * 28) % 251).astype(np.uint8).reshape(10, 28, 28)
GOOD = idx_bytes(IMAGES)
GOOD_GZ = gzip.compress(GOOD, mtime=0)


@pytest.mark.parametrize("content", [GOOD, GOOD_GZ], ids=["plain", "gz"])
def test_idx_is_read_by_content(tmp_path: Path, content: bytes) -> None:
    assert np.array_equal(read_idx(idx_file(tmp_path, content), dims=3).numpy(), IMAGES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD[:3928], "data file train-images-idx3-ubyte is damaged (3928 of 7856 bytes)"),
        (GOOD + b"0", "is damaged (more than 7856 bytes)"),
        (GOOD_GZ[:-40], "is damaged (gzip: Compressed file ended"),
        (GOOD_GZ[:10] + b"\xff" * 60, "is damaged (gzip: Error"),
        (gzip.compress(GOOD + b"0"), "is damaged (more than 7856 bytes)"),
        (GOOD_GZ[:-8] + bytes(8), "is damaged (gzip: CRC"),
        (GOOD[:9], "is damaged (it ends within its header)"),
        (b"", "is empty"),
        (gzip.compress(b""), "is empty"),
        (b"\n <!DOCTYPE html>", "is a web page, not data"),
        (b"PK\x03\x04" + GOOD, "is not an IDX file of bytes (it starts with 50 4b 03 04)"),
        (b"\0\0\x0d\x03" + GOOD[4:], "is not an IDX file of bytes"),
        (b"\0\0\x08\0", "is not an IDX file of bytes"),
        (b"\0\0", "is not an IDX file of bytes"),
        (idx_bytes(IMAGES[:, 0, 0]), "has 1 dimensions, not 3"),
        (b"\0\0\x08\x03" + b"\xff" * 12, f"more than {MAX_BYTES}"),
    ],
    ids=itertools.count(),
)
def test_damaged_idx_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = idx_file(tmp_path, content)
    text = refusal(lambda: read_idx(path, dims=3))
    assert message in text
    assert "train-images-idx3-ubyte" in text


def test_an_idx_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    for content in (GOOD, GOOD_GZ):
        for length in [*range(40), len(content) // 2, len(content) - 1]:
            refusal(partial(read_idx, idx_file(tmp_path, content[:length])))


def test_missing_idx_files_and_folders_are_named(tmp_path: Path) -> None:
    assert "No such file" in refusal(lambda: read_idx(tmp_path / "none"))
    assert "directory" in refusal(lambda: read_idx(tmp_path)).lower()


# ------------------------------------------------------------------------------------- torchvision's image sets


def write_set(root: Path, folder: str = "MNIST", *, n: int = 60, n_test: int = 12, suffix: str = "") -> Path:
    """Writes a small set in the layout of torchvision."""
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    for name, dims in FILES.items():
        rows = n if name.startswith("train") else n_test
        values = np.arange(rows * 784) % 256 if dims == 3 else np.arange(rows) % 10
        content = idx_bytes(values.astype(np.uint8).reshape((rows, 28, 28)[:dims]))
        (raw / f"{name}{suffix}").write_bytes(gzip.compress(content) if suffix else content)
    return raw


class Mirror:
    """Stands for torchvision's class: writes a set, or fails after the first file."""

    resources = tuple((f"{name}.gz", f"md5-{name}") for name in FILES)

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure, self.calls = failure, 0

    def __call__(self, root: Path, *, download: bool) -> None:
        self.calls += 1
        write_set(Path(root))
        if self.failure:
            (Path(root) / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").unlink()
            raise self.failure


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Mirror:
    stand_in = Mirror()
    monkeypatch.setattr("torchvision.datasets.MNIST", stand_in)
    return stand_in


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("name", TORCHVISION)
def test_image_sets_are_read_from_torchvisions_layout(tmp_path: Path, name: str, suffix: str) -> None:
    write_set(tmp_path, TORCHVISION[name], suffix=suffix)
    data = DATA[name](tmp_path, validation=10)
    assert [len(split) for split in data] == [50, 10, 12]
    assert (data.event_shape, data.support, data.max_level) == ((1, 28, 28), "binary", 255)
    assert len(data.classes) == 10
    assert data.name == name


def test_places_are_searched_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mirror: Mirror) -> None:
    sizes = {"cache/pyrovae": 12, "shared": 13, "given": 14}
    for place, n_test in sizes.items():
        write_set(tmp_path / place, n_test=n_test)
    monkeypatch.setenv("PYROVAE_DATA", str(tmp_path / "shared"))
    assert len(DATA["mnist"](tmp_path / "given", validation=10).test) == 14
    assert len(DATA["mnist"](tmp_path / "elsewhere", validation=10).test) == 13
    monkeypatch.delenv("PYROVAE_DATA")
    assert len(DATA["mnist"](validation=10).test) == 12
    assert mirror.calls == 0


def test_a_missing_set_is_downloaded_once(tmp_path: Path, mirror: Mirror) -> None:
    first, second = (DATA["mnist"](tmp_path / "data", validation=10) for _ in range(2))
    assert first.hashes() == second.hashes()
    assert mirror.calls == 1
    assert sorted(path.name for path in (tmp_path / "data" / "MNIST" / "raw").iterdir()) == sorted(FILES)


def test_downloads_go_to_the_first_place_that_is_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mirror: Mirror
) -> None:
    assert fetch("mnist") == tmp_path / "cache" / "pyrovae" / "MNIST" / "raw"
    monkeypatch.setenv("PYROVAE_DATA", str(tmp_path / "shared"))
    assert fetch("mnist", force=True) == tmp_path / "shared" / "MNIST" / "raw"
    assert fetch("mnist", tmp_path, force=True) == tmp_path / "MNIST" / "raw"


def test_fetch_with_force_repairs_what_the_hint_is_about(tmp_path: Path, mirror: Mirror) -> None:
    raw = write_set(tmp_path)
    damaged = raw / "train-images-idx3-ubyte"
    damaged.write_bytes(damaged.read_bytes()[:1000])
    for action in (lambda: DATA["mnist"](tmp_path), lambda: fetch("mnist", tmp_path)):
        with pytest.raises(PyrovaeError, match=r"damaged \(1000 of 47056 bytes\)") as caught:
            action()
        assert caught.value.hint == "delete it or run: pyrovae data fetch mnist --force"
    fetch("mnist", tmp_path, force=True)
    assert len(DATA["mnist"](tmp_path, validation=10).train) == 50


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (URLError("unreachable"), "no network: mnist could not be downloaded"),
        (RuntimeError("Error downloading train-images-idx3-ubyte.gz"), "no network: mnist could not be downloaded"),
        (TimeoutError("timed out"), "no network: mnist could not be downloaded"),
        (RuntimeError("File not found or corrupted."), "the download of mnist is damaged"),
        (OSError(errno.ENOSPC, "No space left on device"), "no space left for mnist"),
    ],
)
def test_a_failed_download_is_explained_and_leaves_no_file(
    tmp_path: Path, mirror: Mirror, failure: Exception, message: str
) -> None:
    mirror.failure = failure
    assert message in refusal(lambda: DATA["mnist"](tmp_path))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_offline_the_hint_names_files_sums_and_the_folder(tmp_path: Path, mirror: Mirror) -> None:
    mirror.failure = URLError("unreachable")
    with pytest.raises(PyrovaeError) as caught:
        fetch("mnist", tmp_path)
    for part in (str(tmp_path / "MNIST" / "raw"), *map(" (md5 ".join, Mirror.resources), "data.name=digits"):
        assert part in caught.value.hint


def test_torchvision_offers_what_is_asked_of_it() -> None:
    from torchvision import datasets

    for name in TORCHVISION.values():
        source = getattr(datasets, name)
        assert {file for file, _ in source.resources} == {f"{file}.gz" for file in FILES}
        assert "download" in inspect.signature(source).parameters


def test_without_network_torchvisions_own_class_ends_in_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    assert "no network" in refusal(lambda: DATA["fashion-mnist"](tmp_path))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, mirror: Mirror) -> None:
    (tmp_path / "file").touch()
    assert f"cannot write to {tmp_path / 'file'}" in refusal(lambda: fetch("mnist", tmp_path / "file"))


def test_what_is_not_downloaded_is_refused() -> None:
    assert "'digits' is not downloaded" in refusal(lambda: fetch("digits"))


def test_fewer_labels_than_images_on_disk(tmp_path: Path) -> None:
    raw = write_set(tmp_path)
    (raw / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(53, dtype=np.uint8)))
    assert "60 images but 53 labels" in refusal(lambda: DATA["mnist"](tmp_path, validation=10))


def test_the_cache_does_not_need_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/nowhere")
    assert cache_dir() == Path("/nowhere/.cache/pyrovae")
    monkeypatch.setattr(Path, "home", lambda: Path("~nobody-at-all").expanduser())  # raises, as without any home
    assert cache_dir().name == "pyrovae"


REAL = os.environ.get("PYROVAE_DATA")


@pytest.mark.skipif(not REAL, reason="PYROVAE_DATA does not name a folder with the real MNIST")
def test_real_mnist_has_the_known_mean() -> None:
    data = DATA["mnist"](REAL, binarize="none")
    assert [len(split) for split in data] == [50_000, 10_000, 10_000]
    whole = torch.cat([data.train.x, data.validation.x])
    # 0.1307 is the mean everybody standardises MNIST with.
    assert abs(whole.double().mean().item() / 255 - 0.1307) < 5e-5
    assert data.test.y is not None
    assert data.test.y[:5].tolist() == [7, 2, 1, 0, 4]


# ------------------------------------------------------------------------------------------- digits and arrays


def test_digits_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    data = DATA["digits"](binarize="none")
    assert [len(split) for split in data] == [1200, 200, 397]
    assert data.classes == tuple("0123456789")
    total = sum(int(split.x.sum()) for split in data)
    assert total == load_digits().data.sum()
    assert data.support == "levels"
    assert data.held_out("test")[0].max() == 1


def test_arrays_are_read_with_and_without_labels(tmp_path: Path) -> None:
    x, y = grey().numpy(), np.arange(40) % 5
    np.save(tmp_path / "x.npy", x)
    np.savez_compressed(tmp_path / "xy.npz", x=x, y=y)
    plain, labelled = (DATA["array"](tmp_path, path=name) for name in ("x.npy", "xy.npz"))
    assert plain.train.y is None
    assert plain.classes == ()
    assert plain.batch(torch.arange(2))[1] is None
    assert labelled.classes == tuple("01234")
    assert torch.equal(plain.train.x, labelled.train.x)
    assert [len(split) for split in plain] == [32, 4, 4]


def test_a_relative_path_is_found_here_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for place, rows in ((here, 10), (there, 20)):
        place.mkdir()
        np.save(place / "x.npy", grey(rows).numpy())
    monkeypatch.chdir(here)
    assert len(DATA["array"](there, path="x.npy").train) == 8
    monkeypatch.chdir(tmp_path)
    assert len(DATA["array"](there, path="x.npy").train) == 16
    assert f"no data file none.npy or {there}/none.npy" in refusal(lambda: DATA["array"](there, path="none.npy"))


class Bomb:
    """An object whose unpickling leaves a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("PWNED",)


def saved(writer: Callable[..., None], *args: Any, **arrays: Any) -> bytes:
    buffer = io.BytesIO()
    writer(buffer, *args, **arrays)
    return buffer.getvalue()


NPY, NPZ = saved(np.save, np.ones((9, 5))), saved(np.savez_compressed, x=np.ones((9, 5)), y=np.zeros(9))
OBJECTS = np.array([[Bomb()]], dtype=object)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "data file mine.npz is empty"),
        (b"x,y\n1,2\n", "data file mine.npz is not a .npy or .npz file"),
        (NPY[:-8], "data file mine.npz is damaged"),
        (NPY[:20], "data file mine.npz is damaged"),
        (NPY.replace(b"(9, 5)", b"(9, 5"), "data file mine.npz is damaged"),
        (NPY.replace(b"(9, 5), }        ", b"(99999999999, 5), }"), "data file mine.npz is damaged"),
        (NPZ[: len(NPZ) // 2], "data file mine.npz is damaged"),
        (NPZ[:70] + b"\xff" * 9 + NPZ[79:], "data file mine.npz is damaged"),
        (saved(np.savez, images=np.ones((9, 5))), "has no array 'x' (it holds images)"),
        (saved(np.savez), "has no array 'x' (it holds nothing)"),
        (saved(np.save, OBJECTS), "refusing to load mine.npz: it holds Python objects"),
        (saved(np.savez, x=OBJECTS), "refusing to load mine.npz: it holds Python objects"),
        (saved(np.savez, x=np.full((9, 5), np.nan)), "data set mine.npz: sample 0 has 5 non-finite pixels"),
    ],
    ids=itertools.count(),
)
def test_bad_arrays_are_named_and_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.npz").write_bytes(content)
    text = refusal(lambda: DATA["array"](path="mine.npz"))
    assert message in text
    assert "allow_pickle" not in text
    assert not Path("PWNED").exists()


@pytest.mark.parametrize("content", [NPY, NPZ], ids=["npy", "npz"])
def test_an_array_file_cut_anywhere_is_refused(tmp_path: Path, content: bytes) -> None:
    for length in range(0, len(content) - 1, 7):
        (tmp_path / "cut").write_bytes(content[:length])
        refusal(lambda: DATA["array"](path=str(tmp_path / "cut")))


# ------------------------------------------------------------------------------------------------- the table


GREYLESS = ("places", "text", "bag-of-words", "audio")


@pytest.mark.parametrize("name", DATA)
def test_a_row_of_the_table_is_a_configuration(name: str) -> None:
    parameters = list(inspect.signature(DATA[name]).parameters.values())
    assert parameters[0].name == "data_dir"
    assert parameters[0].default is None
    assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in parameters[1:])
    # Texts and sounds have no grey that could become zeros and ones.
    assert ({"seed"} if name in GREYLESS else {"binarize", "seed"}) <= {parameter.name for parameter in parameters[1:]}
    assert set(get_type_hints(DATA[name])) == {parameter.name for parameter in parameters} | {"return"}
    assert (DATA[name].__doc__ or "").splitlines()[0].endswith(".")


def test_importing_is_light() -> None:
    code = "import sys, pyrovae.data; print({'torchvision', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
