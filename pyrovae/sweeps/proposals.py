"""What a search proposes: Optuna's distributions of the swept keys, and its sampler."""

from typing import Any

import numpy as np

from pyrovae.sweeps.journal import import_optuna
from pyrovae.sweeps.options import is_whole, label
from pyrovae.sweeps.plan import Plan, Values


def distributions(plan: Plan) -> dict[str, Any]:
    """Returns the distribution of each dimension; a grid has none.

    Example:
        >>> from pathlib import Path
        >>> table = {"search": {"trials": 3, "vae.latent_dim": {"low": 2, "high": 32}}}
        >>> distributions(Plan(Path(), "", {}, table))
        {'vae.latent_dim': IntDistribution(high=32, log=False, low=2, step=1)}
    """
    return {key: distribution(dimension) for key, dimension in plan.dimensions.items()}


def distribution(dimension: Any) -> Any:
    kinds = import_optuna().distributions
    if isinstance(dimension, list):
        # Choices are words: Optuna takes no lists and tables, and would take true for 1.
        return kinds.CategoricalDistribution([label(choice) for choice in dimension])
    if is_whole(dimension["low"]) and is_whole(dimension["high"]):
        return kinds.IntDistribution(**dimension)
    return kinds.FloatDistribution(**dimension)


def proposed(plan: Plan, params: dict[str, Any]) -> Values:
    """Returns the values that a trial's parameters stand for, of types that TOML has.

    Example:
        >>> from pathlib import Path
        >>> table = {"search": {"trials": 3, "encoder.hidden": [[200], [200, 200]]}}
        >>> proposed(Plan(Path(), "", {}, table), {"encoder.hidden": "[200, 200]"})
        {'encoder.hidden': [200, 200]}
    """
    values = {}
    for key, dimension in plan.dimensions.items():
        words = {label(choice): choice for choice in dimension} if isinstance(dimension, list) else {}
        values[key] = words.get(params[key], params[key])
    return values


def sampler(seed: int, number: int) -> Any:
    """Returns the sampler of one proposal, a function of (seed, number, what is known by then).

    A tree-structured Parzen estimator after ten random draws (Bergstra et al., 2011); trials that are running count as
    bad ones. Workers that shared a seed, and not the number, would all propose the same.
    """
    mixed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    return import_optuna().samplers.TPESampler(seed=mixed)
