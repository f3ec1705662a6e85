"""Tables of runs: paired standard errors, the best first, and refusal of what may not be compared."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import refusal, succeeds

from pyrovae import NETWORKS
from pyrovae.configuration import Experiment
from pyrovae.figures import rate_distortion
from pyrovae.published import network, rows

BETTER = np.array([-10.0, -20.0, -30.0, -40.0], "float32")
WORSE = BETTER - np.array([1.0, 2.0, 3.0, 6.0], "float32")


def write_run(root: Path, run: str, log_prob: np.ndarray = BETTER, **changed: Any) -> Path:
    """Writes what a comparison reads of a run."""
    data = {"name": "toy", "binarize": "dynamic", "hashes": {"test": "abc"}}
    numbers = {
        "estimator": "iw50",
        "quantity": "log p(x)",
        "measure": "mass",
        "mean": float(log_prob.mean()),
        "standard_error": float(log_prob.std(ddof=1) / math.sqrt(len(log_prob))),
        "data": len(log_prob),
        "khat_threshold": 0.41,
        "khat_share_above": 0.25,
        "verdict": "unreliable",
    }
    manifest = {"data": changed_in(data, changed), "model": {"pools": False}, "training_minutes": 1.25}
    folder = root / run
    folder.mkdir(parents=True)
    (folder / "experiment.toml").write_text(changed.get("experiment", "seed = 4\n"))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "evaluation.json").write_text(json.dumps(changed_in(numbers, changed)))
    np.save(folder / "log_marginal.npy", log_prob)
    return folder


def changed_in(known: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    return dict(known) | {key: value for key, value in changed.items() if key in known}


def table(printed: str) -> list[dict[str, str]]:
    """Reads a Markdown table."""
    header, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in printed.splitlines() if line.startswith("|")
    ]
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_the_difference_has_the_standard_error_of_pairs(tmp_path: Path) -> None:
    write_run(tmp_path, "worse", WORSE)
    write_run(tmp_path, "better", BETTER)
    first, second = table(succeeds("compare", "worse", "better", "--runs-dir", tmp_path))
    assert (first["run"], second["run"]) == ("better", "worse")
    assert first["iw50 log p(x), nats"] == "-25.00 ± 6.45"  # sd 12.91 over 2
    assert first["below the best"] == "-"
    # Differences 1, 2, 3, 6: mean 3 and sd 2.16 over 2, far less than the error of either mean.
    assert second["below the best"] == "3.00 ± 1.08"
    assert (first["prior"], first["seed"], first["minutes"]) == ("standard-normal", "4", "1.2")
    assert (first["k-hat > 0.41"], first["verdict"]) == ("25.0%", "unreliable")


def test_one_run_is_a_table_too(tmp_path: Path) -> None:
    (row,) = table(succeeds("compare", write_run(tmp_path, "a")))
    assert row["below the best"] == "-"


def test_five_runs_are_sorted(tmp_path: Path) -> None:
    order = [3, 1, 4, 0, 2]
    rows = table(succeeds("compare", *(write_run(tmp_path, f"r{i}", BETTER - i) for i in order)))
    assert [row["run"] for row in rows] == ["r0", "r1", "r2", "r3", "r4"]
    assert [row["below the best"] for row in rows[1:]] == [f"{i}.00 ± 0.00" for i in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"name": "other"}, "data set toy against other"),
        ({"binarize": "static"}, "binarisation dynamic against static"),
        ({"hashes": {"test": "xyz"}}, "test data abc (4 judged) against xyz (4 judged)"),
        ({"quantity": "log p(x | y)"}, "quantity log p(x) against log p(x | y)"),
        ({"measure": "density"}, "base measure mass against density"),
        ({"log_prob": BETTER[:3]}, "test data abc (4 judged) against abc (3 judged)"),
    ],
)
def test_unlike_runs_are_refused(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    runs = write_run(tmp_path, "a"), write_run(tmp_path, "b"), write_run(tmp_path, "c", **changed)
    printed = refusal("compare", *runs)
    assert words in printed
    assert "cannot compare a with c" in printed


def test_everything_unlike_is_told_at_once(tmp_path: Path) -> None:
    runs = write_run(tmp_path, "a"), write_run(tmp_path, "b", name="other", binarize="none", measure="density")
    printed = refusal("compare", *runs)
    for words in ("data set toy", "binarisation dynamic", "base measure mass"):
        assert words in printed


def test_a_run_without_an_evaluation_is_told_how_to_get_one(tmp_path: Path) -> None:
    run = write_run(tmp_path, "a")
    (run / "evaluation.json").unlink()
    assert f"pyrovae evaluate {run}" in refusal("compare", run)


def test_trained_runs_agree_with_their_files(root: Path) -> None:
    numbers = {name: np.load(root / name / "log_marginal.npy").astype(float) for name in ("pools", "normal")}
    first, second = table(succeeds("compare", *numbers, "--runs-dir", root))
    gap = numbers[first["run"]] - numbers[second["run"]]
    assert gap.mean() >= 0
    assert second["below the best"] == f"{gap.mean():.2f} ± {gap.std(ddof=1) / math.sqrt(len(gap)):.2f}"


def test_unreliable_rows_come_with_a_warning(tmp_path: Path) -> None:
    printed = succeeds("compare", write_run(tmp_path, "a"))
    assert table(printed)[0]["verdict"] == "unreliable"
    assert "the order may be another" in printed


# ------------------------------------------------------------------------------------------- sentences


def test_a_difference_is_said_if_it_is_more_than_two_errors(tmp_path: Path) -> None:
    """Mutations: one standard error suffices; the error of either mean; the worse run named first."""
    clear = write_run(tmp_path, "clear", BETTER), write_run(tmp_path, "worse", WORSE)
    said = "clear is better than worse by 3.00 ± 1.08 nats (paired over 4 data, one training each)"
    assert said in succeeds("compare", *reversed(clear))
    near = write_run(tmp_path, "near", BETTER - np.array([3.0, -1.0, 2.0, -1.0], "float32"))
    said = "clear and near cannot be told apart: 0.75 ± 1.03 nats (paired over 4 data, one training each)"
    assert said in succeeds("compare", near, clear[0])
    assert "better" not in succeeds("compare", clear[0]).replace("better than worse", "")


def seeds(root: Path, name: str, means: list[float], text: str = "") -> list[Path]:
    """Writes one run a seed, whose data are equally far from the mean of the run."""
    return [
        write_run(root, f"{name}-{seed}", BETTER - BETTER.mean() + mean, experiment=f"seed = {seed}\n{text}")
        for seed, mean in enumerate(means)
    ]


def test_several_trainings_are_compared_by_their_means(tmp_path: Path) -> None:
    """Mutations: sd with n; the error without sqrt(n); groups that mix priors; the data's error instead of seeds'."""
    good = seeds(tmp_path, "vamp", [-20.0, -22.0, -24.0], '[prior]\nname = "vamp"\n')
    bad = seeds(tmp_path, "normal", [-30.0, -31.0])
    printed = succeeds("compare", *bad, *good)
    tables = table(printed.split("Over seeds of the training:")[1])
    assert [list(row.values()) for row in tables] == [
        ["vamp", "3", "-22.00", "2.00"],
        ["normal", "2", "-30.50", "0.71"],
    ]
    # sqrt(4 / 3 + 0.5 / 2) = 1.258
    said = "vamp is better than normal by 8.50 ± 1.26 nats (means over 3 and 2 trainings, on these test data)"
    assert said in printed


def test_a_run_that_was_judged_twice_is_one_training(tmp_path: Path) -> None:
    runs = write_run(tmp_path, "a"), write_run(tmp_path, "b", WORSE)
    assert "Over seeds" not in succeeds("compare", *runs)


# ------------------------------------------------------------------------------------------- published numbers

GATED = """
[data]
name = "mnist"
[vae]
latent_dim = 40
[encoder]
name = "gated-mlp"
hidden = [300, 300]
[decoder]
name = "gated-mlp"
hidden = [300, 300]
"""


def test_published_numbers_stand_beside_and_differences_are_flagged(tmp_path: Path) -> None:
    """Mutations: the number of draws is not compared; rows of other data are shown; the nearest protocol comes last."""
    run = write_run(tmp_path, "a", name="mnist", experiment=GATED)
    numbers = json.loads((run / "evaluation.json").read_text())
    (run / "evaluation.json").write_text(json.dumps(numbers | {"particles": 5000}))
    rows = table(succeeds("compare", run).split("Published of mnist")[1])
    assert rows[0]["protocol"] == rows[1]["protocol"] == "same protocol"
    assert (rows[0]["prior"], rows[0]["log p(x), nats"]) == ("vamp", "-82.43 ± 0.06")
    assert (rows[1]["prior"], rows[1]["log p(x), nats"]) == ("standard-normal", "-84.45 ± 0.12")
    static = next(row for row in rows if row["log p(x), nats"] == "-85.57")
    assert static["protocol"] == "binarize static against dynamic"
    iwae = next(row for row in rows if row["log p(x), nats"] == "-86.76")
    assert iwae["protocol"] == "network mlp 200-200 against gated-mlp 300-300; latent dim 50 against 40"
    (run / "evaluation.json").write_text(json.dumps(numbers | {"particles": 500}))
    rows = table(succeeds("compare", run).split("Published of mnist")[1])
    assert rows[0]["protocol"] == "particles 5000 against 500"


def test_nothing_is_published_of_other_data_and_other_quantities(tmp_path: Path) -> None:
    assert "Published" not in succeeds("compare", write_run(tmp_path, "a"))
    joint = write_run(tmp_path, "b", name="mnist", experiment=GATED, quantity="log p(x, y)")
    assert "Published" not in succeeds("compare", joint)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_named_with_its_widths(name: str) -> None:
    """Widths of a recurrent one are a number, which `compare` once could not read."""
    section = Experiment.of("any", {"encoder": {"name": name}}).sections["encoder"]
    assert re.fullmatch(rf"{name} \d+(-\d+)*", network(section))


def test_published_rows_name_data_and_priors_of_the_tables() -> None:
    from pyrovae.data import DATA
    from pyrovae.priors import PRIORS

    assert {row.data for row in rows()} <= set(DATA)
    assert {row.prior for row in rows()} <= set(PRIORS)
    assert all(row.mean < 0 and row.source and row.training for row in rows())


# ------------------------------------------------------------------------------------------- results, rate-distortion


def test_results_that_ship_are_found_by_name_and_runs_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "shipped" / "results", "a")
    monkeypatch.setattr("pyrovae.cli.places.BUILT_IN", (tmp_path / "shipped",))
    assert table(succeeds("compare", "a", "--runs-dir", tmp_path / "runs"))[0]["iw50 log p(x), nats"].startswith("-25")
    write_run(tmp_path / "runs", "a", WORSE)
    assert table(succeeds("compare", "a", "--runs-dir", tmp_path / "runs"))[0]["iw50 log p(x), nats"].startswith("-28")


def test_rate_and_distortion_are_drawn_with_their_betas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, Any] = {}

    def remember(rate: Any, distortion: Any, *, names: Any) -> Any:
        drawn.update(rate=rate, distortion=distortion, names=names)
        return rate_distortion(rate, distortion, names=names)

    monkeypatch.setattr("pyrovae.comparison.rate_distortion", remember)
    runs = write_run(tmp_path, "a"), write_run(tmp_path, "b", experiment="[objective]\nbeta = 4.0\n")
    for run, rate in zip(runs, (20.0, 5.0), strict=True):
        numbers = json.loads((run / "evaluation.json").read_text())
        (run / "evaluation.json").write_text(json.dumps(numbers | {"rate": rate, "distortion": 80 - rate}))
    picture = tmp_path / "curve.png"
    assert str(picture) in succeeds("compare", *runs, "--rate-distortion", picture)
    assert drawn == {"rate": [20.0, 5.0], "distortion": [60.0, 75.0], "names": ["beta 1, a", "beta 4, b"]}
    assert picture.stat().st_size > 5000
    lacking = write_run(tmp_path, "c")
    assert "c has no rate" in refusal("compare", lacking, "--rate-distortion", picture)


# ------------------------------------------------------------------------------------------- what ships

RESULTS = Path(__file__).parent.parent / "experiments" / "results"


def test_the_table_of_shipped_results_is_what_compare_prints(tmp_path: Path) -> None:
    """The page shows the arrays beside it: a number that was typed would differ."""
    names = sorted(path.name for path in RESULTS.iterdir())
    assert len(names) >= 3
    printed = succeeds("compare", *names, "--runs-dir", tmp_path)
    shown = (RESULTS.parent / "README.md").read_text(encoding="utf-8")
    lines = [line for line in printed.splitlines() if line.startswith("| mnist-gated") or " is better than " in line]
    assert len(lines) == 2 * len(names) - 1
    for line in lines:
        assert line in shown
    assert all(path.stat().st_size < 50_000 for path in RESULTS.rglob("*") if path.is_file())
