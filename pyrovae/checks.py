"""What can be found out about a VAE before it is trained."""

from typing import Any

import pyro
import torch
from pyro import poutine
from torch import Tensor

from pyrovae.data import Dataset
from pyrovae.densities import in_data_plate, random_sites
from pyrovae.errors import PyrovaeError
from pyrovae.likelihoods import LIKELIHOODS
from pyrovae.objectives import ELBO, Objective
from pyrovae.seeding import seeded
from pyrovae.vae import VAE, as_batch, drawable, is_proper, reads


@torch.no_grad()
def check(vae: VAE, x: Tensor, y: Tensor | None = None) -> str:
    """Traces model and guide on two batch sizes and prints their sites side by side, mismatches named.

    Args:
        vae: Any object with Pyro programs ``model`` and ``guide``.
        x: At least two data, shape ``(n, *event_shape)``.
        y: Their labels, shape ``(n,)``.

    Returns:
        The printed table.

    Example:
        >>> from pyrovae import MLP, Bernoulli, DiagonalNormal, StandardNormal
        >>> vae = VAE(StandardNormal(2), Bernoulli(MLP, 2, (8,)), DiagonalNormal(MLP, 2, (8,)))
        >>> _ = check(vae, torch.ones(3, 8))
        site | role     | model, n = 3 | guide, n = 3 | model, n = 2 | guide, n = 2 | verdict
        z    | latent   | (3 | 2)      | (3 | 2)      | (2 | 2)      | (2 | 2)      | ok
        x    | observed | (3 | 8)      | -            | (2 | 8)      | -            | ok
    """
    sizes = (len(x), max(1, len(x) - 1))
    runs = [run(vae, x[:n], None if y is None else y[:n]) for n in sizes]
    header = ["site", "role", *(f"{program}, n = {n}" for n in sizes for program in ("model", "guide")), "verdict"]
    names = dict.fromkeys(name for sites in runs[0][::-1] for name in sites)
    table = format_table([header, *(row(name, runs) for name in names)])
    print(table)
    return table


Sites = dict[str, dict[str, Any]]


def run(vae: VAE, x: Tensor, y: Tensor | None) -> tuple[Sites, Sites]:
    """Traces both programs apart: the model is not run on the guide's draws, which may not fit it."""
    batch = (x,) if y is None else (x, y)
    with pyro.get_param_store().scope(), seeded(0):
        check_prior(vae, *batch)
        guide = poutine.trace(vae.guide).get_trace(*batch)
        # An improper prior has nothing to draw from: its model can only be run on the guide's draws.
        proper = is_proper(getattr(vae, "prior", vae))
        model = poutine.trace(vae.model if proper else poutine.replay(vae.model, trace=guide)).get_trace(*batch)
    return random_sites(model), random_sites(guide)


def check_prior(vae: VAE, x: Tensor, y: Tensor | None = None) -> None:
    """Refuses a prior that counts dimensions of z as draws, or several draws as one."""
    if not isinstance(vae, VAE) or not is_proper(vae.prior):
        return
    p, q = drawable("prior", vae.prior(y)), vae.encode(x, y)
    batch, event = tuple(p.batch_shape), tuple(p.event_shape)
    if batch in ((), (len(x),)) and len(event) == 1:
        return
    reason = f"the prior returned batch shape {batch} and event shape {event}; expected () and {tuple(q.event_shape)}"
    hint = ".to_event(1) makes the dimensions of z one draw" if not event else "return one draw of z, not several"
    raise PyrovaeError(reason, hint=hint)


def row(name: str, runs: list[tuple[Sites, Sites]]) -> list[str]:
    site = runs[0][0].get(name)
    role = "guide only" if site is None else "observed" if site["is_observed"] else "latent"
    verdicts = [verdict(name, *sites) for sites in runs]
    return [name, role, *(shape(part, name) for sites in runs for part in sites), max(verdicts, key=len)]


def shape(sites: Sites, name: str) -> str:
    """Prints batch and event shape."""
    if name not in sites:
        return "-"
    value, event = sites[name]["value"].shape, sites[name]["fn"].event_shape
    batch = value[: len(value) - len(event)]
    return f"({', '.join(map(str, batch))} | {', '.join(map(str, event))})"


def verdict(name: str, model: Sites, guide: Sites) -> str:
    if name not in model:
        return "missing in the model"
    if name not in guide and not model[name]["is_observed"]:
        return "missing in the guide"
    if name in guide and guide[name]["fn"].event_shape != model[name]["fn"].event_shape:
        return "event shapes differ"
    inside = all(in_data_plate(sites[name]) for sites in (model, guide) if name in sites)
    return "ok" if inside else "outside plate 'data'"


def format_table(rows: list[list[str]]) -> str:
    """Aligns columns under each other.

    Example:
        >>> print(format_table([["a", "value"], ["long", "1"]]))
        a    | value
        long | 1
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(" | ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows)


def check_combination(vae: VAE, dataset: Dataset, objective: Any = None) -> None:
    """Refuses what cannot work, with the nearest thing that can.

    Args:
        vae: The composition.
        dataset: What it is to be trained on.
        objective: What it is to be trained by: one of :data:`pyrovae.OBJECTIVES`, or Pyro's own.

    Raises:
        PyrovaeError: Shapes or supports differ, labels are missing, or the parts do not fit together.
    """
    check_data(vae, dataset)
    with seeded(0):
        batch = as_batch(vae, *dataset.batch(torch.arange(min(3, len(dataset.train)))))
    if objective is not None:
        check_objective(vae, dataset, objective)
    check_fit(vae, *batch)
    if isinstance(objective, Objective):
        with pyro.get_param_store().scope(), seeded(0):
            objective.loss(vae.model, vae.guide, *batch)  # what an objective cannot do, it says


def check_data(vae: VAE, dataset: Dataset) -> None:
    """Refuses data that the likelihood cannot score or whose labels the parts cannot read."""
    likelihood = vae.likelihood
    if tuple(likelihood.event_shape) != dataset.event_shape:
        raise PyrovaeError(
            f"model expects {tuple(likelihood.event_shape)}, data set {dataset.name} has {dataset.event_shape}",
            hint="build the likelihood and the posterior with the data's event_shape",
        )
    if dataset.support not in likelihood.accepts:
        grey = "data.binarize = 'dynamic' makes grey values binary; " if dataset.support in ("levels", "unit") else ""
        can = ", ".join(name for name, row in LIKELIHOODS.items() if dataset.support in getattr(row, "accepts", ()))
        raise PyrovaeError(
            f"likelihood {type(likelihood).__name__} scores {' or '.join(likelihood.accepts)} data, "
            f"data set {dataset.name} holds {dataset.support} values",
            hint=f"{grey}likelihoods of {dataset.support} values: {can}",
        )
    levels = getattr(likelihood, "levels", dataset.levels)
    if levels != dataset.levels:
        raise PyrovaeError(
            f"likelihood {type(likelihood).__name__} scores {levels} levels, data set {dataset.name} has "
            f"{dataset.levels}",
            hint=f"build it with levels = {dataset.levels}",
        )
    check_examples(vae.prior, dataset)
    if dataset.missing and not vae.missing:
        raise PyrovaeError(f"data set {dataset.name} has missing values", hint="compose VAE(..., missing=True)")
    if (vae.conditional or vae.pools) and len(dataset.classes) != (reads(vae.prior) or reads(likelihood)):
        raise PyrovaeError(
            f"model reads {reads(vae.prior) or reads(likelihood)} classes, data set {dataset.name} has "
            f"{len(dataset.classes)}",
            hint="set prior.labels and vae.conditional to false, or give labels",
        )


def check_examples(prior: Any, dataset: Dataset) -> None:
    """Refuses a prior whose pseudo-inputs are not of the data's kind."""
    support = getattr(prior, "support", dataset.support)
    if support != dataset.support and not {support, dataset.support} <= {"binary", "levels", "unit"}:
        raise PyrovaeError(
            f"prior {type(prior).__name__} makes {support} pseudo-inputs, data set {dataset.name} holds "
            f"{dataset.support} values",
            hint=f"build it with support = '{dataset.support}'; counts need another prior, such as 'flow'",
        )


def check_objective(vae: VAE, dataset: Dataset, objective: Any) -> None:
    """Refuses a loss that cannot train these parts, or was made for another number of data."""
    judge = objective if isinstance(objective, Objective) else ELBO()  # Pyro's own compare densities too
    judge.check(vae)
    size = getattr(judge, "size", len(dataset.train))
    if size != len(dataset.train):
        hint = f"build it with size = {len(dataset.train)}"
        raise PyrovaeError(
            f"objective {judge!r} is for {size} data, the training set has {len(dataset.train)}", hint=hint
        )


def check_fit(vae: VAE, x: Tensor, y: Tensor | None = None) -> None:
    """Refuses parts of different latent dimensions, which broadcasting could hide."""
    try:
        with torch.no_grad():
            model, guide = run(vae, x, y)
        wrong = [
            f"site '{name}': {found}" for name in (*model, *guide) if (found := verdict(name, model, guide)) != "ok"
        ]
    except PyrovaeError:
        raise
    except (RuntimeError, ValueError) as error:
        wrong = [str(error).splitlines()[0]]  # torch and Pyro go on with pages of shapes
    if wrong:
        hint = "give all parts one latent_dim; pyrovae.check(vae, x) prints the sites"
        raise PyrovaeError(f"the parts do not fit together: {wrong[0]}", hint=hint)
