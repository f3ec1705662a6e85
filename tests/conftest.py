"""Runs that several files of tests look at. Nobody writes into them: `copied` is for that."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from commands import Maker, train


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    """Commands set the number of threads for the rest of the process, which in tests goes on."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps classifiers that help to judge out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two finished runs on the digits, "pools" with all its figures and "normal" without any."""
    folder = tmp_path_factory.mktemp("runs")
    train(folder, "pools", {"prior.name": "gaussian-mixture"}, figures=True)
    train(folder, "normal")
    return folder


@pytest.fixture
def copied(root: Path, tmp_path: Path) -> Maker:
    """Copies a run without its figures, to be damaged."""

    def copy(name: str = "pools") -> Path:
        return Path(shutil.copytree(root / name, tmp_path / "runs" / name, ignore=shutil.ignore_patterns("figures")))

    return copy
