"""Laws of the two Pyro programs: their sites, what labels mean, and that Pyro's own tools work on them as they are."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pyro
import pytest
import torch
from pyro import poutine
from pyro.distributions import Normal
from pyro.infer import SVI, Predictive, Trace_ELBO
from torch import Tensor

from pyrovae import (
    ELBO,
    MLP,
    VAE,
    Bernoulli,
    DiagonalNormal,
    Gaussian,
    GaussianMixture,
    StandardNormal,
    active_units,
    check,
    distortion,
    fit,
    log_marginal,
    make_dataset,
    rate,
)
from pyrovae.data import digits
from pyrovae.densities import densities, random_sites
from pyrovae.errors import PyrovaeError

EVENT, LATENT, CLASSES, N = (2, 3), 2, 4, 8
network = partial(MLP, hidden=[8])
KINDS = {"plain": (False, False), "pools": (True, False), "conditional": (False, True), "both": (True, True)}
EVERY = pytest.mark.parametrize("kind", KINDS)
Trace = dict[str, dict[str, Any]]


@pytest.fixture(autouse=True)
def _store() -> Any:
    """Each test has a parameter store of its own."""
    with pyro.get_param_store().scope():
        yield


def make(kind: str = "plain", seed: int = 0) -> VAE:
    torch.manual_seed(seed)
    pools, conditional = KINDS[kind]
    prior = GaussianMixture(LATENT, classes=CLASSES) if pools else StandardNormal(LATENT)
    classes = CLASSES if conditional else 0
    return VAE(prior, Bernoulli(network, LATENT, EVENT, classes), DiagonalNormal(network, LATENT, EVENT, classes))


def data(n: int = N) -> tuple[Tensor, Tensor]:
    x = torch.rand(n, *EVENT, generator=torch.Generator().manual_seed(1)).round()
    return x, torch.arange(n) % CLASSES


def sites(program: Callable[..., Any], *args: Any, **kwargs: Any) -> Trace:
    return random_sites(poutine.trace(program).get_trace(*args, **kwargs))


def log_joint(program: Callable[..., Any], *args: Any) -> Tensor:
    return poutine.trace(program).get_trace(*args).log_prob_sum()


# Sites and plates


@EVERY
def test_the_sites_of_model_and_guide(kind: str) -> None:
    vae, (x, y) = make(kind), data()
    scored = ["y", "z", "x"] if kind == "pools" else ["z", "x"]
    assert list(sites(vae.model, x, y)) == scored
    assert list(sites(vae.guide, x, y)) == ["z"]
    observed = [name for name, site in sites(vae.model, x, y).items() if site["is_observed"]]
    assert observed == [name for name in scored if name != "z"]


@EVERY
def test_every_site_is_one_per_datum(kind: str) -> None:
    vae, (x, y) = make(kind), data()
    for site in [*sites(vae.model, x, y).values(), *sites(vae.guide, x, y).values()]:
        assert [(frame.name, frame.size) for frame in site["cond_indep_stack"]] == [("data", N)]
        assert site["fn"].log_prob(site["value"]).shape == (N,)


@EVERY
def test_the_model_draws_as_many_as_it_is_asked_for(kind: str) -> None:
    vae, (_, y) = make(kind), data()
    assert vae.model(y=y).shape == (N, *EVENT)
    if not vae.conditional:
        assert vae.model(size=5).shape == (5, *EVENT)


def test_without_data_labels_or_size_the_model_says_what_it_needs() -> None:
    with pytest.raises(ValueError, match="data 'x', labels 'y', or the number of data to draw, 'size'"):
        make().model()


@EVERY
def test_a_drawn_datum_follows_from_its_code(kind: str) -> None:
    vae, (_, y) = make(kind), data()
    trace = sites(vae.model, y=y)
    assert not trace["x"]["is_observed"]
    assert not trace["z"]["is_observed"]
    expected = vae.likelihood(trace["z"]["value"], y).mean
    torch.testing.assert_close(trace["x"]["fn"].mean, expected)


# What labels mean


def test_pools_observe_labels_where_they_are_given() -> None:
    """Mutation: `pyro.sample("y", ...)` without `obs`, or z drawn from the marginal."""
    vae, (x, y) = make("pools"), data()
    torch.nn.init.normal_(vae.prior.logits)
    trace = sites(vae.model, x, y)
    torch.testing.assert_close(trace["y"]["fn"].log_prob(y), vae.prior.logits.log_softmax(-1)[y])
    z = trace["z"]["value"]
    torch.testing.assert_close(trace["z"]["fn"].log_prob(z), vae.prior(y).log_prob(z))


def test_without_labels_pools_are_summed_out_exactly() -> None:
    """Log p(x, z) is the log-sum-exp over y of log p(x, y, z). Mutation: equal weights."""
    vae, (x, _) = make("pools"), data()
    torch.nn.init.normal_(vae.prior.logits)
    z = torch.randn(N, LATENT)
    given = poutine.condition(vae.model, data={"z": z})
    each = torch.stack([score_per_datum(given, x, torch.full((N,), c)) for c in range(CLASSES)])
    torch.testing.assert_close(each.logsumexp(0), score_per_datum(given, x))


def score_per_datum(program: Callable[..., Any], *args: Any) -> Tensor:
    total = torch.zeros(N)
    for site in sites(program, *args).values():
        total = total + site["fn"].log_prob(site["value"])
    return total


@pytest.mark.parametrize("kind", ["conditional", "both"])
def test_a_conditional_vae_needs_labels_and_does_not_score_them(kind: str) -> None:
    vae, (x, y) = make(kind), data()
    assert "y" not in sites(vae.model, x, y)
    for program in (vae.model, vae.guide):
        with pytest.raises(ValueError, match="labels 'y', which were not given"):
            program(x)


@pytest.mark.parametrize("kind", ["conditional", "both"])
def test_a_conditional_vae_reads_labels_in_both_programs(kind: str) -> None:
    vae, (x, y) = make(kind), data()
    other = (y + 1) % CLASSES
    assert not torch.equal(vae.embed(x, y), vae.embed(x, other))
    assert not torch.equal(vae.decode(torch.zeros(N, LATENT), y), vae.decode(torch.zeros(N, LATENT), other))


def test_parts_that_do_not_read_labels_ignore_them() -> None:
    vae, (x, y) = make(), data()
    assert list(sites(vae.model, x, y)) == ["z", "x"]
    given = poutine.condition(vae.model, data={"z": torch.zeros(N, LATENT)})
    torch.testing.assert_close(log_joint(given, x, y), log_joint(given, x))
    assert torch.equal(vae.embed(x, y), vae.embed(x))


@pytest.mark.parametrize(
    ("kind", "without", "with_labels"),
    [
        ("plain", "log p(x)", "log p(x)"),
        ("pools", "log p(x)", "log p(x, y)"),
        ("conditional", "log p(x | y)", "log p(x | y)"),
        ("both", "log p(x | y)", "log p(x | y)"),
    ],
)
def test_quantity(kind: str, without: str, with_labels: str) -> None:
    vae = make(kind)
    assert (vae.quantity(), vae.quantity(data()[1])) == (without, with_labels)


@pytest.mark.parametrize("classes", [(0, 0, 4), (0, 4, 0), (3, 4, 4), (0, 4, 3)])
def test_parts_that_disagree_about_classes_are_refused(classes: tuple[int, int, int]) -> None:
    prior, likelihood, posterior = classes
    made = GaussianMixture(LATENT, classes=prior) if prior else StandardNormal(LATENT)
    with pytest.raises(PyrovaeError, match="classes"):
        VAE(made, Bernoulli(network, LATENT, EVENT, likelihood), DiagonalNormal(network, LATENT, EVENT, posterior))


# Sampling


def far_pools(kind: str = "pools") -> VAE:
    """Returns a VAE whose pools are far apart and whose weights would hardly ever choose pool 3."""
    vae = make(kind)
    vae.prior.loc.data = 100 * torch.eye(CLASSES)[:, :LATENT] + 40 * torch.arange(CLASSES)[:, None]
    vae.prior.logits.data = torch.tensor([5.0, 5.0, 5.0, -5.0])
    return vae


@pytest.mark.parametrize("kind", ["pools", "both"])
@pytest.mark.parametrize("y", [3, torch.tensor(3), torch.full((50,), 3), torch.arange(50) % CLASSES])
def test_sample_draws_from_the_pool_it_is_asked_for(
    kind: str, y: int | Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mutation: `self.prior(None)` in `sample` draws pool 3 one time in 60,000."""
    vae, codes = far_pools(kind), []
    monkeypatch.setattr(vae, "decode", lambda z, y, mean: codes.append(z) or z)
    vae.sample(50, y=y)
    pool = vae.prior.responsibilities(codes[0])
    assert pool.amax(-1).min() > 0.999
    assert torch.equal(pool.argmax(-1), torch.as_tensor(y).expand(50))


@pytest.mark.parametrize("kind", ["pools", "both"])
def test_without_a_class_sample_draws_pools_by_their_weights(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vae, codes = far_pools(kind), []
    monkeypatch.setattr(vae, "decode", lambda z, y, mean: codes.append((z, y)) or z)
    vae.sample(600)
    z, y = codes[0]
    counts = vae.prior.responsibilities(z).argmax(-1).bincount(minlength=CLASSES)
    assert counts[3] == 0
    assert counts[:3].min() > 140
    assert y is None or torch.equal(y, vae.prior.responsibilities(z).argmax(-1))


@EVERY
def test_samples_are_means_or_draws(kind: str) -> None:
    vae = make(kind)
    means, draws = vae.sample(6), vae.sample(6, mean=False)
    assert means.shape == draws.shape == (6, *EVENT)
    assert not means.requires_grad
    assert bool(((means > 0) & (means < 1)).all())
    assert set(draws.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("y", [-1, CLASSES, torch.tensor([0, 0, 9])])
@pytest.mark.parametrize("kind", ["pools", "conditional", "both"])
def test_an_unknown_class_is_refused(kind: str, y: int | Tensor) -> None:
    with pytest.raises(PyrovaeError, match="unknown class") as caught:
        make(kind).sample(3, y=y)
    assert caught.value.hint == "classes are 0 to 3"


def test_a_class_of_a_model_without_pools_is_refused() -> None:
    with pytest.raises(PyrovaeError, match="no pool of class 3: this model reads no labels") as caught:
        make().sample(3, y=3)
    assert "prior.labels = true" in caught.value.hint


@EVERY
def test_embed_decode_and_reconstruct(kind: str) -> None:
    vae, (x, y) = make(kind), data()
    assert vae.embed(x, y).shape == (N, LATENT)
    assert vae.reconstruct(x, y).shape == x.shape
    torch.testing.assert_close(vae.reconstruct(x, y), vae.likelihood(vae.posterior(x, y).mean, y).mean)
    assert vae.decode(torch.zeros(3, N, LATENT), y).shape == (3, N, *EVENT)


# Pyro's own tools


@EVERY
@pytest.mark.parametrize("parallel", [False, True])
def test_predictive_runs_model_and_guide(kind: str, *, parallel: bool) -> None:
    vae, (x, y) = make(kind), data()
    prior = Predictive(vae.model, num_samples=5, parallel=parallel)(y=y)
    assert prior["z"].reshape(5, N, LATENT).shape == (5, N, LATENT)
    assert prior["x"].shape == (5, N, *EVENT)
    posterior = Predictive(vae.model, guide=vae.guide, num_samples=5, return_sites=("x",), parallel=parallel)
    assert posterior(x, y)["x"].shape == (5, N, *EVENT)
    assert Predictive(vae.guide, num_samples=5, parallel=parallel)(x, y)["z"].shape == (5, N, LATENT)


def test_condition_fixes_a_code_and_the_data_of_a_generating_model() -> None:
    vae, (x, _), z = make(), data(), torch.randn(N, LATENT)
    trace = sites(poutine.condition(vae.model, data={"z": z, "x": x}), size=N)
    assert torch.equal(trace["z"]["value"], z)
    assert all(site["is_observed"] for site in trace.values())
    torch.testing.assert_close(log_joint(poutine.condition(vae.model, data={"z": z}), x), score_of(vae, x, z))


def score_of(vae: VAE, x: Tensor, z: Tensor) -> Tensor:
    return (vae.prior().log_prob(z) + vae.likelihood(z).log_prob(x)).sum()


@EVERY
def test_render_model_draws_plates_and_sites(kind: str) -> None:
    """Reads the source only: no `dot` binary is needed."""
    vae, (x, y) = make(kind), data()
    model, guide = (pyro.render_model(p, model_args=(x, y)).source for p in (vae.model, vae.guide))
    assert "cluster_data" in model
    assert "z -> x" in model
    assert "cluster_data" in guide
    assert ("y -> z" in model) == (kind == "pools")


def test_svi_with_trace_elbo_learns_the_digits() -> None:
    """The recipe of the README. Mutation: an `nn.Module` instead of a `PyroModule` leaves every weight alone."""
    x, _ = digits(binarize="threshold").held_out("train")
    torch.manual_seed(0)
    vae = VAE(StandardNormal(8), Bernoulli(MLP, 8, (1, 8, 8)), DiagonalNormal(MLP, 8, (1, 8, 8)))
    svi = SVI(vae.model, vae.guide, pyro.optim.Adam({"lr": 1e-3}), loss=Trace_ELBO())
    losses = [svi.step(x[i : i + 100]) / 100 for _ in range(5) for i in range(0, 1200, 100)]
    assert losses[0] > 40
    assert sum(losses[-12:]) / 12 < 30


def toy() -> Any:
    x, y = data(80)
    return make_dataset("toy", x, y, validation=8, test=8, classes=tuple("abcd"))


def weights(vae: VAE) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in vae.named_parameters()}


def unmoved(vae: VAE, before: dict[str, Tensor]) -> list[str]:
    return [name for name, p in vae.named_parameters() if torch.equal(p, before[name])]


def quick(vae: VAE, **options: Any) -> None:
    fit(vae, toy(), ELBO(), epochs=2, batch_size=32, learning_rate=0.01, **options)


@pytest.mark.parametrize("engine", ["eager", "svi"])
def test_two_vaes_in_one_process_both_train(engine: str) -> None:
    """Mutation: `fit` without `scope()`; with engine svi the second VAE then stays as it was."""
    first, second = make(seed=0), make(seed=1)
    quick(first, engine=engine)
    kept, before = weights(first), weights(second)
    quick(second, engine=engine)
    assert unmoved(second, before) == []
    assert unmoved(first, kept) == list(kept)


def test_svi_fit_svi_on_one_vae_all_train() -> None:
    vae, (x, _) = make(), data()
    svi = SVI(vae.model, vae.guide, pyro.optim.Adam({"lr": 0.01}), loss=Trace_ELBO())
    for stage in (lambda: svi.step(x), lambda: quick(vae), lambda: svi.step(x)):
        before = weights(vae)
        stage()
        assert unmoved(vae, before) == []


def evaluations() -> dict[str, Callable[[VAE, Tensor, Tensor], Any]]:
    return {
        "fit": lambda vae, x, y: quick(vae),
        "svi": lambda vae, x, y: quick(vae, engine="svi"),
        "log_marginal": lambda vae, x, y: log_marginal(vae, x, y, particles=5),
        "rate": rate,
        "distortion": distortion,
        "active_units": active_units,
        "check": check,
        "sample": lambda vae, x, y: vae.sample(3),
        "reconstruct": lambda vae, x, y: vae.reconstruct(x, y),
    }


@EVERY
@pytest.mark.parametrize("name", evaluations())
def test_the_parameter_store_is_left_as_it_was(kind: str, name: str) -> None:
    """Mutation: any of these without `pyro.get_param_store().scope()`."""
    store, kept = pyro.get_param_store(), torch.ones(3)
    pyro.param("somebody", kept)
    before = dict(store.named_parameters())
    evaluations()[name](make(kind), *data())
    after = dict(store.named_parameters())
    assert list(after) == list(before)
    assert all(after[key] is before[key] for key in before)


def test_the_parameter_store_is_left_as_it_was_by_a_fit_that_fails() -> None:
    with pytest.raises(PyrovaeError):
        fit(make(), toy(), ELBO(), epochs=1, batch_size=32, clip=1.0, engine="svi")
    assert list(pyro.get_param_store()) == []


@EVERY
@pytest.mark.parametrize("name", sorted(evaluations().keys() - {"fit", "svi"}))
def test_evaluation_changes_no_weight(kind: str, name: str) -> None:
    vae = make(kind)
    before = weights(vae)
    evaluations()[name](vae, *data())
    assert unmoved(vae, before) == list(before)


def test_importing_the_package_does_not_change_pyro() -> None:
    assert not pyro.settings.get("module_local_params")
    assert pyro.settings.get("validate_distributions_pyro")


# check


@EVERY
def test_check_prints_the_sites(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = check(make(kind), *data())
    assert capsys.readouterr().out == table + "\n"
    rows = {line.split()[0]: line for line in table.splitlines()[1:]}
    assert list(rows) == (["z", "y", "x"] if kind == "pools" else ["z", "x"])
    assert all(line.endswith("| ok") for line in rows.values())
    assert "(8 | 2)" in rows["z"]
    assert "(7 | 2)" in rows["z"]
    assert "(8 | 2, 3)" in rows["x"]
    assert "observed" in rows["x"]


@EVERY
def test_check_does_not_move_the_noise(kind: str) -> None:
    vae = make(kind)
    state = torch.get_rng_state()
    check(vae, *data())
    assert torch.equal(torch.get_rng_state(), state)


class Handwritten:
    """A correct pair of programs; subclasses make one mistake each."""

    width = 2  # of the guide's z

    def decode(self, z: Tensor) -> Tensor:
        return z @ torch.ones(2, 3)

    def model(self, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", Normal(torch.zeros(2), 1.0).to_event(1))
            pyro.sample("x", Normal(self.decode(z), 1.0).to_event(1), obs=x)

    def guide(self, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", Normal(torch.zeros(self.width), 1.0).to_event(1))


class WiderGuide(Handwritten):
    width = 5


class EmptyGuide(Handwritten):
    def guide(self, x: Tensor) -> None:
        pass


class OtherName(Handwritten):
    def guide(self, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("code", Normal(torch.zeros(2), 1.0).to_event(1))


class GlobalSite(Handwritten):
    def model(self, x: Tensor) -> None:
        pyro.sample("offset", Normal(0.0, 1.0))
        super().model(x)

    def guide(self, x: Tensor) -> None:
        pyro.sample("offset", Normal(0.0, 1.0))
        super().guide(x)


class UnplatedGuide(Handwritten):
    def guide(self, x: Tensor) -> None:
        pyro.sample("z", Normal(torch.zeros(len(x), 2), 1.0).to_event(1))


class UnplatedModel(Handwritten):
    def model(self, x: Tensor) -> None:
        z = pyro.sample("z", Normal(torch.zeros(len(x), 2), 1.0).to_event(1))
        pyro.sample("x", Normal(self.decode(z), 1.0).to_event(1), obs=x)


@pytest.mark.parametrize(
    ("programs", "verdicts"),
    [
        (Handwritten, {"z": "ok", "x": "ok"}),
        (WiderGuide, {"z": "event shapes differ", "x": "ok"}),
        (EmptyGuide, {"z": "missing in the guide", "x": "ok"}),
        (OtherName, {"code": "missing in the model", "z": "missing in the guide", "x": "ok"}),
        (GlobalSite, {"offset": "outside plate 'data'", "z": "ok", "x": "ok"}),
        (UnplatedGuide, {"z": "outside plate 'data'", "x": "ok"}),
        (UnplatedModel, {"z": "outside plate 'data'", "x": "outside plate 'data'"}),
    ],
)
def test_check_names_the_mistake_of_handwritten_programs(programs: Any, verdicts: dict[str, str]) -> None:
    table = check(programs(), torch.zeros(4, 3)).splitlines()[1:]
    assert {line.split()[0]: line.rsplit("| ", 1)[1].strip() for line in table} == verdicts


@pytest.mark.parametrize("programs", [EmptyGuide, OtherName, GlobalSite, UnplatedGuide, UnplatedModel])
def test_densities_refuse_what_check_names(programs: Any) -> None:
    with pytest.raises(ValueError, match=r"latent sites differ|outside plate 'data'"):
        densities(programs().model, programs().guide, torch.zeros(4, 3))


def test_gaussian_likelihood_generates_as_well() -> None:
    vae = VAE(StandardNormal(2), Gaussian(network, 2, (5,)), DiagonalNormal(network, 2, (5,)))
    assert vae.model(size=3).shape == (3, 5)


class Cauchy(torch.nn.Module):
    """A prior as a reader of the README would write it, silent about classes."""

    def forward(self, y: Tensor | None = None) -> pyro.distributions.TorchDistribution:
        return pyro.distributions.Cauchy(torch.zeros(2), 1.0).to_event(1)


def test_a_part_that_says_nothing_of_classes_reads_none() -> None:
    vae = VAE(Cauchy(), Bernoulli(MLP, 2, (6,)), DiagonalNormal(MLP, 2, (6,)))
    assert (vae.pools, vae.conditional, vae.quantity()) == (False, False, "log p(x)")
    assert vae.sample(3).shape == (3, 6)
