"""Laws of the sets that torchvision downloads, on tiny files in its layout: found, upright, refused, fetched whole."""

import gzip
import io
import itertools
import os
import pickle
import socket
import struct
import threading
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from hashlib import md5
from pathlib import Path
from typing import Any, ClassVar
from urllib.error import HTTPError, URLError

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

from pyrovae.data import DATA, download, fetch
from pyrovae.data.cifar10 import read_batch
from pyrovae.data.emnist import CLASSES
from pyrovae.data.images import KUZUSHIJI
from pyrovae.data.torchvision_sets import SOURCES
from pyrovae.errors import PyrovaeError

RNG = np.random.default_rng(0)
COLOUR = ["cifar10", "svhn", "celeba"]
GREY = ["kmnist", "emnist", "omniglot"]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads the data of the machine, reaches the network, or writes outside its own folder."""
    monkeypatch.delenv("PYROVAE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("urllib.request.urlopen", unreachable)


URLOPEN = urllib.request.urlopen


def unreachable(*_: object, **__: object) -> None:
    raise URLError("no route to host")


def refusal(action: Callable[[], object]) -> PyrovaeError:
    with pytest.raises(PyrovaeError) as caught:
        action()
    assert caught.value.hint
    assert "\n" not in f"{caught.value}{caught.value.hint}"
    return caught.value


# ------------------------------------------------------------------------------ tiny sets in torchvision's layout


def random_bytes(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def write_idx(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = values.astype(np.uint8)
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    content = header + values.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_kmnist(root: Path, _: pytest.MonkeyPatch) -> None:
    for half, n in (("train", 60), ("t10k", 12)):
        write_idx(root / f"KMNIST/raw/{half}-images-idx3-ubyte", random_bytes(n, 28, 28))
        write_idx(root / f"KMNIST/raw/{half}-labels-idx1-ubyte", np.arange(n) % 10)


def write_emnist(root: Path, _: pytest.MonkeyPatch, split: str = "balanced", suffix: str = "") -> None:
    first, count = (1, 26) if split == "letters" else (0, len(CLASSES[split]))
    for half, n in (("train", 70), ("test", 65)):
        images = np.zeros((n, 28, 28))
        images[:, :, 0] = 255  # as stored: upright, it is the line at the top
        write_idx(root / f"EMNIST/raw/emnist-{split}-{half}-images-idx3-ubyte{suffix}", images)
        labels = first + np.arange(n) % count
        write_idx(root / f"EMNIST/raw/emnist-{split}-{half}-labels-idx1-ubyte{suffix}", labels)


class Python2Pickler(pickle._Pickler):
    """Writes strings as Python 2 did, which has made CIFAR-10's files."""

    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)

    def save_string(self, text: bytes | str) -> None:
        content = text.encode("latin1") if isinstance(text, str) else text
        self.write(b"T" + struct.pack("<i", len(content)) + content)  # type: ignore[attr-defined]

    dispatch[bytes] = dispatch[str] = save_string


def dump(content: object) -> bytes:
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol=2).dump(content)
    return buffer.getvalue().replace(b"numpy._core", b"numpy.core")


def cifar_batch(n: int) -> dict[str, Any]:
    names = [f"{row}.png" for row in range(n)]
    labels = [row % 10 for row in range(n)]
    return {"batch_label": "a batch", "labels": labels, "data": random_bytes(n, 3072), "filenames": names}


def write_cifar(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name in [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]:
        (folder / name).write_bytes(dump(cifar_batch(12)))
    publish_cifar(folder, monkeypatch)


def publish_cifar(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("train_list", "test_list"):
        listed = [[name, sum_of(folder / name)] for name, _ in getattr(datasets.CIFAR10, part)]
        monkeypatch.setattr(datasets.CIFAR10, part, listed)


def write_svhn(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root.mkdir(parents=True, exist_ok=True)
    published = {}
    for half, n in (("train", 40), ("test", 20)):
        x = random_bytes(32, 32, 3, n)
        savemat(root / f"{half}_32x32.mat", {"X": x, "y": (1 + np.arange(n) % 10)[:, None].astype(np.uint8)})
        url, name, _ = datasets.SVHN.split_list[half]
        published[half] = [url, name, sum_of(root / name)]
    monkeypatch.setattr(datasets.SVHN, "split_list", published)


def image_bytes(pixels: np.ndarray, kind: str, mode: str | None = None) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(buffer, kind)
    return buffer.getvalue()


def write_omniglot(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = root / "omniglot-py"
    folder.mkdir(parents=True)
    alphabets = {"images_background": ("Greek", "Early_Aramaic"), "images_evaluation": ("Tibetan",)}
    for half, names in alphabets.items():
        with zipfile.ZipFile(folder / f"{half}.zip", "w") as archive:
            for alphabet, character, drawing in itertools.product(names, range(3), range(5)):
                paper = np.full((105, 105), 255, dtype=np.uint8)
                paper[:, :30] = 0  # a bar of ink at the left
                name = f"{half}/{alphabet}/character{character:02d}/{drawing:04d}.png"
                archive.writestr(name, image_bytes(paper, "PNG", "1"))
    sums = {half: sum_of(folder / f"{half}.zip") for half in alphabets}
    monkeypatch.setattr(datasets.Omniglot, "zips_md5", sums)


def write_celeba(root: Path, monkeypatch: pytest.MonkeyPatch, *, zipped: bool = False) -> None:
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{row + 1:06d}.jpg" for row in range(30)]
    for name in names:
        pixels = np.zeros((218, 178, 3), dtype=np.uint8)
        pixels[:35] = pixels[183:] = pixels[:, :15] = pixels[:, 163:] = 255  # what is cut off is white
        pixels[35:183, 15:163] = (40, 90, 200)
        (folder / "img_align_celeba" / name).write_bytes(image_bytes(pixels, "JPEG"))
    attributes = ["Bald  Smiling", *(f"{name} -1 {1 if row % 3 else -1}" for row, name in enumerate(names))]
    (folder / "list_attr_celeba.txt").write_text("\n".join([str(len(names)), *attributes]) + "\n")
    parts = [f"{name} {0 if row < 20 else 1 if row < 25 else 2}" for row, name in enumerate(names)]
    (folder / "list_eval_partition.txt").write_text("\n".join(parts) + "\n")
    if zipped:
        pack(folder / "img_align_celeba")
    listed = [("id", sum_of(path), path.name) for path in folder.glob("*.txt")]
    monkeypatch.setattr(datasets.CelebA, "file_list", [("id", "0", "img_align_celeba.zip"), *listed])


def pack(folder: Path) -> None:
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"{folder.name}/{path.name}")
            path.unlink()
    folder.rmdir()


def sum_of(path: Path) -> str:
    return md5(path.read_bytes()).hexdigest()


WRITERS: dict[str, Callable[[Path, pytest.MonkeyPatch], None]] = {
    "kmnist": write_kmnist,
    "emnist": write_emnist,
    "cifar10": write_cifar,
    "svhn": write_svhn,
    "omniglot": write_omniglot,
    "celeba": write_celeba,
}
TORCHVISION = {
    "kmnist": "KMNIST",
    "emnist": "EMNIST",
    "cifar10": "CIFAR10",
    "svhn": "SVHN",
    "omniglot": "Omniglot",
    "celeba": "CelebA",
}
EVERY_SET = pytest.mark.parametrize("name", WRITERS)


# ------------------------------------------------------------------------------------------------- every set


EXPECTED = {
    "kmnist": ([50, 10, 12], (1, 28, 28), 10),
    "emnist": ([60, 10, 65], (1, 28, 28), 47),
    "cifar10": ([50, 10, 12], (3, 32, 32), 10),
    "svhn": ([30, 10, 20], (3, 32, 32), 10),
    "omniglot": ([20, 10, 15], (1, 28, 28), 3),
    "celeba": ([15, 10, 5], (3, 64, 64), 2),
}


@EVERY_SET
def test_a_set_is_read_from_torchvisions_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    WRITERS[name](tmp_path, monkeypatch)
    data = DATA[name](tmp_path, validation=10)
    sizes, event_shape, classes = EXPECTED[name]
    assert [len(split) for split in data] == sizes
    assert (data.event_shape, len(data.classes), data.max_level) == (event_shape, classes, 255)
    assert data.train.x.dtype == torch.uint8
    assert data.support == ("binary" if name in GREY else "levels")
    assert data.binarize == ("dynamic" if name in GREY else "none")
    again, other = (DATA[name](tmp_path, validation=10, seed=seed) for seed in (0, 1))
    assert data.hashes() == again.hashes()
    if name not in ("celeba", "omniglot"):  # whose pictures here are all alike
        assert data.hashes()["train"] != other.hashes()["train"]


@EVERY_SET
def test_fetch_names_the_folder_of_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("PYROVAE_DATA", str(tmp_path / "shared"))
    WRITERS[name](tmp_path / "shared", monkeypatch)
    assert fetch(name, tmp_path / "elsewhere") == tmp_path / "shared" / SOURCES[name].folder


@EVERY_SET
def test_a_truncated_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    WRITERS[name](tmp_path, monkeypatch)
    kinds = {"celeba": ".txt"}
    victim = next(p for p in sorted(tmp_path.rglob("*")) if p.is_file() and p.name.endswith(kinds.get(name, "")))
    victim.write_bytes(victim.read_bytes()[:-1])
    for action in (lambda: DATA[name](tmp_path, validation=10), lambda: fetch(name, tmp_path)):
        error = refusal(action)
        assert f"data file {victim.name} is damaged" in str(error)
        assert error.hint == f"delete it or run: pyrovae data fetch {name} --force"


def test_every_row_that_torchvision_brings_can_be_fetched() -> None:
    assert set(WRITERS) | {"mnist", "fashion-mnist"} == set(SOURCES)
    assert set(SOURCES) < set(DATA)
    error = refusal(lambda: fetch("array-of-mine"))
    assert all(name in error.hint for name in SOURCES)
    assert refusal(lambda: fetch("cifar")).hint == "did you mean 'cifar10'?"


# ---------------------------------------------------------------------------------------------- each for itself


def test_kuzushiji_and_emnist_have_torchvisions_classes() -> None:
    assert tuple(datasets.KMNIST.classes) == KUZUSHIJI
    for split, classes in CLASSES.items():
        assert list(classes) == [name for name in datasets.EMNIST.classes_split_dict[split] if name != "N/A"]


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("split", CLASSES)
def test_emnist_is_put_upright_and_its_labels_count_from_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str, suffix: str
) -> None:
    write_emnist(tmp_path, monkeypatch, split, suffix)
    data = DATA["emnist"](tmp_path, split=split, validation=10, binarize="none")
    for part in data:
        assert (part.x[:, 0, 0] == 255).all()
        assert (part.x[:, 0, 1:] == 0).all()
    assert data.test.y is not None
    assert data.test.y.tolist() == [row % len(CLASSES[split]) for row in range(65)]
    assert data.classes == CLASSES[split]
    assert data.name == f"emnist-{split}"


def test_another_split_of_emnist_is_not_the_one_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_emnist(tmp_path, monkeypatch, "letters")
    error = refusal(lambda: DATA["emnist"](tmp_path, split="digits"))
    assert "no network: emnist could not be downloaded" in str(error)
    assert "emnist-digits-train-images-idx3-ubyte" in error.hint
    assert datasets.EMNIST.md5 in error.hint


def test_cifar_keeps_planes_rows_and_labels(tmp_path: Path) -> None:
    batch = cifar_batch(7)
    (tmp_path / "data_batch_1").write_bytes(dump(batch))
    x, y = read_batch(tmp_path / "data_batch_1")
    assert np.array_equal(x, batch["data"].reshape(7, 3, 32, 32))
    assert y.tolist() == batch["labels"]
    # The oracle: what torchvision does, with a reader that runs what it reads.
    loaded = pickle.loads(dump(batch), encoding="latin1")
    assert np.array_equal(loaded["data"], batch["data"])


class Bomb:
    """An object whose unpickling leaves a folder."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


@pytest.mark.parametrize(
    ("content", "asked"),
    [
        (Bomb(os.mkdir, "PWNED"), "mkdir"),
        ({"data": Bomb(os.system, "mkdir PWNED"), "labels": []}, "system"),
        ([Bomb(eval, "__import__('os').mkdir('PWNED')")], "eval"),
        ({"labels": [Bomb(np.memmap, "PWNED", "u1", "w+", 0, 3)]}, "memmap"),
    ],
    ids=["mkdir", "system", "eval", "memmap"],
)
@pytest.mark.parametrize("protocol", [2, 5])
def test_a_malicious_batch_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object, asked: str, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    write_cifar(tmp_path, monkeypatch)
    batch = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    batch.write_bytes(pickle.dumps(content, protocol=protocol))
    assert "data file data_batch_3 is damaged: its md5" in str(refusal(lambda: DATA["cifar10"](tmp_path)))
    publish_cifar(batch.parent, monkeypatch)  # as if its checksum were the published one
    message = str(refusal(lambda: DATA["cifar10"](tmp_path)))
    assert message.startswith("refusing to load data_batch_3: it asks for ")
    assert message.endswith(f".{asked}")
    assert not Path("PWNED").exists()
    pickle.loads(batch.read_bytes())  # what any other reader would have done
    assert Path("PWNED").exists()


@pytest.mark.parametrize("content", [{}, [], {"data": 3, "labels": []}, {"data": "abc", "labels": [0]}])
def test_a_batch_of_another_form_is_damaged(tmp_path: Path, content: object) -> None:
    (tmp_path / "test_batch").write_bytes(dump(content))
    assert "data file test_batch is damaged" in str(refusal(lambda: read_batch(tmp_path / "test_batch")))


def test_a_batch_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = dump(cifar_batch(2))
    for length in [*range(0, 300, 7), len(whole) // 2, len(whole) - 1]:
        (tmp_path / "test_batch").write_bytes(whole[:length])
        refusal(lambda: read_batch(tmp_path / "test_batch"))


def test_arrays_of_other_types_are_refused(tmp_path: Path) -> None:
    for values in (np.zeros((2, 3072)), np.array([["x"]], dtype=object), np.zeros((2, 7), dtype=np.uint8)):
        (tmp_path / "test_batch").write_bytes(dump({"data": values, "labels": [0, 1]}))
        assert "is damaged" in str(refusal(lambda: read_batch(tmp_path / "test_batch")))


def test_svhn_is_torchvisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_svhn(tmp_path, monkeypatch)
    data, theirs = DATA["svhn"](tmp_path, validation=10), datasets.SVHN(tmp_path, split="test")
    assert np.array_equal(data.test.x.numpy(), theirs.data)
    assert data.test.y is not None
    assert np.array_equal(data.test.y.numpy(), theirs.labels)
    assert data.test.y[9] == 0, "the digit 0 is published as class 10"


def test_omniglot_is_inverted_and_labelled_by_alphabet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_omniglot(tmp_path, monkeypatch)
    data = DATA["omniglot"](tmp_path, validation=10, size=35, binarize="none")
    assert data.classes == ("Early Aramaic", "Greek", "Tibetan")
    assert (data.test.x[:, 0, :, :9] == 255).all(), "ink is white"
    assert (data.test.x[:, 0, :, 11:] == 0).all()
    labels = [set(split.y.tolist()) for split in data if split.y is not None]
    assert labels == [{0, 1}, {0, 1}, {2}], "published: no alphabet is in both"


def test_omniglot_shuffled_tests_known_alphabets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_omniglot(tmp_path, monkeypatch)
    data = DATA["omniglot"](tmp_path, split="shuffled", validation=10)
    assert [len(split) for split in data] == [24, 10, 11]
    assert data.train.y is not None
    assert set(data.train.y.tolist()) == {0, 1, 2}


@pytest.mark.parametrize("layout", ["folder", "zip"])
def test_celeba_is_cropped_by_its_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
    write_celeba(tmp_path, monkeypatch, zipped=layout == "zip")
    data = DATA["celeba"](tmp_path, validation=10, size=32)
    assert data.event_shape == (3, 32, 32)
    away = (data.train.x.float() - torch.tensor([40.0, 90.0, 200.0])[:, None, None]).abs()
    assert away[..., 2:-2, 2:-2].max() <= 4, "JPEG is not exact"
    # A pixel is 148 / 32 = 4.6 pixels wide: a crop that is two pixels off would let the white frame in.
    assert away.max() < 25


def test_celeba_has_the_published_test_images_and_the_chosen_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_celeba(tmp_path, monkeypatch)
    data = DATA["celeba"](tmp_path, validation=10, size=8)
    assert data.classes == ("not Smiling", "Smiling")
    assert data.test.y is not None
    assert data.test.y.tolist() == [1 if row % 3 else 0 for row in range(25, 30)]
    assert DATA["celeba"](tmp_path, validation=10, size=8, attribute="Bald").test.y.tolist() == [0] * 5  # type: ignore[union-attr]
    assert refusal(lambda: DATA["celeba"](tmp_path, attribute="Smilling")).hint == "did you mean 'Smiling'?"


def test_a_damaged_photograph_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_celeba(tmp_path, monkeypatch)
    photograph = tmp_path / "celeba/img_align_celeba/000004.jpg"
    whole = photograph.read_bytes()
    large = image_bytes(np.zeros((50, 60, 3), dtype=np.uint8), "JPEG")
    for content in (whole[:300], b"", image_bytes(np.zeros((218, 178), dtype=np.uint8), "PNG"), large):
        photograph.write_bytes(content)
        error = refusal(lambda: DATA["celeba"](tmp_path, validation=10, size=8))
        assert "data file 000004.jpg is damaged" in str(error)
    photograph.unlink()
    assert "000004.jpg" in str(refusal(lambda: DATA["celeba"](tmp_path, validation=10, size=8)))


# ------------------------------------------------------------------------------------------------- downloading


def files_in(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "celeba"])
def test_without_network_torchvisions_own_class_ends_in_one_error(tmp_path: Path, name: str) -> None:
    before = socket.getdefaulttimeout()
    error = refusal(lambda: DATA[name](tmp_path))
    assert str(error) == f"no network: {name} could not be downloaded"
    assert str(tmp_path / SOURCES[name].folder) in error.hint
    assert "md5" in error.hint
    assert all(file in error.hint for file in SOURCES[name].files)
    assert not files_in(tmp_path)
    assert socket.getdefaulttimeout() is before


def test_celeba_says_which_package_downloads_it(tmp_path: Path) -> None:
    try:
        import gdown  # noqa: F401
    except ImportError:
        error = refusal(lambda: DATA["celeba"](tmp_path))
        assert str(error) == "no package gdown: celeba could not be downloaded"
        assert error.hint.startswith(
            f"pip install gdown, or put into {tmp_path / 'celeba'}: img_align_celeba.zip (md5 "
        )
        assert "list_attr_celeba.txt" in error.hint
        assert not files_in(tmp_path)


@pytest.fixture
def real_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", URLOPEN)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "TIMEOUT", 0.2)


@contextmanager
def host(answer: bytes = b"") -> Iterator[str]:
    """A host that takes calls, says what it has to say at once, and never another word."""
    with ExitStack() as calls, socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                try:
                    call = calls.enter_context(server.accept()[0])
                except OSError:  # the server is closed
                    return
                call.sendall(answer)

        listener = threading.Thread(target=listen)
        listener.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        listener.join()


HALF_A_FILE = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 100


@pytest.mark.usefixtures("real_network")
@pytest.mark.parametrize("answer", [b"", HALF_A_FILE], ids=["silent", "half a file"])
def test_a_host_that_stops_answering_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    with host(answer) as url:
        monkeypatch.setattr(datasets.CIFAR10, "url", f"{url}/cifar-10-python.tar.gz")
        start = time.perf_counter()
        assert str(refusal(lambda: fetch("cifar10", tmp_path))) == "no network: cifar10 could not be downloaded"
    assert download.TIMEOUT <= time.perf_counter() - start < 20
    assert socket.getdefaulttimeout() is None
    assert not files_in(tmp_path)


@pytest.mark.usefixtures("real_network")
@pytest.mark.parametrize("url", ["https://nowhere.invalid/", "http://127.0.0.1:1/"], ids=["no host", "closed"])
def test_a_host_that_is_not_there_is_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(datasets.EMNIST, "url", f"{url}gzip.zip")
    assert str(refusal(lambda: DATA["emnist"](tmp_path))) == "no network: emnist could not be downloaded"
    assert not files_in(tmp_path)


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (HTTPError("http://host/a.zip", 403, "Forbidden", None, None), "(HTTP Error 403: Forbidden)"),  # type: ignore[arg-type]
        (type("FileURLRetrievalError", (Exception,), {})("Too many users\n\n\thave viewed it"), "(Too many users have"),
    ],
)
def test_a_host_that_refuses_is_quoted_on_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception, message: str
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(datasets.CelebA, "download", refused)
    assert f"celeba could not be downloaded {message}" in str(refusal(lambda: fetch("celeba", tmp_path)))


@EVERY_SET
def test_a_download_moves_into_place_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def mirror(root: Path, **options: Any) -> None:
        assert socket.getdefaulttimeout() == download.TIMEOUT
        if options.get("split") != "test" and options.get("background") is not False:
            WRITERS[name](Path(root), monkeypatch)

    class Mirror(getattr(datasets, TORCHVISION[name])):  # type: ignore[misc]
        def __init__(self, root: Path, **options: Any) -> None:
            mirror(root, **options)

    monkeypatch.setattr(datasets, TORCHVISION[name], Mirror)
    folder = fetch(name, tmp_path / "data")
    assert folder == tmp_path / "data" / SOURCES[name].folder
    first = DATA[name](tmp_path / "data", validation=10).hashes()
    assert not list(folder.glob(".*")), "nothing temporary stays"
    fetch(name, tmp_path / "data", force=True)
    again = DATA[name](tmp_path / "data", validation=10).hashes()
    if name in ("kmnist", "cifar10", "svhn"):  # random bytes, so that replaced files show
        assert first != again


def test_a_download_that_fails_its_check_is_not_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mirror(root: Path, **_: Any) -> None:
        write_kmnist(Path(root), monkeypatch)
        images = Path(root) / "KMNIST/raw/train-images-idx3-ubyte"
        images.write_bytes(images.read_bytes()[:-5])

    monkeypatch.setattr(datasets, "KMNIST", mirror)
    assert "is damaged" in str(refusal(lambda: fetch("kmnist", tmp_path)))
    assert not files_in(tmp_path)
