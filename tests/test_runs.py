"""Run directories: what they hold, what is refused as their name, and files that are damaged or hostile."""

import errno
import json
import os
import shutil
import tomllib
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import TINY, Maker, contents, files, invoke, refusal, sets, train

import pyrovae
from pyrovae import __version__, checkpoints, experiment, runs, storage
from pyrovae.errors import PyrovaeError
from pyrovae.evaluation import log_marginal

# ------------------------------------------------------------------------------------------- what a run says


def test_the_manifest_says_what_made_the_numbers(root: Path) -> None:
    manifest = json.loads((root / "pools" / "manifest.json").read_text())
    assert manifest["versions"]["pyrovae"] == __version__
    assert manifest["versions"]["torch"] == version("torch")
    assert {"python", "pyro-ppl", "numpy", "scipy", "scikit-learn"} <= set(manifest["versions"])
    assert (manifest["seed"], manifest["threads"]) == (0, torch.get_num_threads())
    assert set(manifest["data"]["hashes"]) == {"train", "validation", "test"}
    assert manifest["data"]["sizes"] == [1200, 200, 397]
    assert manifest["data"]["binarize"] == "dynamic"
    assert (manifest["model"]["pools"], manifest["model"]["conditional"]) == (True, False)
    assert manifest["training_minutes"] > 0


def test_the_hash_of_the_configuration_tells_runs_apart(root: Path) -> None:
    hashes = [json.loads((root / name / "manifest.json").read_text())["configuration_hash"] for name in files_of(root)]
    assert len(set(hashes)) == len(hashes) == 2
    planned = experiment.read(root / "pools" / "experiment.toml")
    assert runs.manifest(planned.to_dict(), planned.seed)["configuration_hash"] in hashes


def files_of(root: Path) -> list[str]:
    return [path.parent.name for path in root.glob("*/manifest.json")]


def test_the_resolved_experiment_is_the_one_that_was_asked_for(root: Path) -> None:
    resolved = tomllib.loads((root / "pools" / "experiment.toml").read_text())
    asked = tomllib.loads(TINY.read_text())
    for section, options in asked.items():
        assert resolved[section].items() >= options.items()


def test_metrics_have_one_row_an_epoch(root: Path) -> None:
    (row,) = storage.read_rows(root / "pools" / "metrics.jsonl")
    assert (row["epoch"], row["step"]) == (1, 10)
    assert row["validation_loss"] > 0


def test_one_seed_gives_one_result(tmp_path: Path) -> None:
    first, again, other = (train(tmp_path, name, {"seed": seed}) for name, seed in (("a", 3), ("b", 3), ("c", 4)))
    rows = [
        [
            {key: value for key, value in row.items() if key != "seconds"}
            for row in storage.read_rows(run / "metrics.jsonl")
        ]
        for run in (first, again, other)
    ]
    assert json.dumps(rows[0]) == json.dumps(rows[1]) != json.dumps(rows[2])
    for name in ("evaluation.json", "log_marginal.npy", "checkpoint.pt", "experiment.toml"):
        assert (first / name).read_bytes() == (again / name).read_bytes()
    assert (first / "log_marginal.npy").read_bytes() != (other / "log_marginal.npy").read_bytes()


@pytest.mark.parametrize("name", ["pools", "normal"])
def test_a_loaded_vae_gives_the_stored_numbers(root: Path, name: str) -> None:
    vae, data = experiment.load(root / name)
    torch.manual_seed(0)
    evidence = log_marginal(vae, data.held_out("test")[0][:20], particles=50)
    assert np.array_equal(evidence.log_prob.numpy(), np.load(root / name / "log_marginal.npy"))
    assert json.loads((root / name / "evaluation.json").read_text())["mean"] == evidence.mean
    assert not vae.training


def test_other_data_than_those_of_the_run_are_refused(copied: Maker) -> None:
    run = copied()
    text = (run / "experiment.toml").read_text()
    (run / "experiment.toml").write_text(text.replace('"dynamic"\nseed = 0', '"dynamic"\nseed = 1'))
    assert "differs from the one that" in refusal("evaluate", run)


# ------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    "name", ["../x", "/abs", "a/../../b", "..", ".", "", ".hidden", "-x", "a b", "a" * 300, "a\nb", "é", "a\\b", "a:b"]
)
def test_names_that_could_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    assert "64 letters" in refusal("run", TINY, f"--name={name}", "--runs-dir", tmp_path / "runs", code=2)
    assert files(tmp_path) == []


def test_a_name_that_exists_is_refused_and_left_alone(copied: Maker) -> None:
    run = copied()
    kept = contents(run)
    assert f"run directory {run} exists" in refusal("run", TINY, "--name", run.name, "--runs-dir", run.parent)
    assert contents(run) == kept


def test_a_folder_that_cannot_be_made_is_told_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyrovae.running.fit", lambda *_, **__: pytest.fail("trained"))
    (tmp_path / "file").touch()
    assert f"cannot create run directory {tmp_path}/file/tiny" in refusal("run", TINY, "--runs-dir", tmp_path / "file")
    assert files(tmp_path) == ["file"]


# ------------------------------------------------------------------------------------------- whole files or none


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PyrovaeError, match=r"cannot write .*checkpoint\.pt: No space left on device"):
        checkpoints.write(path, {"weights": {"w": torch.ones(3)}, "epoch": 1}, "weights")
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == ["checkpoint.pt"]


def test_a_full_disk_during_evaluation_is_one_error(copied: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    run = copied()
    kept = contents(run)
    monkeypatch.setattr(os, "fsync", full)
    assert "No space left on device" in refusal("evaluate", run)
    assert contents(run) == kept


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        storage.write(tmp_path / "a", b"new")
    assert files(tmp_path) == []


# ------------------------------------------------------------------------------------------- checkpoints


class Bomb:
    """An object whose unpickling makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def flip(content: bytes) -> bytes:
    """Changes one byte in the middle, which is tensor data."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0x40]) + content[middle + 1 :]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda content: b"", "not a checkpoint"),
        (lambda content: content[:10], "not a checkpoint"),
        (lambda content: content[: len(content) // 10], "not a checkpoint"),
        (lambda content: content[: len(content) // 2], "not a checkpoint"),
        (lambda content: content[:-1], "not a checkpoint"),
        (lambda content: b"garbage" * 100, "not a checkpoint"),
        (lambda content: b"PK\x03\x04" + b"\xff" * 500, "not a checkpoint"),
        (flip, "is damaged (checksum of "),
    ],
)
def test_a_damaged_checkpoint_is_named(copied: Maker, damage: Callable[[bytes], bytes], words: str) -> None:
    path = copied() / "checkpoint.pt"
    path.write_bytes(damage(path.read_bytes()))
    printed = refusal("evaluate", path.parent)
    assert words in printed
    assert str(path) in printed


@pytest.mark.parametrize("legacy", [False, True])
def test_a_hostile_checkpoint_is_not_run(
    copied: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, legacy: bool
) -> None:
    # With this variable a load that does not insist on weights_only would run the code.
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    run, trace = copied(), tmp_path / "PWNED"
    content = {"format_version": 1, "weights": {"w": Bomb(trace)}}
    torch.save(content, run / "checkpoint.pt", _use_new_zipfile_serialization=not legacy)
    for command in ("evaluate", "sample", "figures"):
        printed = refusal(command, run)
        assert "refusing to load" in printed
        assert "weights_only" not in printed
    assert not trace.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format_version": 99}, "checkpoint format 99 is newer than this pyrovae (2)"),
        ({"format_version": "new"}, "not a pyrovae checkpoint"),
        ({"format_version": None}, "not a pyrovae checkpoint"),
        ({"weights": None}, "not a pyrovae checkpoint"),
        ({"weights": {}}, "is of another model: Missing key(s)"),
        ({"weights": {"w": 3}}, "is of another model"),
    ],
)
def test_a_foreign_checkpoint_is_named(copied: Maker, change: dict[str, Any], words: str) -> None:
    path = copied() / "checkpoint.pt"
    torch.save(torch.load(path, weights_only=True) | change, path)
    assert words in refusal("evaluate", path.parent)


@pytest.mark.parametrize("content", [[1, 2], torch.ones(3), {}, {"format_version": 1}])
def test_a_checkpoint_of_another_program_is_named(copied: Maker, content: Any) -> None:
    path = copied() / "checkpoint.pt"
    torch.save(content, path)
    assert "not a pyrovae checkpoint" in refusal("evaluate", path.parent)


def test_weights_of_another_architecture_are_refused(copied: Maker) -> None:
    run, other = copied("pools"), copied("normal")
    shutil.copy(other / "checkpoint.pt", run)
    assert "is of another model" in refusal("evaluate", run)
    text = (other / "experiment.toml").read_text()
    (other / "experiment.toml").write_text(text.replace("latent_dim = 4", "latent_dim = 5"))
    assert "size mismatch" in refusal("evaluate", other)


def test_a_checkpoint_holds_tensors_and_plain_values_only(root: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        content = torch.load(root / "pools" / "checkpoint.pt", weights_only=True)
    assert (content["format_version"], content["epoch"], content["step"]) == (2, 1, 10)
    assert all(isinstance(weight, torch.Tensor) for weight in content["weights"].values())


# ------------------------------------------------------------------------------------------- the other files


@pytest.mark.parametrize(
    ("name", "content", "command", "words"),
    [
        ("checkpoint.pt", None, "evaluate", "the run was not finished"),
        ("experiment.toml", None, "evaluate", "no experiment file"),
        ("experiment.toml", b"[train", "evaluate", "not TOML"),
        ("manifest.json", None, "evaluate", "no run"),
        ("manifest.json", b'{"data": ', "evaluate", "manifest.json is damaged"),
        ("manifest.json", b"{}", "evaluate", "not what a run writes"),
        ("manifest.json", b"[]", "sample", "not what a run writes"),
        ("evaluation.json", b"[{}]", "compare", "not what a run writes"),
        ("manifest.json", b"\xff\xfe", "sample", "manifest.json is damaged"),
        ("metrics.jsonl", b'{"epoch": 1', "figures", "metrics.jsonl is damaged"),
        ("metrics.jsonl", None, "figures", "metrics.jsonl: No such file"),
        ("evaluation.json", None, "compare", "no evaluation.json"),
        ("evaluation.json", b"", "compare", "evaluation.json is damaged"),
        ("log_marginal.npy", None, "compare", "no log_marginal.npy"),
        ("log_marginal.npy", b"", "compare", "log_marginal.npy is damaged"),
        ("log_marginal.npy", b"\x93NUMPY", "compare", "log_marginal.npy is damaged"),
        ("log_marginal.npy", b"\x80\x04K\x01.", "compare", "it holds Python objects"),
    ],
)
def test_a_damaged_run_is_named(copied: Maker, name: str, content: bytes | None, command: str, words: str) -> None:
    run = copied()
    if content is None:
        (run / name).unlink()
    else:
        (run / name).write_bytes(content)
    result = invoke(command, run)
    assert result.exit_code in (1, 2)
    assert words in refusal(command, run, code=result.exit_code)


def test_a_run_that_broke_off_is_told_so(tmp_path: Path) -> None:
    result = invoke("run", TINY, "--runs-dir", tmp_path, *sets({"train.learning_rate": 1e30, "train.epochs": 3}))
    assert result.exit_code == 1
    assert "non-finite" in result.stderr
    assert "the run was not finished" in refusal("evaluate", "tiny", "--runs-dir", tmp_path)


def test_a_run_loads_by_a_path_in_words(root: Path) -> None:
    vae, data = pyrovae.load(str(root / "normal"))
    assert vae.reconstruct(data.held_out("test")[0][:2]).shape == (2, *data.event_shape)
