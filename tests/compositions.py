"""Compositions for laws over the tables: every row with every row of another table at least once.

A row added to a table is covered without an edit, unless it has an option without a default (`SMALL`) or cannot go with
some other row (`CLASHES`).
"""

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations, product
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pyrovae import LIKELIHOODS, NETWORKS, OBJECTIVES, POSTERIORS, PRIORS, VAE, Dataset, make_dataset
from pyrovae.networks import MLP
from pyrovae.objectives import Objective
from pyrovae.programs.vae import reading

LATENT, EVENT, CLASSES, ROWS, LEVELS = 2, (1, 4, 3), 3, 12, 16
LABELS = {"unlabelled": (False, False), "pools": (True, False), "conditional": (False, True), "both": (True, True)}
LETTERS = "abc"  # few, so that each comes at each place
# Options without a default, and sizes that keep a law quick.
SMALL: dict[str, dict[str, Any]] = {
    "vamp": {"pseudo_inputs": 6},
    "product": {
        "parts": [{"name": "gaussian-mixture", "latent_dim": 1, "labels": False}, {"name": "laplace", "latent_dim": 1}]
    },
    "mlp": {"hidden": [8], "activation": "tanh"},
    "gated-mlp": {"hidden": [8]},
    "conv": {"channels": [4], "hidden": 8},
    "gated-conv": {"channels": [4], "hidden": 8},
    "resnet": {"channels": [4], "hidden": 8},
    "gru": {"hidden": 8},
    "autoregressive-categorical": {"hidden": 8, "embedding": 4},
}
# What cannot go together, as pairs of (table, name): these, and no others, are refused.
Named = tuple[str, str]
CLASHES: set[frozenset[Named]] = set()


def clash(one: Named, *others: Named) -> None:
    CLASHES.update(frozenset({one, other}) for other in others)


class Composition(NamedTuple):
    """One row of each table, and what reads labels."""

    prior: str = "standard-normal"
    posterior: str = "diagonal-normal"
    likelihood: str = "bernoulli"
    network: str = "mlp"
    objective: str = "elbo"
    labels: str = "unlabelled"

    @property
    def names(self) -> list[Named]:
        return list(zip(self._fields, self, strict=True))

    @property
    def clashes(self) -> bool:
        return any(frozenset(pair) in CLASHES for pair in combinations(self.names, 2))


FACTORS: dict[str, list[str]] = {
    "prior": list(PRIORS),
    "posterior": list(POSTERIORS),
    "likelihood": list(LIKELIHOODS),
    "network": list(NETWORKS),
    "objective": list(OBJECTIVES),
    "labels": list(LABELS),
}


def others(table: str, *kept: str) -> list[Named]:
    return [(table, name) for name in FACTORS[table] if name not in kept]


COUNTS = [("likelihood", name) for name, row in LIKELIHOODS.items() if row.accepts[0] == "count"]
TEXT = ("likelihood", "autoregressive-categorical")
WHOLE = [
    name for name, row in LIKELIHOODS.items() if not getattr(row, "independent", True)
]  # of no independent elements
clash(("posterior", "point"), *others("prior", "flat"), *others("objective", "elbo"))
clash(("prior", "flat"), *others("posterior", "point"), *others("objective", "elbo"))
clash(("prior", "vamp"), ("posterior", "iaf"), *COUNTS, TEXT)
clash(TEXT, *others("network", "mlp", "gated-mlp"))  # its decoder makes a vector
clash(("posterior", "iaf"), ("objective", "stl"), ("objective", "dreg"))
clash(("objective", "tc"), *others("prior", "standard-normal", "laplace"))
clash(("objective", "tc"), *others("posterior", "diagonal-normal", "laplace", "student-t"))


def pairwise(**factors: list[str]) -> Iterator[Composition]:
    """Yields compositions until every two rows of different tables have met, without clashes wherever possible."""
    tables = list(factors)
    pairs = [
        frozenset({(a, x), (b, y)}) for a, b in combinations(tables, 2) for x, y in product(factors[a], factors[b])
    ]
    missing = dict.fromkeys(pairs)
    for pair in pairs:
        if pair in missing:
            found = completed(dict(pair), factors, missing)
            fair = not Composition(**found).clashes  # what is refused has tried only the pair it is refused for
            for met in map(frozenset, combinations(found.items(), 2)):
                if fair or met == pair:
                    missing.pop(met, None)
            yield Composition(**found)


def completed(given: dict[str, str], factors: dict[str, list[str]], missing: dict[Any, None]) -> dict[str, str]:
    """Adds a row of each other table: one that clashes with none and has met fewest of them."""
    found = dict(given)
    for table in [table for table in factors if table not in given]:

        def cost(name: str, table: str = table) -> tuple[int, int]:
            met = [frozenset({(table, name), other}) for other in found.items()]
            return sum(pair in CLASHES for pair in met), -sum(pair in missing for pair in met)

        found[table] = min(factors[table], key=cost)
    return found


def cover(*tables: str) -> list[Composition]:
    """Returns a pairwise cover of some tables; the others keep their simplest row."""
    return sorted(pairwise(**{table: FACTORS[table] for table in tables}))


# Every row of every table once, beside the simplest rows of the others.
SINGLE = [Composition(**{table: name}) for table, names in FACTORS.items() for name in names]
ROWS_OF_TABLES = [
    *dict.fromkeys(composition for composition in SINGLE if not composition.clashes),
    Composition(prior="flat", posterior="point"),
    Composition(prior="gaussian-mixture", labels="pools"),
]


def data(support: str = "binary", rows: int = ROWS) -> tuple[Tensor, Tensor]:
    """Returns data of a support, as programs read them, and their labels."""
    u = torch.rand(rows, *EVENT, generator=torch.Generator().manual_seed(3))
    x = {
        "binary": u.round(),
        "levels": (u * (LEVELS - 1)).round() / (LEVELS - 1),
        "unit": u,
        "count": (9 * u**3).floor(),
        "real": 4 * u - 2,
        "characters": ended((1 + len(LETTERS) * u).floor()),
    }
    return x[support], torch.arange(rows) % CLASSES


def ended(x: Tensor) -> Tensor:
    """Returns texts of which every fourth ends early, the others 0."""
    row, longest = torch.arange(len(x)), EVENT[1] * EVENT[2]
    length = torch.where(row % 4 == 0, 4 + row % (longest - 3), longest)
    return torch.where(torch.arange(x[0].numel()) < length[:, None], x.flatten(1), 0.0).reshape(x.shape)


def support_of(likelihood: str) -> str:
    return str(LIKELIHOODS[likelihood].accepts[0])


def toy(likelihood: str = "bernoulli", rows: int = 36) -> Dataset:
    """Returns a data set that a likelihood scores."""
    support = support_of(likelihood)
    x, y = data(support, rows)
    levels: dict[str, Any] = {"max_level": LEVELS - 1} if support == "levels" else {}
    x = (x * (LEVELS - 1)).round().to(torch.uint8) if support == "levels" else x
    if support == "characters":
        x, levels = x.to(torch.uint8), {"alphabet": LETTERS}
    given: dict[str, Any] = {"support": support, "classes": tuple("abc"), **levels}
    return make_dataset("toy", x, y, validation=4, test=4, **given)


def positional(part: Callable[..., Any], **supplied: Any) -> list[Any]:
    """Returns what a composition supplies: the constructor's positional parameters, by name."""
    parameters = inspect.signature(part).parameters.values()
    return [supplied[p.name] for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]


def build(
    prior: str = "standard-normal",
    posterior: str = "diagonal-normal",
    likelihood: str = "bernoulli",
    labels: str = "unlabelled",
    network: str = "mlp",
    seed: int = 0,
    **options: Any,
) -> VAE:
    """Composes a VAE from names as an experiment does; options go to the parts that have them."""
    torch.manual_seed(seed)
    pools, conditional = LABELS[labels]
    support = support_of(likelihood)
    x, y = data(support)
    net = partial(NETWORKS[network], **SMALL.get(network, {}))
    supplied = {"network": net, "latent_dim": LATENT, "event_shape": EVENT, "classes": CLASSES * conditional}
    levels = {"levels": LEVELS, "characters": len(LETTERS) + 1}.get(support, 2)
    supplied |= {"support": support, "levels": levels}

    def made(part: type[nn.Module], name: str, **more: Any) -> Any:
        return part(*positional(part, **supplied | more), **keep(part, SMALL.get(name, {}) | options))

    encoder = made(POSTERIORS[posterior], posterior, network=reading(net, support, levels))
    decoder = made(LIKELIHOODS[likelihood], likelihood)
    options |= {"labels": pools}
    context = {"posterior": encoder, "classes": CLASSES, "examples": x, "example_labels": y}
    return VAE(made(PRIORS[prior], prior, **context), decoder, encoder)


def keep(part: type[nn.Module], options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in inspect.signature(part).parameters}


def objective_of(name: str, size: int = 28, **options: Any) -> Objective:
    kind = OBJECTIVES[name]
    return kind(*positional(kind, size=size), **SMALL.get(name, {}) | options)


network = partial(MLP, hidden=[8], activation="tanh")
