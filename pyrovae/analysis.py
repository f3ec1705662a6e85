r"""What a VAE believes about data, as one labelled tree that ArviZ summarises and draws: the only maker of ArviZ data.

The groups are those of ArviZ's schema, the variables are the sites of the programs, the dimensions are named:

* ``prior``, ``prior_predictive``: z ~ p(z), x ~ p(x | z), drawn by the model, given the labels if there are any;
* ``posterior``, ``posterior_predictive``: z ~ q(z | x), drawn by the guide, and x ~ p(x | z) at the same z;
* ``posterior_importance``: draws of ``posterior`` drawn again by their importance weights, nearer to p(z | x), as far
  as ``khat`` in ``sample_stats``, the shape of the tail of those weights, lets them be (Vehtari et al., 2024);
* ``posterior_nuts``: draws of z ~ p(z | x) by NUTS, of the first few data, where they are handed in;
* ``log_likelihood``: log p(x | z) at the posterior's draws, and log p(y) where the model scores labels;
* ``sample_stats``: ``log_prior`` = log p(z), ``log_q`` = log q(z | x) and ``lp``, the log of the joint density, as
  samplers report it. ``lp - log_q`` is the log importance weight, whose mean is the ELBO;
* ``observed_data``: x, NaN where it is missing, and y where the model scores it;
* ``constant_data``: the ``label`` of each datum where labels are given; in the other groups it is a coordinate.

Draws of z have the dimensions ``(chain, draw, datum, latent)``, those of the guide with one chain.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyro
import torch
import xarray as xr
from pyro import poutine
from torch import Tensor

from pyrovae import __version__
from pyrovae.densities import densities, random_sites, total
from pyrovae.errors import PyrovaeError, did_you_mean
from pyrovae.evaluation.evidence import FEWEST, ROWS, WIDTH, pareto, pieces
from pyrovae.seeding import seeded
from pyrovae.vae import VAE, as_batch, is_point, is_proper

Batch = tuple[Tensor, ...]  # x, and y where it is given
Arrays = dict[str, Tensor]  # by variable
Groups = dict[str, Arrays]
Coords = Mapping[str, Iterable[Any]]

KEPT = 2**23  # numbers a predictive group holds unless more are asked for: 32 MB of floats, 8 MB of zeros and ones
DRAWS = ["chain", "draw"]
EVENT = {("z", 1): ["latent"], ("x", 2): ["height", "width"], ("x", 3): ["channel", "height", "width"]}


@torch.no_grad()
def to_datatree(
    vae: VAE,
    x: Tensor,
    y: Tensor | None = None,
    *,
    draws: int = 500,
    data: int = 100,
    predictive_draws: int | None = None,
    seed: int = 0,
    classes: Sequence[str] = (),
    coords: Coords | None = None,
    nuts: Tensor | None = None,
) -> xr.DataTree:
    """Draws from both programs and returns draws, log densities and data as one tree, in ArviZ's groups.

    Labels mean what they mean to the programs: pools score them and draw from them, a conditional VAE needs them, other
    parts ignore them. An improper prior has no prior groups, a point posterior no ``log_q``; the tree's attribute
    ``left_out`` says so.

    Args:
        vae: The trained VAE; nothing in it changes, and no random state outside.
        x: Data as the programs read them, shape ``(n, *event_shape)``.
        y: Labels, shape ``(n,)``.
        draws: Of z, per datum.
        data: How many data, the first of x.
        predictive_draws: Draws of x in each predictive group, at the first so many draws of z. Unless given, as many
            as make 8 million numbers; 0 leaves these groups out.
        seed: Of all draws.
        classes: Names of the labels 0, 1, ...
        coords: Names of the positions along a dimension, such as ``{"datum": ids}``; elsewhere they are 0, 1, ...
        nuts: Draws of z by NUTS for the first data, shape ``(chains, draws, data, latent_dim)``.

    Raises:
        PyrovaeError: A number is too small, or labels or coordinates do not fit the data.

    Example:
        >>> from pyrovae import MLP, Bernoulli, DiagonalNormal, StandardNormal
        >>> vae = VAE(StandardNormal(2), Bernoulli(MLP, 2, (1, 8, 8)), DiagonalNormal(MLP, 2, (1, 8, 8)))
        >>> tree = to_datatree(vae, torch.ones(5, 1, 8, 8), draws=20)
        >>> dict(tree["posterior_predictive"].sizes)
        {'chain': 1, 'draw': 20, 'datum': 5, 'channel': 1, 'height': 8, 'width': 8}
    """
    check_numbers(len(x), draws, data, predictive_draws)
    if vae.conditional and y is None:
        raise PyrovaeError("this VAE reads labels, which were not given", hint="give y, one label per datum")
    labels = None if y is None else label_names(y, len(x), classes)[:data]
    batch = as_batch(vae, x[:data], None if y is None else y[:data])
    fits = max(1, KEPT // batch[0].numel())
    kept = min(draws, fits if predictive_draws is None else predictive_draws)
    with seeded(seed), pyro.get_param_store().scope():
        groups = joined(list(inferred(vae, batch, draws)))
        latent = groups["posterior"]
        groups |= weighted(latent, groups["sample_stats"])
        groups |= joined(list(predicted(vae, batch, latent, kept)))
        if is_proper(vae.prior):
            groups |= joined(list(generated(vae, batch, latent, draws, kept)))
    tails = khat_of(groups["sample_stats"])
    tree = as_tree(groups | observed(vae, batch, groups), tails, labels, coords or {}, data)
    if nuts is not None:
        tree["posterior_nuts"] = xr.DataTree(sampled_by_nuts(nuts, tree["posterior"].dataset))
    tree.attrs = attributes(vae, y, seed)
    return tree


# Draws: tensors by group and variable, of all data, a few draws at once


def inferred(vae: VAE, batch: Batch, draws: int) -> Iterator[Groups]:
    """Yields draws of z from the guide and their log densities under both programs."""
    for size in pieces(draws, at_once(batch[0])):
        sites = densities(vae.model, vae.guide, *batch, particles=size)
        log_prior = total(sites.model[name].log_prob for name in sites.guide)
        statistics = {"lp": sites.evidence + log_prior, "log_prior": log_prior}
        if not is_point(vae.posterior):  # what a point mass returns at its point is not a density
            statistics["log_q"] = total(site.log_prob for site in sites.guide.values())
        yield {
            "posterior": {name: site.value for name, site in sites.guide.items()},
            "log_likelihood": {name: site.log_prob for name, site in sites.model.items() if site.observed},
            "sample_stats": statistics,
        }


def weighted(latent: Arrays, statistics: Arrays) -> Groups:
    """Returns draws of z drawn again, of each datum by its importance weights; nothing where they have none."""
    if "log_q" not in statistics:
        return {}
    weights = (statistics["lp"] - statistics["log_q"]).softmax(0)
    index = weights.T.multinomial(len(weights), replacement=True).T
    return {"posterior_importance": {name: z.take_along_dim(index[..., None], 0) for name, z in latent.items()}}


def khat_of(statistics: Arrays) -> Arrays:
    """Returns k-hat of each datum's importance weights, where there are weights and enough of them."""
    if "log_q" not in statistics or len(statistics["lp"]) < FEWEST:
        return {}
    return {"khat": pareto(statistics["lp"] - statistics["log_q"])[0]}


def predicted(vae: VAE, batch: Batch, latent: Arrays, kept: int) -> Iterator[Groups]:
    """Yields draws of x from the model at the first ``kept`` draws of z."""
    start = 0
    for size in pieces(kept, at_once(batch[0])):
        given = {name: z[start : start + size] for name, z in latent.items()}
        yield {"posterior_predictive": compact(vae, simulated(vae, batch, size, given))}
        start += size


def generated(vae: VAE, batch: Batch, latent: Arrays, draws: int, kept: int) -> Iterator[Groups]:
    """Yields draws of z from the model alone, the first ``kept`` of them with x."""
    size = at_once(batch[0])
    for wanted, sizes in ((True, pieces(kept, size)), (False, pieces(draws - kept, size))):
        for k in sizes:
            values = simulated(vae, batch, k)
            groups = {"prior": {name: values.pop(name) for name in latent}}
            yield groups | ({"prior_predictive": compact(vae, values)} if wanted else {})


def simulated(vae: VAE, batch: Batch, draws: int, given: Arrays | None = None) -> Arrays:
    """Runs the model without x, and with labels where there are any; returns what it draws."""
    y = batch[1] if len(batch) > 1 else None
    with pyro.plate("particles", draws, dim=-2):
        trace = poutine.trace(poutine.condition(vae.model, data=given or {})).get_trace(None, y, len(batch[0]))
    return {name: site["value"] for name, site in random_sites(trace).items() if not site["is_observed"]}


def at_once(x: Tensor) -> int:
    """Returns how many draws of all data to decode at once: so few that memory stays small."""
    return max(1, ROWS // (len(x) * max(WIDTH, x[0].numel())))


def joined(parts: list[Groups]) -> Groups:
    """Lays draws end to end."""
    return {
        group: {name: torch.cat([part[group][name] for part in parts if group in part]) for name in arrays}
        for group, arrays in (parts[0] if parts else {}).items()
    }


def observed(vae: VAE, batch: Batch, groups: Groups) -> Groups:
    """Returns what the model scores: x, and labels where it has pools of them."""
    scored = {name: value for name, value in zip("xy", batch, strict=False) if name in groups["log_likelihood"]}
    return {"observed_data": compact(vae, scored)}


def compact(vae: VAE, arrays: Arrays) -> Arrays:
    """Makes bits and counts whole numbers, which are smaller and which ArviZ draws as such; grey levels stay floats."""
    return {name: whole(value) if vae.likelihood.measure == "mass" else value for name, value in arrays.items()}


def whole(value: Tensor) -> Tensor:
    """Returns whole numbers as such: zeros and ones in a byte, larger ones in four; anything else as it is.

    Example:
        >>> [whole(torch.tensor(numbers)).dtype for numbers in ([0.0, 1.0], [0.0, 7.0], [0.0, 0.5])]
        [torch.int8, torch.int32, torch.float32]
    """
    if not torch.equal(value, value.round()) or value.abs().max() >= 2**31:  # NaN differs from itself
        return value
    return value.to(torch.int8 if value.min() >= 0 and value.max() <= 1 else torch.int32)


# The tree: named dimensions


def as_tree(groups: Groups, tails: Arrays, labels: np.ndarray | None, coords: Coords, data: int) -> xr.DataTree:
    """Names dimensions, positions and labels."""
    datasets = {group: as_dataset(arrays, sampled=group != "observed_data") for group, arrays in groups.items()}
    statistics = datasets["sample_stats"]
    datasets["sample_stats"] = statistics.assign(
        {name: ("datum", value.cpu().numpy()) for name, value in tails.items()}
    )
    if labels is not None:
        datasets = {group: dataset.assign_coords(label=("datum", labels)) for group, dataset in datasets.items()}
        datasets["constant_data"] = xr.Dataset({"label": ("datum", labels)})
    names = {dim: list(values)[: data if dim == "datum" else None] for dim, values in coords.items()}
    check_coords(names, {dim: size for dataset in datasets.values() for dim, size in dataset.sizes.items()})
    return xr.DataTree.from_dict({group: positioned(dataset, names) for group, dataset in datasets.items()})


def sampled_by_nuts(draws: Tensor, posterior: xr.Dataset) -> xr.Dataset:
    """Names the dimensions of draws by NUTS; its data are the first of the guide's.

    Raises:
        PyrovaeError: They are of more data than there are, or of other dimensions.
    """
    first = posterior.isel(datum=slice(draws.shape[2])).drop_dims(DRAWS)
    if draws.shape[2:] != (first.sizes["datum"], posterior.sizes["latent"]):
        shape = tuple(draws.shape)
        raise PyrovaeError(f"nuts of shape {shape}", hint="give (chains, draws, data, latent_dim) of the first data")
    return nuts_dataset(draws).assign_coords(first.coords)


def nuts_dataset(draws: Tensor) -> xr.Dataset:
    """Names the dimensions of draws of z, shape ``(chains, draws, data, latent_dim)``, and numbers the positions.

    Example:
        >>> dict(nuts_dataset(torch.zeros(4, 100, 5, 2)).sizes)
        {'chain': 4, 'draw': 100, 'datum': 5, 'latent': 2}
    """
    dims = (*DRAWS, "datum", "latent")
    return positioned(xr.Dataset({"z": (dims, draws.cpu().numpy())}), {})


def as_dataset(arrays: Arrays, *, sampled: bool) -> xr.Dataset:
    """Names the dimensions of arrays whose first is draws, where they are sampled, and then the data."""
    lead = [*DRAWS, "datum"] if sampled else ["datum"]
    values = {name: (value[None] if sampled else value).cpu().numpy() for name, value in arrays.items()}
    return xr.Dataset(
        {name: ([*lead, *event_dims(name, value.ndim - len(lead))], value) for name, value in values.items()}
    )


def event_dims(site: str, rank: int) -> list[str]:
    """Returns the names of the dimensions of one value; where they have none, ArviZ's.

    Example:
        >>> event_dims("x", 3), event_dims("x", 1)
        (['channel', 'height', 'width'], ['x_dim_0'])
    """
    return EVENT.get((site, rank), [f"{site}_dim_{i}" for i in range(rank)])


def positioned(dataset: xr.Dataset, names: Mapping[str, list[Any]]) -> xr.Dataset:
    return dataset.assign_coords({dim: names.get(str(dim), np.arange(size)) for dim, size in dataset.sizes.items()})


def attributes(vae: VAE, y: Tensor | None, seed: int) -> dict[str, Any]:
    """Returns what was computed and by what; no date, so that equal trees are equal files."""
    left_out = {
        "prior, prior_predictive (nothing can be drawn from an improper prior)": not is_proper(vae.prior),
        "log_q (a point posterior has no density)": is_point(vae.posterior),
    }
    return {
        "creation_library": "pyrovae",
        "creation_library_version": __version__,
        "creation_library_language": "Python",
        "inference_library": "pyro",
        "inference_library_version": pyro.__version__,
        "sample_dims": DRAWS,
        **({} if is_point(vae.posterior) else {"quantity": vae.quantity(y)}),
        "measure": vae.likelihood.measure,
        "seed": seed,
        "left_out": "; ".join(what for what, applies in left_out.items() if applies),
    }


# Checks


def check_numbers(n: int, draws: int, data: int, predictive_draws: int | None) -> None:
    for name, value, least in (("draws", draws, 1), ("data", data, 1), ("predictive_draws", predictive_draws, 0)):
        if value is not None and value < least:
            raise PyrovaeError(f"{name} = {value}", hint=f"give {least} or more")
    if not n:
        raise PyrovaeError("no data", hint="give x of shape (n, *event_shape)")


def label_names(y: Tensor, n: int, classes: Sequence[str]) -> np.ndarray:
    """Returns the names of the labels, or the labels where classes have no names."""
    numbers = y.cpu().numpy()
    if numbers.shape != (n,):
        raise PyrovaeError(f"labels of shape {numbers.shape} for {n} data", hint="give one label per datum")
    if classes and not (numbers.min() >= 0 and numbers.max() < len(classes)):
        raise PyrovaeError(
            f"label {numbers.max()} of {len(classes)} classes", hint="classes names the labels 0, 1, ..."
        )
    return np.asarray(classes)[numbers] if classes else numbers


def check_coords(names: Mapping[str, list[Any]], sizes: Mapping[Any, int]) -> None:
    """Refuses coordinates of a dimension that is not there, of another size, or numbered by the draws themselves."""
    free = {str(dim): size for dim, size in sizes.items() if dim not in DRAWS}
    for dim, values in names.items():
        if dim not in free:
            raise PyrovaeError(f"coords['{dim}']: no such dimension", hint=did_you_mean(dim, free))
        if len(values) != free[dim]:
            raise PyrovaeError(f"coords['{dim}'] has {len(values)} names", hint=f"the dimension has {free[dim]}")
