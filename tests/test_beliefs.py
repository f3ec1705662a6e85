"""The tree of a run: what of it is said and drawn, and how groups of several sections live in one file."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from commands import Maker, succeeds
from matplotlib.figure import Figure

from pyrovae import load
from pyrovae.evaluation.beliefs import beliefs, coverage
from pyrovae.evaluation.judged import Judged
from pyrovae.judging import keep_tree
from pyrovae.netcdf import load_datatree


def made(observed: list[float]) -> xr.DataTree:
    """Returns a tree whose predictive means are 0, 1, ..., 100 for each datum, by pixels on both sides of them."""
    steps = np.arange(101.0)
    x = np.stack([steps - 1, steps + 1], -1)[None, :, None, :].repeat(len(observed), 2)
    data = np.stack([np.array(observed) + 5, np.array(observed) - 5], -1)
    return xr.DataTree.from_dict(
        {
            "posterior_predictive": xr.Dataset({"x": (("chain", "draw", "datum", "x_dim_0"), x)}),
            "observed_data": xr.Dataset({"x": (("datum", "x_dim_0"), data)}),
        }
    )


def test_coverage_counts_data_within_the_central_nine_tenths() -> None:
    """Mutations: another interval; medians of pixels; one bound only."""
    assert coverage(made([4.9, 5.0, 50.0, 95.0, 95.1])) == pytest.approx(3 / 5)


def test_a_run_has_its_tree_and_pictures(root: Path) -> None:
    found = beliefs(Judged(*load(root / "pools")), analysed=6, draws=30)
    assert found.numbers["data"] == 6
    assert {"posterior", "posterior_importance", "prior", "observed_data"} <= {path.strip("/") for path in found.tree}
    assert set(found.figures) == {"predictive", "pit", "forest", "pairs", "khat"}
    assert all(isinstance(figure, Figure) for figure in found.figures.values())


def test_sections_share_one_file_as_long_as_the_weights_are_theirs(copied: Maker) -> None:
    """Mutations: groups of others are lost; groups of other weights are kept; a group that stands cannot be written."""
    run = copied()
    nuts = {"posterior_nuts": xr.Dataset({"z": ("draw", np.zeros(3))})}
    keep_tree(nuts, run)
    keep_tree({"posterior_nuts": nuts["posterior_nuts"].isel(draw=[0, 1])}, run)
    assert dict(load_datatree(run / "analysis.nc")["posterior_nuts"].sizes) == {"draw": 2}
    succeeds("evaluate", run, "--only", "analysis", "--set", "analysis.analysed=4", "--set", "analysis.draws=25")
    tree = load_datatree(run / "analysis.nc")
    assert {"posterior_nuts", "posterior", "posterior_importance"} <= set(tree.children)
    assert dict(tree["posterior"].sizes) == {"chain": 1, "draw": 25, "datum": 4, "latent": 4}
    (run / "checkpoint.pt").write_bytes(b"other weights")
    keep_tree({"posterior": xr.Dataset()}, run)
    assert set(load_datatree(run / "analysis.nc").children) == {"posterior"}
