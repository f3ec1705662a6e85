"""Sweeps: what their files may say, who runs what, workers that die, and the table in the end."""

import json
import math
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
import torch
from commands import TINY, files, invoke, refusal, sets, succeeds

from pyrovae import checkpoints, configuration, running, runs, storage
from pyrovae.cli import experiments
from pyrovae.errors import Interrupted, PyrovaeError
from pyrovae.sweeps import command, worker
from pyrovae.sweeps.journal import Journal, Lock, import_optuna
from pyrovae.sweeps.plan import Plan, read
from pyrovae.sweeps.queue import DEATHS, Queue, Result, Task
from pyrovae.sweeps.results import table

GRID = """
[sweep]
seeds = [0, 1]
[sweep.grid]
"prior.name" = ["standard-normal", "vamp"]
"""
SEARCH = """
[sweep]
[sweep.search]
trials = 12
"train.learning_rate" = { low = 1e-4, high = 1e-2, log = true }
"vae.latent_dim" = { low = 2, high = 32 }
"train.ema" = { low = 0.1, high = 0.9, step = 0.2 }
"encoder.hidden" = [[16], [16, 16]]
"vae.conditional" = [false]
"""
MEASURED = {"bound": "elbo", "quantity": "log p(x)"}


def written(folder: Path, text: str, name: str = "cells.toml") -> Path:
    """Writes a sweep of the tiny experiment."""
    path = folder / name
    path.write_text(TINY.read_text() + text)
    return path


def prepared(folder: Path, text: str) -> Queue:
    """Queues a sweep and runs nothing."""
    return Queue(command.prepare(written(folder, text), folder / "runs"))


def claimed(queue: Queue) -> Task:
    task = queue.claim()
    assert task is not None
    return task


def invented(task: Task, loss: float = 90.0, **measured: str) -> list[Result]:
    """Returns results of a trial that was not run."""
    return [Result(loss, 0.1, MEASURED | measured) for _ in task.experiments]


def in_journal(folder: Path) -> list[tuple[str, Any]]:
    """Returns state and runs of every trial, as Optuna's own backend reads the journal."""
    optuna = import_optuna()
    backend = optuna.storages.journal.JournalFileBackend(str(folder / "journal.log"))
    study = optuna.load_study(study_name="sweep", storage=optuna.storages.JournalStorage(backend))
    return [(trial.state.name, trial.user_attrs.get("runs")) for trial in study.trials]


# ------------------------------------------------------------------------------------------- what a file says


def test_a_grid_is_every_combination_with_every_seed(tmp_path: Path) -> None:
    plan = read(written(tmp_path, GRID + '"objective.beta" = [0.5, 1.0]\n'))
    cells = plan.cells()
    assert len(cells) == 8
    assert {tuple(values.values()) for values in cells.values()} == {
        (prior, beta, seed) for prior in ("standard-normal", "vamp") for beta in (0.5, 1.0) for seed in (0, 1)
    }
    for name, values in cells.items():
        made = plan.experiments(values)[name]
        assert runs.configuration_hash(made.to_dict()) == name
        assert (made.sections["prior"]["name"], made.seed) == (values["prior.name"], values["seed"])
        assert made.sections["vae"]["latent_dim"] == 4


def test_a_cell_is_the_experiment_of_run_with_the_same_settings(tmp_path: Path) -> None:
    plan = read(written(tmp_path, GRID))
    for name, values in plan.cells().items():
        same = configuration.read(TINY, [f"prior.name={values['prior.name']}"], seed=values["seed"])
        assert runs.configuration_hash(same.to_dict()) == name


def test_another_row_leaves_the_options_of_the_old_one_behind(tmp_path: Path) -> None:
    plan = read(written(tmp_path, '[prior]\nname = "vamp"\npseudo_inputs = 7\n' + GRID))
    priors = [plan.experiment(values).chosen("prior") for values in plan.combinations()]
    assert [chosen.get("pseudo_inputs") for chosen in priors] == [None, 7]


def test_several_grids_are_run_together_and_equal_cells_once(tmp_path: Path) -> None:
    text = """
    [sweep]
    [[sweep.grid]]
    prior.name = ["standard-normal"]
    [[sweep.grid]]
    prior.name = ["vamp", "standard-normal"]
    [[sweep.grid]]
    prior.name = ["vamp"]
    prior.pseudo_inputs = [5, 500]
    """
    cells = read(written(tmp_path, text)).cells().values()
    assert [tuple(values.values()) for values in cells] == [("standard-normal", 0), ("vamp", 0), ("vamp", 5, 0)]


DIM, CELLS, PROPOSALS = '"vae.latent_dim"', "[sweep]\n[sweep.grid]\n", "[sweep]\n[sweep.search]\ntrials = 2\n"
FAULTS = {  # line 17 is the first after the tiny experiment
    "no table [sweep]": "",
    "not TOML": "[sweep",
    ":17: [sweep] it should hold either": "[sweep]\nseeds = [1]",
    ":18: [sweep] unknown key 'gird' (did you mean 'grid'?)": f"[sweep]\n[sweep.gird]\n[sweep.grid]\n{DIM} = [2]",
    ":18: [sweep] 'seeds' should be a list of whole": f"[sweep]\nseeds = [-1]\n[sweep.grid]\n{DIM} = [2]",
    ":18: [sweep] 'seeds' holds 3 twice": f"[sweep]\nseeds = [3, 3]\n[sweep.grid]\n{DIM} = [2]",
    "[sweep.grid] should hold keys": CELLS,
    ":19: [vae] unknown key 'latent_dims' (did you mean 'latent_dim'?)": f'{CELLS}"vae.latent_dims" = [2]',
    ":19: [prior] unknown prior 'wamp' (did you mean 'vamp'?)": f'{CELLS}"prior.name" = ["flow", "wamp"]',
    ":19: [vae] 'latent_dim' should be int, got 2.5": f"{CELLS}{DIM} = [2, 2.5]",
    ":19: unknown section [preor] (did you mean 'prior'?)": f'{CELLS}"preor.name" = ["flow"]',
    ":19: unknown key 'epochs' outside of sections": f"{CELLS}epochs = [2]",
    ":19: [sweep] 'vae.latent_dim' should be a list of values, got 2": f"{CELLS}{DIM} = 2",
    ":19: [sweep] 'vae.latent_dim' holds 2 twice": f"{CELLS}{DIM} = [2, 2]",
    ":19: [sweep] 'seed' is not swept as a key": f"{CELLS}seed = [0, 1]",
    ":19: [prior] unknown key 'pseudo_inputs'": f'{CELLS}"prior.pseudo_inputs" = [5]',
    "'trials' should be a whole number above 0, got None": f"[sweep]\n[sweep.search]\n{DIM} = [2]",
    "nothing to search": PROPOSALS,
    ":20: [sweep] 'seed', the sampler's, should be a whole": f"{PROPOSALS}seed = 0.5\n{DIM} = [2]",
    ":20: [sweep] 'vae.latent_dim' should have two numbers": f"{PROPOSALS}{DIM} = {{ low = 9, high = 2 }}",
    "'vae.latent_dim' has no 'hi' (did you mean 'high'?)": f"{PROPOSALS}{DIM} = {{ low = 9, hi = 2 }}",
    "should be a list of choices or a range { low, high }, got 2": f"{PROPOSALS}{DIM} = 2",
    "should have log = true or false, got 'yes'": f'{PROPOSALS}{DIM} = {{ low = 2, high = 9, log = "yes" }}',
    "by its logarithm: low should be above 0": f'{PROPOSALS}"train.ema" = {{ low = 0.0, high = 0.5, log = true }}',
    "should have a step above 0": f"{PROPOSALS}{DIM} = {{ low = 2, high = 9, step = 0.5 }}",
    ":20: [train] 'learning_rate' should be above": f'{PROPOSALS}"train.learning_rate" = {{ low = -1.0, high = 0.1 }}',
    ":20: [vae] 'latent_dim' should be int, got 0.5": f"{PROPOSALS}{DIM} = {{ low = 0.5, high = 9 }}",
    "cannot compare elbo with iwae (particles = 5)": f'{PROPOSALS}"objective.name" = ["elbo", "tc", "iwae"]',
}


@pytest.mark.parametrize("said", FAULTS)
def test_a_bad_sweep_file_is_told_with_its_line_and_nothing_is_made(tmp_path: Path, said: str) -> None:
    file = written(tmp_path, FAULTS[said])
    assert said in refusal("sweep", "run", file, "--runs-dir", tmp_path / "runs", code=2)
    assert files(tmp_path) == ["cells.toml"]


def test_all_mistakes_of_a_sweep_are_told_at_once(tmp_path: Path) -> None:
    file = written(tmp_path, '[sweep]\n[sweep.grid]\n"vae.latent_dims" = [2, 3]\n"train.epoch" = [1]\n')
    lines = refusal("sweep", "run", file, "--runs-dir", tmp_path, code=2).splitlines()
    assert [line.split(": ")[1].rsplit(":")[-1] for line in lines[:-1]] == ["19", "20"]


def test_a_missing_sweep_file_and_a_folder_without_a_sweep_are_told(tmp_path: Path) -> None:
    assert "No such file" in refusal("sweep", "run", tmp_path / "a.toml", code=2)
    for name in ("worker", "show"):
        assert f"no sweep in {tmp_path}" in refusal("sweep", name, tmp_path, code=2)


def test_without_optuna_the_way_to_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert 'pip install "pyrovae[sweep]"' in refusal("sweep", "run", written(tmp_path, GRID), "--runs-dir", tmp_path)
    assert files(tmp_path) == ["cells.toml"]


@pytest.mark.parametrize("path", sorted((Path(__file__).parent.parent / "experiments" / "sweeps").glob("*.toml")))
def test_the_sweeps_that_come_with_the_package_can_be_run(path: Path) -> None:
    from pyrovae.sweeps.plan import check

    check(read(path))
    assert path.stem not in experiments(), "it is no experiment"


# ------------------------------------------------------------------------------------------- a sweep that grows


SEARCH_OF = (
    '[sweep]\nseeds = [{seeds}]\n[sweep.search]\ntrials = {trials}\n"vae.latent_dim" = {{ low = 2, high = {high} }}'
)
CHANGES: dict[str, tuple[str, str, bool]] = {
    "another seed": (GRID, GRID.replace("[0, 1]", "[0, 1, 2]"), True),
    "another value": (GRID, GRID.replace('"vamp"', '"vamp", "flow"'), True),
    "a key at its default": (GRID, GRID + '"objective.beta" = [1.0, 0.5]', True),
    "a seed less": (GRID, GRID.replace("[0, 1]", "[0]"), False),
    "another value instead": (GRID, GRID.replace('"vamp"', '"flow"'), False),
    "another experiment": (GRID, "[objective]\nbeta = 0.5\n" + GRID, False),
    "a search instead": (GRID, SEARCH, False),
    "more trials": (SEARCH_OF.format(seeds=0, trials=2, high=9), SEARCH_OF.format(seeds=0, trials=3, high=9), True),
    "fewer trials": (SEARCH_OF.format(seeds=0, trials=2, high=9), SEARCH_OF.format(seeds=0, trials=1, high=9), False),
    "a wider range": (SEARCH_OF.format(seeds=0, trials=2, high=9), SEARCH_OF.format(seeds=0, trials=2, high=10), False),
    "other seeds": (SEARCH_OF.format(seeds=0, trials=2, high=9), SEARCH_OF.format(seeds=1, trials=2, high=9), False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_folder_takes_a_changed_sweep_only_if_it_adds_to_it(tmp_path: Path, change: str) -> None:
    old, new, allowed = CHANGES[change]
    before = prepared(tmp_path, old)
    total = before.total()
    kept = (before.folder / "sweep.toml").read_bytes()
    if allowed:
        queue = prepared(tmp_path, new)
        assert queue.total() > total
        assert len({tuple(t.user_attrs["runs"]) for t in queue.trials()}) == len(queue.trials())
    else:
        file = written(tmp_path, new)
        assert "is another sweep than" in refusal("sweep", "run", file, "--runs-dir", tmp_path / "runs", code=2)
        assert (before.folder / "sweep.toml").read_bytes() == kept


def test_cells_that_were_queued_before_a_key_moved_into_the_grid_are_still_known(tmp_path: Path) -> None:
    prepared(tmp_path, "[objective]\nbeta = 0.5\n" + GRID)
    queue = prepared(tmp_path, GRID + '"objective.beta" = [1.0, 0.5]\n')
    tasks = [claimed(queue) for _ in range(8)]
    assert queue.claim() is None
    for task in tasks:
        worker.check_version(task)


def test_a_run_and_a_folder_of_other_things_are_left_alone(tmp_path: Path) -> None:
    file = written(tmp_path, GRID)
    for name, holds in (("run", "manifest.json"), ("other", "notes.txt")):
        (tmp_path / name).mkdir()
        (tmp_path / name / holds).write_text("{}")
        refusal("sweep", "run", file, "--runs-dir", tmp_path, "--name", name, code=2)
        assert files(tmp_path / name) == [holds]
    assert "64 letters" in refusal("sweep", "run", file, "--runs-dir", tmp_path, "--name", "../x", code=2)


# ------------------------------------------------------------------------------------------- the journal


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock on ``tmp_path / "lock"``."""
    code = f"import fcntl, time; f = open({str(tmp_path / 'lock')!r}, 'a'); fcntl.flock(f, 2); print(flush=True); "
    with subprocess.Popen(
        [sys.executable, "-c", code + "time.sleep(60)"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    lock = Lock(tmp_path / "lock")
    assert not lock.take()
    holder.kill()
    holder.wait()
    assert lock.take()


def test_half_a_line_is_cut_off_and_the_journal_goes_on(tmp_path: Path) -> None:
    queue = prepared(tmp_path, GRID)
    path = queue.folder / "journal.log"
    with path.open("ab") as file:
        file.write(b'{"op_code":5,"trial_id":0')
    assert len(Queue(queue.folder).trials()) == 4
    task = claimed(queue)
    queue.finish(task, invented(task))
    assert [json.loads(line)["op_code"] for line in path.read_text().splitlines()]
    assert [state for state, _ in in_journal(queue.folder)] == ["COMPLETE", "WAITING", "WAITING", "WAITING"]


def test_a_damaged_journal_is_named(tmp_path: Path) -> None:
    queue = prepared(tmp_path, GRID)
    path = queue.folder / "journal.log"
    path.write_bytes(b"{nothing\n" + path.read_bytes())
    assert "journal.log is damaged" in refusal("sweep", "show", queue.folder)


def test_a_full_disk_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    journal = Journal(tmp_path / "journal.log", Lock(tmp_path / "lock"))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PyrovaeError, match=r"cannot write .*journal\.log: No space left"):
        journal.append_logs([{"op_code": 0}])


# ------------------------------------------------------------------------------------------- who runs what


def test_each_cell_is_claimed_once(tmp_path: Path) -> None:
    queue = prepared(tmp_path, GRID)
    one, other = Queue(queue.folder), Queue(queue.folder)
    tasks = [(who, claimed(who)) for who in (one, other, one, other)]
    assert {name for _, task in tasks for name in task.experiments} == set(queue.plan().cells())
    assert one.claim() is other.claim() is None
    for who, task in tasks:
        who.finish(task, invented(task))
    queue.fill()
    assert one.claim() is None
    assert [state for state, _ in in_journal(queue.folder)] == ["COMPLETE"] * 4


def test_the_trial_of_a_dead_worker_is_taken_over_and_given_up_after_three(tmp_path: Path) -> None:
    queue = prepared(tmp_path, GRID.replace("[0, 1]", "[0]").replace(', "vamp"', ""))
    (name,) = queue.plan().cells()
    for deaths in range(DEATHS):
        task = claimed(queue)
        assert "Nobody" not in table(queue)
        assert (list(task.experiments), task.trial.user_attrs.get("deaths", 0)) == ([name], deaths)
        task.lock.release()  # as the system does for a process that dies
        assert "Nobody runs 1 of the trials" in table(queue)
    assert queue.claim() is None
    (trial,) = queue.trials()
    assert (trial.state.name, trial.user_attrs["runs"]) == ("FAIL", [name])
    assert "3 workers have died in it" in table(queue)
    queue.fill()
    assert claimed(queue).trial.user_attrs["deaths"] == 0, "another try is one"


def test_a_worker_that_dies_while_it_takes_over_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = prepared(tmp_path, GRID.replace("[0, 1]", "[0]"))
    claimed(queue).lock.release()
    with monkeypatch.context() as patch:
        patch.setattr(queue.study, "tell", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            queue.claim()
    other = Queue(queue.folder)
    tasks = [claimed(other), claimed(other)]
    assert other.claim() is None
    assert {name for task in tasks for name in task.experiments} == set(queue.plan().cells())
    assert [state for state, _ in in_journal(queue.folder)] == ["FAIL", "RUNNING", "RUNNING"]


def test_what_has_failed_is_tried_again_by_the_next_run_only(tmp_path: Path) -> None:
    queue = prepared(tmp_path, GRID.replace("[0, 1]", "[0]").replace(', "vamp"', ""))
    queue.fail(claimed(queue), RuntimeError("no\nmemory"))
    assert queue.claim() is None
    assert "failed: RuntimeError: no memory" in table(queue)
    queue.fill()
    queue.fill()
    task = claimed(queue)
    assert queue.claim() is None
    queue.finish(task, invented(task))
    assert "| finished |" in table(queue)
    assert "RuntimeError" not in table(queue)


# ------------------------------------------------------------------------------------------- searches


def searched(folder: Path, text: str = SEARCH, loss: Callable[[Any], float] = lambda values: 90.0) -> Queue:
    """Searches without training."""
    queue = prepared(folder, text)
    while (task := queue.claim()) is not None:
        queue.finish(task, invented(task, loss(task.trial.user_attrs["values"])))
    return queue


def test_a_search_proposes_legal_values_as_often_as_was_asked(tmp_path: Path) -> None:
    queue = searched(tmp_path, loss=lambda values: values["vae.latent_dim"])
    every = [trial.user_attrs["values"] for trial in queue.trials()]
    assert len(every) == 12
    for values in every:
        assert 1e-4 <= values["train.learning_rate"] <= 1e-2
        assert isinstance(values["vae.latent_dim"], int)
        assert 2 <= values["vae.latent_dim"] <= 32
        assert min(abs(values["train.ema"] - step) for step in (0.1, 0.3, 0.5, 0.7, 0.9)) < 1e-9
        assert values["encoder.hidden"] in ([16], [16, 16])
        assert values["vae.conditional"] is False
    rates = [math.log10(values["train.learning_rate"]) for values in every]
    assert min(rates) < -3 < max(rates)
    assert all(trial.value == trial.user_attrs["values"]["vae.latent_dim"] for trial in queue.trials())


def test_proposals_are_a_function_of_the_samplers_seed(tmp_path: Path) -> None:
    found = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / name).mkdir()
        queue = searched(tmp_path / name, SEARCH.replace("trials = 12", f"trials = 12\nseed = {seed}"))
        found.append([trial.user_attrs["values"] for trial in queue.trials()])
    assert found[0] == found[1] != found[2]
    assert len({json.dumps(values) for values in found[0]}) == 12, "no two of them are the same"


def test_a_search_learns_from_what_it_was_told(tmp_path: Path) -> None:
    text = '[sweep]\n[sweep.search]\ntrials = 40\nseed = 1\n"train.learning_rate" = { low = 0.001, high = 1.0 }\n'
    queue = searched(tmp_path, text, lambda values: abs(values["train.learning_rate"] - 0.3))
    losses = [trial.value for trial in queue.trials()]
    # Of uniform draws the mean is 0.29, the standard deviation 0.20: 20 of them are below 0.15 by 3 standard errors.
    assert mean(losses[-20:]) < 0.15


def test_every_proposal_is_run_with_every_seed_and_judged_by_the_mean(tmp_path: Path) -> None:
    queue = prepared(tmp_path, SEARCH.replace("[sweep]", "[sweep]\nseeds = [3, 5, 7]"))
    task = claimed(queue)
    assert [one.seed for one in task.experiments.values()] == [3, 5, 7]
    queue.finish(task, [Result(loss, 0.1, MEASURED) for loss in (90.0, 91.0, 95.0)])
    (trial,) = queue.trials()
    assert (trial.value, trial.user_attrs["losses"]) == (92.0, [90.0, 91.0, 95.0])
    assert f"92.00 ± {stdev([90, 91, 95]):.2f}" in table(queue)


def test_a_proposal_of_a_dead_worker_is_the_same_when_it_is_taken_over(tmp_path: Path) -> None:
    queue = prepared(tmp_path, SEARCH)
    task = claimed(queue)
    task.lock.release()
    again = claimed(queue)
    assert again.experiments == task.experiments
    assert again.trial.params == task.trial.params
    searched(tmp_path)
    again.lock.release()
    searched(tmp_path)
    assert len([state for state, _ in in_journal(queue.folder) if state == "COMPLETE"]) == 12


def test_a_thing_proposed_twice_waits_for_the_first(tmp_path: Path) -> None:
    queue = prepared(tmp_path, '[sweep]\n[sweep.search]\ntrials = 2\n"vae.latent_dim" = [3]\n')
    first, second = claimed(queue), claimed(queue)
    assert (queue.behind(first), queue.behind(second)) == (False, True)
    queue.finish(first, invented(first))
    assert not queue.behind(second)
    queue.finish(second, invented(second))
    assert "| 90.00 " in table(queue), "the run is one, and has no deviation"


def test_a_search_refuses_losses_of_another_kind_and_numbers_that_are_none(tmp_path: Path) -> None:
    queue = prepared(tmp_path, SEARCH)
    for loss, measured in ((90.0, {}), (2.0, {"quantity": "log p(x, y)"}), (math.nan, {}), (89.0, {})):
        task = claimed(queue)
        queue.finish(task, invented(task, loss, **measured))
    text = table(queue)
    assert [state for state, _ in in_journal(queue.folder)] == ["COMPLETE", "FAIL", "FAIL", "COMPLETE"]
    assert "of another kind than that of trial 0: quantity log p(x, y) against log p(x)" in text
    assert "its validation loss is nan" in text
    assert text.index("| 89.00") < text.index("| 90.00")


def test_a_proposal_that_is_no_experiment_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Plan.experiments

    def experiments(plan: Plan, values: dict[str, Any]) -> dict[str, configuration.Experiment]:
        if values["vae.latent_dim"] % 2:
            raise PyrovaeError("an odd number")
        return original(plan, values)

    monkeypatch.setattr(Plan, "experiments", experiments)
    queue = searched(tmp_path)
    odd = [trial for trial in queue.trials() if trial.user_attrs["values"]["vae.latent_dim"] % 2]
    assert 0 < len(odd) < 12 == len(queue.trials())
    assert {(trial.state.name, trial.user_attrs["error"]) for trial in odd} == {("FAIL", "an odd number")}
    assert table(queue).count("failed: an odd number") == len(odd)
    queue.fill()
    assert queue.claim() is None, "it would be none the next time either"


def test_a_grid_says_under_its_table_what_cannot_be_compared(tmp_path: Path) -> None:
    queue = prepared(tmp_path, GRID.replace("[0, 1]", "[0]"))
    for quantity in ("log p(x)", "log p(x, y)"):
        task = claimed(queue)
        queue.finish(task, invented(task, quantity=quantity))
    assert "not to be compared: quantity log p(x) against log p(x, y)." in table(queue)


# ------------------------------------------------------------------------------------------- runs


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished grid of four cells."""
    folder = tmp_path_factory.mktemp("sweep")
    queue = prepared(folder, GRID)
    assert "4 trials ended here" in succeeds("sweep", "worker", queue.folder)
    return queue.folder


def test_a_trial_is_a_run_directory_named_by_its_configuration(swept: Path) -> None:
    found = {path.parent.name for path in swept.glob("*/evaluation.json")}
    assert found == set(read(swept / "sweep.toml").cells())
    assert [state for state, _ in in_journal(swept)] == ["COMPLETE"] * 4
    for name in found:
        assert runs.find(swept, name) == swept / name
        assert not (swept / name / "figures").exists()


def test_a_cell_is_what_run_makes_of_the_same_configuration(swept: Path, tmp_path: Path) -> None:
    (name,) = (name for name, values in cells_of(swept).items() if values == {"prior.name": "vamp", "seed": 1})
    succeeds("run", TINY, "--runs-dir", tmp_path, "--name", "same", "--seed", 1, *sets({"prior.name": "vamp"}))
    for file in ("checkpoint.pt", "log_marginal.npy", "experiment.toml"):
        assert (swept / name / file).read_bytes() == (tmp_path / "same" / file).read_bytes()


def cells_of(folder: Path) -> dict[str, dict[str, Any]]:
    return read(folder / "sweep.toml").cells()


def test_the_table_holds_mean_and_deviation_of_the_validation_loss(swept: Path) -> None:
    shown = succeeds("sweep", "show", swept)
    assert shown.startswith("Sweep cells: 4 of 4 trials finished")
    assert "validation loss, nats per datum" in shown
    assert "test data have selected nothing" in shown
    found = {}
    for prior in ("standard-normal", "vamp"):
        names = [name for name, values in cells_of(swept).items() if values["prior.name"] == prior]
        losses = [storage.read_rows(swept / name / "metrics.jsonl")[-1]["validation_loss"] for name in names]
        (row,) = (line for line in shown.splitlines() if f"| {prior} " in line)
        assert f"| {mean(losses):.2f} ± {stdev(losses):.2f} |" in " ".join(row.split())
        assert "| finished |" in " ".join(row.split())
        assert all(name in row for name in names)
        found[mean(losses)] = prior
    best, worst = (found[loss] for loss in sorted(found))
    assert shown.index(f"| {best}") < shown.index(f"| {worst}")


def test_the_loss_is_that_of_the_epoch_that_was_kept(swept: Path) -> None:
    name = next(iter(cells_of(swept)))
    (row,) = storage.read_rows(swept / name / "metrics.jsonl")
    later = row | {"epoch": 2, "validation_loss": 1.0}
    storage.write_rows(swept / name / "metrics.jsonl", [row, later])
    try:
        assert worker.result(swept / name).loss == row["validation_loss"]
    finally:
        storage.write_rows(swept / name / "metrics.jsonl", [row])


def no_training(patch: pytest.MonkeyPatch) -> None:
    for name in ("run", "resume"):
        patch.setattr(running, name, lambda *_, **__: pytest.fail("trained"))


def test_finished_cells_are_free(swept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the journal they are not even claimed, without it their numbers are those that stand there."""
    no_training(monkeypatch)
    before = table(Queue(swept))
    assert "0 trials ended here" in succeeds("sweep", "worker", swept)
    monkeypatch.setattr(command, "start", lambda *_: pytest.fail("started a worker"))
    assert before in succeeds("sweep", "run", swept.parent.parent / "cells.toml", "--runs-dir", swept.parent)
    journal = (swept / "journal.log").rename(swept / "old.log")
    try:
        Queue(swept).fill()
        assert "4 trials ended here" in succeeds("sweep", "worker", swept)
        assert table(Queue(swept)) == before
    finally:
        journal.replace(swept / "journal.log")


def test_a_failing_cell_is_reported_and_the_others_finish(tmp_path: Path) -> None:
    text = GRID.replace('["standard-normal", "vamp"]', '["standard-normal", "flat"]').replace("[0, 1]", "[0]")
    queue = prepared(tmp_path, text + '"train.learning_rate" = [1e-3, 1e30]\n')
    assert "4 trials ended here" in succeeds("sweep", "worker", queue.folder)
    assert sorted(state for state, _ in in_journal(queue.folder)) == ["COMPLETE", "FAIL", "FAIL", "FAIL"]
    rows = [line for line in table(queue).splitlines() if "failed: " in line]
    assert sum("flat" in row and "posterior" in row for row in rows) == 2, "an illegal combination"
    assert sum("1e+30" in row and "standard-normal" in row and "not finite" in row for row in rows) == 1
    with pytest.raises(PyrovaeError, match="3 of 4 trials failed"):
        command.conclude(queue.folder, 0)
    assert (queue.folder / "table.md").read_text().rstrip() == table(queue)


def test_an_error_that_nobody_foresaw_is_one_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = prepared(tmp_path, GRID.replace("[0, 1]", "[0]"))
    original = running.run

    def run(experiment: configuration.Experiment, *args: Any, **options: Any) -> Any:
        if experiment.sections["prior"]["name"] == "vamp":
            raise RuntimeError("boom")
        return original(experiment, *args, **options)

    monkeypatch.setattr(running, "run", run)
    assert "boom" in invoke("sweep", "worker", queue.folder).stderr
    assert "failed: RuntimeError: boom" in table(queue)
    assert "1 of 2 trials finished" in table(queue)


def test_a_run_that_is_in_use_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = prepared(tmp_path, GRID.replace("[0, 1]", "[0]"))
    busy, other = queue.plan().cells()
    begun: list[str] = []
    (queue.folder / busy).mkdir()
    lock = Lock(queue.folder / busy / ".lock")
    lock.take()

    def run(experiment: configuration.Experiment, directory: Path, *_: Any, **__: Any) -> None:
        begun.append(directory.name)
        with runs.locked(directory):
            pass

    def sleep(seconds: float) -> None:
        assert begun[0] == other
        lock.release()
        monkeypatch.setattr(worker, "sleep", time.sleep)

    monkeypatch.setattr(running, "run", run)
    monkeypatch.setattr(worker, "result", lambda directory: Result(90.0, 0.1, MEASURED))
    monkeypatch.setattr(worker, "sleep", sleep)
    (queue.folder / other).mkdir()
    assert worker.work(queue.folder) == 2
    assert begun == [other, busy]


def test_a_run_that_was_killed_while_it_began_is_begun_again(tmp_path: Path) -> None:
    queue = prepared(tmp_path, GRID.replace("[0, 1]", "[0]").replace(', "vamp"', ""))
    (name,) = queue.plan().cells()
    (queue.folder / name).mkdir()
    for left in ("experiment.toml", ".lock", ".manifest.json.12.tmp"):
        (queue.folder / name / left).touch()
    succeeds("sweep", "worker", queue.folder)
    assert "1 of 1 trials finished" in table(queue)


def test_a_run_goes_on_with_the_threads_it_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = prepared(tmp_path, GRID.replace("[0, 1]", "[0]").replace(', "vamp"', ""))
    (directory,) = (queue.folder / name for name in queue.plan().cells())
    directory.mkdir()
    own, found = torch.get_num_threads(), []
    storage.write_json(directory / "manifest.json", {"threads": own + 1})
    monkeypatch.setattr(running, "resume", lambda *_, **__: found.append(torch.get_num_threads()))
    monkeypatch.setattr(worker, "result", lambda directory: Result(90.0, 0.1, MEASURED))
    assert worker.work(queue.folder) == 1
    assert (found, torch.get_num_threads()) == ([own + 1], own)


def test_an_interrupted_trial_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = prepared(tmp_path, GRID.replace("[0, 1]", "[0]"))

    def run(*_: Any, **__: Any) -> None:
        raise Interrupted(15, 12, "runs/a")

    monkeypatch.setattr(running, "run", run)
    assert invoke("sweep", "worker", queue.folder).exit_code == 143
    assert [state for state, _ in in_journal(queue.folder)] == ["FAIL", "WAITING", "WAITING"]
    assert [trial.user_attrs.get("deaths", 0) for trial in queue.trials()] == [0, 0]
    with pytest.raises(PyrovaeError, match="interrupted with 2 of 2 trials to do") as raised:
        command.conclude(queue.folder, 15)
    assert (raised.value.exit_code, raised.value.hint.split(";")[0]) == (143, "the same command goes on")


def test_a_signal_outside_of_a_training_ends_the_worker_and_gives_the_trial_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = prepared(tmp_path, GRID.replace("[0, 1]", "[0]"))
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(running, "run", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(SystemExit) as raised:
        worker.work(queue.folder)
    assert raised.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before
    assert {trial.state.name for trial in queue.trials()} == {"WAITING"}


def test_a_program_that_reads_the_sweep_otherwise_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = prepared(tmp_path, GRID)
    no_training(monkeypatch)
    monkeypatch.setattr(runs, "configuration_hash", lambda configuration: "of another version")
    assert "use one version of pyrovae" in refusal_of(invoke("sweep", "worker", queue.folder))
    assert {trial.state.name for trial in queue.trials()} == {"WAITING"}


def refusal_of(result: Any) -> str:
    assert result.exit_code == 1
    return str(result.stderr)


def test_optuna_says_nothing_that_is_not_handled(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        searched(tmp_path)


# ------------------------------------------------------------------------------------------- processes


LONG = '[sweep]\n[sweep.grid]\n"prior.name" = ["standard-normal", "vamp"]\n"objective.beta" = [0.5, 1.0]\n'


def begin(folder: Path, epochs: int) -> subprocess.Popen[str]:
    """Starts a sweep of four cells on two workers."""
    file = folder / "cells.toml"
    file.write_text(TINY.read_text().replace("epochs = 1\n", f"epochs = {epochs}\n") + LONG)
    line = [sys.executable, "-m", "pyrovae", "sweep", "run", str(file), "--workers", "2", "--runs-dir", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def in_training(folder: Path, epochs: int, seconds: float = 300) -> Path:
    """Waits until a run has taken some epochs, and returns it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for metrics in folder.glob("*/metrics.jsonl"):
            if (
                3 <= len(metrics.read_text().splitlines()) < epochs / 2
                and not (metrics.parent / runs.EVALUATION).exists()
            ):
                return metrics.parent
        time.sleep(0.02)
    raise AssertionError("no run has begun")


def uninterrupted(folder: Path, name: str, directory: Path) -> None:
    """Runs a cell of a sweep by itself."""
    (one,) = read(folder / "sweep.toml").experiments(cells_of(folder)[name]).values()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        running.run(one, directory, figures=False)
    finally:
        torch.set_num_threads(threads)


def same_run(one: Path, other: Path) -> None:
    for file in ("checkpoint.pt", "log_marginal.npy", "evaluation.json", "experiment.toml"):
        assert (one / file).read_bytes() == (other / file).read_bytes(), file


@pytest.mark.slow
def test_one_of_two_workers_is_killed_and_every_cell_finishes_once(tmp_path: Path) -> None:
    folder, epochs = tmp_path / "cells", 24
    with begin(tmp_path, epochs) as parent:
        killed = in_training(folder, epochs)
        os.kill(json.loads((killed / ".lock").read_text())["pid"], signal.SIGKILL)
        out, errors = parent.communicate(timeout=500)
    assert parent.returncode == 0, errors
    assert "Sweep cells: 4 of 4 trials finished" in out
    told = in_journal(folder)
    complete = [names[0] for state, names in told if state == "COMPLETE"]
    assert sorted(complete) == sorted(cells_of(folder)), "each once"
    assert [names for state, names in told if state != "COMPLETE"] == [[killed.name]]
    assert {path.parent.name for path in folder.glob("*/evaluation.json")} == set(complete)
    resumed = {name: len(storage.read_json(folder / name / "manifest.json").get("resumed", [])) for name in complete}
    assert resumed == {name: int(name == killed.name) for name in complete}
    for name in complete:
        assert [row["epoch"] for row in storage.read_rows(folder / name / "metrics.jsonl")] == list(
            range(1, epochs + 1)
        )
    uninterrupted(folder, killed.name, tmp_path / "whole")
    same_run(killed, tmp_path / "whole")


@pytest.mark.slow
def test_ctrl_c_stops_the_workers_and_the_same_command_goes_on(tmp_path: Path) -> None:
    folder, epochs = tmp_path / "cells", 24
    with begin(tmp_path, epochs) as parent:
        stopped = in_training(folder, epochs)
        pid = json.loads((stopped / ".lock").read_text())["pid"]
        parent.send_signal(signal.SIGINT)
        out, errors = parent.communicate(timeout=300)
    assert parent.returncode == 130, errors
    assert "Hint: the same command goes on" in errors
    assert "waiting" in out
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert checkpoints.Checkpoints(stopped).names(), "its state was saved"
    assert not (stopped / "evaluation.json").exists()
    assert all(state != "RUNNING" for state, _ in in_journal(folder))
    with begin(tmp_path, epochs) as parent:
        out, errors = parent.communicate(timeout=500)
    assert parent.returncode == 0, errors
    assert "4 of 4 trials finished" in out
    assert "resumed from step" in "".join(path.read_text() for path in folder.glob("worker-*.log"))
    uninterrupted(folder, stopped.name, tmp_path / "whole")
    same_run(stopped, tmp_path / "whole")
