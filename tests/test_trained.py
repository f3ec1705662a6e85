"""What people do with a trained VAE: every command on the test data and on files of their own."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import Maker, files, refusal, succeeds, train
from PIL import Image

from pyrovae import Dataset, Experiment, load, log_marginal, runs, storage
from pyrovae.experiment import prepare
from pyrovae.gallery import traversal_points
from pyrovae.seeding import seeded
from pyrovae.trained import open_run

ROWS = 40


@pytest.fixture(scope="session")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CSV file, a folder of pictures and an .npz file, and a run on each."""
    folder = tmp_path_factory.mktemp("own")
    noise = np.random.default_rng(0)
    kind = np.arange(120) % 2
    heights, weights = 150 + 20 * kind + 5 * noise.normal(size=120), 60 + 15 * kind + 3 * noise.normal(size=120)
    with (folder / "people.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [["height", "kind", "weight"], *zip(heights, np.array(["short", "tall"])[kind], weights, strict=True)]
        )
    for number in range(30):
        place = folder / "pictures" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise.integers(0, 256, (8, 8), dtype=np.uint8)).save(place / f"{number:02}.png")
    np.savez(folder / "grey.npz", x=noise.integers(0, 256, (ROWS, 1, 8, 8), dtype=np.uint8), y=np.arange(ROWS) % 2)
    table = {"data.name": "csv", "data.path": folder / "people.csv", "data.label": "kind", "train.batch_size": 16}
    train(folder, "table", table | {"likelihood.name": "gaussian"})
    grey = {"likelihood.name": "discretized-logistic", "train.batch_size": 16}
    train(folder, "images", grey | {"data.name": "folder", "data.path": folder / "pictures"})
    train(folder, "asked", grey | {"data.name": "array", "data.path": folder / "grey.npz", "vae.conditional": True})
    train(folder, "plain", {"prior.name": "flat", "posterior.name": "point"})
    return folder


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_codes_are_those_of_the_vae(root: Path, tmp_path: Path) -> None:
    path = Path(succeeds("embed", root / "pools", "-o", tmp_path / "z.npy").strip())
    vae, data = load(root / "pools")
    np.testing.assert_allclose(np.load(path), vae.embed(data.held_out("test")[0]).numpy(), rtol=1e-5, atol=1e-6)


def test_codes_of_a_table_are_read_by_column(own: Path, tmp_path: Path) -> None:
    """Mutation: the file standardised by its own mean, or read by position."""
    (header, *body), path = rows_of(own / "people.csv"), tmp_path / "part.csv"
    assert header == ["height", "kind", "weight"]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["weight", "height"], *[[w, h] for h, _, w in body[:7]]])
    for name, given in (("part", path), ("all", own / "people.csv")):
        succeeds("embed", own / "table", "--data", given, "-o", tmp_path / f"{name}.npy")
    part, whole = np.load(tmp_path / "part.npy"), np.load(tmp_path / "all.npy")
    assert whole.shape == (120, 4)
    np.testing.assert_allclose(part, whole[:7], rtol=1e-5, atol=1e-6)


def test_scores_are_the_evidence_of_each_row(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    printed = succeeds("score", root / "normal", "-o", path, "--particles", 50, "--seed", 3)
    header, *body = rows_of(path)
    assert header == ["row", "iw50 log p(x)", "mc_error", "khat"]
    vae, data = load(root / "normal")
    with seeded(3):
        evidence = log_marginal(vae, data.held_out("test")[0], particles=50)
    np.testing.assert_allclose([float(row[1]) for row in body], evidence.log_prob.numpy(), rtol=1e-5)
    np.testing.assert_allclose([float(row[3]) for row in body], evidence.khat.numpy(), rtol=1e-4)
    assert printed.startswith(str(evidence))


def test_the_monte_carlo_error_is_the_spread_of_repeated_scores(root: Path) -> None:
    """Mutation: the error without its square root, or of the mean over rows."""
    vae, data = load(root / "normal")
    x = data.held_out("test")[0][:10].repeat(60, 1, 1, 1)
    with seeded(0):
        found = log_marginal(vae, x, particles=2000)
    estimates, errors = found.log_prob.view(60, 10).double(), found.mc_error.view(60, 10).double()
    ratio = estimates.std(0).mean() / errors.mean()
    assert 0.7 < ratio < 1.4
    assert not 0.7 < estimates.std(0).mean() / errors.square().mean() < 1.4


def test_a_conditional_model_reads_the_labels_of_the_file(own: Path, tmp_path: Path) -> None:
    succeeds("score", own / "asked", "--data", own / "grey.npz", "-o", tmp_path / "s.csv", "--particles", 50)
    assert rows_of(tmp_path / "s.csv")[0][1] == "iw50 log p(x | y)"
    np.save(tmp_path / "x.npy", np.load(own / "grey.npz")["x"])
    words = refusal("score", own / "asked", "--data", tmp_path / "x.npy", "-o", tmp_path / "t.csv", code=2)
    assert "x.npy has no labels" in words
    assert not (tmp_path / "t.csv").exists()
    succeeds("traverse", own / "asked", "--data", tmp_path / "x.npy", "--class", 1, "-o", tmp_path / "t.npy")
    assert np.load(tmp_path / "t.npy").shape == (4, 9, 1, 8, 8)


def test_reconstructions_are_in_the_units_of_the_file(own: Path, tmp_path: Path) -> None:
    """Mutation: standardised values written."""
    succeeds("reconstruct", own / "table", "--data", own / "people.csv", "-o", tmp_path / "r.csv")
    header, *body = rows_of(tmp_path / "r.csv")
    assert header == ["height", "weight"]
    means = np.array(body, dtype=float).mean(0)
    assert 140 < means[0] < 180
    assert 50 < means[1] < 80


def test_numbers_are_draws_and_means_where_they_are_asked_for(own: Path, tmp_path: Path) -> None:
    """Mutation: E[x | z] written for both, which has no noise and no grey levels."""
    for name, flags in (("draws", []), ("means", ["--mean"])):
        succeeds("sample", own / "images", "--count", 50, *flags, "-o", tmp_path / f"{name}.npy")
    on_grid = [
        np.abs(255 * x - np.round(255 * x)).max() < 1e-3
        for x in (np.load(tmp_path / f"{name}.npy") for name in ("draws", "means"))
    ]
    assert on_grid == [True, False]


def test_one_datum_has_a_score_and_no_standard_error(own: Path, tmp_path: Path) -> None:
    picture = own / "pictures/a/00.png"
    printed = succeeds("score", own / "images", "--data", picture, "-o", tmp_path / "s.csv", "--particles", 50)
    assert "±" not in printed
    assert "bits" in printed or "nats per datum (1 data)" in printed


def test_samples_of_a_table_are_in_its_units(own: Path, tmp_path: Path) -> None:
    succeeds("sample", own / "table", "--count", 200, "-o", tmp_path / "x.csv")
    header, *body = rows_of(tmp_path / "x.csv")
    assert (header, len(body)) == (["height", "weight"], 200)
    assert 140 < np.array(body, dtype=float)[:, 0].mean() < 180


def test_missing_values_are_imputed(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    z = noise.normal(size=(400, 1))
    x = (z * np.array([[3.0, -3.0]]) + 0.1 * noise.normal(size=(400, 2))).astype("float32")
    holes = x.copy()
    holes[::4, 1] = np.nan
    np.save(tmp_path / "x.npy", holes)
    options = {
        "data.name": "array",
        "data.path": tmp_path / "x.npy",
        "data.missing": True,
        "likelihood.name": "gaussian",
    }
    quick = {"train.epochs": 60, "train.batch_size": 32, "train.learning_rate": 0.01, "likelihood.scale": 1.0}
    directory = train(tmp_path, "holes", options | quick)
    succeeds("reconstruct", directory, "--data", tmp_path / "x.npy", "-o", tmp_path / "r.npy")
    found, true = np.load(tmp_path / "r.npy")[::4, 1], x[::4, 1]
    assert np.isfinite(np.load(tmp_path / "r.npy")).all()
    assert np.corrcoef(found, true)[0, 1] > 0.8
    assert "observed x" in succeeds("score", directory, "-o", tmp_path / "s.csv", "--particles", 50)


@pytest.mark.parametrize("command", ["reconstruct", "traverse", "sample"])
@pytest.mark.parametrize("name", ["table", "images", "asked"])
@pytest.mark.parametrize("suffix", [".png", ".npy"])
def test_every_kind_of_data_is_drawn_and_saved(command: str, name: str, suffix: str, own: Path, tmp_path: Path) -> None:
    path = tmp_path / f"out{suffix}"
    assert succeeds(command, own / name, "-o", path).strip() == str(path)
    if suffix == ".npy":
        assert np.isfinite(np.load(path)).all()
    else:
        with Image.open(path) as picture:
            assert min(picture.size) > 50


def test_a_path_between_two_pictures(own: Path, tmp_path: Path) -> None:
    """Mutation: the ends swapped, or the path decoded at another place than the codes of its ends."""
    a, b = (own / "pictures" / name for name in ("a/00.png", "b/01.png"))
    for ends, name in (((a, b), "ab"), ((b, a), "ba"), ((0, 1), "tests")):
        succeeds("interpolate", own / "images", *ends, "--steps", 5, "-o", tmp_path / f"{name}.npy")
    there, back = np.load(tmp_path / "ab.npy"), np.load(tmp_path / "ba.npy")
    assert there.shape == (5, 1, 8, 8)
    np.testing.assert_allclose(there, back[::-1], atol=1e-5)
    succeeds("reconstruct", own / "images", "--data", a, "-o", tmp_path / "a.npy")
    np.testing.assert_allclose(np.load(tmp_path / "a.npy")[0], there[0], atol=1e-5)
    succeeds("interpolate", own / "images", 0, 2, "-o", tmp_path / "path.png")


def test_a_plain_autoencoder_says_what_it_has_not(own: Path, tmp_path: Path) -> None:
    assert "a point posterior has none" in refusal("score", own / "plain", "-o", tmp_path / "s.csv")
    assert "improper" in refusal("sample", own / "plain", "-o", tmp_path / "x.png")
    assert "not applicable" in succeeds("evaluate", own / "plain")
    assert "point log p(x | z)" in succeeds("compare", own / "plain")
    succeeds("embed", own / "plain", "-o", tmp_path / "z.npy")
    assert files(tmp_path) == ["z.npy"]


def wrong_files(folder: Path) -> dict[str, Callable[[Path], Any]]:
    return {
        "shape": lambda path: np.save(path, np.zeros((5, 1, 9, 9), dtype=np.uint8)),
        "text": lambda path: path.write_text("hello"),
        "pickle": lambda path: np.save(path, np.array([{}]), allow_pickle=True),
    }


@pytest.mark.parametrize("kind", ["shape", "text", "pickle"])
def test_a_file_that_does_not_fit_is_named(kind: str, own: Path, tmp_path: Path) -> None:
    path = tmp_path / "wrong.npy"
    wrong_files(tmp_path)[kind](path)
    assert "wrong.npy" in refusal("embed", own / "images", "--data", path, "-o", tmp_path / "z.npy")
    assert files(tmp_path) == ["wrong.npy"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["embed", "images", "-o", "z.txt"], "end it in .npy or .csv"),
        (["traverse", "images", "--class", "nonsense"], "this VAE reads no labels"),
        (["score", "images", "-o", "z.npy"], "end it in .csv"),
        (["traverse", "images", "--row", 900], "rows are 0 to"),
        (["interpolate", "images", 0, 900], "they are 0 to"),
        (["interpolate", "asked", 0, 1, "--class", "z"], "unknown class 'z'"),
    ],
)
def test_mistakes_are_told_in_a_line(args: list[Any], words: str, own: Path) -> None:
    command, run, *rest = args
    code = 1 if "class" in words else 2
    assert words in refusal(command, own / run, *rest, code=code)


def test_what_a_run_knows_of_its_data_needs_no_data(own: Path) -> None:
    run = open_run(own / "table")
    assert run.units is not None
    assert run.units.columns == ("height", "weight")
    assert run.span is None
    assert open_run(own / "images").span == (0.0, 1.0)
    vae, dataset = load(own / "table")
    assert isinstance(dataset, Dataset)
    assert torch.equal(vae.decode(torch.zeros(1, 4)), run.vae.decode(torch.zeros(1, 4)))


def test_a_traversal_moves_one_code_of_one_datum(own: Path, tmp_path: Path) -> None:
    """Mutation: all steps at one place; steps that depend on the other data of the file alone, which may be one."""
    picture = own / "pictures/a/00.png"
    succeeds("traverse", own / "images", "--data", picture, "-o", tmp_path / "t.npy")
    drawn = np.load(tmp_path / "t.npy")
    assert (np.ptp(drawn, axis=1).reshape(len(drawn), -1).max(1) > 1e-6).all()
    run = open_run(own / "images")
    start = run.vae.embed(run.rows(picture)[0])[0]
    points, dimensions, _ = traversal_points(start, torch.randn(50, len(start)))
    for row, d in zip(points, dimensions, strict=True):
        others = [k for k in range(len(start)) if k != d]
        assert torch.equal(row[:, others], start[others].expand(len(row), -1))
        assert (row[:, d].diff() > 0).all()


def test_a_run_of_the_first_revisions_is_still_used(copied: Maker, tmp_path: Path) -> None:
    directory = copied("pools")
    manifest = storage.read_json(directory / runs.MANIFEST)
    for key in ("levels", "missing", "units", "seed"):
        del manifest["data"][key]
    storage.write_json(directory / runs.MANIFEST, manifest)
    np.save(tmp_path / "x.npy", np.full((3, 1, 8, 8), 9, dtype=np.uint8))
    succeeds("embed", directory, "--data", tmp_path / "x.npy", "-o", tmp_path / "z.npy")
    succeeds("score", directory, "-o", tmp_path / "s.csv", "--particles", 50)


def test_labels_that_a_model_does_not_read_do_not_matter(own: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("height,weight,kind\n170,70,unheard\n180,80,\n")
    succeeds("embed", own / "table", "--data", tmp_path / "new.csv", "-o", tmp_path / "z.npy")
    assert np.load(tmp_path / "z.npy").shape == (2, 4)


def test_pseudo_inputs_start_from_training_data() -> None:
    """Mutation: examples from the test split."""
    planned = Experiment.of("v", {"prior": {"name": "vamp", "pseudo_inputs": 30}, "data": {"binarize": "threshold"}})
    made = prepare(planned)
    starts = made.module.prior.pseudo_inputs().round()
    train_rows, test_rows = (made.dataset.held_out(split)[0] for split in ("train", "test"))
    assert all((train_rows == u).flatten(1).all(1).any() for u in starts)
    assert not all((test_rows == u).flatten(1).all(1).any() for u in starts)
