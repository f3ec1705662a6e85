"""Laws of `pyrovae data pack`: what is packed reads as its folder, what is printed works, nothing is half-written."""

import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import files, invoke, refusal, succeeds
from PIL import Image

from pyrovae.data import DATA, Dataset
from pyrovae.data.pack import HELD_OUT, Packed, pack, written
from pyrovae.errors import PyrovaeError


def pictures(folder: Path, *, kinds: tuple[str, ...] = ("",), n: int = 12, shape: tuple[int, ...] = (8, 8)) -> Path:
    """Writes random pictures, as many of each kind."""
    drawn = np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8)
    for row, pixels in enumerate(drawn):
        path = folder / kinds[row * len(kinds) // n] / f"{row:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


def every(data: Dataset) -> Any:
    """Returns all images of a data set with their labels, whatever the split."""
    splits = [split.whole() for split in data]
    return sorted(
        (x.flatten().tolist(), None if s.y is None else int(s.y[i])) for s in splits for i, x in enumerate(s.x)
    )


FORMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "grey": ({}, {}),
    "colour": ({"shape": (6, 8, 3)}, {}),
    "made grey": ({"shape": (6, 8, 3)}, {"channels": "grey"}),
    "made colour": ({}, {"channels": "colour"}),
    "resized": ({"shape": (9, 12)}, {"size": (4, 5)}),
    "classes": ({"kinds": ("10", "9", "a b")}, {}),
}


@pytest.mark.parametrize("case", FORMS)
def test_what_is_packed_reads_as_its_folder(tmp_path: Path, case: str) -> None:
    made, options = FORMS[case]
    folder = pictures(tmp_path / "p", **made)
    packed = pack(folder, tmp_path / "x.npy", **options)
    expected = DATA["folder"](path=str(folder), **options)
    labels = {"labels": "x.labels.npy", "classes": packed.classes} if packed.classes else {}
    for mapped in (False, True):
        data = DATA["array"](tmp_path, path="x.npy", max_level=255, memory_map=mapped, **labels)
        assert every(data) == every(expected)
        facts = [(d.event_shape, d.support, d.levels, d.classes) for d in (data, expected)]
        assert facts[0] == facts[1]
    if not labels:
        assert not (tmp_path / "x.labels.npy").exists()
    same = DATA["array"](tmp_path, path="x.npy", max_level=255, **labels)
    assert same.hashes() == expected.hashes(), "rows come in the same order"


def test_many_classes_need_larger_numbers(tmp_path: Path) -> None:
    kinds = tuple(f"{kind:03}" for kind in range(257))
    pack(pictures(tmp_path / "p", kinds=kinds, n=257, shape=(1, 1)), tmp_path / "x.npy")
    assert np.array_equal(np.load(tmp_path / "x.labels.npy"), np.arange(257))
    shutil.rmtree(tmp_path / "p" / "256")
    pack(tmp_path / "p", tmp_path / "x.npy", force=True)
    assert np.load(tmp_path / "x.labels.npy").dtype == np.uint8


# ----------------------------------------------------------------------------------------------- the command line


def test_the_options_that_are_printed_read_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "p", kinds=("cat", 'the "dog"'), n=60)
    (tmp_path / "out").mkdir()
    printed = succeeds("data", "pack", "p", "out/my x.npy", "--size", 8, 8)
    assert re.search(r"^out/my x.npy +60 x 1 x 8 x 8, uint8, 3,840 bytes$", printed, re.MULTILINE)
    assert re.search(r'^out/my x.labels.npy +2 classes: cat, the "dog"$', printed, re.MULTILINE)
    program, *words = shlex.split(printed.splitlines()[-1].removeprefix("train on it with: "))
    assert program == "pyrovae"
    info = [word.removeprefix("data.") for word in words if word.startswith("data.") and "data.name" not in word]
    described = succeeds("data", "info", "out/my x.npy", *(part for word in info for part in ("--set", word)))
    assert '2: cat 30, the "dog" 30' in described
    assert "levels, stored as uint8 0..255 in a memory-mapped file" in described
    small = {"train.epochs": 1, "train.batch_size": 16, "evaluation.particles": 25, "evaluation.data": 4}
    succeeds(*words, "--dry-run", *(part for key, value in small.items() for part in ("--set", f"{key}={value}")))


def test_of_many_rows_a_number_is_held_out(tmp_path: Path) -> None:
    few, many = (Packed(tmp_path / "x.npy", (rows, 1, 8, 8)) for rows in (10 * HELD_OUT, 10 * HELD_OUT + 1))
    assert "data.test" not in few.options()
    assert many.options()["data.test"] == many.options()["data.validation"] == "10000"


def test_a_file_that_is_there_is_kept_unless_forced(tmp_path: Path) -> None:
    folder, out = pictures(tmp_path / "p", kinds=("a", "b")), tmp_path / "x.npy"
    succeeds("data", "pack", folder, out)
    before = out.read_bytes()
    assert f"{out} exists" in refusal("data", "pack", folder, out, "--size", 4, 4, code=2)
    assert out.read_bytes() == before
    succeeds("data", "pack", folder, out, "--size", 4, 4, "--channels", "colour", "--force")
    assert np.load(out).shape == (12, 3, 4, 4)
    succeeds("data", "pack", folder / "a", out, "--force")
    assert np.load(out).shape == (6, 1, 8, 8)
    assert files(tmp_path) == [*files_of_two_kinds(), "x.npy"], "no labels of a file that is gone"


def files_of_two_kinds() -> list[str]:
    return [
        "p",
        "p/a",
        *(f"p/a/{row:03}.png" for row in range(6)),
        "p/b",
        *(f"p/b/{row:03}.png" for row in range(6, 12)),
    ]


def test_labels_that_are_there_are_kept_too(tmp_path: Path) -> None:
    np.save(tmp_path / "x.labels.npy", np.arange(3))
    folder = pictures(tmp_path / "p")
    assert "x.labels.npy exists" in refusal("data", "pack", folder, tmp_path / "x.npy", code=2)
    assert np.load(tmp_path / "x.labels.npy").tolist() == [0, 1, 2]


WRONG: dict[str, tuple[Callable[[Path], object], list[object], str, int]] = {
    "no folder": (lambda p: shutil.rmtree(p), ["x.npy"], "no folder", 1),
    "no images": (lambda p: [path.unlink() for path in p.glob("*.png")], ["x.npy"], "holds no images", 1),
    "broken": (lambda p: (p / "zz.png").write_bytes(b"no"), ["x.npy"], "image zz.png cannot be read", 1),
    "cut": (lambda p: (p / "005.png").write_bytes((p / "005.png").read_bytes()[:-30]), ["x.npy"], "005.png cannot", 1),
    "other size": (lambda p: Image.new("L", (9, 3)).save(p / "zz.png"), ["x.npy"], "to pack them, --size 3 8", 1),
    "no suffix": (lambda p: None, ["x.bin"], "x.npy", 2),
    "no place": (lambda p: None, ["there/x.npy"], "there to write x.npy into", 1),
    "a size of one": (lambda p: None, ["x.npy", "--size", 0, 3], "--size", 2),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_packed_is_named_and_leaves_nothing(tmp_path: Path, case: str) -> None:
    spoil, (out, *options), message, code = WRONG[case]
    spoil(pictures(tmp_path / "p"))
    before = files(tmp_path)
    if case == "a size of one":  # click's own words
        assert message in invoke("data", "pack", tmp_path / "p", tmp_path / str(out), *options).stderr
    else:
        assert message in refusal("data", "pack", tmp_path / "p", tmp_path / str(out), *options, code=code)
    assert files(tmp_path) == before


def test_the_hint_about_size_works(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "p")
    Image.new("L", (9, 3)).save(folder / "zz.png")
    told = refusal("data", "pack", folder, tmp_path / "x.npy")
    succeeds("data", "pack", folder, tmp_path / "x.npy", *re.findall(r"--size \d+ \d+", told)[0].split())
    assert np.load(tmp_path / "x.npy").shape == (13, 1, 3, 8)


# ------------------------------------------------------------------------------------------ nothing is half-written


def test_a_disk_too_small_is_seen_before_the_first_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pictures(tmp_path / "p")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    assert "0.0 MB are free" in refusal("data", "pack", folder, tmp_path / "x.npy")
    assert not list(tmp_path.glob("*x*"))


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))
from pyrovae.cli import main
main(sys.argv[1:])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sets a limit of the system")
def test_a_write_that_fails_leaves_the_old_files(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "p", kinds=("a", "b"))
    pack(folder, tmp_path / "x.npy", size=(2, 2))
    before, content = files(tmp_path), (tmp_path / "x.npy").read_bytes()
    command = [sys.executable, "-c", LIMITED, "data", "pack", folder, tmp_path / "x.npy", "--force"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"Error: cannot write {tmp_path / 'x.npy'}: File too large" in done.stderr
    assert files(tmp_path) == before
    assert (tmp_path / "x.npy").read_bytes() == content
    assert np.load(tmp_path / "x.labels.npy").tolist() == [0] * 6 + [1] * 6


SLOW = """
import importlib, sys, time
folder = importlib.import_module("pyrovae.data.folder")
def slowly(*args, read=folder._read):
    print("reading", flush=True)
    time.sleep(0.3)
    return read(*args)
folder._read = slowly
from pyrovae.cli import main
main(sys.argv[1:])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "p", kinds=("a", "b"))
    before = files(tmp_path)
    command = [sys.executable, "-c", SLOW, "data", "pack", folder, tmp_path / "x.npy"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert [running.stdout.readline() for _ in range(3)] == ["reading\n"] * 3
        assert len(files(tmp_path)) == len(before) + 2, "x and its labels, under other names"
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=30)
    assert running.returncode not in (0, None)
    assert "Traceback" not in told
    assert files(tmp_path) == before


def test_a_file_takes_its_name_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with written(path) as opened:
        opened.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    with pytest.raises(TypeError), written(path) as opened:
        opened.writelines([b"half", None])  # type: ignore[list-item]
    assert files(tmp_path) == ["x"]
    assert path.read_bytes() == b"whole"
    with pytest.raises(PyrovaeError, match="cannot write"), written(tmp_path / "none" / "x"):
        pass
