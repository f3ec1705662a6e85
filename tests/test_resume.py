"""A training that was stopped goes on as if it had not been: weights, optimizer, records and noise to the last bit."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from compositions import ROWS_OF_TABLES, Composition, build, objective_of, toy
from outcomes import same

from pyrovae import DATA, ELBO, VAE, Checkpoints, Dataset, History, Interrupted, fit, make_dataset
from pyrovae.errors import PyrovaeError
from pyrovae.objectives import Objective
from pyrovae.schedules import SCHEDULES
from pyrovae.training.engines import ENGINES

Made = tuple[VAE, Dataset, Objective]


def composed(composition: Composition) -> Made:
    vae = build(*composition[:3], labels=composition.labels, network=composition.network)
    data = toy(composition.likelihood)
    return vae, data, objective_of(composition.objective, size=len(data.train))


def after(steps: int) -> Callable[[], int]:
    """Returns what asks for an end at a step, as SIGTERM does."""
    asked = iter([0] * (steps - 1) + [15] * 1000)
    return lambda: next(asked)


def trained(make: Callable[[], Made], folder: Path, stops: tuple[int, ...] = (), **options: Any) -> tuple[Any, History]:
    """Trains, stopping after so many steps each time, with everything made anew as another process would."""
    folder.mkdir(exist_ok=True)
    for steps in stops:
        torch.manual_seed(999)  # whatever a new process starts from
        vae, data, objective = make()
        with pytest.raises(Interrupted, match="interrupted at step"):
            fit(vae, data, objective, 3, None, Checkpoints(folder), after(steps), **options)
    vae, data, objective = make()
    history = fit(vae, data, objective, 3, None, Checkpoints(folder), **options)
    state = Checkpoints(folder).latest()
    return {"state": state, "kept": vae.state_dict(), "best": history.best}, history


def check(make: Callable[[], Made], folder: Path, *stops: int, **options: Any) -> History:
    chosen = {"epochs": 3, "batch_size": 8, "learning_rate": 0.01} | options
    whole, history = trained(make, folder / "whole", **chosen)
    pieces, again = trained(make, folder / "pieces", stops, **chosen)
    assert same(whole, pieces) == []
    assert same(history.records, again.records) == []
    return history


@pytest.mark.parametrize("composition", ROWS_OF_TABLES, ids="-".join)
def test_every_row_of_every_table_resumes_in_mid_epoch(composition: Composition, tmp_path: Path) -> None:
    """Mutations: the generators, the optimizer, the place in the epoch or its loss are left out of the state."""
    history = check(lambda: composed(composition), tmp_path, 6)
    assert history["step"] == [4, 8, 12]


def simple() -> Made:
    return composed(Composition(prior="gaussian-mixture", labels="pools"))


@pytest.mark.parametrize("schedule", [name for name in SCHEDULES if name != "constant"])
def test_schedules_of_rate_and_beta_resume(schedule: str, tmp_path: Path) -> None:
    def make() -> Made:
        vae, data, _ = simple()
        return vae, data, ELBO(beta={"schedule": schedule, "steps": 9})

    check(make, tmp_path, 2, 5, learning_rate={"schedule": schedule, "value": 0.01})


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("ema", [None, 0.8])
def test_every_engine_resumes_with_and_without_an_average(engine: str, ema: float | None, tmp_path: Path) -> None:
    check(simple, tmp_path, 3, 1, 4, engine=engine, ema=ema, **({} if engine == "svi" else {"clip": 1.0}))


def test_a_graph_that_is_traced_at_another_step_gives_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uninterrupted, a shape is traced at its third batch; interrupted, at the third after each start."""
    monkeypatch.setattr("pyrovae.training.engines.EAGER_FIRST", 2)
    check(simple, tmp_path, 7, 7, epochs=6)


def test_bf16_resumes(tmp_path: Path) -> None:
    check(simple, tmp_path, 6, precision="bf16")


def test_dynamic_binarisation_resumes(tmp_path: Path) -> None:
    """The noise of the data comes from the same generator as that of z."""

    def make() -> Made:
        digits = DATA["digits"]()
        part = make_dataset("few", digits.train.x[:40], validation=4, test=4, max_level=16, binarize="dynamic")
        torch.manual_seed(0)
        from pyrovae import MLP, Bernoulli, DiagonalNormal, StandardNormal

        vae = VAE(StandardNormal(2), Bernoulli(MLP, 2, part.event_shape), DiagonalNormal(MLP, 2, part.event_shape))
        return vae, part, ELBO()

    check(make, tmp_path, 6)


def opposite() -> Made:
    """Validation data that training unlearns, so that it stops early."""
    vae, data, objective = simple()
    data.validation.x.copy_(1 - data.validation.x)
    return vae, data, objective


def test_an_early_stop_is_the_same_stop(tmp_path: Path) -> None:
    """Mutation: the selection is left out of the state, and patience starts anew."""
    options = {"epochs": 60, "patience": 4, "learning_rate": 0.1}
    whole = check(opposite, tmp_path, 6, 9, **options)
    assert len(whole) < 60
    assert whole.best == len(whole) - 4


def test_what_has_stopped_early_is_not_trained_on(tmp_path: Path) -> None:
    options = {"epochs": 60, "patience": 4, "learning_rate": 0.1, "batch_size": 8}
    once, history = trained(opposite, tmp_path / "a", **options)
    twice, again = trained(opposite, tmp_path / "a", **options)
    assert len(history) == len(again) < 60
    assert same(once, twice) == []


def test_more_epochs_go_on_where_fewer_ended(tmp_path: Path) -> None:
    options = {"batch_size": 8, "learning_rate": 0.01}
    trained(simple, tmp_path / "a", epochs=2, **options)
    longer, _ = trained(simple, tmp_path / "a", epochs=4, **options)
    whole, _ = trained(simple, tmp_path / "b", epochs=4, **options)
    assert same(longer, whole) == []


def test_states_come_every_epoch_and_every_so_many_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []
    save = Checkpoints.save
    monkeypatch.setattr(Checkpoints, "save", lambda self, content: (saved.append(content["step"]), save(self, content)))
    trained(simple, tmp_path / "a", epochs=2, batch_size=8, checkpoint_every=3)
    assert saved == [3, 4, 6, 8]
    assert Checkpoints(tmp_path / "a").names() == ["step-000000006.pt", "step-000000008.pt"]


def broken(value: float = math.nan, *bad: int) -> Callable[[], Made]:
    """Makes a training whose loss is not finite at some steps."""

    def make() -> Made:
        vae, data, objective = simple()
        objective.schedule = lambda step: value if step in bad else 1.0
        return vae, data, objective

    return make


@pytest.mark.parametrize("engine", ENGINES)
def test_skipped_batches_resume(engine: str, tmp_path: Path) -> None:
    history = check(broken(math.inf, 1, 6, 7), tmp_path, 3, 7, nonfinite="skip", engine=engine)
    assert [record.get("skipped", 0) for record in history] == [1, 2, 0]
    assert all(math.isfinite(record["train_loss"]) for record in history)


def test_a_training_that_goes_back_resumes(tmp_path: Path) -> None:
    """The loss overflows at a rate above the limit, so that going back with half of it helps, in the end."""

    history = check(simple, tmp_path, 9, nonfinite="rewind", learning_rate=1e6, epochs=2)
    assert history.records[-1]["rewinds"] >= 1
    assert history["learning_rate"][-1] == 1e6 * 0.5 ** history.records[-1]["rewinds"]


def test_what_never_gets_better_is_given_up(tmp_path: Path) -> None:
    for policy in ("skip", "rewind"):
        with pytest.raises(PyrovaeError, match="loss became nan at step"):
            trained(broken(math.nan, *range(5, 99)), tmp_path / policy, epochs=9, batch_size=8, nonfinite=policy)


def test_a_state_of_another_model_is_refused(tmp_path: Path) -> None:
    trained(simple, tmp_path / "a", epochs=1, batch_size=8)
    with pytest.raises(PyrovaeError, match="is of another model"):
        trained(lambda: composed(Composition(network="gated-mlp")), tmp_path / "a", epochs=2, batch_size=8)
