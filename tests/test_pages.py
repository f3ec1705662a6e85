"""The commands of README and documentation, run by a real shell, block by block and in the order of their page.

`pyrovae` is a function of the shell there, which has the command called in this process, where trainings are one epoch
and evaluations small; loops, variables and pipes are the shell's own. `make` says what it would do: `.ci/run`
calls every target; what installs, or opens an editor, is left out. Cells of the pages under docs/ are executed by the
build. What these tests found when they were new: options that a table's file lacked or a prior refused, a section of an
evaluation that could not be computed twice, a replay of what had nothing to replay.
"""

import os
import re
import runpy
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from commands import SMALL, sets
from PIL import Image
from scipy.io import wavfile

from pyrovae import DATA
from pyrovae.cli import main, places
from pyrovae.data import Dataset, make_dataset
from pyrovae.data.binarize import Binarize
from pyrovae.ranges import Natural

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(bash|toml)\n(.*?)^```", re.DOTALL | re.MULTILINE)
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if BLOCK.search(page.read_text(encoding="utf-8")) and page.name != "new_part.md"  # test_new_part has its rows
]
SHELL = """
set -euo pipefail
call() { printf '%s\\0' "$@" > calls; read -r code < codes; cat printed; return "$code"; }
pyrovae() { call pyrovae "$@"; }
python() { call "$@"; }
source() { :; }
pip() { :; }
mystnb-to-jupyter() { test -f "$1"; }
jupyter() { :; }
make() { command make --dry-run -C "$ROOT" "$@"; }
trap 'printf end > calls' EXIT
"""
EPOCH = sets({"train.epochs": 1, "train.batch_size": 20})
SMALLER = [*EPOCH, *sets({"evaluation.particles": 30, "evaluation.data": 20})]
SECTIONS = sets({f"{section}.{key}": value for section, some in SMALL.items() for key, value in some.items()})
MORE = {
    "run": SMALLER,
    "launch": SMALLER,
    "refit-prior": EPOCH,
    "resume": sets({"train.epochs": 2}),
    "evaluate": [*SECTIONS, "--particles", "30", "--data", "20"],
}


def enlarged(name: str) -> Any:
    """Returns a data set of scikit-learn's digits, made as large as MNIST's, in the place of a larger one."""

    def load(data_dir: Path | None = None, *, binarize: Binarize = "dynamic", seed: Natural = 0) -> Dataset:
        grey = DATA["digits"](binarize="none").train
        x = np.kron(np.asarray(grey.x[:700]), np.ones((1, 1, 3, 3), np.uint8))
        classes = tuple("0123456789")
        padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))
        return make_dataset(name, padded, grey.y[:700], classes=classes, max_level=16, binarize=binarize, seed=seed)

    return load


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Makes a working directory with the files that the pages say a user has."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pyrovae.gallery.draw", lambda *_: None)
    for name in ("mnist", "fashion-mnist"):
        monkeypatch.setitem(DATA, name, enlarged(name))
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
    for sweep in (tmp_path / "experiments" / "sweeps").iterdir():
        sweep.write_text(re.sub(r"epochs = \d+", "epochs = 1", sweep.read_text()))
    random = np.random.default_rng(0)
    rows = [f"{a:.3f},{b:.3f},{'ab'[int(a > 0)]}" for a, b in random.normal(size=(60, 2))]
    (tmp_path / "mine.csv").write_text("\n".join(["height,weight,kind", *rows]))
    for kind in ("cats", "dogs"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for index in range(15):
            Image.fromarray(random.integers(256, size=(20, 30), dtype=np.uint8)).save(f"photos/{kind}/{index}.png")
    np.savez("genes.npz", x=random.poisson(3, size=(60, 7)))
    np.save("mine.npy", random.integers(2, size=(5, 1, 8, 8)).astype("uint8"))
    (tmp_path / "voices").mkdir()
    for word in "78":
        for index in range(20):
            wavfile.write(f"voices/{word}_anna_{index}.wav", 16000, random.normal(0, 999, 9000).astype("int16"))
    os.mkfifo("calls")
    os.mkfifo("codes")
    return tmp_path


def trained_before(words: list[str]) -> Iterator[str]:
    """Yields the runs a command speaks of that a page takes for granted: those of the name of an experiment."""
    if words[0] not in ("run", "init", "list", "launch"):
        for word in words[1:]:
            name = word.removeprefix("runs/")
            if name in places.experiments() and not (Path("runs") / name).exists():
                yield name


def call(program: str, arguments: list[str]) -> Result:
    """Calls a command, smaller than a page has it."""
    if program != "pyrovae":
        return CliRunner().invoke(runpy.run_path(program, run_name="called")["main"], arguments)
    gan = arguments[:2] == ["run", "digits-gan"]  # is not evaluated at the end
    return CliRunner().invoke(main, arguments + (EPOCH if gan else MORE.get(arguments[0], [])))


def answer() -> Iterator[str]:
    """Calls what the shell asks for and hands it output and exit code, until it ends; yields what went wrong."""
    while (words := Path("calls").read_text()) != "end":
        program, *arguments = words.split("\0")[:-1]
        for run in trained_before(arguments):
            call("pyrovae", ["run", run])
        result = call(program, arguments)
        if result.exit_code:
            yield f"{shlex.join(arguments)}: {result.output} {result.exception!r}"
        Path("printed").write_text(result.stdout)
        Path("codes").write_text(f"{result.exit_code}\n")


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_of_a_page_run(page: Path, folder: Path) -> None:
    for language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "toml":
            (folder / "block.toml").write_text(text)
            text = "pyrovae run block.toml"
        environment = os.environ | {"ROOT": str(ROOT)}
        with subprocess.Popen(["bash", "-c", SHELL + text], env=environment, stdout=subprocess.DEVNULL) as shell:
            failures = list(answer())
        assert shell.returncode == 0, "\n".join([text, *failures])
