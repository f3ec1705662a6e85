"""Evaluation: k-hat on known tails, chunks that do not matter, functions that change nothing."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyro
import pytest
import torch
from arviz_stats.base import array_stats
from small_models import curved_vae, linear_vae, score
from torch import Tensor

from pyrovae import (
    ELBO,
    MLP,
    VAE,
    Bernoulli,
    Categorical,
    DiagonalNormal,
    GaussianMixture,
    StandardNormal,
    active_units,
    distortion,
    log_marginal,
    make_dataset,
    rate,
)
from pyrovae.evaluation import evaluate, evidence
from pyrovae.evaluation.evidence import Evidence, pareto, tail_statistics


def normal_log_weights(ratio: float, particles: int = 1000, data: int = 200) -> Tensor:
    """Returns log p(z) - log q(z) of z ~ q = N(0, ratio^2), p = N(0, 1): a tail of shape 1 - ratio^2 below ratio 1."""
    torch.manual_seed(0)
    z = ratio * torch.randn(particles, data, dtype=torch.double)
    return -0.5 * z.square() + 0.5 * (z / ratio).square() + math.log(ratio)


def wrong_sign(log_w: Tensor) -> Tensor:
    """Mutation: hands arviz the log weights as they are."""
    return torch.tensor([float(array_stats.psislw(row, r_eff=1.0)[1]) for row in log_w.T.numpy()])


def pareto_khat(log_w: Tensor) -> Tensor:
    return pareto(log_w)[0].to(log_w.dtype)


KHAT = [(0.5, 0.67), (0.7, 0.48), (0.9, 0.23)]  # ratio, median at 1000 draws; the theory says 0.75, 0.51, 0.19


@pytest.mark.parametrize(("ratio", "median"), KHAT)
def test_khat_finds_known_tails(ratio: float, median: float) -> None:
    log_w = normal_log_weights(ratio)
    found = pareto_khat(log_w)
    assert found.median().item() == pytest.approx(median, abs=0.03)
    assert abs(found.median().item() - (1 - ratio**2)) < 0.1
    assert wrong_sign(log_w).median().item() < 0


def test_khat_of_bounded_weights_is_negative() -> None:
    log_w = normal_log_weights(1.2)
    assert pareto_khat(log_w).median() < -0.5
    assert wrong_sign(log_w).median() > 0


@pytest.mark.parametrize("ratio", [0.5, 0.9])
def test_khat_does_not_depend_on_the_units_or_the_order_of_the_weights(ratio: float) -> None:
    log_w = normal_log_weights(ratio, data=5)
    torch.testing.assert_close(pareto_khat(log_w - 800.0), pareto_khat(log_w), rtol=0, atol=1e-9)
    torch.testing.assert_close(pareto_khat(log_w.flip(0)), pareto_khat(log_w))
    torch.testing.assert_close(pareto_khat(log_w.flip(1)), pareto_khat(log_w).flip(0))


@pytest.mark.parametrize("particles", [1, 2, 10, 24])
def test_too_few_particles_have_no_khat_and_are_not_reliable(particles: int) -> None:
    vae, x = curved_vae(StandardNormal)
    found = log_marginal(vae, x, particles=particles)
    assert found.khat.isnan().all()
    assert found.share_above == 1
    assert found.verdict == "unreliable"
    assert found.log_prob.isfinite().all()


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_weights_that_are_not_finite_have_the_worst_tail(value: float) -> None:
    log_w = normal_log_weights(0.9, data=3)
    expected = pareto_khat(log_w)
    log_w[7, 1] = value
    found = pareto_khat(log_w)
    assert found[1] == math.inf
    torch.testing.assert_close(found[[0, 2]], expected[[0, 2]])


@pytest.mark.parametrize("dtype", [torch.float, torch.double])
@pytest.mark.parametrize("level", [0.0, -5.0, -3000.0])
def test_constant_weights_have_no_tail(dtype: torch.dtype, level: float) -> None:
    assert (pareto_khat(torch.full((100, 3), level, dtype=dtype)) == -math.inf).all()


@pytest.mark.parametrize("particles", [25, 100, 1000])
@pytest.mark.parametrize("level", [-1.0, -5.0, -100.0, -3000.0])
def test_weights_that_differ_by_rounding_only_have_a_harmless_tail(level: float, particles: int) -> None:
    torch.manual_seed(0)
    steps = torch.randint(-2, 3, (particles, 20)) * torch.finfo(torch.float).eps
    found = pareto_khat(level * (1 + steps))
    assert (found < 0.5).all()


def collapsed() -> tuple[VAE, Tensor]:
    """A VAE in single precision whose posterior is its prior up to rounding, as after posterior collapse."""
    torch.manual_seed(0)
    vae = VAE(StandardNormal(2), Bernoulli(MLP, 2, (8,)), DiagonalNormal(MLP, 2, (8,)))
    encoder = vae.posterior.encoder.layers[-1]
    torch.nn.init.zeros_(vae.likelihood.decoder.layers[0].weight)
    torch.nn.init.zeros_(encoder.weight), torch.nn.init.constant_(encoder.bias, 1e-7)
    return vae, torch.ones(20, 8)


@pytest.mark.parametrize("particles", [25, 100, 1000])
def test_a_collapsed_posterior_can_be_judged(particles: int) -> None:
    assert log_marginal(*collapsed(), particles=particles).verdict == "reliable"


def test_an_exact_posterior_in_single_precision_can_be_judged() -> None:
    model = linear_vae(n=50)
    assert log_marginal(model.vae.float(), model.x.float(), particles=200).verdict == "reliable"


def test_statistics_of_known_weights() -> None:
    log_w = torch.tensor([[1.0, 5.0], [1.0, 0.0], [2.0, 0.0]], dtype=torch.double).log()
    log_prob, ess, *_ = tail_statistics(log_w)
    torch.testing.assert_close(log_prob.exp(), torch.tensor([4 / 3, 5 / 3], dtype=torch.double))
    torch.testing.assert_close(ess, torch.tensor([16 / 6, 1.0], dtype=torch.double))


def test_statistics_survive_weights_that_would_underflow() -> None:
    log_prob, ess, *_ = tail_statistics(torch.full((100, 2), -5000.0))
    assert log_prob.tolist() == [-5000.0, -5000.0]
    torch.testing.assert_close(ess, torch.full((2,), 100.0))


def evidence_of(khat: Tensor, particles: int = 1000) -> Evidence:
    ones, none = torch.ones(len(khat)), torch.zeros(len(khat))
    return Evidence(torch.arange(len(khat)).double(), "log p(x)", ones, khat, none, none, particles)


def test_smoothing_repairs_the_mean_of_heavy_weights() -> None:
    """The weights have mean 1. Mutations: the smoothed weights are not brought back to their scale; no smoothing.

    Where k-hat is 0.5 the largest of 1,000 weights is mostly too small, and its expectation given the others larger.
    """
    log_w = normal_log_weights(0.7, data=4000)
    raw, _, _, smoothed, _ = tail_statistics(log_w)
    assert abs(smoothed.exp().mean() - 1) < 0.01
    assert (raw - smoothed).abs().max() > 0.05
    assert smoothed.exp().std() < 0.9 * raw.exp().std()


def test_smoothing_keeps_the_scale_of_the_weights() -> None:
    log_w = normal_log_weights(0.9, data=50)
    for level in (0.0, -800.0):
        raw, _, _, smoothed, _ = tail_statistics(log_w + level)
        torch.testing.assert_close(smoothed, raw, rtol=0, atol=0.02)


def test_drift_is_what_the_second_half_of_the_draws_adds() -> None:
    """In expectation it is the difference of the bounds with K and with K / 2 draws.

    Mutations: the drift is from one half alone; halves are summed and not averaged.
    """
    log_w = normal_log_weights(0.6, particles=64, data=20_000)
    drift = tail_statistics(log_w)[-1]
    bounds = [(log_w[:k].logsumexp(0) - math.log(k)) for k in (64, 32)]
    assert score((drift - (bounds[0] - bounds[1]))[:, None]) < 4
    assert score((drift - 1.5 * (bounds[0] - bounds[1]))[:, None]) > 4
    assert drift.std() < (bounds[0] - bounds[1]).std()
    by_hand = log_w.exp()
    expected = by_hand.mean(0).log() - (by_hand[:32].mean(0).log() + by_hand[32:].mean(0).log()) / 2
    torch.testing.assert_close(drift, expected)


def verdict_of(drifts: Tensor) -> Evidence:
    ones, none = torch.ones(len(drifts)), torch.zeros(len(drifts))
    return Evidence(none, "log p(x)", ones, none, none, drifts, 1000)


@pytest.mark.parametrize(
    ("mean", "spread", "verdict"), [(0.05, 0.0, "reliable"), (0.2, 0.1, "unreliable"), (0.2, 2.0, "reliable")]
)
def test_verdict_turns_where_the_drift_is_surely_above_a_tenth_of_a_nat(
    mean: float, spread: float, verdict: str
) -> None:
    drifts = mean + spread * torch.tensor([-1.0, 1.0]).repeat(50)
    found = verdict_of(drifts)
    assert found.verdict == verdict
    assert [reason.startswith("K / 2 to K draws add 0.20") for reason in found.reasons] == [True] * (
        verdict == "unreliable"
    )


def test_a_proposal_that_is_right_passes_and_one_that_is_far_off_does_not() -> None:
    """Linear-Gaussian VAEs: a posterior a little wide, and one that stands aside and is too narrow."""
    good, bad = linear_vae(n=200, widen=1.2), linear_vae(n=200, shift=3.0, widen=0.5)
    torch.manual_seed(0)
    passed, failed = (log_marginal(m.vae, m.x, particles=1000) for m in (good, bad))
    assert passed.verdict == "reliable"
    assert abs(passed.log_prob - good.log_p).max() < 0.2
    assert failed.verdict == "unreliable"
    assert len(failed.reasons) == 2
    assert (failed.log_prob - bad.log_p).mean() < -1


@pytest.mark.parametrize(("particles", "threshold"), [(100, 0.5), (1000, 2 / 3), (2154, 0.7), (10_000, 0.7)])
def test_threshold_follows_the_number_of_draws(particles: int, threshold: float) -> None:
    assert evidence_of(torch.zeros(2), particles).threshold == pytest.approx(threshold, abs=1e-4)


@pytest.mark.parametrize("bad", [0.9, math.inf, math.nan])
def test_verdict_turns_at_five_percent(bad: float) -> None:
    khat = torch.zeros(100)
    khat[:5] = bad
    assert (evidence_of(khat).share_above, evidence_of(khat).verdict) == (pytest.approx(0.05), "reliable")
    khat[5] = bad
    assert evidence_of(khat).verdict == "unreliable"


def test_mean_and_standard_error_are_over_data() -> None:
    found = evidence_of(torch.zeros(5))
    assert (found.mean, found.standard_error) == (2.0, pytest.approx(np.std(range(5), ddof=1) / math.sqrt(5)))
    assert str(found).startswith("iw1000 log p(x) = 2.00 ± 0.71 nats per datum (5 data)")


def by_chunks(rows: int, vae: VAE, x: Tensor, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """Returns 10 estimates of log p(x) per datum from 600 draws each, decoding so many numbers at once."""
    monkeypatch.setattr(evidence, "ROWS", rows)
    torch.manual_seed(rows)
    return log_marginal(vae, x.repeat(10, 1), particles=600).log_prob.view(10, -1)


def test_chunks_change_nothing_but_the_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    vae, x = curved_vae(StandardNormal)
    small, large = (by_chunks(rows, vae, x, monkeypatch) for rows in (2**14, 2**21))
    assert score(small - large) < 4.5
    assert score(small - large + 0.2) > 5


@pytest.mark.parametrize("rows", [1, 512 * 6, 2**21])
def test_chunks_of_data_and_draws_are_exact_at_the_exact_posterior(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = linear_vae()
    monkeypatch.setattr(evidence, "ROWS", rows)
    found = log_marginal(model.vae, model.x, particles=1100)
    torch.testing.assert_close(found.log_prob, model.log_p, rtol=0, atol=1e-9)
    torch.testing.assert_close(found.ess, torch.full_like(found.ess, 1100))


def test_small_data_are_chunked_by_the_width_of_the_networks_too() -> None:
    vae = VAE(StandardNormal(2), Bernoulli(MLP, 2, (2,)), DiagonalNormal(MLP, 2, (2,)))
    numbers: list[int] = []
    for layer in vae.likelihood.decoder.layers:
        layer.register_forward_hook(lambda module, given, out: numbers.append(out.numel()))
    log_marginal(vae, torch.ones(200, 2), particles=100)
    assert max(numbers) <= evidence.ROWS


def test_the_same_seed_gives_the_same_numbers() -> None:
    vae, x = curved_vae(StandardNormal)
    first, second, other = (seeded_evidence(vae, x, seed) for seed in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def seeded_evidence(vae: VAE, x: Tensor, seed: int) -> Tensor:
    torch.manual_seed(seed)
    return log_marginal(vae, x, particles=50).log_prob


Y = torch.tensor([0, 1, 2, 0, 1, 2])
EVALUATIONS: list[Callable[..., Any]] = [
    lambda *batch: log_marginal(*batch, particles=30),
    rate,
    distortion,
    active_units,
    lambda vae, x, y=None: vae.embed(x, y),
    lambda vae, x, y=None: vae.reconstruct(x, y),
    lambda vae, x, y=None: vae.sample(3, None if y is None else 1),
]


@pytest.mark.parametrize("evaluation", EVALUATIONS)
@pytest.mark.parametrize("labels", [(Y,), ()], ids=["labelled", "unlabelled"])
def test_evaluation_changes_no_parameter_and_leaves_nothing_behind(
    evaluation: Callable[..., Any], labels: tuple[Tensor, ...]
) -> None:
    vae, x = curved_vae(GaussianMixture, classes=3)
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    names = set(pyro.get_param_store())
    evaluation(vae, x, *labels)
    assert all(torch.equal(value, before[name]) for name, value in vae.state_dict().items())
    assert all(p.grad is None for p in vae.parameters())
    assert set(pyro.get_param_store()) == names
    assert vae.training


def test_evaluation_reads_its_own_parameters_where_the_store_has_others() -> None:
    (vae, x), (other, _) = curved_vae(StandardNormal), curved_vae(StandardNormal, seed=5)
    expected = seeded_evidence(vae, x, 0)
    with pyro.get_param_store().scope():
        ELBO().loss(other.model, other.guide, x)
        names = set(pyro.get_param_store())
        assert torch.equal(seeded_evidence(vae, x, 0), expected)
        assert set(pyro.get_param_store()) == names


@pytest.mark.parametrize(("labels", "quantity"), [((Y,), "log p(x, y)"), ((), "log p(x)")])
def test_the_quantity_is_named(labels: tuple[Tensor, ...], quantity: str) -> None:
    vae, x = curved_vae(GaussianMixture, classes=3)
    found = log_marginal(vae, x, *labels, particles=30)
    assert (found.quantity, found.name) == (quantity, f"iw30 {quantity}")
    assert found.log_prob.shape == found.ess.shape == found.khat.shape == (6,)


def test_minus_the_elbo_with_labels_is_rate_plus_distortion_minus_log_p_of_labels() -> None:
    vae, x = curved_vae(GaussianMixture, classes=3)
    vae.prior.logits.data.copy_(torch.tensor([0.0, 1.0, 2.0]))

    def seeded(value: Callable[[], Tensor]) -> Tensor:
        torch.manual_seed(0)
        return value().detach()

    loss = seeded(lambda: -ELBO().per_datum(vae.model, vae.guide, x, Y))
    both = seeded(lambda: rate(vae, x, Y)) + seeded(lambda: distortion(vae, x, Y))
    torch.testing.assert_close(loss, both - vae.prior.labels().log_prob(Y).detach())


def test_active_units_are_the_directions_that_carry_data() -> None:
    model = linear_vae(n=500)
    encoder = model.vae.posterior.encoder.layers[0]
    torch.nn.init.zeros_(encoder.weight[1])
    assert active_units(model.vae, model.x).tolist() == [True, False]
    assert active_units(model.vae, model.x, threshold=1e3).tolist() == [False, False]


def test_a_uniform_model_of_256_levels_costs_8_bits_per_dimension() -> None:
    """Mutation: bits by the number of pixels of one channel, or of scaled values; seen to fail with `dims` halved."""
    x = torch.randint(0, 256, (40, 3, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    dataset = make_dataset("noise", x)
    vae = VAE(StandardNormal(2), Categorical(MLP, 2, (3, 2, 2), levels=256), DiagonalNormal(MLP, 2, (3, 2, 2)))
    for parameter in (*vae.likelihood.parameters(), *vae.posterior.parameters()):
        torch.nn.init.zeros_(parameter)
    numbers, found = evaluate(vae.double(), dataset, particles=50)
    assert numbers["bits_per_dim"] == pytest.approx(8, abs=1e-12)
    assert "8.000 ± 0.000 bits/dim" in str(found)
