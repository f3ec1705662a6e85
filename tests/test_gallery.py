"""Kinds of models and data, from `run` to pictures: conditional, two dimensions, real values, vectors, few data."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import TINY, files, judged, real, sets, succeeds, train
from PIL import Image

from pyrovae import experiment
from pyrovae.gallery import pairs

GAUSSIAN = {"data.name": "array", "likelihood.name": "gaussian", "train.batch_size": 16, "evaluation.data": 3}


def drawn(run: Path) -> set[str]:
    """Returns the names of a run's pictures, all of which must open."""
    for path in (run / "figures").iterdir():
        with Image.open(path) as image:
            image.load()
    return {path.stem for path in (run / "figures").iterdir()}


def train_on(folder: Path, options: dict[str, Any], **arrays: np.ndarray) -> Path:
    """Runs an experiment on arrays, figures and all, and evaluates and samples it."""
    np.savez(folder / "mine.npz", **arrays)
    known = GAUSSIAN | {"data.path": folder / "mine.npz"} | options
    run = train(folder / "runs", "a", known, figures=True)
    assert "log p(x" in judged(run)
    succeeds("sample", run, "--count", 4, "-o", folder / "sample.npy")
    sampled = np.load(folder / "sample.npy")
    assert sampled.shape == (4, *arrays["x"].shape[1:])
    assert np.isfinite(sampled).all()
    return run


@pytest.mark.slow
def test_a_conditional_vae_from_end_to_end(tmp_path: Path) -> None:
    run = train(tmp_path, "cvae", {"vae.conditional": True}, figures=True)
    assert "log p(x | y)" in judged(run)
    assert {"samples_by_class", "walk", "interpolation", "traversals"} <= drawn(run)
    assert not {"manifold", "pools"} & drawn(run)
    assert Path(succeeds("sample", run, "--class", 3, "--count", 2).strip()).is_file()
    arrays = []
    for label in (3, 4):
        succeeds("sample", run, "--class", label, "--count", 2, "-o", tmp_path / f"{label}.npy")
        arrays.append(np.load(tmp_path / f"{label}.npy"))
    assert not np.array_equal(*arrays)
    assert len(succeeds("figures", run).splitlines()) == len(files(run / "figures")) - 1  # and the sample


@pytest.mark.slow
def test_pictures_of_two_dimensions_have_a_manifold(tmp_path: Path) -> None:
    run = train_on(tmp_path, {"vae.latent_dim": 2}, x=real(60), y=np.arange(60) % 3)
    assert {"manifold", "latent_map"} <= drawn(run)
    assert tomllib.loads((run / "experiment.toml").read_text())["data"]["binarize"] == "none"


@pytest.mark.slow
def test_vectors_without_labels(tmp_path: Path) -> None:
    run = train_on(tmp_path, {}, x=real(60, (6,)))
    assert "reconstructions" in drawn(run)
    assert "pools" not in drawn(run)


@pytest.mark.slow
def test_two_test_data_are_enough(tmp_path: Path) -> None:
    # One test datum of a class: a walk of a conditional VAE has a single place to go to.
    options = {"data.test": 2, "vae.conditional": True, "evaluation.data": None}
    run = train_on(tmp_path, options, x=real(60, (1, 5, 7)), y=np.arange(60) % 30)
    assert {"interpolation", "walk", "samples_by_class"} <= drawn(run)


def test_interpolations_join_two_classes_where_there_are_two() -> None:
    y = torch.tensor([0, 0, 1, 0, 0, 0, 1, 1])
    starts, ends = y[pairs(y, 3, alike=False)].unflatten(0, (3, 2)).unbind(1)
    assert (starts != ends).all()
    assert pairs(torch.zeros(6), 3, alike=False).tolist() == [0, 3, 1, 4, 2, 5]


def test_interpolations_of_a_conditional_vae_stay_in_one_class() -> None:
    """Its decoder reads one label along the way: the far end must be of that class too."""
    y = torch.tensor([0, 0, 1, 0, 0, 0, 1, 1])
    starts, ends = y[pairs(y, 3, alike=True)].unflatten(0, (3, 2)).unbind(1)
    assert (starts == ends).all()


def test_drawing_disturbs_no_random_numbers(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyrovae import figures, gallery

    monkeypatch.setattr(figures, "save", lambda _, path: path)
    monkeypatch.setattr(figures, "animate", lambda _, path, **__: path)
    vae, data = experiment.load(root / "pools")
    weights = {name: weight.clone() for name, weight in vae.state_dict().items()}
    torch.manual_seed(1)
    before = torch.get_rng_state()
    paths = gallery.draw(vae, data, [], tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(weights[name], weight) for name, weight in vae.state_dict().items())
    assert "training.png" not in {path.name for path in paths}


def test_the_dry_run_of_a_conditional_vae(tmp_path: Path) -> None:
    options = {"vae.conditional": True, "train.engine": "svi", "posterior.name": "full-covariance-normal"}
    assert "posterior: FullCovarianceNormal" in succeeds("run", TINY, "--dry-run", *sets(options))
    assert files(tmp_path) == []
