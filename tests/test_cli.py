"""The commands, as a user types them: what they print and leave, how fast they answer, what they exit with."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
import torch
from commands import DIGITS, TINY, Maker, contents, files, invoke, refusal, sets, succeeds, train
from PIL import Image

from pyrovae import __version__
from pyrovae.cli.places import BUILT_IN, experiments
from pyrovae.schema import TABLES

POOLS = sets({"prior.name": "gaussian-mixture"})
COMMANDS = ("run", "init", "evaluate", "sample", "figures", "compare", "list", "data")


def process(*args: object, pipe: str = "") -> "subprocess.CompletedProcess[str]":
    """Runs the command line in a process of its own, its output piped into a shell command."""
    command = " ".join([sys.executable, "-m", "pyrovae", *map(str, args), pipe])
    shell = f"{command}; echo status ${{PIPESTATUS[0]}} >&2"
    return subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)


# ------------------------------------------------------------------------------------------- before torch


def test_help_answers_in_under_a_second() -> None:
    seconds = []
    for _ in range(3):
        started = perf_counter()
        assert "Usage" in process("--help").stdout
        seconds.append(perf_counter() - started)
    assert min(seconds) < 1  # the best of three, since the machine may be busy


def test_the_command_line_is_parsed_without_torch() -> None:
    heavy = "{'torch', 'pyro', 'numpy', 'matplotlib'} & set(sys.modules)"
    code = f"import sys, pyrovae.cli; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    assert f"{command}" in succeeds("--help")
    assert succeeds(command, "--help") == succeeds(command, "-h")


def test_version() -> None:
    assert succeeds("--version").strip().endswith(__version__)


@pytest.mark.parametrize(
    "args",
    [
        ["train"],
        ["run"],
        ["run", DIGITS, "--epochs", 3],
        ["run", DIGITS, "--seed", -1],
        ["run", DIGITS, "--seed", 2**63],
        ["run", DIGITS, "--threads", 0],
        ["compare"],
        ["sample", "x", "--count", 0],
        ["evaluate", "x", "--particles", "many"],
        ["evaluate", "x", "--data", 1],
    ],
)
def test_wrong_usage_exits_with_2(args: list[object]) -> None:
    result = invoke(*args)
    assert result.exit_code == 2
    assert "Usage" in result.stderr


@pytest.mark.slow
def test_exit_codes_of_the_process(tmp_path: Path) -> None:
    assert "status 0" in process("--version").stderr
    assert "status 2" in process("run", DIGITS, "--epochs", 3).stderr
    assert "status 1" in process("evaluate", "no-such-run", "--runs-dir", tmp_path).stderr


@pytest.mark.slow
def test_a_reader_who_leaves_is_no_error() -> None:
    # `true` reads nothing and is gone before the tables are loaded, so that every write fails.
    assert process("list", pipe="| true").stderr.splitlines() == ["status 1"]


# ------------------------------------------------------------------------------------------- list, init, data


@pytest.mark.parametrize("table", TABLES)
def test_list_prints_every_row_of_a_table(table: str) -> None:
    lines = succeeds("list", table).splitlines()
    rows = [line.split(":")[0].strip() for line in lines if line.startswith("  ") and not line.startswith("   ")]
    assert lines[0].split()[0] == table
    assert rows == list(TABLES[table])


def test_list_prints_all_tables_and_the_built_in_experiments() -> None:
    printed = succeeds("list")
    for name in (*TABLES, *(name for rows in TABLES.values() for name in rows), *experiments()):
        assert name in printed
    assert succeeds("list", "experiments").split()[1:] == list(experiments())


@pytest.mark.parametrize("table", TABLES)
def test_a_page_of_documentation_has_every_row(table: str) -> None:
    title, _, head, _, *rows = succeeds("list", table, "--markdown").splitlines()
    assert title == f"## {table}"
    assert [row.split("`")[1] for row in rows] == list(TABLES[table])
    unescaped = [row.replace("\\|", "").count("|") for row in (head, *rows)]
    assert unescaped == [5] * (len(rows) + 1)


def test_list_of_something_else() -> None:
    assert "did you mean 'priors'?" in refusal("list", "prior", code=2)


@pytest.mark.parametrize("name", experiments())
def test_init_writes_a_built_in_experiment_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"pyrovae run {name}.toml" in succeeds("init", name)
    assert Path(f"{name}.toml").read_bytes() == experiments()[name].read_bytes()
    assert f"{name}.toml exists" in refusal("init", name, code=2)
    succeeds("init", name, "-o", "mine.toml")
    assert files(tmp_path) == sorted([f"{name}.toml", "mine.toml"])


def test_init_of_something_unknown_or_into_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"did you mean '{DIGITS}'?" in refusal("init", "digits-gausian-mixture", code=2)
    assert "cannot write nowhere/a.toml" in refusal("init", DIGITS, "-o", "nowhere/a.toml")
    assert files(tmp_path) == []


def test_built_in_experiments_come_with_the_package() -> None:
    folder = Path(__file__).parent.parent / "experiments"
    assert folder in BUILT_IN
    assert set(experiments()) >= {path.stem for path in folder.glob("*.toml")}


def test_data_info(tmp_path: Path) -> None:
    assert "1200 train, 200 validation, 397 test" in succeeds("data", "info", "digits")
    np.save(tmp_path / "x.npy", np.ones((20, 3), "float32"))
    assert "event shape   (3,)" in succeeds("data", "info", tmp_path / "x.npy")
    assert "event shape   (3,)" in succeeds("data", "info", "x.npy", "--data-dir", tmp_path)
    assert "did you mean 'digits'?" in refusal("data", "info", "digit", code=2)
    assert "pyrovae data info FILE.npy" in refusal("data", "info", "array", code=2)
    assert "'digits' is not downloaded" in refusal("data", "fetch", "digits", code=2)


# ------------------------------------------------------------------------------------------- run


def test_a_dry_run_prints_what_it_would_do_and_leaves_nothing(tmp_path: Path) -> None:
    printed = succeeds("run", TINY, "--dry-run", "--runs-dir", tmp_path / "runs", "--seed", 5, *POOLS)
    configuration, parts = printed.split("prior: ")
    resolved = tomllib.loads(configuration)
    assert resolved["seed"] == 5
    assert resolved["encoder"] == {"name": "mlp", "hidden": [16], "activation": "relu"}
    for words in ("GaussianMixture", "likelihood: Bernoulli", "posterior: DiagonalNormal", "parameters", "GB", "min"):
        assert words in parts
    # 64 -> 16 -> 8 and 4 -> 16 -> 64, ten pools of 4 means and 4 scales, and their weights.
    assert f"together: {(64 * 16 + 16) + (16 * 8 + 8) + (4 * 16 + 16) + (16 * 64 + 64) + 10 * 9:,} " in printed
    assert files(tmp_path) == []


def test_a_run_leaves_every_file(root: Path) -> None:
    names = {path.name for path in (root / "pools").iterdir()}
    expected = {
        ".lock", "experiment.toml", "manifest.json", "metrics.jsonl", "checkpoint.pt", "checkpoints", "evaluation.json",
        "log_marginal.npy", "figures",
    }  # fmt: skip
    assert names == expected


def test_a_run_draws_pictures_that_are_pictures(root: Path) -> None:
    drawn = sorted((root / "pools" / "figures").iterdir())
    assert {path.stem for path in drawn} >= {
        "training", "reconstructions", "samples", "pools", "latent_map", "traversals", "interpolation", "walk"
    }  # fmt: skip
    for path in drawn:
        with Image.open(path) as image:
            image.load()
            assert image.format == ("GIF" if path.name == "walk.gif" else "PNG")
            assert path.stat().st_size > 1000
            assert path.name != "walk.gif" or image.n_frames > 10  # type: ignore[attr-defined]


def test_runs_are_numbered_where_no_name_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyrovae.gallery.draw", lambda *_: None)
    for _ in range(2):
        printed = succeeds("run", TINY, "--runs-dir", tmp_path)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["tiny", "tiny-2"]
    assert "nats per datum (20 data)" in printed
    assert str(tmp_path / "tiny-2" / "checkpoint.pt") in printed


def test_seed_and_threads_are_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyrovae.gallery.draw", lambda *_: None)
    before = torch.get_num_threads()
    try:
        succeeds("run", TINY, "--runs-dir", tmp_path, "--name", "a", "--seed", 7, "--threads", 2)
    finally:
        torch.set_num_threads(before)
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
    assert (manifest["seed"], manifest["threads"]) == (7, 2)
    assert tomllib.loads((tmp_path / "a" / "experiment.toml").read_text())["seed"] == 7


# ------------------------------------------------------------------------------------------- after a run


def test_evaluate_gives_the_same_numbers_and_changes_no_weight(copied: Maker) -> None:
    run = copied()
    kept = contents(run)
    printed = succeeds("evaluate", run, "--only", "evidence")
    assert {name: content for name, content in contents(run).items() if not name.startswith("report.")} == kept
    assert str(run / "report.html") in printed


def test_evaluate_takes_other_particles_and_data(copied: Maker) -> None:
    run = copied()
    printed = succeeds(
        "evaluate", "pools", "--runs-dir", run.parent, "--particles", 60, "--data", 25, "--only", "evidence"
    )
    assert "iw60 log p(x)" in printed
    numbers = json.loads((run / "evaluation.json").read_text())
    assert (numbers["estimator"], numbers["data"]) == ("iw60", 25)
    assert np.load(run / "log_marginal.npy").shape == (25,)


def test_a_smaller_evaluation_replaces_no_larger_one(copied: Maker) -> None:
    run = copied()
    before = (run / "evaluation.json").read_bytes(), (run / "log_marginal.npy").read_bytes()
    assert "iw30 log p(x)" in succeeds(
        "evaluate", "pools", "--runs-dir", run.parent, "--particles", 30, "--only", "evidence"
    )
    assert before == ((run / "evaluation.json").read_bytes(), (run / "log_marginal.npy").read_bytes())


@pytest.mark.parametrize("label", [None, "3"])
def test_sample_writes_arrays(root: Path, tmp_path: Path, label: str | None) -> None:
    of_class = [] if label is None else ["--class", label]
    arrays = []
    for seed in (1, 1, 2):
        path = tmp_path / f"{len(arrays)}.npy"
        succeeds("sample", root / "pools", *of_class, "--count", 5, "-o", path, "--seed", seed)
        arrays.append(np.load(path))
    assert arrays[0].shape == (5, 1, 8, 8)
    assert arrays[0].min() >= 0
    assert arrays[0].max() <= 1
    assert np.array_equal(arrays[0], arrays[1])
    assert not np.array_equal(arrays[0], arrays[2])


def test_sample_writes_pictures(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.png"
    assert succeeds("sample", "pools", "--runs-dir", root, "--class", 3, "--count", 4, "-o", path).strip() == str(path)
    with Image.open(path) as image:
        assert image.format == "PNG"


@pytest.mark.parametrize("label", ["T-shirt/top", "1"])
def test_sample_takes_a_class_by_name_or_number(copied: Maker, label: str) -> None:
    run = copied()
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["data"]["classes"] = ["coat", "T-shirt/top", *"23456789"]
    (run / "manifest.json").write_text(json.dumps(manifest))
    path = Path(succeeds("sample", run, "--class", label, "--count", 2).strip())
    assert path.parent == run / "figures"
    assert path.is_file()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["pools", "--class", "cat"], "unknown class 'cat'"),
        (["pools", "--class", "../3"], "unknown class '../3'"),
        (["pools", "--class", "10"], "classes: 0, 1, 2"),
        (["pools", "--class=-1"], "unknown class '-1'"),
        (["normal", "--class", "3"], "this model reads no labels"),
        (["pool"], "no run 'pool'"),
        (["a" * 300], "no run 'aaa"),
        (["pools", "-o", "/dev/null/x.npy"], "cannot write /dev/null/x.npy: Not a directory"),
        (["pools", "-o", "/dev/null/x.png"], "/dev/null: File exists"),
    ],
)
def test_sample_refuses(root: Path, args: list[str], words: str) -> None:
    assert words in refusal("sample", *args, "--runs-dir", root)


def test_sample_knows_two_kinds_of_files(root: Path, tmp_path: Path) -> None:
    assert "end it in .png or .npy" in refusal("sample", root / "pools", "-o", tmp_path / "a.xyz", code=2)
    assert files(tmp_path) == []


def test_a_run_that_is_not_there(root: Path, tmp_path: Path) -> None:
    assert "runs in" in refusal("evaluate", "pool", "--runs-dir", root)
    assert "no runs in" in refusal("compare", "pool", "--runs-dir", tmp_path)


@pytest.mark.slow
def test_figures_draws_the_same_pictures_again(tmp_path: Path) -> None:
    run = train(tmp_path, "seeded", {"seed": 3}, figures=True)
    drawn = {path.name: path.read_bytes() for path in (run / "figures").iterdir()}
    printed = succeeds("figures", "seeded", "--runs-dir", tmp_path).splitlines()
    assert sorted(Path(line).name for line in printed) == sorted(drawn)
    assert {path.name: path.read_bytes() for path in (run / "figures").iterdir()} == drawn


def test_compare_of_two_priors(root: Path) -> None:
    printed = succeeds("compare", "normal", root / "pools", "--runs-dir", root)
    header, _, *rows = [line for line in printed.splitlines() if line.startswith("|")]
    assert "log p(x), nats" in header
    assert len(rows) == 2
    assert "±" in rows[0]
    assert "gaussian-mixture (class pools)" in printed
    assert "binarize = dynamic" in printed


# ------------------------------------------------------------------------------------------- programs' mistakes


def test_the_users_mistake_has_no_traceback_unless_asked_for(tmp_path: Path) -> None:
    asked = invoke("--debug", "evaluate", "none", "--runs-dir", tmp_path)
    assert "Traceback" in asked.stderr
    assert "Traceback" not in refusal("evaluate", "none", "--runs-dir", tmp_path)


def test_a_mistake_of_the_program_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr("pyrovae.listing.listing", fail)
    result = invoke("list")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "Error: KeyError: 'oops'",
        "Hint: a defect of pyrovae, or of a part you added: pyrovae --debug COMMAND shows where",
    ]


# ------------------------------------------------------------------------------------------- annealing


def test_annealing_stands_beside_the_evidence_and_may_overrule_it(copied: Maker) -> None:
    """Mutations: the verdict is not looked at; the reason stays when it holds no more; both estimators are blamed."""
    run = copied()
    numbers = json.loads((run / "evaluation.json").read_text())
    small = ["--only", "ais", *sets({"ais.annealed": 20, "ais.temperatures": 50, "ais.chains": 8})]
    printed = succeeds("evaluate", run, *small)
    assert "they agree" in printed
    found = json.loads((run / "evaluation.json").read_text())
    assert {key: found[key] for key in numbers if key not in ("sections", "own_reasons")} == {
        key: numbers[key] for key in numbers if key not in ("sections", "own_reasons")
    }
    assert (found["sections"]["ais"]["numbers"]["data"], found["sections"]["ais"]["numbers"]["distrusted"]) == (20, "")
    per_datum = np.load(run / "log_marginal.npy")
    np.save(run / "log_marginal.npy", per_datum - 3)
    assert "importance sampling is too low" in succeeds("evaluate", run, *small)
    overruled = json.loads((run / "evaluation.json").read_text())
    assert overruled["verdict"] == "unreliable"
    above = re.fullmatch(
        r"annealed importance sampling is (.*) ± .* nats above it on 20 data", overruled["reasons"][-1]
    )
    assert above is not None
    assert abs(float(above[1]) - 3) < 0.5
    np.save(run / "log_marginal.npy", per_datum + 3)
    assert "annealing is too low" in succeeds("evaluate", run, *small)
    assert json.loads((run / "evaluation.json").read_text())["reasons"] == numbers["reasons"]
