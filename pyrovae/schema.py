"""What an experiment file may say, read from the constructors: a keyword-only parameter is a key.

Positional parameters are what the composition supplies (the latent dimension, the data's shape); nothing is written
down twice, so a new row of a table is configurable, listed and checked without another edit.
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from pyrovae.baselines.stacked import stack_options
from pyrovae.data import DATA
from pyrovae.errors import PyrovaeError, did_you_mean
from pyrovae.evaluation import evaluate
from pyrovae.evaluation.sections import SECTIONS as SECTIONS_OF_EVALUATION
from pyrovae.likelihoods import LIKELIHOODS
from pyrovae.networks import NETWORKS
from pyrovae.objectives import OBJECTIVES
from pyrovae.posteriors import POSTERIORS
from pyrovae.priors import PRIORS
from pyrovae.programs import PROGRAMS
from pyrovae.programs.gan import gan_options
from pyrovae.ranges import Range
from pyrovae.schedules import SCHEDULES, RateSpec, ScheduleSpec, make_schedule
from pyrovae.training import fit

Factory = Callable[..., Any]

TABLES: dict[str, Mapping[str, Factory]] = {
    "priors": PRIORS,
    "posteriors": POSTERIORS,
    "likelihoods": LIKELIHOODS,
    "networks": NETWORKS,
    "objectives": OBJECTIVES,
    "schedules": SCHEDULES,
    "data": DATA,
    "sections": SECTIONS_OF_EVALUATION,
}

# Sections that choose a row of a table by `name`, with the row taken where nothing is said.
CHOICES = {
    "data": ("data", "digits"),
    "prior": ("priors", "standard-normal"),
    "posterior": ("posteriors", "diagonal-normal"),
    "likelihood": ("likelihoods", "bernoulli"),
    "encoder": ("networks", "mlp"),
    "decoder": ("networks", "mlp"),
    "objective": ("objectives", "elbo"),
    "discriminator": ("networks", "mlp"),
}


def vae_options(*, latent_dim: int = 16, conditional: bool = False) -> dict[str, Any]:
    """Options of the composition itself: the dimension of z, and whether encoder and decoder read labels."""
    return {"latent_dim": latent_dim, "conditional": conditional}


# Sections whose keys are the options of one function.
FUNCTIONS: dict[str, Factory] = {
    "vae": vae_options,
    "gan": gan_options,
    "stack": stack_options,
    "train": fit,
    "evaluation": evaluate,
}

# Of all programs.
SECTIONS = tuple(dict.fromkeys(section for program in PROGRAMS.values() for section in program.sections))


class Option(NamedTuple):
    """One key of a section: its type and its default."""

    hint: Any
    default: Any


def options(factory: Factory) -> dict[str, Option]:
    """Returns the keys that a row of a table reads from an experiment file.

    Example:
        >>> options(vae_options)["latent_dim"]
        Option(hint=<class 'int'>, default=16)
    """
    hints = get_type_hints(factory.__init__ if inspect.isclass(factory) else factory, include_extras=True)
    return {
        p.name: Option(hints[p.name], p.default)
        for p in inspect.signature(factory).parameters.values()
        if p.kind is p.KEYWORD_ONLY
    }


def construct(factory: Factory, chosen: Mapping[str, Any], context: Mapping[str, Any]) -> Any:
    """Calls a row of a table with what it asks for of the context, and with its options."""
    wanted = [p.name for p in inspect.signature(factory).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    return factory(**{name: context[name] for name in wanted if name in context}, **chosen)


def row(table: str, name: str) -> Factory:
    """Returns a row of a table by name.

    Raises:
        PyrovaeError: There is no such row; the nearest one is named.

    Example:
        >>> try:
        ...     row("priors", "wamp")
        ... except PyrovaeError as error:
        ...     print(error)
        unknown prior 'wamp'
    """
    rows = TABLES[table]
    if name not in rows:
        kind = "data set" if table == "data" else table.removesuffix("s")
        kind = "likelihood" if table == "likelihoods" else kind
        raise PyrovaeError(f"unknown {kind} '{name}'", hint=did_you_mean(name, rows), exit_code=2)
    return rows[name]


def factory_of(section: str, given: Mapping[str, Any]) -> Factory:
    """Returns what a section's keys are options of."""
    if section in FUNCTIONS:
        return FUNCTIONS[section]
    table, default = CHOICES[section]
    return row(table, str(given.get("name", default)))


def complete(section: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a section with every default filled in."""
    name = {} if section in FUNCTIONS else {"name": CHOICES[section][1]}
    defaults = {key: option.default for key, option in options(factory_of(section, given)).items()}
    # Lists, as TOML has them: what is read back from a file is then equal.
    return name | {k: list(v) if isinstance(v, tuple) else v for k, v in (defaults | dict(given)).items()}


def problems(section: str, given: Mapping[str, Any]) -> dict[str, str]:
    """Returns what is wrong with a section, by key, with the nearest thing that is right.

    Example:
        >>> problems("train", {"epoch": 3, "batch_size": "big"})
        {'epoch': "unknown key 'epoch' (did you mean 'epochs'?)", 'batch_size': "'batch_size' should be int, got 'big'"}
    """
    try:
        known = options(factory_of(section, given))
    except PyrovaeError as error:
        return {"name": f"{error} ({error.hint})"}
    found = wrong(section, {k: v for k, v in given.items() if k != "name" or section not in CHOICES}, known)
    missing = [key for key, option in known.items() if option.default is inspect.Parameter.empty and key not in given]
    return found | {key: f"missing key '{key}' ({type_name(known[key].hint)})" for key in missing}


def wrong(section: str, given: Mapping[str, Any], known: Mapping[str, Option]) -> dict[str, str]:
    """Returns what is wrong with the options of a section, by key."""
    found = {}
    for key, value in given.items():
        if key not in known:
            found[key] = f"unknown key '{key}' ({did_you_mean(key, known) if known else 'it takes none'})"
        elif reason := complaint(f"{section}.{key}", value, known[key].hint):
            found[key] = f"'{key}' {reason}"
    return found


def complaint(path: str, value: Any, hint: Any) -> str:
    """Returns why a value does not fit an annotation, or nothing."""
    if not fits(value, hint):
        return f"should be {type_name(hint)}, got {value!r}"
    if isinstance(value, Mapping) and hint in (ScheduleSpec, RateSpec):
        try:
            make_schedule(value, key=path, steps=1 if path == "train.learning_rate" else None)
        except PyrovaeError as error:
            return f"{error} ({error.hint})"
    numbers = [v for v in (value if isinstance(value, list | tuple) else [value]) if isinstance(v, int | float)]
    return next((f"should be {reason}, got {value!r}" for v in numbers if (reason := out_of_range(v, hint))), "")


def out_of_range(value: float, hint: Any) -> str:
    """Returns what a number should be and is not, or nothing; without a range in the annotation, above 0.

    Example:
        >>> from pyrovae.ranges import NonNegative
        >>> out_of_range(0, int), out_of_range(0.0, NonNegative), out_of_range(-1.0, NonNegative | None)
        ('above 0', '', '0 or more')
    """
    if isinstance(value, bool):
        return ""
    if not math.isfinite(value):
        return "finite"
    ranges = ranges_of(hint)
    return ranges[0].complaint(value) if ranges else "above 0" if value <= 0 else ""


def ranges_of(hint: Any) -> list[Range]:
    """Returns the ranges that an annotation, or any alternative of it, states."""
    if get_origin(hint) is Annotated:
        return [extra for extra in hint.__metadata__ if isinstance(extra, Range)]
    return [found for part in get_args(hint) for found in ranges_of(part)]


def fits(value: Any, hint: Any) -> bool:
    """Tells whether a value read from TOML is of an annotated type.

    Example:
        >>> fits([400, 400], Sequence[int]), fits(True, int), fits(1, float | None)
        (True, False, True)
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return fits(value, inner[0])
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in inner)
    if origin is Literal:
        return value in inner
    if origin is Sequence:
        return isinstance(value, list | tuple) and all(fits(item, inner[0]) for item in value)
    if origin is Mapping:
        return isinstance(value, Mapping)
    if hint in (int, float):
        return isinstance(value, int if hint is int else int | float) and not isinstance(value, bool)
    return isinstance(value, origin or hint)


def type_name(hint: Any) -> str:
    """Names a type as a user would write it.

    Example:
        >>> type_name(Literal["fixed", "shared"] | None), type_name(Sequence[int])
        ("'fixed' or 'shared'", 'list of int')
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return type_name(inner[0])
    if origin in (Union, UnionType):
        return " or ".join(type_name(part) for part in inner if part is not NoneType)
    if origin is Literal:
        return " or ".join(map(repr, inner))
    if origin is Sequence:
        return "list of tables" if get_origin(inner[0]) is Mapping else f"list of {type_name(inner[0])}"
    if origin is Mapping:
        return "a schedule table"
    return str(getattr(hint, "__name__", hint))
