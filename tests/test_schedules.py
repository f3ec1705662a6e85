"""Laws of a schedule: its value at every step, where it ends, and every mistake named with its key."""

import math

import pytest

from pyrovae.errors import PyrovaeError
from pyrovae.schedules import SCHEDULES, Schedule, ScheduleSpec, make_schedule

CHANGING = [name for name in SCHEDULES if name != "constant"]  # a constant has no length
EVERY = pytest.mark.parametrize("name", CHANGING)


def made(spec: ScheduleSpec, steps: int | None = None) -> tuple[Schedule, int]:
    return make_schedule(spec, key="objective.beta", steps=steps)


def refused(spec: ScheduleSpec) -> PyrovaeError:
    with pytest.raises(PyrovaeError, match=r"^objective\.beta: ") as caught:
        made(spec)
    return caught.value


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"schedule": "linear", "steps": 4}, {0: 0, 1: 0.25, 3: 0.75, 4: 1, 99: 1}),
        (
            {"schedule": "cyclical", "steps": 40, "cycles": 2},
            {0: 0, 5: 0.5, 10: 1, 19: 1, 20: 0, 25: 0.5, 40: 1, 99: 1},
        ),
        ({"schedule": "cyclical", "steps": 40, "cycles": 1, "rise": 1.0}, {0: 0, 10: 0.25, 39: 0.975, 40: 1}),
        ({"schedule": "cosine", "steps": 4}, {0: 1, 1: (1 + math.sqrt(0.5)) / 2, 2: 0.5, 4: 0, 99: 0}),
        ({"schedule": "step", "steps": 30}, {0: 1, 9: 1, 10: 0.1, 19: 0.1, 20: 0.01, 30: 0.01, 99: 0.01}),
        ({"schedule": "step", "steps": 8, "drops": 1, "factor": 0.5}, {0: 1, 3: 1, 4: 0.5, 8: 0.5}),
    ],
)
def test_values(spec: ScheduleSpec, expected: dict[int, float]) -> None:
    """Mutations: `cosine` without the half, `step` with `drops` instead of `drops + 1`, `linear` without `min`."""
    schedule, end = made(spec)
    assert {step: schedule(step) for step in expected} == pytest.approx(expected, abs=1e-12)
    assert end == spec["steps"]  # type: ignore[index]


@pytest.mark.parametrize("number", [0, 1, 0.5, 4.0])
def test_a_number_is_constant_and_ends_at_once(number: float) -> None:
    schedule, end = made(number, steps=7)
    assert (schedule(0), schedule(10**6), end) == (number, number, 0)


@EVERY
def test_a_schedule_stays_within_0_and_1_and_ends_where_it_says(name: str) -> None:
    schedule, end = made({"schedule": name, "steps": 23})
    assert all(0 <= schedule(step) <= 1 for step in range(40))
    assert {schedule(step) for step in range(end, end + 40)} == {schedule(end)}


@EVERY
def test_value_multiplies(name: str) -> None:
    plain, _ = made({"schedule": name, "steps": 9})
    quadruple, _ = made({"schedule": name, "steps": 9, "value": 4.0})
    assert all(quadruple(step) == 4 * plain(step) for step in range(12))


@EVERY
def test_steps_of_the_training_are_the_default_and_the_table_wins(name: str) -> None:
    assert made({"schedule": name}, steps=50)[1] == 50
    assert made({"schedule": name, "steps": 7}, steps=50)[1] == 7


def test_a_constant_table_needs_no_steps_and_ends_at_once() -> None:
    schedule, end = made({"schedule": "constant", "value": 4.0}, steps=50)
    assert (schedule(0), schedule(10**6), end) == (4.0, 4.0, 0)
    assert "unknown option 'steps'" in str(refused({"schedule": "constant", "steps": 4}))


def test_a_specification_is_left_as_it_was() -> None:
    spec = {"schedule": "linear", "steps": 4, "value": 2.0}
    made(spec)
    assert spec == {"schedule": "linear", "steps": 4, "value": 2.0}


def test_an_unknown_schedule_names_the_nearest() -> None:
    error = refused({"schedule": "linaer", "steps": 4})
    assert "unknown schedule 'linaer'" in str(error)
    assert error.hint == "did you mean 'linear'?"
    assert error.exit_code == 2


@EVERY
def test_an_unknown_option_is_named(name: str) -> None:
    error = refused({"schedule": name, "steps": 4, "stesp": 3})
    assert f"unknown option 'stesp' of schedule '{name}'" in str(error)
    assert "steps" in error.hint
    assert error.exit_code == 2


@EVERY
@pytest.mark.parametrize("steps", [None, 0, -3, 2.5, "ten"])
def test_missing_or_impossible_steps_are_named(name: str, steps: object) -> None:
    error = refused({"schedule": name, **({} if steps is None else {"steps": steps})})
    assert "'steps'" in str(error)
    assert "objective.beta.steps" in error.hint


@pytest.mark.parametrize("option", [{"cycles": 0}, {"cycles": -1}, {"rise": 0.0}, {"rise": "half"}])
def test_an_impossible_option_of_a_cyclical_schedule_is_refused_when_it_is_read(option: dict[str, object]) -> None:
    refused({"schedule": "cyclical", "steps": 40, **option})


@pytest.mark.parametrize("spec", ["fast", [1.0], {"schedule": "linear", "steps": 4, "value": "high"}])
def test_what_is_neither_number_nor_table_is_refused(spec: ScheduleSpec) -> None:
    refused(spec)
