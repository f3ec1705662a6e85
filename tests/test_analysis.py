"""ArviZ's view of a VAE: groups, dimensions and numbers of the tree, its file, and what ArviZ makes of it."""

from pathlib import Path
from typing import Any

import arviz_base as azb
import arviz_plots as azp
import arviz_stats as azs
import h5py
import matplotlib as mpl
import numpy as np
import pyro
import pytest
import torch
import xarray as xr
from compositions import CLASSES, EVENT, LABELS, LATENT, ROWS, Composition, build, cover, data, support_of
from matplotlib import pyplot
from small_models import Linear, linear_vae, score
from torch import Tensor, nn

from pyrovae import MLP, VAE, Bernoulli, DiagonalNormal, StandardNormal, analysis, to_datatree
from pyrovae.densities import densities
from pyrovae.distributions import detached
from pyrovae.errors import PyrovaeError
from pyrovae.netcdf import load_datatree, save_datatree
from pyrovae.seeding import seeded

SAMPLED = ("chain", "draw", "datum")
IMAGE = ("channel", "height", "width")
WRONG: dict[str, Any] = {"shift": 0.2, "widen": 1.5}
NAMES = ("ash", "birch", "çınar")


def tensor(tree: xr.DataTree, group: str, name: str) -> Tensor:
    """Returns an array of draws without its chain."""
    return torch.as_tensor(tree[group][name].values[0])


def linear_tree(model: Linear, **options: Any) -> xr.DataTree:
    return to_datatree(model.vae, model.x, **{"draws": 4000, "seed": 1} | options)


@pytest.fixture(scope="module")
def tree() -> xr.DataTree:
    """Binary pictures with named labels and pools for them."""
    x, y = data()
    return to_datatree(build("gaussian-mixture", labels="pools"), x, y, draws=60, classes=NAMES)


# Groups and dimensions


def test_groups_variables_and_dimensions(tree: xr.DataTree) -> None:
    found = {(g, str(n)): v.dims for g, node in tree.children.items() for n, v in node.data_vars.items()}
    assert found == {
        ("prior", "z"): (*SAMPLED, "latent"),
        ("prior_predictive", "x"): (*SAMPLED, *IMAGE),
        ("posterior", "z"): (*SAMPLED, "latent"),
        ("posterior_predictive", "x"): (*SAMPLED, *IMAGE),
        ("log_likelihood", "x"): SAMPLED,
        ("log_likelihood", "y"): SAMPLED,
        ("sample_stats", "lp"): SAMPLED,
        ("sample_stats", "log_prior"): SAMPLED,
        ("sample_stats", "log_q"): SAMPLED,
        ("sample_stats", "khat"): ("datum",),
        ("posterior_importance", "z"): (*SAMPLED, "latent"),
        ("observed_data", "x"): ("datum", *IMAGE),
        ("observed_data", "y"): ("datum",),
        ("constant_data", "label"): ("datum",),
    }
    sizes = dict(zip((*SAMPLED, "latent", *IMAGE), (1, 60, ROWS, LATENT, *EVENT), strict=True))
    for node in tree.children.values():
        assert dict(node.sizes) == {dim: sizes[str(dim)] for dim in node.sizes}
        assert all(np.array_equal(node[dim], range(size)) for dim, size in node.sizes.items())


def test_draws_drawn_again_by_their_weights_are_those_of_the_exact_posterior() -> None:
    """Mutations: the weights without log q; minus the weights; one datum's index for all; weights over data."""
    model = linear_vae(n=16, **WRONG)
    tree = linear_tree(model)
    exact = linear_vae(n=16)
    for group, misses in (("posterior", True), ("posterior_importance", False)):
        z = tensor(tree, group, "z")
        # Drawn again from 4000 draws, of which some thousand count: five errors of 1000 draws.
        distance = (z.mean(0) - exact.vae.encode(model.x).mean).abs().max()
        assert bool(distance > 5 * z.std(0).max() / 1000**0.5) == misses
    assert torch.isin(tensor(tree, "posterior_importance", "z"), tensor(tree, "posterior", "z")).all()


def test_khat_stands_in_the_statistics_and_is_that_of_the_weights() -> None:
    """Mutations: minus the weights, which gives the harmless tail; the weights of another datum."""
    tree = linear_tree(linear_vae(n=4, widen=0.5))
    log_w = tree["sample_stats"]["lp"] - tree["sample_stats"]["log_q"]
    for datum in range(4):
        weights = np.exp(log_w.values[:, :, datum] - log_w.values[:, :, datum].max())
        expected = azs.base.array_stats.pareto_khat(weights, r_eff=1, tail="right")
        assert tree["sample_stats"]["khat"].values[datum] == pytest.approx(expected, abs=1e-6)


def test_draws_by_nuts_stand_beside_the_guide_s() -> None:
    model = linear_vae(n=5)
    draws = torch.arange(2 * 7 * 3 * 2.0).reshape(2, 7, 3, 2)
    ids = {"datum": [f"row {i}" for i in range(5)]}
    tree = to_datatree(model.vae, model.x, draws=30, nuts=draws, coords=ids)
    found = tree["posterior_nuts"]["z"]
    assert dict(found.sizes) == {"chain": 2, "draw": 7, "datum": 3, "latent": 2}
    assert found.sel(datum="row 2", chain=1, draw=6).values.tolist() == draws[1, 6, 2].tolist()
    with pytest.raises(PyrovaeError, match=r"nuts of shape \(2, 7, 3, 5\)"):
        to_datatree(model.vae, model.x, draws=30, nuts=torch.zeros(2, 7, 3, 5))


COMPOSITIONS = [c for c in cover("prior", "posterior", "likelihood", "labels") if not c.clashes]


@pytest.mark.parametrize("composition", COMPOSITIONS, ids=lambda c: "-".join(c[:3] + c[5:]))
def test_every_composition_has_a_tree(composition: Composition) -> None:
    prior, posterior, likelihood, *_, labels = composition
    vae, (x, y) = build(prior, posterior, likelihood, labels), data(support_of(likelihood))
    tree = to_datatree(vae, x, y if vae.pools or vae.conditional else None, draws=6)
    proper, point = prior != "flat", posterior == "point"
    drawn = {"prior", "prior_predictive"} if proper else set()
    always = {"posterior", "posterior_predictive", "log_likelihood", "sample_stats", "observed_data"}
    weighted = set() if point else {"posterior_importance"}
    assert set(tree.children) == always | drawn | weighted | (
        {"constant_data"} if vae.pools or vae.conditional else set()
    )
    assert set(tree["sample_stats"].data_vars) == {"lp", "log_prior"} | (set() if point else {"log_q"})
    assert ("improper" in tree.attrs["left_out"], "point" in tree.attrs["left_out"]) == (not proper, point)
    assert ("y" in tree["log_likelihood"]) == ("y" in tree["observed_data"]) == (vae.pools and not vae.conditional)
    arrays = [v for node in tree.children.values() for v in node.data_vars.values() if v.name != "label"]
    assert all(np.isfinite(v).all() for v in arrays)
    support = vae.likelihood(torch.zeros(1, LATENT), y[:1]).support
    assert support.check(tensor(tree, "posterior_predictive", "x").float()).all()


@pytest.mark.parametrize(
    ("shape", "dims"),
    [((5,), ("x_dim_0",)), ((4, 5), ("height", "width")), ((1, 2, 1, 3), tuple(f"x_dim_{i}" for i in range(4)))],
)
def test_dimensions_of_data_that_are_no_coloured_pictures(shape: tuple[int, ...], dims: tuple[str, ...]) -> None:
    vae = VAE(StandardNormal(2), Bernoulli(MLP, 2, shape), DiagonalNormal(MLP, 2, shape))
    assert to_datatree(vae, torch.ones(3, *shape), draws=2)["observed_data"]["x"].dims == ("datum", *dims)


def test_names_of_positions_and_labels() -> None:
    x, y = data()
    ids = [f"row {i}" for i in range(ROWS)]
    vae = build(labels="conditional")
    tree = to_datatree(vae, x, y, draws=2, data=4, classes=NAMES, coords={"datum": ids, "latent": ["a", "b"]})
    assert tree["posterior"]["z"].sel(datum="row 3", latent="b").dims == ("chain", "draw")
    assert tree["constant_data"]["label"].values.tolist() == ["ash", "birch", "çınar", "ash"]
    assert tree["posterior"]["z"].groupby("label").mean().sizes["label"] == CLASSES
    assert to_datatree(vae, x, y, draws=2)["constant_data"]["label"].values.tolist() == y.tolist()


# Numbers


@pytest.mark.parametrize("labels", LABELS)
def test_numbers_are_those_of_densities(labels: str) -> None:
    """Mutation: `log_q` as divergence; `lp` without log p(y)."""
    vae, (x, y) = build("gaussian-mixture", labels=labels), data()
    batch = (x,) if labels == "unlabelled" else (x, y)
    tree = to_datatree(vae, *batch, draws=9, seed=5)
    with seeded(5), pyro.get_param_store().scope(), torch.no_grad():
        sites = densities(vae.model, vae.guide, *batch, particles=9)
    assert torch.equal(tensor(tree, "posterior", "z"), sites.guide["z"].value)
    assert torch.equal(tensor(tree, "sample_stats", "log_q"), sites.guide["z"].log_prob)
    assert torch.equal(tensor(tree, "sample_stats", "log_prior"), sites.model["z"].log_prob)
    for name in tree["log_likelihood"].data_vars:
        assert torch.equal(tensor(tree, "log_likelihood", str(name)), sites.model[str(name)].log_prob)
    statistics = tree["sample_stats"]
    log_weight = torch.as_tensor((statistics["lp"] - statistics["log_q"]).values[0])
    torch.testing.assert_close(log_weight, sites.log_weight())
    assert tree.attrs["quantity"] == vae.quantity(*batch[1:])
    evidence = sum(tree["log_likelihood"].data_vars.values())
    xr.testing.assert_allclose(statistics["lp"], evidence + statistics["log_prior"])


def log_weight(tree: xr.DataTree) -> Tensor:
    return tensor(tree, "sample_stats", "lp") - tensor(tree, "sample_stats", "log_q")


def test_at_the_exact_posterior_every_draw_weighs_the_evidence() -> None:
    model = linear_vae()
    torch.testing.assert_close(log_weight(linear_tree(model, draws=20)), model.log_p.expand(20, -1))


def test_elsewhere_the_mean_weight_is_the_elbo() -> None:
    model = linear_vae(**WRONG)
    tree = linear_tree(model)
    assert score(log_weight(tree), model.log_p - model.gap) < 4
    assert score(log_weight(tree), model.log_p) > 20
    assert score(tensor(tree, "sample_stats", "log_q") - tensor(tree, "sample_stats", "log_prior"), model.rate) < 4


def decoder(model: Linear) -> tuple[Tensor, Tensor, Tensor]:
    """Returns W, b and the noise's standard deviation."""
    layer = model.vae.likelihood.decoder.layers[0]
    return layer.weight.detach(), layer.bias.detach(), model.vae.likelihood(torch.zeros(2).double()).stddev[0].detach()


def test_draws_of_the_posterior_have_the_guides_moments() -> None:
    model = linear_vae()
    z, q = tensor(linear_tree(model), "posterior", "z"), detached(model.vae.posterior(model.x))
    assert score(z, q.mean) < 4
    assert score((z - q.mean) ** 2, q.variance) < 4
    assert score(z, q.mean + 0.1 * q.stddev) > 4


def test_predictive_draws_have_the_exact_moments() -> None:
    """Mutation: E[x | z] instead of draws; x drawn at other z than the ones kept; a prior read as a posterior."""
    model = linear_vae()
    tree, (w, b, s) = linear_tree(model), decoder(model)
    z, x = tensor(tree, "posterior", "z"), tensor(tree, "posterior_predictive", "x")
    residuals = x - z @ w.T - b
    assert score(residuals) < 4.5
    assert score(residuals**2, s**2) < 4.5
    assert score(residuals[..., :2] * z) < 4.5
    z, x = tensor(tree, "prior", "z"), tensor(tree, "prior_predictive", "x")
    assert score(z.flatten(0, 1)) < 4
    assert score(z.flatten(0, 1) ** 2, 1.0) < 4
    assert score(x.flatten(0, 1), b) < 4
    assert score((x.flatten(0, 1) - b) ** 2, (w**2).sum(1) + s**2) < 4
    assert score(x.flatten(0, 1)[:, 0] * z.flatten(0, 1)[:, 0], w[0, 0]) < 4


def test_pools_draw_from_the_pool_of_each_label() -> None:
    vae, (x, y) = build("gaussian-mixture", labels="pools"), data()
    nn.init.normal_(vae.prior.logits)
    with torch.no_grad():
        vae.prior.loc.copy_(torch.tensor([[-3.0, 0.0], [0.0, 3.0], [3.0, 0.0]]))
    tree = to_datatree(vae, x, y, draws=400)
    assert score(tensor(tree, "prior", "z"), vae.prior.loc[y].detach()) < 4.5
    log_p = vae.prior.labels().log_prob(y).detach()
    assert torch.equal(tensor(tree, "log_likelihood", "y"), log_p.expand(400, -1))
    assert tree["observed_data"]["y"].values.tolist() == y.tolist()
    marginal = to_datatree(vae, x, draws=400)
    assert "y" not in marginal["log_likelihood"]
    assert "constant_data" not in marginal
    assert score(tensor(marginal, "prior", "z").flatten(0, 1), vae.prior().mean.detach()) < 4


def test_a_conditional_decoder_reads_the_label_of_each_datum() -> None:
    vae, (x, y) = build(labels="conditional"), data()
    with torch.no_grad():
        for name, weight in vae.likelihood.decoder.named_parameters():
            weight.mul_(0.0 if "bias" in name else 3.0)
    tree = to_datatree(vae, x, y, draws=3000)
    z = torch.randn(40_000, 1, LATENT, generator=torch.Generator().manual_seed(0))
    expected = vae.decode(z.expand(-1, CLASSES, -1), torch.arange(CLASSES)).mean(0)
    means = tensor(tree, "prior_predictive", "x").double().mean(0)
    assert (means - expected[y]).abs().max() < 0.05
    assert (expected[0] - expected[1]).abs().max() > 0.15


def test_missing_values_stay_missing_and_are_imputed() -> None:
    vae, (x, _) = build(), data()
    vae.missing = True
    x[0], x[1, 0, 0] = torch.nan, torch.nan
    tree = to_datatree(vae, x, draws=8)
    np.testing.assert_array_equal(tree["observed_data"]["x"], x)
    assert (tensor(tree, "log_likelihood", "x")[:, 0] == 0).all()
    assert tree["posterior_predictive"]["x"].isin([0, 1]).all()
    p = vae.likelihood(tensor(tree, "posterior", "z")[:, 1]).base_dist.log_prob(x[1].nan_to_num(0)).detach()
    torch.testing.assert_close(tensor(tree, "log_likelihood", "x")[:, 1], p[:, 0, 1:].sum((1, 2)))


# Sizes and seeds


def test_the_same_seed_gives_the_same_tree_and_changes_nothing_outside() -> None:
    vae, (x, _) = build(), data()
    before, state = {k: v.clone() for k, v in vae.state_dict().items()}, torch.random.get_rng_state()
    store = set(pyro.get_param_store().keys())
    one, same, other = (to_datatree(vae, x, draws=4, seed=seed) for seed in (3, 3, 4))
    assert one.identical(same)
    assert not one["posterior"].equals(other["posterior"])
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(before[k], v) for k, v in vae.state_dict().items())
    assert set(pyro.get_param_store().keys()) == store


def test_a_few_draws_at_once_are_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    model = linear_vae(**WRONG)
    monkeypatch.setattr(analysis, "ROWS", 16 * analysis.WIDTH * 700)
    tree = linear_tree(model, predictive_draws=1500)
    assert score(log_weight(tree), model.log_p - model.gap) < 4
    assert {name: node.sizes["draw"] for name, node in tree.children.items() if "draw" in node.sizes} == {
        "posterior": 4000, "posterior_importance": 4000, "log_likelihood": 4000, "sample_stats": 4000,
        "posterior_predictive": 1500, "prior": 4000, "prior_predictive": 1500,
    }  # fmt: skip
    w, b, s = decoder(model)
    for group in ("prior", "posterior"):
        residuals = tensor(tree, f"{group}_predictive", "x") - tensor(tree, group, "z")[:1500] @ w.T - b
        assert score(residuals**2, s**2) < 4.5


def test_predictive_groups_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    vae, (x, _) = build(), data()
    monkeypatch.setattr(analysis, "KEPT", 5 * x.numel() + 1)
    assert to_datatree(vae, x, draws=9)["prior_predictive"].sizes["draw"] == 5
    assert to_datatree(vae, x, draws=3)["posterior_predictive"].sizes["draw"] == 3
    assert to_datatree(vae, x, draws=9, predictive_draws=7)["posterior_predictive"].sizes["draw"] == 7
    none = to_datatree(vae, x, draws=9, predictive_draws=0)
    assert not [name for name in none.children if "predictive" in name]
    assert none["prior"].sizes["draw"] == 9


def test_the_default_is_a_hundred_data_and_five_hundred_draws() -> None:
    x = torch.zeros(130, 4)
    tree = to_datatree(VAE(StandardNormal(2), Bernoulli(MLP, 2, (4,)), DiagonalNormal(MLP, 2, (4,))), x)
    assert [tree["posterior"].sizes[dim] for dim in SAMPLED] == [1, 500, 100]
    assert tree["posterior_predictive"].sizes["draw"] == 500
    assert tree.nbytes < 2.6e6
    assert analysis.KEPT // (100 * 28 * 28) == 106


@pytest.mark.parametrize(
    ("likelihood", "kinds"),
    [("bernoulli", "int8"), ("poisson", "int32"), ("discretized-logistic", "float32"), ("gaussian", "float32")],
)
def test_bits_and_counts_are_whole_numbers(likelihood: str, kinds: str) -> None:
    x, _ = data(support_of(likelihood))
    tree = to_datatree(build(likelihood=likelihood), x, draws=50)
    assert tree["observed_data"]["x"].dtype == kinds
    assert tree["posterior_predictive"]["x"].dtype in (kinds, "int8" if kinds == "int32" else kinds)
    assert np.array_equal(tree["observed_data"]["x"], x)


# Files


@pytest.fixture(scope="module")
def path(tree: xr.DataTree, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_datatree(tree, tmp_path_factory.mktemp("analysis") / "analysis.nc")


def test_a_file_holds_the_tree(tree: xr.DataTree, path: Path) -> None:
    assert load_datatree(path).identical(tree)
    with xr.open_datatree(path, engine="h5netcdf") as opened:
        xr.testing.assert_identical(opened, tree)
    converted = azb.convert_to_datatree(str(path))
    xr.testing.assert_identical(converted, tree)
    converted.close()
    assert load_datatree(path)["observed_data"]["x"].dtype == "int8"


def test_equal_trees_are_equal_files(tree: xr.DataTree, path: Path) -> None:
    again = save_datatree(tree, path.with_name("again.nc"))
    assert again.read_bytes() == path.read_bytes()
    assert {p.name for p in path.parent.iterdir()} == {"again.nc", "analysis.nc"}


def test_a_damaged_file_is_refused(tree: xr.DataTree, path: Path) -> None:
    content, bad = path.read_bytes(), path.with_name("bad.nc")
    for broken in (content[:-500], b"", b"no netcdf", content[: len(content) // 2]):
        bad.write_bytes(broken)
        with pytest.raises(PyrovaeError, match=r"bad\.nc is damaged"):
            load_datatree(bad)
    bad.unlink()
    with pytest.raises(PyrovaeError, match="no file") as caught:
        load_datatree(bad)
    assert caught.value.hint


@pytest.mark.parametrize("name", ["posterior/z", "prior_predictive/x", "sample_stats/lp", "observed_data/x"])
def test_a_flipped_byte_is_noticed(name: str, tree: xr.DataTree, path: Path) -> None:
    """Mutation: no checksums; zlib has its own, so only what is not compressed tells."""
    with h5py.File(path) as file:
        chunk = file[name].id.get_chunk_info(0)
    content, bad = bytearray(path.read_bytes()), path.with_name("flipped.nc")
    content[chunk.byte_offset + chunk.size // 2] ^= 0x10
    bad.write_bytes(content)
    with pytest.raises(PyrovaeError, match=r"flipped\.nc is damaged"):
        load_datatree(bad)
    bad.unlink()


# ArviZ


def test_arviz_summarises_the_file(path: Path) -> None:
    tree = load_datatree(path)
    ess = azs.ess(tree, var_names=["z"])["z"]
    assert ess.dims == ("datum", "latent")
    assert 40 < ess.mean() < 80  # of 60 independent draws
    table = azs.summary(tree, var_names=["z"], round_to="none")
    assert len(table) == ROWS * LATENT
    means = tree["posterior"]["z"].mean(("chain", "draw")).values.ravel()
    np.testing.assert_allclose(table["mean"].to_numpy(float), means, rtol=1e-5)
    assert azs.hdi(tree, prob=0.9)["z"].sizes["ci_bound"] == 2
    assert azb.extract(tree, num_samples=5, random_seed=0).sizes["sample"] == 5


FEW = {"datum": [0, 1, 2]}
PLOTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "dist": (azp.plot_dist, {"var_names": ["z"], "coords": FEW}),
    "forest": (azp.plot_forest, {"var_names": ["z"], "coords": FEW}),
    "trace": (azp.plot_trace_dist, {"var_names": ["z"], "coords": FEW, "compact": False}),
    # Of a list of one datum arviz-plots 0.8 makes an error or not, by the order in which Python hashes strings.
    "pair": (azp.plot_pair, {"var_names": ["z"], "coords": {"datum": 0}}),
    "prior": (azp.plot_prior_posterior, {"var_names": ["z"], "coords": FEW}),
}


def drawing(plot: Any, path: Path, *args: Any, **options: Any) -> None:
    """Draws a picture without a screen and finds something on it."""
    with mpl.rc_context({"backend": "Agg"}):
        plot(*args, backend="matplotlib", **options).savefig(path)
        pyplot.close("all")
    assert pyplot.imread(path)[..., :3].std() > 0.02


@pytest.mark.parametrize("name", PLOTS)
def test_arviz_draws_the_file(name: str, path: Path, tmp_path: Path) -> None:
    plot, options = PLOTS[name]
    drawing(plot, tmp_path / f"{name}.png", load_datatree(path), **options)


def test_arviz_draws_predictions_from_a_file(tmp_path: Path) -> None:
    path = save_datatree(linear_tree(linear_vae(), draws=50), tmp_path / "analysis.nc")
    drawing(azp.plot_ppc_dist, tmp_path / "ppc.png", load_datatree(path), num_samples=20)


def test_draws_by_mcmc_lie_beside_the_guides(tmp_path: Path) -> None:
    """Draws of the exact posterior stand for a sampler's."""
    guide = linear_tree(linear_vae(n=3, **WRONG), draws=200)
    draws = tensor(linear_tree(linear_vae(n=3), draws=200, seed=2), "posterior", "z")
    mcmc = azb.from_dict({"posterior": {"z": draws[None]}}, dims={"z": ["datum", "latent"]})
    assert mcmc["posterior"]["z"].dims == guide["posterior"]["z"].dims
    shift, ratio = (
        getattr(guide["posterior"]["z"], moment)("draw") - getattr(mcmc["posterior"]["z"], moment)("draw")
        for moment in ("mean", "std")
    )
    assert float(shift.mean()) == pytest.approx(WRONG["shift"], abs=0.1)
    assert (ratio > 0).all()
    drawing(azp.plot_forest, tmp_path / "beside.png", {"guide": guide, "mcmc": mcmc}, var_names=["z"])


# Refusals


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"draws": 0}, "draws = 0"),
        ({"data": 0}, "data = 0"),
        ({"predictive_draws": -1}, "predictive_draws = -1"),
        ({"coords": {"datums": range(ROWS)}}, r"coords\['datums'\]: no such dimension"),
        ({"coords": {"draw": range(5)}}, r"coords\['draw'\]: no such dimension"),
        ({"coords": {"latent": ["a"]}}, r"coords\['latent'\] has 1 names"),
        ({"y": torch.zeros(3, dtype=torch.long)}, r"labels of shape \(3,\) for 12 data"),
        ({"y": torch.arange(ROWS) % CLASSES, "classes": ("a", "b")}, "label 2 of 2 classes"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(PyrovaeError, match=words) as caught:
        to_datatree(build(), data()[0], **{"draws": 5} | options)
    assert caught.value.hint


def test_no_data_are_refused() -> None:
    with pytest.raises(PyrovaeError, match="no data"):
        to_datatree(build(), data()[0][:0])


def test_a_conditional_vae_needs_labels() -> None:
    with pytest.raises(PyrovaeError, match="label"):
        to_datatree(build(labels="conditional"), data()[0], draws=2)
