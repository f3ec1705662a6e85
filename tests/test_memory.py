"""A law of data that stay in their file: a training's own memory does not grow with the number of rows."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

ROWS = {"small": 10_000, "large": 4_000_000}
PIECE = 250_000

# Anonymous memory is what the process holds of its own; pages of a mapped file are the system's, which takes them back.
TRAIN = """
import sys, threading
from functools import partial
import torch
from pyrovae import ELBO, MLP, VAE, Bernoulli, DiagonalNormal, StandardNormal, fit
from pyrovae.data import DATA
from pyrovae.training import loop

def anonymous():
    return int(next(line for line in open("/proc/self/status") if line.startswith("RssAnon")).split()[1]) / 1024

def watch(done, seen):
    while not done.wait(0.01):
        seen.append(anonymous())

def train(folder, name, epochs):
    done, seen = threading.Event(), []
    thread = threading.Thread(target=watch, args=(done, seen))
    thread.start()
    files = {"path": f"{name}.npy", "labels": f"{name}.labels.npy"}
    data = DATA["array"](folder, **files, memory_map=True, validation=500, test=500)
    network = partial(MLP, hidden=[16])
    vae = VAE(StandardNormal(2), Bernoulli(network, 2, (64,)), DiagonalNormal(network, 2, (64,)))
    fit(vae, data, ELBO(), epochs=epochs, batch_size=9000, engine="eager")
    data.hashes(), data.summary()
    done.set(), thread.join()
    seen.append(anonymous())
    print(max(seen))

train(sys.argv[1], "small", 20)  # warms up
train(sys.argv[1], "small", 20)
train(sys.argv[1], "large", 1)
loop.Permutation = lambda size, key: torch.randperm(size)
train(sys.argv[1], "large", 1)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Files of random bits and their labels, the larger one of 256 MB, written piece by piece."""
    rng = np.random.default_rng(0)
    for name, rows in ROWS.items():
        x = np.lib.format.open_memmap(tmp_path / f"{name}.npy", "w+", "uint8", (rows, 64))
        for start in range(0, rows, PIECE):
            x[start : start + PIECE] = rng.integers(0, 2, x[start : start + PIECE].shape, dtype=np.uint8)
        np.save(tmp_path / f"{name}.labels.npy", rng.integers(0, 10, rows, dtype=np.uint8))
    yield tmp_path
    for path in tmp_path.glob("*.npy"):
        path.unlink()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_memory_does_not_grow_with_the_number_of_rows(folder: Path) -> None:
    alone = os.environ | {"OMP_NUM_THREADS": "1"}  # each thread's arena would count
    command = [sys.executable, "-c", TRAIN, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=alone)
    _, small, large, listed = map(float, done.stdout.split())
    assert large - small < 8
    assert listed - large > 16, "the test above would not see a list of all rows, which takes 32 MB"
