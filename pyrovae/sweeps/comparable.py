"""Whether two validation losses are of one kind: the same bound on the same quantity of the same data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyrovae import runs, storage
from pyrovae.comparison import base_measure
from pyrovae.configuration import Experiment, read

# Objectives whose validation loss is minus the plain ELBO, whatever their other options are.
PLAIN = ("elbo", "analytic-elbo", "mmd", "tc")


def bound_of(experiment: Experiment) -> str:
    """Names what the validation loss of an experiment is minus the mean of; options of the loss alone do not count.

    Example:
        >>> bound_of(Experiment.of("a", {"objective": {"name": "tc"}})), bound_of(
        ...     Experiment.of("b", {"objective": {"name": "iwae", "particles": 5}})
        ... )
        ('elbo', 'iwae (particles = 5)')
    """
    objective = experiment.sections.get("objective")
    if objective is None:
        return f"the loss of program '{experiment.kind}'"
    if objective["name"] in PLAIN:
        return PLAIN[0]
    chosen = {key: value for key, value in objective.items() if key in ("particles", "alpha")}
    return f"{objective['name']} ({', '.join(f'{key} = {value}' for key, value in chosen.items())})"


def measured(directory: Path) -> dict[str, str]:
    """Returns what must be equal for the validation losses of two finished runs to be compared."""
    manifest = storage.read_json(directory / runs.MANIFEST, "data", "model")
    numbers = storage.read_json(directory / runs.EVALUATION, "quantity", "measure")
    data, model = manifest["data"], manifest["model"]
    # A pool scores labels too, so its loss bounds log p(x, y); test data are read without labels and do not tell.
    scored = "log p(x, y)" if model["pools"] and not model["conditional"] else numbers["quantity"]
    return {
        "bound": bound_of(read(directory / runs.EXPERIMENT)),
        "quantity": scored,
        "base measure": base_measure(numbers["measure"], data.get("max_level")),
        "validation data": f"{data['name']} {data['hashes']['validation']}",
    }


def unlike(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Returns what differs, in words.

    Example:
        >>> unlike({"bound": "elbo", "quantity": "log p(x)"}, {"bound": "elbo", "quantity": "log p(x, y)"})
        ['quantity log p(x) against log p(x, y)']
    """
    return [f"{key} {one[key]} against {other[key]}" for key in one if one[key] != other.get(key)]
