"""What the table [sweep] may hold: values of a grid, ranges and choices of a search, and what is wrong with them."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from pyrovae.errors import did_you_mean
from pyrovae.schema import SECTIONS

KNOWN = ("seeds", "grid", "search")
OWN = ("trials", "seed")  # keys of [sweep.search] that are no dimensions
RANGE = ("low", "high", "log", "step")
Mistake = tuple[str, str]  # a key of [sweep] or below it, and what is wrong


def spread(table: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a table by ``"section.key"``, which TOML nests where the key is written without quotes.

    Example:
        >>> spread({"vae.latent_dim": [2, 4], "prior": {"name": ["flow"]}, "trials": 3})
        {'vae.latent_dim': [2, 4], 'prior.name': ['flow'], 'trials': 3}
    """
    found: dict[str, Any] = {}
    for key, value in table.items():
        nested = key in SECTIONS and isinstance(value, Mapping)
        found |= {f"{key}.{inner}": item for inner, item in value.items()} if nested else {key: value}
    return found


def label(value: Any) -> str:
    """Returns a value as one word of text: what the journal and the table call it.

    Example:
        >>> label("vamp"), label(0.5), label([200, 200]), label(True)
        ('vamp', '0.5', '[200, 200]', 'true')
    """
    return value if isinstance(value, str) else json.dumps(value)


def ends(dimension: Any) -> list[Any]:
    """Returns all choices of a dimension, or the two ends of its range.

    Example:
        >>> ends(["a", "b", "c"]), ends({"low": 2, "high": 32})
        (['a', 'b', 'c'], [2, 32])
    """
    return dimension if isinstance(dimension, list) else [dimension["low"], dimension["high"]]


def mistakes(table: Mapping[str, Any]) -> list[Mistake]:
    """Returns everything that is wrong with the form of a table [sweep]; the keys themselves are the schema's.

    Example:
        >>> mistakes({"seeds": [0, 0], "grid": {"prior.name": "vamp"}})
        [('seeds', "'seeds' holds 0 twice"), ('prior.name', "'prior.name' should be a list of values, got 'vamp'")]
    """
    return [*of_table(table), *of_seeds(table.get("seeds", [0])), *of_grids(table), *of_search(table.get("search"))]


def of_table(table: Mapping[str, Any]) -> Iterator[Mistake]:
    yield from ((key, f"unknown key '{key}' ({did_you_mean(key, KNOWN)})") for key in table if key not in KNOWN)
    if ("grid" in table) == ("search" in table):
        yield "", "it should hold either [sweep.grid] or [sweep.search]"


def of_seeds(seeds: Any) -> Iterator[Mistake]:
    if not isinstance(seeds, list) or not seeds or not all(is_whole(seed, 0) for seed in seeds):
        yield "seeds", f"'seeds' should be a list of whole numbers, 0 or more, got {seeds!r}"
    else:
        yield from twice("seeds", seeds)


def of_grids(table: Mapping[str, Any]) -> Iterator[Mistake]:
    grids = table.get("grid", [])
    for grid in grids if isinstance(grids, list) else [grids]:
        if not isinstance(grid, Mapping) or not grid:
            yield "grid", '[sweep.grid] should hold keys with lists of values, as in "prior.name" = ["flow", "vamp"]'
            continue
        for key, values in spread(grid).items():
            yield from [*of_key(key), *of_list(key, values, "values")]


def of_search(search: Any) -> Iterator[Mistake]:
    if search is None:
        return
    if not isinstance(search, Mapping):
        yield "search", "[sweep.search] should be a table"
        return
    dimensions = {key: value for key, value in spread(search).items() if key not in OWN}
    if not is_whole(search.get("trials"), 1):
        yield "trials", f"'trials' should be a whole number above 0, got {search.get('trials')!r}"
    if not is_whole(search.get("seed", 0), 0):
        yield "seed", f"'seed', the sampler's, should be a whole number, 0 or more, got {search['seed']!r}"
    if not dimensions:
        yield "search", 'nothing to search: add such as "vae.latent_dim" = { low = 2, high = 32 }'
    for key, dimension in dimensions.items():
        yield from of_key(key)
        yield from of_range(key, dimension) if isinstance(dimension, Mapping) else of_list(key, dimension, "choices")


def of_key(key: str) -> Iterator[Mistake]:
    if key == "seed":
        yield key, "'seed' is not swept as a key: list the seeds as sweep.seeds"


def of_list(key: str, values: Any, what: str) -> Iterator[Mistake]:
    if not isinstance(values, list) or not values:
        also = " or a range { low, high }" if what == "choices" else ""
        yield key, f"'{key}' should be a list of {what}{also}, got {values!r}"
    else:
        yield from twice(key, values)


def of_range(key: str, given: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yields what is wrong with a range; both ends are of the key's type, which the schema looks at."""
    yield from ((key, f"'{key}' has no '{name}' ({did_you_mean(name, RANGE)})") for name in given if name not in RANGE)
    low, high, log, step = (given.get(name) for name in RANGE)  # type: tuple[Any, Any, Any, Any]
    if not is_number(low) or not is_number(high) or low >= high:
        yield key, f"'{key}' should have two numbers, low < high, got low = {low!r}, high = {high!r}"
    elif log and low <= 0:
        yield key, f"'{key}' is searched by its logarithm: low should be above 0, got {low!r}"
    if not isinstance(log, bool | None):
        yield key, f"'{key}' should have log = true or false, got {log!r}"
    if step is not None and (log or not is_number(step) or step <= 0 or (not is_whole(step) and is_whole(low))):
        yield key, f"'{key}' should have a step above 0, whole where low is, and without log, got {step!r}"


def twice(key: str, values: list[Any]) -> Iterator[Mistake]:
    labels = [label(value) for value in values]
    again = {name: None for place, name in enumerate(labels) if name in labels[:place]}
    yield from ((key, f"'{key}' holds {name} twice") for name in again)


def is_whole(value: Any, least: float = -math.inf) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
