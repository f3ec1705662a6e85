r"""Numbers that change while training runs: a schedule is a function of the step, written as a number or a table.

In an experiment file ``beta = 0.5`` is a constant and ``beta = { schedule = "linear", steps = 2000 }`` a warm-up;
``learning_rate = { schedule = "cosine", value = 1e-3 }`` decays over the whole training.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

from pyrovae.errors import PyrovaeError, did_you_mean
from pyrovae.ranges import NonNegative

Schedule = Callable[[int], float]
ScheduleSpec = NonNegative | Mapping[str, Any]
RateSpec = float | Mapping[str, Any]  # of a learning rate, which 0 would stop


def constant() -> Schedule:
    """Stays at 1."""
    return lambda step: 1.0


def linear(*, steps: int) -> Schedule:
    """Rises from 0 to 1 in ``steps`` steps and stays (Bowman et al., 2016).

    Example:
        >>> [linear(steps=4)(step) for step in (0, 1, 4, 9)]
        [0.0, 0.25, 1.0, 1.0]
    """
    return lambda step: min(1.0, step / steps)


def cyclical(*, steps: int, cycles: int = 4, rise: float = 0.5) -> Schedule:
    """Rises from 0 to 1 in each cycle and waits there; stays at 1 after ``steps`` steps (Fu et al., 2019).

    Args:
        steps: Length of all cycles together.
        cycles: How many.
        rise: Share of a cycle spent rising.

    Example:
        >>> [cyclical(steps=40, cycles=2)(step) for step in (0, 5, 10, 19, 20, 40)]
        [0.0, 0.5, 1.0, 1.0, 0.0, 1.0]
    """
    return lambda step: 1.0 if step >= steps else min(1.0, step * cycles / steps % 1.0 / rise)


def cosine(*, steps: int) -> Schedule:
    """Falls from 1 to 0 along half a cosine (Loshchilov and Hutter, 2017).

    Example:
        >>> [round(cosine(steps=4)(step), 6) for step in (0, 2, 4)]
        [1.0, 0.5, 0.0]
    """
    return lambda step: 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))


def step(*, steps: int, drops: int = 2, factor: float = 0.1) -> Schedule:
    """Falls by ``factor`` at ``drops`` equally spaced steps.

    Example:
        >>> [step(steps=30)(at) for at in (0, 9, 10)]
        [1.0, 1.0, 0.1]
    """
    return lambda at: factor ** min(drops, at * (drops + 1) // steps)


SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "constant": constant,
    "linear": linear,
    "cyclical": cyclical,
    "cosine": cosine,
    "step": step,
}


def make_schedule(spec: ScheduleSpec, *, key: str, steps: int | None = None) -> tuple[Schedule, int]:
    """Reads a number or a table ``{schedule, value, steps, ...}``.

    Args:
        spec: The number, or the table; ``value`` (1 by default) multiplies the schedule.
        key: What the specification is called, for errors.
        steps: Length of the schedule where the table does not say it.

    Returns:
        The schedule, and the step from which it no longer changes (0 for a number).

    Raises:
        PyrovaeError: Unknown schedule, unknown or missing option, each named.

    Example:
        >>> beta, end = make_schedule({"schedule": "linear", "steps": 10, "value": 4.0}, key="beta")
        >>> beta(5), end
        (2.0, 10)
    """
    if is_number(spec):
        return lambda step: float(spec), 0
    if not isinstance(spec, Mapping):
        hint = f'{key} = 1.0, or {key} = {{ schedule = "linear", steps = 2000 }}'
        raise PyrovaeError(f"{key}: should be a number or a schedule, got {spec!r}", hint=hint, exit_code=2)
    options = {"value": 1.0} | dict(spec)
    name, value = options.pop("schedule", "constant"), options.pop("value")
    if not is_number(value):
        raise PyrovaeError(f"{key}: value should be a number, got {value!r}", hint=f"{key}.value = 1.0", exit_code=2)
    if name not in SCHEDULES:
        raise PyrovaeError(f"{key}: unknown schedule '{name}'", hint=did_you_mean(str(name), SCHEDULES), exit_code=2)
    if "steps" in inspect.signature(SCHEDULES[name]).parameters:
        options.setdefault("steps", steps)
    check_options(key, name, options)
    schedule = SCHEDULES[name](**options)
    return lambda step: value * schedule(step), options.get("steps", 0)


def is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_options(key: str, name: str, options: Mapping[str, Any]) -> None:
    known = list(inspect.signature(SCHEDULES[name]).parameters)
    for option in options:
        if option not in known:
            raise PyrovaeError(
                f"{key}: unknown option '{option}' of schedule '{name}'",
                hint=did_you_mean(option, [*known, "value"]),
                exit_code=2,
            )
        if option != "steps" and not (is_number(options[option]) and options[option] > 0):
            got = f"{key}: '{option}' of schedule '{name}' should be a number above 0, got {options[option]!r}"
            raise PyrovaeError(got, hint=f"leave {key}.{option} out for its default", exit_code=2)
    if not isinstance(options.get("steps", 1), int) or options.get("steps", 1) < 1:
        raise PyrovaeError(
            f"{key}: schedule '{name}' needs 'steps', a whole number above 0", hint=f"{key}.steps = 2000", exit_code=2
        )
