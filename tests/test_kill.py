"""kill -9, again and again: what is resumed ends in the same bytes as what nobody has stopped."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from outcomes import left_over, outcome, same

from pyrovae import Checkpoints

pytestmark = pytest.mark.slow

# Each trains for a minute or more on one core, and keeps states in mid-epoch (an epoch has 19 steps).
EXPERIMENTS = {
    "mixture": """
[vae]
latent_dim = 4
[prior]
name = "gaussian-mixture"
[encoder]
hidden = [256, 256]
[decoder]
hidden = [256, 256]
[objective]
particles = 40
beta = { schedule = "linear", steps = 100 }
[train]
epochs = 84
batch_size = 64
learning_rate = { schedule = "cosine", value = 2e-3 }
ema = 0.99
checkpoint_every = 7
[evaluation]
particles = 100
data = 50
""",
    "vamp": """
[vae]
latent_dim = 4
[prior]
name = "vamp"
pseudo_inputs = 50
[objective]
name = "iwae"
particles = 16
[encoder]
name = "conv"
channels = [8, 16]
hidden = 64
[decoder]
name = "conv"
channels = [8, 16]
hidden = 64
[train]
epochs = 500
patience = 8
batch_size = 64
learning_rate = 5e-3
checkpoint_every = 7
[evaluation]
particles = 100
data = 50
""",
}

# The command line, which kills itself on its way to the COUNT-th call of something, named by WHERE.
PROGRAM = """
import os, signal, sys
from pathlib import Path
import pyrovae.gallery
from pyrovae import checkpoints
from pyrovae.cli import main

where, left = sys.argv.pop(1), int(sys.argv.pop(1))
pyrovae.gallery.draw = lambda *_: None  # pictures take longer than all else here

def deadly(place, call, concerns=lambda *_: True):
    def instead(*args):
        global left
        if where == place and concerns(*args):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return call(*args)
    return instead

def syncs_a_state(descriptor):
    return Path(os.readlink(f"/proc/self/fd/{descriptor}")).name.startswith(".step-")

os.fsync = deadly("written, not synced", os.fsync, syncs_a_state)
Path.replace = deadly("synced, not renamed", Path.replace, lambda _, to: to.name.startswith("step-"))
Path.replace = deadly("best, not renamed", Path.replace, lambda _, to: to.name == "checkpoint.pt")
checkpoints.Checkpoints.keep_best = deadly("state, no best", checkpoints.Checkpoints.keep_best)
checkpoints.remove = deadly("three states", checkpoints.remove)
main()
"""
ANY = "any moment"
LEAVING = ("written, not synced", "synced, not renamed", "best, not renamed")  # a temporary file
# Ten random moments, and every place inside the two writes of an epoch.
DEATHS = [ANY, ANY, "written, not synced", ANY, ANY, "state, no best", ANY, ANY, "synced, not renamed", ANY, ANY]
DEATHS += ["best, not renamed", ANY, "three states", ANY]
FAR = 110  # steps that a process takes at most before a random moment is near
LATER = 0.6  # seconds


@dataclass
class Killed:
    """What was seen of a run that was killed.

    Attributes:
        whole, pieces: The same run undisturbed, and killed.
        deaths: The newest state at each death, and the temporary files that it left.
        text: What the last process printed.
    """

    whole: Path
    pieces: Path
    deaths: list[tuple[str, str, list[str]]] = field(default_factory=list)
    text: str = ""


@contextmanager
def program(log: Path, *args: object, where: str = ANY, count: int = 1) -> Iterator["subprocess.Popen[bytes]"]:
    """Starts the command line in a process of its own, which does not outlive the block."""
    command = [sys.executable, "-c", PROGRAM, where, str(count), *map(str, args)]
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT) as process:
        try:
            yield process
        finally:
            process.kill()


def newest(run: Path) -> int:
    """Returns the step of a run's newest state."""
    names = Checkpoints(run).names()
    return int(names[-1][5:-3]) if names else 0


def wait(process: "subprocess.Popen[bytes]", run: Path, step: int) -> None:
    """Waits until a run has a state of this step or a later one, or its process has ended."""
    while process.poll() is None and newest(run) < step:
        time.sleep(0.02)


def whole(folder: Path, experiment: Path) -> Path:
    log = folder / "whole.txt"
    with program(log, "run", experiment, "--runs-dir", folder, "--name", "whole", "--threads", 1) as process:
        assert process.wait() == 0, log.read_text()
    return folder / "whole"


def killed(folder: Path, name: str) -> Killed:
    """Trains once undisturbed and once through all deaths, and on to the end."""
    experiment, log = folder / f"{name}.toml", folder / "pieces.txt"
    folder.mkdir()
    experiment.write_text(EXPERIMENTS[name])
    seen = Killed(whole(folder, experiment), folder / "pieces")
    run, draw = seen.pieces, random.Random(name)
    words: list[object] = ["run", experiment, "--runs-dir", folder, "--name", "pieces", "--threads", 1]
    for where in DEATHS:
        with program(log, *words, where=where, count=draw.randint(1, 3)) as process:
            if where == ANY:
                wait(process, run, newest(run) + draw.randint(1, FAR))
                time.sleep(draw.uniform(0, LATER))
                process.kill()
            assert process.wait() == -9, log.read_text()
        seen.deaths.append((where, f"step {newest(run)}", left_over(run)))
        words = ["resume", run]
    with program(log, *words) as process:
        assert process.wait() == 0, log.read_text()
    seen.text = log.read_text()
    return seen


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Killed]:
    """All runs, one experiment beside the other on a core of its own."""
    root = tmp_path_factory.mktemp("killed")
    with ThreadPoolExecutor(len(EXPERIMENTS)) as pool:
        made = {name: pool.submit(killed, root / name, name) for name in EXPERIMENTS}
        return {name: future.result() for name, future in made.items()}


each = pytest.mark.parametrize("name", EXPERIMENTS)


@each
def test_a_killed_run_ends_in_the_same_bytes(runs: dict[str, Killed], name: str) -> None:
    """Weights, state (optimizer, generators, average, selection), record and numbers, apart from seconds."""
    run = runs[name]
    a, b = outcome(run.whole), outcome(run.pieces)
    assert same(a, b) == [], run.deaths
    assert len(a["rows"]) > 10


@each
def test_it_went_on_from_its_last_state_each_time(runs: dict[str, Killed], name: str) -> None:
    run = runs[name]
    steps = [int(step.split()[1]) for _, step, _ in run.deaths]
    assert steps == sorted(steps)
    assert steps[0] > 0
    assert len(set(steps)) >= 10, "moments that are far enough from each other"
    assert f"resumed from step {steps[-1]} " in run.text


@each
def test_temporary_files_of_a_killed_writer_are_removed(runs: dict[str, Killed], name: str) -> None:
    run = runs[name]
    left: dict[str, Any] = {where: files for where, _, files in run.deaths if where in LEAVING}
    assert set(left) == set(LEAVING)
    assert all(files and files[0].endswith(".tmp") for files in left.values()), left
    assert left_over(run.pieces) == []
