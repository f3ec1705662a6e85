"""Tables of runs: paired standard errors, the best first, and refusal of what may not be compared."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import refusal, succeeds

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
    (folder / "experiment.toml").write_text("seed = 4\n")
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
