"""What a sweep file says: an experiment file with one more table, checked as a whole before anything runs.

``[sweep] seeds`` lists the seeds of training, ``[sweep.grid]`` the values of keys, of which every combination is run
(several ``[[sweep.grid]]`` are run together), ``[sweep.search]`` ranges and choices, of which ``trials`` are proposed.
"""

import copy
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from pyrovae import runs
from pyrovae.configuration import Experiment, anchor, line_of
from pyrovae.errors import PyrovaeError
from pyrovae.sweeps.comparable import bound_of
from pyrovae.sweeps.options import OWN, ends, mistakes, spread

Values = dict[str, Any]  # by "section.key", and the seed under "seed" in a grid


@dataclass(frozen=True)
class Plan:
    """A sweep.

    Attributes:
        source: The file.
        text: Its content, to find lines in.
        base: What all runs share, as an experiment file holds it.
        table: The table ``[sweep]``.

    Example:
        >>> plan = Plan(Path("a.toml"), "", {}, {"seeds": [0, 1], "grid": {"vae.latent_dim": [2, 4]}})
        >>> list(plan.cells().values())[:2]
        [{'vae.latent_dim': 2, 'seed': 0}, {'vae.latent_dim': 2, 'seed': 1}]
    """

    source: Path
    text: str
    base: Mapping[str, Any]
    table: Mapping[str, Any]

    @property
    def seeds(self) -> list[int]:
        """Seeds of training; the data's own seed is ``data.seed``, the same for all runs."""
        return list(self.table.get("seeds", [self.base.get("seed", 0)]))

    @property
    def search(self) -> Mapping[str, Any] | None:
        """The table ``[sweep.search]``."""
        return self.table.get("search")

    @property
    def dimensions(self) -> Values:
        """Range or choices of each key that is searched."""
        return {key: value for key, value in spread(self.search or {}).items() if key not in OWN}

    @property
    def sampler_seed(self) -> int:
        """Seed of a search's proposals."""
        return int((self.search or {}).get("seed", 0))

    def combinations(self) -> Iterator[Values]:
        """Yields the combinations of the grids, without seeds."""
        given = self.table.get("grid", [])
        for grid in map(spread, given if isinstance(given, list) else [given]):
            yield from (dict(zip(grid, chosen, strict=True)) for chosen in product(*grid.values()))

    def cells(self) -> dict[str, Values]:
        """Returns the cells of the grids by the hash of their configuration; equal ones are one."""
        cells: dict[str, Values] = {}
        for values in self.combinations():
            for seed in self.seeds:
                cell = values | {"seed": seed}
                cells.setdefault(next(iter(self.experiments(cell))), cell)
        return cells

    def experiments(self, values: Values) -> dict[str, Experiment]:
        """Returns what is run for some values, by the hash of its configuration: of one seed, or of all."""
        seeds = [values["seed"]] if "seed" in values else self.seeds
        made = [self.experiment(values | {"seed": seed}) for seed in seeds]
        return {runs.configuration_hash(one.to_dict()): one for one in made}

    def experiment(self, values: Values) -> Experiment:
        """Returns the experiment with these values.

        Raises:
            PyrovaeError: It is none; what a swept value is to blame for is told with its line.
        """
        content = copy.deepcopy(dict(self.base))
        # Names first: another row of a table has other options.
        for key in sorted(values, key=lambda key: not key.endswith(".name")):
            put(content, key, values[key])
        swept = [key for key in values if key != "seed" or "seeds" in self.table]
        later = {where: f"{self.source}{self.line(key)}" for key in swept for where in places(key)}
        return Experiment.of(self.source.stem, content, source=str(self.source), text=self.text, later=later)

    def line(self, key: str) -> str:
        """Returns ``":7"`` where a key of the sweep stands on line 7, else where the sweep begins."""
        where = [("sweep", "seeds" if key == "seed" else key)]
        where += [(f"sweep.{kind}", name) for kind in ("grid", "search") for name in (f'"{key}"', key)]
        found = (line_of(self.text, *place) for place in [*where, ("sweep", ""), ("sweep.grid", "")])
        return next(filter(None, found), "")

    def probes(self) -> Iterator[Values]:
        """Yields the values that are checked: all cells of a grid; of a search each end of each dimension in turn."""
        yield from self.combinations()
        points = {key: ends(dimension) for key, dimension in self.dimensions.items()}
        first = {key: values[0] for key, values in points.items()}
        yield from (first | {key: value} for key, values in points.items() for value in values)


def put(content: Values, key: str, value: Any) -> None:
    """Writes a swept value into the content of a file; a new ``name`` empties its section, as ``--set`` does."""
    section, _, option = key.rpartition(".")
    target = content.setdefault(section, {}) if section else content
    if not isinstance(target, dict):
        return  # the schema says what is wrong with it
    if option == "name" and target.get("name", value) != value:
        target.clear()
    target[option] = value


def places(key: str) -> list[tuple[str, str]]:
    """Returns where the schema may find fault with a key: at the option, or at a section that is none."""
    section, _, option = key.rpartition(".")
    return [(section, option), (section or option, "")]


def read(path: Path) -> Plan:
    """Reads a sweep file, whose values :func:`check` looks at.

    Raises:
        PyrovaeError: It cannot be read, or its table ``[sweep]`` is missing or ill-formed.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = getattr(error, "strerror", None) or f"not TOML: {error}"
        hint = "give an experiment file with a table [sweep]"
        raise PyrovaeError(f"cannot read sweep file {path}: {reason}", hint=hint, exit_code=2) from None
    table = content.pop("sweep", None)
    if not isinstance(table, dict):
        hint = 'add [sweep.grid] with such as "prior.name" = ["standard-normal", "vamp"]'
        raise PyrovaeError(f"{path}: no table [sweep]", hint=hint, exit_code=2)
    anchor(content, path.parent)
    plan = Plan(path, text, content, table)
    refuse([f"{path}{plan.line(key)}: [sweep] {problem}" for key, problem in mistakes(table)])
    return plan


def check(plan: Plan) -> None:
    """Refuses a sweep some of whose configurations are none, or whose losses could not be compared by a search.

    Raises:
        PyrovaeError: All mistakes, each with its line.
    """
    refuse([line for values in plan.probes() for line in faults(plan, values)])
    experiments = [plan.experiment(values) for values in plan.probes()]
    bounds = sorted(set(map(bound_of, experiments)))
    for kind in sorted({made.kind for made in experiments if plan.search is not None and not made.program.selects}):
        reason = f"a search goes by the validation loss, which of program '{kind}' does not say what is better"
        raise PyrovaeError(f"{plan.source}: {reason}", hint="run a grid, and compare samples", exit_code=2)
    if plan.search is not None and len(bounds) > 1:
        hint = "search with one objective, or compare objectives in a grid"
        raise PyrovaeError(f"{plan.source}: a search cannot compare {' with '.join(bounds)}", hint=hint, exit_code=2)


def faults(plan: Plan, values: Values) -> list[str]:
    """Returns what is wrong with an experiment, a line for each mistake."""
    try:
        plan.experiment(values)
    except PyrovaeError as error:
        return str(error).splitlines()
    return []


def refuse(found: list[str]) -> None:
    """Raises if anything was found, each mistake once."""
    if found:
        raise PyrovaeError("\n".join(dict.fromkeys(found)), hint="pyrovae list shows every option", exit_code=2)


def continues(new: Plan, old: Plan) -> bool:
    """Tells whether a sweep goes on where an older one stands: a grid has all its cells, a search no fewer trials."""
    if new.search is None or old.search is None:
        return new.search is old.search and set(old.cells()) <= set(new.cells())
    return new.search["trials"] >= old.search["trials"] and apart_from_trials(new) == apart_from_trials(old)


def apart_from_trials(plan: Plan) -> Any:
    return plan.base, plan.seeds, {**(plan.search or {}), "trials": None}
