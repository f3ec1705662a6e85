"""Data and combinations that cannot work: each is one clear error before training, and nothing is left behind."""

import gzip
import struct
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
from commands import TINY, files, real, refusal, sets

from pyrovae.data.images import FILES

ARRAY = {"data.name": "array", "likelihood.name": "gaussian", "train.batch_size": 16}
LABELS = np.arange(60) % 3


@pytest.fixture(autouse=True)
def nobody_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyrovae.running.fit", lambda *_, **__: pytest.fail("trained"))


def told(options: dict[str, Any], folder: Path) -> str:
    """Returns what `run` and its dry run, which must agree, say of an experiment; neither may leave a file."""
    before = files(folder)
    words = ["run", TINY, "--runs-dir", folder / "runs", "--data-dir", folder, *sets(options)]
    printed = refusal(*words)
    assert refusal(*words, "--dry-run") == printed
    assert files(folder) == before
    return printed


def spoiled(value: float, dtype: str = "float32") -> np.ndarray:
    x = (np.abs(real()) / 100).astype(dtype)
    x[17, 2, 3] = value
    return x


GREY = np.linspace(0, 1, 60 * 64, dtype="float32").reshape(60, 8, 8)


@pytest.mark.parametrize(
    ("arrays", "options", "words"),
    [
        ({"x": real(0)}, {}, "data set is empty: mine.npz has shape (0, 8, 8)"),
        ({"x": real(60, (0,))}, {}, "data set is empty"),
        ({"x": real(1)}, {}, "1 rows are too few for 1 validation and 1 test rows"),
        ({"x": real(18)}, {}, "14 rows < batch size 16"),
        ({"x": real(60)}, {"data.test": 1}, "1 test datum to judge: a standard error needs 2"),
        ({"x": real(60)}, {"data.test": 40, "data.validation": 30}, "60 rows are too few for 30 validation and 40"),
        ({"x": real(60), "y": LABELS[:53]}, {}, "60 images but 53 labels"),
        ({"x": real(60), "y": LABELS[:, None]}, {}, "60 images but labels of shape (60, 1)"),
        ({"x": real(60), "y": LABELS + 1}, {}, "not integers 0..C-1"),
        ({"x": real(60), "y": LABELS - 1}, {}, "has label -1"),
        ({"x": real(60), "y": LABELS / 2}, {}, "labels are float64"),
        ({"x": spoiled(np.nan)}, {}, "data set mine.npz: sample 17 has 1 non-finite pixel"),
        ({"x": spoiled(np.inf)}, {}, "sample 17 has 1 non-finite pixel"),
        ({"x": spoiled(1e300, "float64")}, {}, "sample 17 has 1 non-finite pixel"),
        ({"x": spoiled(300, "int64")}, {}, "integer pixels run from 0 to 300"),
        ({"x": spoiled(-1, "int64")}, {}, "integer pixels run from -1 to"),
        ({"x": spoiled(1.5)}, {"data.binarize": "dynamic"}, "sample 17 has pixel 1.5, outside [0, 1]"),
        ({"x": spoiled(-0.5)}, {"data.binarize": "static"}, 'real-valued data need binarize = "none"'),
        ({"x": real(60)}, {"data.binarize": "threshold"}, "outside [0, 1]"),
        ({"x": np.arange(60.0)}, {}, "shape (60,) has no event"),
        ({"x": np.full((60, 4), "a")}, {}, "pixels are <U1, not numbers"),
        ({"images": real(60)}, {}, "has no array 'x' (it holds images)"),
        ({"x": GREY}, {"likelihood.name": "bernoulli"}, "scores binary data, data set mine.npz holds unit values"),
        ({"x": GREY}, {"likelihood.name": "bernoulli"}, "data.binarize = 'dynamic' makes grey values binary"),
        ({"x": real(60)}, {"likelihood.name": "bernoulli"}, "holds real values"),
    ],
)
def test_arrays_that_cannot_be_trained_on(
    tmp_path: Path, arrays: dict[str, np.ndarray], options: dict[str, Any], words: str
) -> None:
    np.savez(tmp_path / "mine.npz", **arrays)
    assert words in told(ARRAY | {"data.path": "mine.npz"} | options, tmp_path)


VECTORS, PICTURES, LABELLED = {"x": real(60, (6,))}, {"x": real(60)}, {"x": real(60), "y": LABELS}
MIXTURE, VAMP = {"prior.name": "gaussian-mixture"}, {"prior.name": "vamp"}


@pytest.mark.parametrize(
    ("arrays", "options", "words"),
    [
        (VECTORS, {"encoder.name": "conv", "encoder.hidden": 16}, "network 'conv' needs pictures"),
        (VECTORS, {"decoder.name": "conv", "decoder.hidden": 16}, "-> (6,)"),
        (PICTURES, MIXTURE | {"prior.labels": True}, "prior.labels = true, but the data have no labels"),
        (PICTURES, VAMP | {"prior.labels": True, "prior.pseudo_inputs": 6}, "the data have no labels"),
        (PICTURES, {"vae.conditional": True}, "vae.conditional = true, but data set mine.npz has no labels"),
        (LABELLED, MIXTURE | {"prior.labels": True, "prior.components": 7}, "prior.components = 7 with prior.labels"),
        (LABELLED, VAMP | {"prior.labels": True, "prior.pseudo_inputs": 7}, "7 components cannot form 3 pools"),
        (LABELLED, VAMP | {"prior.labels": True, "prior.pseudo_inputs": 48}, "16 pseudo-inputs of class"),
        (PICTURES, VAMP | {"prior.pseudo_inputs": 49}, "49 pseudo-inputs from 48 data"),
        (PICTURES, VAMP, "500 pseudo-inputs from 48 data"),
        (PICTURES, {"train.engine": "svi", "train.clip": 1.0}, "train.clip with train.engine = 'svi'"),
    ],
)
def test_parts_that_do_not_fit(
    tmp_path: Path, arrays: dict[str, np.ndarray], options: dict[str, Any], words: str
) -> None:
    np.savez(tmp_path / "mine.npz", **arrays)
    printed = told(ARRAY | {"data.path": "mine.npz"} | options, tmp_path)
    assert words in printed
    assert "Hint: " in printed


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no data file mine.npy"),
        (b"", "data file mine.npy is empty"),
        (b"x,y\n1,2", "data file mine.npy is not a .npy or .npz file"),
        (b"\x93NUMPY\x01\x00", "data file mine.npy is damaged"),
        (b"PK\x03\x04garbage", "data file mine.npy is damaged"),
    ],
)
def test_files_that_are_no_arrays(tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "mine.npy").write_bytes(content)
    assert words in told(ARRAY | {"data.path": "mine.npy"}, tmp_path)


# ------------------------------------------------------------------------------------------- image sets


def idx(values: np.ndarray) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def write_set(root: Path, replaced: str, content: bytes | None) -> None:
    """Writes a small MNIST with one file replaced, or missing."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, dims in FILES.items():
        (raw / name).write_bytes(idx(np.zeros((30, 28, 28)[:dims], np.uint8)))
    if content is not None:
        (raw / replaced).write_bytes(content)


IMAGES, NAMES = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
GOOD = idx(np.zeros((30, 28, 28), np.uint8))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (IMAGES, GOOD[:3928], "is damaged (3928 of 23536 bytes)"),
        (IMAGES, b"", "is empty"),
        (IMAGES, b"<!DOCTYPE html>", "is a web page, not data"),
        (IMAGES, gzip.compress(GOOD)[:-9], "is damaged (gzip"),
        (IMAGES, b"\x00" * 20, "is not an IDX file"),
        (IMAGES, idx(np.zeros((30, 784), np.uint8)), "has 2 dimensions, not 3"),
        (IMAGES, idx(np.zeros((30, 27, 28), np.uint8)), "training rows are (1, 27, 28)"),
        (NAMES, idx(np.zeros(23, np.uint8)), "30 images but 23 labels"),
        (NAMES, idx(np.full(30, 10, np.uint8)), "has label 10, not one of 0..9"),
    ],
)
def test_damaged_image_files_are_named(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    write_set(tmp_path, name, content)
    printed = told({"data.name": "mnist", "data.validation": 6}, tmp_path)
    assert words in printed
    assert "mnist" in printed or name in printed


def test_more_validation_rows_than_images(tmp_path: Path) -> None:
    write_set(tmp_path, IMAGES, None)
    assert "30 rows are too few for 10000 validation rows" in told({"data.name": "mnist"}, tmp_path)


def test_without_a_network_the_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    monkeypatch.delenv("PYROVAE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("mnist", "fashion-mnist"):
        words = "run", TINY, "--runs-dir", tmp_path / "runs", "--data-dir", tmp_path, "--set", f"data.name={name}"
        printed = refusal(*words)
        assert f"no network: {name} could not be downloaded" in printed
        assert "train-images-idx3-ubyte.gz (md5 " in printed
        assert f"no network: {name}" in refusal("data", "fetch", name, "--data-dir", tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not (tmp_path / "runs").exists()
