"""What the posterior believes of a few test data, for ArviZ: ``analysis.nc``, and ArviZ's own pictures of it."""

import warnings
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import numpy as np
import xarray as xr
from matplotlib import pyplot
from matplotlib.figure import Figure

from pyrovae.analysis import to_datatree
from pyrovae.evaluation.evidence import FEWEST
from pyrovae.evaluation.judged import Findings, Judged
from pyrovae.ranges import Range

SHOWN = 4  # latent dimensions in the picture of pairs
EVENT = ("channel", "height", "width")


def beliefs(
    judged: Judged, *, analysed: Annotated[int, Range(2)] = 100, draws: Annotated[int, Range(FEWEST)] = 500
) -> Findings:
    """Draws of z and x for test data as ArviZ's DataTree, with k-hat, predictive checks, forests and pairs.

    The predictive check compares the mean element of each datum with that of its reconstructions: how much ink.

    Args:
        judged: The VAE and its data.
        analysed: How many test data.
        draws: Of z, per datum; so many data and draws of x as fit into 8 million numbers are kept.
    """
    x, y = judged.held_out("test", analysed)
    vae, classes = judged.vae, judged.dataset.classes
    labels = y if vae.conditional else None
    tree = to_datatree(vae, x, labels, draws=draws, data=len(x), seed=judged.seed, classes=classes)
    inside = coverage(tree)
    sizes = {name: int(size) for name, size in tree["posterior"].sizes.items()}
    numbers = {"draws": sizes["draw"], "data": sizes["datum"], "predictive_coverage_90": inside}
    groups = ", ".join(tree.children)
    sentences = [
        f"analysis.nc holds {sizes['draw']} draws for {sizes['datum']} data in the groups {groups}",
        f"the mean element of {inside:.0%} of the data lies in the central 90 % of its reconstructions'",
    ]
    return Findings(numbers, sentences, dict(drawn(tree)), tree=dict(tree.to_dict()))


def coverage(tree: xr.DataTree) -> float:
    """Returns the share of data whose mean element lies in the central 90 % of that of its predictive draws."""
    found, drawn_means = means(tree, "observed_data"), means(tree, "posterior_predictive")
    low, high = (drawn_means.quantile(q, ("chain", "draw")) for q in (0.05, 0.95))
    return float(((found >= low) & (found <= high)).mean())


def means(tree: xr.DataTree, group: str) -> xr.DataArray:
    """Returns the mean element of each x, over all of its own dimensions; what is missing counts nothing."""
    x = tree[group].dataset["x"]
    return x.mean([dim for dim in x.dims if dim not in ("chain", "draw", "datum")])


def drawn(tree: xr.DataTree) -> Mapping[str, Figure]:
    """Returns ArviZ's pictures: k-hat, predictive check and its PIT, forest of one datum, pairs of dimensions."""
    import arviz_plots as azp

    ink = xr.DataTree.from_dict(
        {group: xr.Dataset({"mean of x": means(tree, group)}) for group in ("observed_data", "posterior_predictive")}
    )
    used = tree["posterior"].dataset["z"].mean(("chain", "draw")).var("datum").values.argsort()[::-1]
    one = tree["posterior"].isel(datum=0)
    pictures: dict[str, Callable[[], Any]] = {
        "predictive": lambda: azp.plot_ppc_dist(ink, backend="matplotlib"),
        "pit": lambda: azp.plot_ppc_pit(ink, backend="matplotlib"),
        "forest": lambda: forest_of(tree),
        "pairs": lambda: azp.plot_pair(
            xr.DataTree.from_dict({"posterior": one.dataset.isel(latent=np.sort(used[:SHOWN]))}),
            var_names=["z"],
            backend="matplotlib",
        ),
    }
    if "khat" in tree["sample_stats"]:
        pictures["khat"] = lambda: khat_of(tree)
    return {name: figure_of(draw) for name, draw in pictures.items()}


def forest_of(tree: xr.DataTree) -> Any:
    """Draws intervals of each dimension of the first datum, of the guide and of its draws drawn again by weight."""
    import arviz_plots as azp

    models = by_guide(tree)
    if len(models) == 1:
        return azp.plot_forest(models["guide"], var_names=["z"], combined=True, backend="matplotlib")
    collection = azp.plot_forest(models, var_names=["z"], combined=True, backend="matplotlib")
    collection.add_legend("model")
    return collection


def khat_of(tree: xr.DataTree) -> Any:
    """Draws k-hat of each datum, with the threshold for so many draws."""
    import arviz_plots as azp

    elpd = as_elpd(tree)
    return azp.plot_khat(elpd, hline_values=[elpd.good_k], visuals={"hlines": {}}, backend="matplotlib")


def by_guide(tree: xr.DataTree) -> dict[str, xr.DataTree]:
    """Returns the draws of the first datum under the names of what drew them."""
    groups = {"guide": "posterior", "importance": "posterior_importance"}
    return {
        name: xr.DataTree.from_dict({"posterior": tree[group].dataset.isel(datum=0, drop=True)})
        for name, group in groups.items()
        if group in tree.children
    }


def as_elpd(tree: xr.DataTree) -> Any:
    """Wraps k-hat as ArviZ's picture of it wants it; its other numbers are not drawn."""
    from arviz_stats.utils import ELPDData

    khat = tree["sample_stats"].dataset["khat"]
    draws = tree["posterior"].sizes["draw"]
    good = min(1 - 1 / np.log10(draws), 0.7)
    return ELPDData("loo", 0.0, 0.0, 0.0, draws, khat.size, "log", False, good, khat * 0.0, khat)  # noqa: FBT003


def figure_of(draw: Callable[[], Any]) -> Figure:
    """Draws with ArviZ and takes the figure from pyplot, which would keep it open."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its advice on binary data, which these means are not
        collection = draw()
    figure: Figure = collection.viz["figure"].item()
    pyplot.close(figure)
    return figure
