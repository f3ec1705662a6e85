"""Laws of priors, posteriors and likelihoods, alone and composed; a row added to a table is covered without an edit."""

import copy
from itertools import combinations, product
from typing import Any

import pyro
import pytest
import torch
from compositions import (
    CLASHES,
    CLASSES,
    EVENT,
    FACTORS,
    LABELS,
    LATENT,
    ROWS,
    WHOLE,
    Composition,
    build,
    cover,
    data,
    network,
    objective_of,
    pairwise,
    positional,
    support_of,
    toy,
)
from torch import Tensor, nn

from pyrovae import LIKELIHOODS, POSTERIORS, PRIORS, VAE, Vamp, fit
from pyrovae.densities import densities
from pyrovae.distributions import bounded_scale, unbounded_scale
from pyrovae.errors import PyrovaeError
from pyrovae.networks import MLP
from pyrovae.priors.vamp import SQUEEZE
from pyrovae.vae import is_proper

OPTIONS: dict[str, list[dict[str, Any]]] = {  # options worth every law; other rows take their defaults
    "gaussian": [{"noise": "fixed"}, {"noise": "shared"}, {"noise": "pixel"}],
}
PRIOR, POSTERIOR = (pytest.mark.parametrize("name", table) for table in (PRIORS, POSTERIORS))
PROPER = pytest.mark.parametrize("name", [name for name, prior in PRIORS.items() if is_proper(prior)])
NOISY = [(name, option) for name in LIKELIHOODS for option in OPTIONS.get(name, [{}])]
LIKELIHOOD = pytest.mark.parametrize(("name", "options"), NOISY)
ELEMENTWISE = pytest.mark.parametrize(("name", "options"), [row for row in NOISY if row[0] not in WHOLE])
LABELLED = pytest.mark.parametrize("labels", LABELS)
CONDITIONAL = pytest.mark.parametrize("labels", ["unlabelled", "conditional"])
PARTS = cover("prior", "posterior", "likelihood", "labels")
COMPOSED = pytest.mark.parametrize("parts", PARTS, ids="-".join)
EVERYTHING = cover("prior", "posterior", "likelihood", "network", "objective", "labels")


def composed(parts: Composition, seed: int = 0) -> VAE:
    return build(parts.prior, parts.posterior, parts.likelihood, parts.labels, parts.network, seed)


def sound(parts: Composition) -> bool:
    """Tells whether a VAE of these parts can be built; what only `fit` refuses can."""
    return not Composition(parts.prior, parts.posterior, parts.likelihood).clashes or parts.prior != "vamp"


BUILDABLE = pytest.mark.parametrize("parts", [parts for parts in PARTS if sound(parts)], ids="-".join)


# Shapes


@PROPER
@LABELLED
def test_a_prior_has_one_marginal_and_one_pool_per_label(name: str, labels: str) -> None:
    prior, (_, y) = build(name, labels=labels).prior, data()
    assert (prior().batch_shape, prior().event_shape) == ((), (LATENT,))
    assert prior(y).batch_shape == ((ROWS,) if prior.classes else ())
    assert prior(y).event_shape == (LATENT,)
    assert prior().sample((5,)).shape == (5, LATENT)
    assert prior.classes in ((0, CLASSES) if LABELS[labels][0] else (0,))


@PRIOR
def test_a_marginal_is_the_pools_weighed(name: str) -> None:
    """Mutation: `labels()` uniform; `members` that deals components out in turn (seen with Vamp)."""
    prior, z = build(name, labels="pools").double().prior, torch.randn(7, LATENT, dtype=torch.float64)
    scrambled(prior, 1)
    weights = prior.labels().probs if prior.classes else torch.ones(1, dtype=torch.float64)
    pools = torch.stack([prior(torch.full((7,), c)).log_prob(z) for c in range(len(weights))], -1)
    torch.testing.assert_close(prior().log_prob(z), (pools + weights.log()).logsumexp(-1))


@POSTERIOR
@CONDITIONAL
def test_a_posterior_is_a_reparametrised_distribution_per_datum(name: str, labels: str) -> None:
    posterior = build(posterior=name, labels=labels).posterior
    q = posterior(*data())
    assert (q.batch_shape, q.event_shape, q.has_rsample) == ((ROWS,), (LATENT,), True)
    assert q.rsample((5,)).shape == (5, ROWS, LATENT)
    assert q.rsample().requires_grad
    assert posterior.classes == (CLASSES if LABELS[labels][1] else 0)


@LIKELIHOOD
@CONDITIONAL
def test_a_likelihood_draws_within_its_support(name: str, options: dict[str, Any], labels: str) -> None:
    likelihood, (_, y) = build(likelihood=name, labels=labels, **options).likelihood, data()
    p = likelihood(torch.randn(4, ROWS, LATENT), y)
    draws, support = p.sample(), p.support
    assert (p.batch_shape, p.event_shape, draws.shape) == ((4, ROWS), EVENT, (4, ROWS, *EVENT))
    assert support.check(draws).all()
    assert p.mean.isfinite().all()
    high = 1.0 if support_of(name) in ("binary", "levels", "unit") else torch.inf
    assert bool(((p.mean >= 0) & (p.mean <= high)).all()) or "real" in likelihood.accepts


@LIKELIHOOD
def test_a_likelihood_scores_what_it_accepts(name: str, options: dict[str, Any]) -> None:
    likelihood = build(likelihood=name, **options).likelihood
    assert {*likelihood.accepts} <= {"binary", "levels", "unit", "count", "real", "characters"}
    assert likelihood.measure in ("mass", "density")
    p = likelihood(torch.zeros(ROWS, LATENT), data()[1])
    for support in likelihood.accepts:
        assert p.log_prob(data(support)[0]).isfinite().all()
    if "real" not in likelihood.accepts:
        with pytest.raises(ValueError, match="support"):
            p.log_prob(torch.full((ROWS, *EVENT), -3.0))


@ELEMENTWISE
def test_a_likelihood_is_of_independent_elements(name: str, options: dict[str, Any]) -> None:
    """So that missing elements can be left out; mutation: an element's density that reads its neighbour."""
    p = build(likelihood=name, **options).likelihood(torch.randn(ROWS, LATENT))
    x, _ = data(support_of(name))
    each = p.base_dist.log_prob(x)
    assert each.shape == (ROWS, *EVENT)
    torch.testing.assert_close(each.flatten(1).sum(1), p.log_prob(x))


@BUILDABLE
def test_parts_work_under_a_particles_plate(parts: Composition) -> None:
    vae = composed(parts)
    with pyro.get_param_store().scope():
        sites = densities(vae.model, vae.guide, *data(support_of(parts.likelihood)), particles=5)
    assert {name: site.log_prob.shape for name, site in sites.guide.items()} == {"z": (5, ROWS)}
    assert all(site.log_prob.expand(5, ROWS).isfinite().all() for site in sites.model.values())


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_no_likelihood_of_independent_elements_refuses_holes(name: str) -> None:
    """Before the first step: nothing tells one element's share."""
    x, y = data(support_of(name))
    holes = torch.where(torch.arange(ROWS).reshape(-1, 1, 1, 1) < 2, torch.nan, x[..., :1]).expand_as(x)
    vae = build(likelihood=name)
    vae.missing = True
    with pytest.raises(PyrovaeError, match="missing values need a likelihood of independent elements") as caught:
        vae.observation(torch.zeros(ROWS, LATENT), holes, y)
    assert "data.missing" in caught.value.hint


@pytest.mark.parametrize("parts", [p for p in PARTS if sound(p) and p.likelihood not in WHOLE], ids="-".join)
def test_missing_elements_count_nothing(parts: Composition) -> None:
    """Mutation: the mask inverted, or NaN left in x."""
    vae, (x, y) = composed(parts), data(support_of(parts.likelihood))
    vae.missing = True
    gone = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) < 0.4
    holes = torch.where(gone, torch.nan, x)
    with pyro.get_param_store().scope():
        sites = densities(vae.model, vae.guide, holes, y)
    p, kept = vae.likelihood(sites.guide["z"].value, y), torch.where(gone, 0.0, x)
    expected = torch.where(gone, 0.0, p.base_dist.log_prob(kept)).flatten(2).sum(2)
    torch.testing.assert_close(sites.model["x"].log_prob, expected)
    assert vae.reconstruct(holes, y).isfinite().all()
    loss = -sites.log_weight().sum()
    loss.backward()
    assert all(g.isfinite().all() for p in vae.parameters() if (g := p.grad) is not None)


# State and appearance


def scrambled(module: nn.Module, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return module


def scores(vae: VAE, support: str) -> Tensor:
    torch.manual_seed(1)
    with pyro.get_param_store().scope(), torch.no_grad():
        dtype = next(vae.parameters()).dtype
        x, y = data(support)
        return densities(vae.model, vae.guide, x.to(dtype), y, particles=3).log_weight()


@BUILDABLE
def test_a_fresh_module_takes_over_the_state(parts: Composition) -> None:
    """Mutation: `pseudo_labels` of Vamp as a buffer that is not persistent."""
    support = support_of(parts.likelihood)
    old, new = (scrambled(composed(parts, seed), seed) for seed in (1, 2))
    assert not torch.equal(scores(new, support), scores(old, support))
    new.load_state_dict(old.state_dict())
    assert torch.equal(scores(new, support), scores(old, support))


@BUILDABLE
def test_double_precision(parts: Composition) -> None:
    single = composed(parts)
    log_w = scores(copy.deepcopy(single).double(), support_of(parts.likelihood))
    assert log_w.dtype == torch.float64
    assert log_w.isfinite().all()
    assert single.decode(torch.zeros(1, LATENT), torch.zeros(1, dtype=torch.long)).dtype == torch.float32


@BUILDABLE
def test_a_repr_names_its_parts(parts: Composition) -> None:
    text = repr(composed(parts))
    kinds = [PRIORS[parts.prior], POSTERIORS[parts.posterior], LIKELIHOODS[parts.likelihood], MLP]
    assert all(f"{kind.__name__}(" in text for kind in kinds)
    assert "object at 0x" not in text
    assert max(map(len, text.splitlines())) <= 120


@BUILDABLE
def test_the_answers_that_people_ask_of_any_vae(parts: Composition) -> None:
    vae, (x, y) = composed(parts), data(support_of(parts.likelihood))
    y = y if vae.conditional else None
    assert vae.embed(x, y).shape == (ROWS, LATENT)
    assert torch.equal(vae.embed(x, y), vae.embed(x, y))
    assert vae.reconstruct(x, y).shape == x.shape
    if is_proper(vae.prior):
        assert vae.sample(5).shape == (5, *EVENT)
    else:
        with pytest.raises(PyrovaeError, match="improper"):
            vae.sample(5)


# Every parameter learns, or the combination is refused


def unmoved(vae: VAE, parts: Composition = Composition()) -> list[str]:  # noqa: B008, a named tuple does not change
    """Trains three steps and returns the parameters of which any number stayed where it was."""
    before = {name: p.detach().clone() for name, p in vae.named_parameters()}
    fit(vae, toy(parts.likelihood), objective_of(parts.objective), epochs=3, batch_size=28, learning_rate=0.01)
    return [name for name, p in vae.named_parameters() if bool((p == before[name]).any())]


@pytest.mark.parametrize("parts", EVERYTHING, ids="-".join)
def test_every_parameter_moves_or_the_parts_are_refused(parts: Composition, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused is exactly what `CLASHES` names, before the first step, with the nearest thing that can."""
    if parts.clashes:
        monkeypatch.setattr(torch.optim.Adam, "step", None)
        with pytest.raises(PyrovaeError) as caught:
            unmoved(composed(parts), parts)
        assert caught.value.hint
    else:
        vae = composed(parts)
        assert all(p.requires_grad for p in vae.parameters())
        assert unmoved(vae, parts) == []


@LIKELIHOOD
def test_every_parameter_of_a_likelihood_moves(name: str, options: dict[str, Any]) -> None:
    assert unmoved(build(likelihood=name, **options), Composition(likelihood=name)) == []


def test_the_cover_meets_every_pair() -> None:
    """Mutation: a pair counted as met when it is only planned."""
    factors = {"prior": list("abc"), "posterior": list("def"), "likelihood": list("ghij")}
    rows = list(pairwise(**factors))
    assert {(r.prior, r.likelihood) for r in rows} == {(a, g) for a in "abc" for g in "ghij"}
    assert {(r.posterior, r.likelihood) for r in rows} == {(d, g) for d in "def" for g in "ghij"}
    assert len(rows) < 3 * 3 * 4
    met = {frozenset(pair) for row in EVERYTHING if not row.clashes for pair in combinations(row.names, 2)}
    tables = list(FACTORS)
    wanted = {
        frozenset({(a, x), (b, y)}) for a, b in combinations(tables, 2) for x, y in product(FACTORS[a], FACTORS[b])
    }
    assert wanted - CLASHES == met


def test_a_detached_parameter_fails_that_law() -> None:
    vae = build("gaussian-mixture", "diagonal-normal", "gaussian")
    components = vae.prior.components
    vae.prior.components = lambda: components().__class__(
        torch.distributions.Normal(vae.prior.loc, bounded_scale(vae.prior.raw_scale.detach())), 1
    )
    assert unmoved(vae) == ["prior.raw_scale"]


def test_a_saturated_parameter_fails_that_law() -> None:
    vae = build("standard-normal", "diagonal-normal", "gaussian")
    vae.likelihood.forward = lambda z, y=None: pyro.distributions.Normal(
        vae.likelihood.decoder(z, y).squeeze(-3), bounded_scale(vae.likelihood.raw_scale.clamp(min=0.0))
    ).to_event(2)
    assert unmoved(vae) == ["likelihood.raw_scale"]


def test_a_weight_that_nothing_scores_fails_that_law() -> None:
    """What `freeze_weights` is for: with y given and not scored, no gradient reaches p(y)."""
    vae = build("gaussian-mixture", "diagonal-normal", "bernoulli", "both")
    assert "prior.logits" in dict(vae.named_buffers())
    weights = vae.prior.logits
    del vae.prior.logits
    vae.prior.logits = nn.Parameter(weights)
    assert unmoved(vae) == ["prior.logits"]


# Vamp


def vamp(**options: Any) -> Vamp:
    prior = build("vamp", **options).prior
    assert isinstance(prior, Vamp)
    return prior


def test_pseudo_inputs_start_as_squeezed_data() -> None:
    """Mutation: `examples.logit()` without the squeeze starts at infinity."""
    prior, (x, _) = vamp(), data()
    torch.testing.assert_close(prior.pseudo_inputs(), prior.raw.sigmoid())
    squeezed = SQUEEZE + (1 - 2 * SQUEEZE) * x
    assert all(torch.isclose(squeezed, u).flatten(1).all(1).any() for u in prior.pseudo_inputs())
    assert prior.pseudo_inputs().min() > 0.019
    assert prior.pseudo_inputs().max() < 0.981


def unmoved_pixels(prior: Vamp) -> int:
    prior().log_prob(torch.randn(9, LATENT)).sum().backward()
    assert prior.raw.grad is not None
    return int(prior.raw.grad.eq(0).sum())


def test_every_pixel_of_a_pseudo_input_learns_even_from_black_and_white() -> None:
    assert unmoved_pixels(vamp()) == 0


def test_a_clamp_would_freeze_them(monkeypatch: pytest.MonkeyPatch) -> None:
    prior = vamp()
    prior.raw.data = data()[0][:6] * 1.2 - 0.1
    monkeypatch.setattr(Vamp, "pseudo_inputs", lambda self: self.raw.clamp(0, 1))
    assert unmoved_pixels(prior) == prior.raw.numel()


def test_real_pseudo_inputs_are_the_data_themselves() -> None:
    x, _ = data()
    encoder = POSTERIORS["diagonal-normal"](network, LATENT, EVENT)
    prior = Vamp(encoder, EVENT, "real", examples=100 * x, pseudo_inputs=6)
    assert set(prior.pseudo_inputs().unique().tolist()) == {0.0, 100.0}


def test_pseudo_inputs_are_different_data() -> None:
    x = torch.linspace(0, 1, ROWS).reshape(ROWS, 1)
    prior = Vamp(POSTERIORS["diagonal-normal"](network, LATENT, (1,)), (1,), examples=x, pseudo_inputs=ROWS)
    assert len(prior.pseudo_inputs().unique(dim=0)) == ROWS


@pytest.mark.parametrize("support", ["binary", "unit", "real"])
def test_pseudo_inputs_without_examples(support: Any) -> None:
    prior = Vamp(POSTERIORS["diagonal-normal"](network, LATENT, EVENT), EVENT, support, pseudo_inputs=40)
    u = prior.pseudo_inputs()
    assert u.shape == (40, *EVENT)
    assert bool(((u > 0) & (u < 1)).all()) == (support != "real")


def test_labelled_pseudo_inputs_come_from_their_class() -> None:
    """Mutation: `torch.randperm` over all rows, whatever their label."""
    y = torch.arange(ROWS) % CLASSES
    x = ((y + 1) / 4).reshape(-1, 1)
    encoder = POSTERIORS["diagonal-normal"](network, LATENT, (1,))
    prior = Vamp(encoder, (1,), "unit", CLASSES, x, y, labels=True, pseudo_inputs=6)
    assert prior.pseudo_labels.tolist() == [0, 0, 1, 1, 2, 2]
    torch.testing.assert_close(prior.pseudo_inputs(), SQUEEZE + (1 - 2 * SQUEEZE) * x[[0, 0, 1, 1, 2, 2]])
    assert prior.members(torch.tensor([1])).tolist() == [[False, False, True, True, False, False]]


def test_pseudo_inputs_of_a_conditional_vae_keep_the_labels_they_were_drawn_with() -> None:
    x, y = torch.linspace(0.1, 0.9, ROWS).reshape(ROWS, 1), data()[1]
    encoder = POSTERIORS["diagonal-normal"](network, LATENT, (1,), CLASSES)
    prior = Vamp(encoder, (1,), "unit", CLASSES, x, y, pseudo_inputs=6)
    rows = (prior.pseudo_inputs() - (SQUEEZE + (1 - 2 * SQUEEZE) * x).T).abs().argmin(1)
    assert torch.equal(prior.pseudo_labels, y[rows])


def test_too_few_examples_are_named() -> None:
    with pytest.raises(PyrovaeError, match="13 pseudo-inputs from 12 data") as caught:
        vamp(pseudo_inputs=13)
    assert "12" in caught.value.hint
    with pytest.raises(PyrovaeError, match="5 pseudo-inputs of class 0 from 4 data"):
        vamp(labels="pools", pseudo_inputs=15)


@pytest.mark.parametrize("posterior", [q for q in POSTERIORS if not Composition("vamp", q).clashes])
def test_the_gradient_of_a_vamp_prior_reaches_the_shared_encoder(posterior: str) -> None:
    vae = build("vamp", posterior)
    vae.prior().log_prob(torch.randn(9, LATENT)).sum().backward()
    assert vae.prior.posterior is vae.posterior
    assert all(p.grad is not None and p.grad.any() for p in vae.posterior.parameters())


def test_a_vamp_prior_is_the_mean_of_its_posteriors() -> None:
    prior, z = vamp(), torch.randn(9, LATENT)
    each = prior.posterior(prior.pseudo_inputs()).log_prob(z.unsqueeze(-2))
    torch.testing.assert_close(prior().log_prob(z), each.exp().mean(-1).log())


# Options


@pytest.mark.parametrize(
    ("name", "classes", "options", "words"),
    [
        ("gaussian-mixture", 0, {"labels": True}, "prior.labels = true, but the data have no labels"),
        ("gaussian-mixture", 3, {"labels": True, "components": 4}, "prior.components = 4 with prior.labels = true"),
        ("gaussian-mixture", 0, {"components": 0}, "0 components"),
        ("vamp", 0, {"labels": True}, "prior.labels = true, but the data have no labels"),
        ("vamp", 3, {"labels": True, "pseudo_inputs": 7}, "7 components cannot form 3 pools of equal size"),
        ("vamp", 0, {"pseudo_inputs": 0}, "0 components"),
    ],
)
def test_impossible_options_are_refused(name: str, classes: int, options: dict[str, Any], words: str) -> None:
    encoder = POSTERIORS["diagonal-normal"](network, LATENT, EVENT)
    given = {"posterior": encoder, "latent_dim": LATENT, "event_shape": EVENT, "support": "unit", "classes": classes}
    given |= {"examples": None, "example_labels": None}
    with pytest.raises(PyrovaeError, match=words) as caught:
        PRIORS[name](*positional(PRIORS[name], **given), **options)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("classes", "options", "size", "reads"),
    [
        (0, {}, 10, 0),
        (3, {}, 3, 3),
        (3, {"labels": False}, 10, 0),
        (3, {"components": 7}, 7, 0),
        (3, {"components": 3, "labels": True}, 3, 3),
    ],
)
def test_components_of_a_mixture(classes: int, options: dict[str, Any], size: int, reads: int) -> None:
    prior = PRIORS["gaussian-mixture"](LATENT, classes, **options)
    assert (len(prior.logits), prior.classes) == (size, reads)


@pytest.mark.parametrize(("noise", "scales", "learned"), [("fixed", 1, 0), ("shared", 1, 1), ("pixel", 144, 1)])
def test_noise_is_fixed_shared_or_per_pixel(noise: str, scales: int, learned: int) -> None:
    likelihood = build(likelihood="gaussian", noise=noise, scale=0.3).likelihood
    spread = likelihood(torch.randn(ROWS, LATENT)).stddev
    assert len(spread.unique()) == scales
    assert ("raw_scale" in dict(likelihood.named_parameters())) == learned
    assert spread.log().mean().exp().item() == pytest.approx(0.3, rel=0.5 if noise == "pixel" else 1e-5)


@pytest.mark.parametrize("raw", [-1e9, 1e9])
@pytest.mark.parametrize("noise", ["fixed", "shared", "pixel"])
def test_a_learned_scale_cannot_run_away(noise: str, raw: float) -> None:
    likelihood = build(likelihood="gaussian", noise=noise).likelihood
    likelihood.raw_scale.data.fill_(raw)
    spread = likelihood(torch.randn(ROWS, LATENT)).stddev
    torch.testing.assert_close(spread, torch.full_like(spread, 1e4 if raw > 0 else 1e-4))


@pytest.mark.parametrize("scale", [2e-4, 0.1, 1.0, 30.0, 5e3])
def test_unbounded_scale_inverts_bounded_scale(scale: float) -> None:
    raw = torch.tensor(unbounded_scale(scale), dtype=torch.float64)
    assert bounded_scale(raw).item() == pytest.approx(scale, rel=1e-9)


def test_bounded_scale_is_steep_everywhere_a_parameter_goes() -> None:
    raw = torch.linspace(-20, 20, 101, dtype=torch.float64).requires_grad_()
    bounded_scale(raw).log().sum().backward()
    assert raw.grad is not None
    assert raw.grad.min() > 0.01
    assert raw.grad[50] == 1


@pytest.mark.parametrize("scale", [0.0, -1.0, 1e-5, 1e5])
def test_a_scale_that_cannot_be_reached_is_refused(scale: float) -> None:
    with pytest.raises(PyrovaeError, match="scale"):
        build(likelihood="gaussian", scale=scale)
