"""Simulation-based calibration: exact encoders pass, others fail, and are called what they are."""

from typing import Any

import numpy as np
import pyro
import pytest
import torch
from scipy import stats
from small_models import build, linear, linear_vae

from pyrovae import VAE, Dataset, DiagonalNormal, Flat, Gaussian, Point, Split, StandardNormal
from pyrovae.evaluation.calibration import (
    Ranks,
    calibration,
    fault,
    holm,
    moments,
    numbers_of,
    rank,
    said,
    simulated_ranks,
    uniformity,
)
from pyrovae.evaluation.judged import Judged, NotApplicable
from pyrovae.posteriors import POSTERIORS


def ranks_of(seed: int = 0, simulated: int = 1000, draws: int = 99, **options: Any) -> Ranks:
    vae = linear_vae(n=1, **options).vae
    torch.manual_seed(seed)
    return simulated_ranks(vae, simulated=simulated, draws=draws)


def test_an_exact_encoder_is_calibrated() -> None:
    """Mutations: draws of the guide as true z; x is the mean of p(x | z), or of another z."""
    found = ranks_of()
    assert found.values.shape == (1000, 3)
    assert (found.values.min(), found.values.max()) == (0, 99)
    assert found.p_values.min() > 0.05
    assert said(found).startswith("encoder calibrated")


def test_p_values_of_an_exact_encoder_are_uniform_themselves() -> None:
    """Mutation: ranks 1 to L, or 0 to L - 1, which a single test of many bins would forgive."""
    p = [uniformity(ranks_of(seed, simulated=400, draws=3).values, 3)[:2] for seed in range(40)]
    assert stats.kstest(np.concatenate(p), "uniform").pvalue > 0.01


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"shift": 0.2}, "shifted up"),
        ({"shift": -0.2}, "shifted down"),
        ({"widen": 1.4}, "too wide"),
        ({"widen": 0.7}, "too narrow"),
    ],
)
def test_a_wrong_encoder_is_found_and_called_what_it_is(options: dict[str, float], word: str) -> None:
    """Mutations: ranks from above; spread and shift change places; the signs; true z of another datum."""
    found = ranks_of(**options)
    assert (found.p_values[:2] < 1e-6).all()
    assert [fault(column, 99) for column in found.shares.T[:2]] == [word, word]
    assert said(found).startswith("encoder not calibrated: of 3 quantities, 1000 simulated data")
    assert f"z0 {word}" in said(found)


def test_a_guide_that_ignores_x_is_found_by_the_likelihood_alone() -> None:
    """Draws of the prior are exact on average over x. Mutations: log p(x | z) is not ranked, or of another x."""
    vae = linear_vae(n=1).vae
    with torch.no_grad():
        for parameter in vae.posterior.parameters():
            parameter.zero_()
    torch.manual_seed(0)
    found = simulated_ranks(vae, simulated=1000, draws=99)
    assert found.p_values[:2].min() > 0.05
    assert found.p_values[2] < 1e-12


def test_labels_are_drawn_and_read_by_both_parts() -> None:
    """A conditional linear model whose classes lie far apart.

    Mutations: other labels for the encoder than for the decoder; labels of the data.
    """
    base = linear_vae(n=1).vae
    vae = VAE(StandardNormal(2), Gaussian(linear, 2, (6,), 3, scale=0.5), DiagonalNormal(linear, 2, (6,), 3)).double()
    center = torch.randn(6, 3, dtype=torch.double, generator=torch.Generator().manual_seed(0)) * 5
    old, new = (
        [part.layers[0] for part in (model.likelihood.decoder, model.posterior.encoder)] for model in (base, vae)
    )
    with torch.no_grad():
        vae.likelihood.raw_scale.copy_(base.likelihood.raw_scale)
        new[0].weight.copy_(torch.cat([old[0].weight, center], 1))
        new[1].weight.copy_(torch.cat([old[1].weight, -old[1].weight @ center], 1))
        for layer, source in zip(new, old, strict=True):
            layer.bias.copy_(source.bias)
    torch.manual_seed(0)
    assert simulated_ranks(vae, simulated=1000, draws=99).p_values.min() > 0.01


def test_ranks_are_counts_and_ties_fall_by_chance() -> None:
    """Mutations: <= for <; ties never or always counted; one rank too few for them."""
    torch.manual_seed(0)
    draws = torch.arange(5.0)[:, None].expand(5, 4)
    assert rank(torch.tensor([-1.0, 0.5, 3.5, 9.0]), draws).tolist() == [0, 1, 4, 5]
    tied = rank(torch.zeros(6000), torch.zeros(3, 6000))
    assert stats.chisquare(torch.bincount(tied).numpy()).pvalue > 0.01
    assert sorted(set(tied.tolist())) == [0, 1, 2, 3]
    one = rank(torch.ones(6000), torch.tensor([0.0, 1.0, 2.0])[:, None].expand(3, 6000))
    assert stats.chisquare(torch.bincount(one).numpy()[1:]).pvalue > 0.01
    assert sorted(set(one.tolist())) == [1, 2]


@pytest.mark.parametrize("draws", [1, 7, 19, 29, 99, 100])
def test_as_many_of_each_rank_are_uniform_whatever_the_bins(draws: int) -> None:
    """Mutations: L for L + 1 in the edges or in the expected counts; equal expected counts."""
    ranks = np.tile(np.arange(draws + 1), 20)[:, None]
    assert uniformity(ranks, draws) == pytest.approx([1.0])
    shift, spread = moments((ranks[:, 0] + 0.5) / (draws + 1), draws)
    assert (shift, spread) == pytest.approx((0, 0), abs=1e-6)


def test_the_statistic_is_the_one_that_it_is_called() -> None:
    """60 of 100 ranks are 1 of 0 and 1: chi-square 4 with one degree of freedom, two standard errors of the mean."""
    ranks = np.repeat([0, 1], [40, 60])
    assert uniformity(ranks[:, None], 1) == pytest.approx([stats.chi2.sf(4, 1)])
    assert moments((ranks + 0.5) / 2, 1)[0] == pytest.approx(2)
    number = numbers_of(Ranks(ranks[:, None], 1))["quantities"]["log p(x | z)"]
    assert number["mean_rank"] == pytest.approx(0.55)
    assert number["mean_rank_standard_error"] == pytest.approx(0.5 * (0.24 / 99) ** 0.5)


def test_many_p_values_are_corrected() -> None:
    """Mutations: Bonferroni's; not monotone; in order of size instead of the columns'."""
    assert holm(np.array([0.01, 0.03, 0.02, 0.9])) == pytest.approx([0.04, 0.06, 0.06, 0.9])
    assert holm(np.array([0.6, 0.5])) == pytest.approx([1.0, 1.0])


def test_one_quantity_of_three_decides_after_correction() -> None:
    """60 of 100 alone would be beyond 5 %. Mutations: p-values as they are; the largest one decides."""
    for count, calibrated in ((60, True), (70, False)):
        columns = [np.repeat([0, 1], [100 - c, c]) for c in (50, count, 50)]
        found = numbers_of(Ranks(np.stack(columns, 1), 1))
        assert found["calibrated"] is calibrated
        assert found["p_smallest"] == pytest.approx(3 * stats.chi2.sf((count - 50) ** 2 / 25, 1))


def judged(vae: VAE) -> Judged:
    empty = Split(torch.full((1, 6), torch.nan))
    return Judged(vae, Dataset("toy", empty, empty, empty, "real"))


def test_the_section_reads_no_data_and_trains_nothing() -> None:
    """Mutations: real data; the verdict from p-values that are not corrected; the worst is not first."""
    vae = linear_vae(n=1, shift=0.3).vae
    before, held = {name: value.clone() for name, value in vae.state_dict().items()}, dict(pyro.get_param_store())
    torch.manual_seed(0)
    found = calibration(judged(vae), simulated=500, draws=19)
    numbers = found.numbers["quantities"]
    assert list(numbers) == ["z0", "z1", "log p(x | z)"]
    assert numbers["z0"]["fault"] == numbers["z1"]["fault"] == "shifted up"
    assert 0 < 0.5 - numbers["z0"]["mean_rank"] < 0.5
    assert found.numbers["calibrated"] is False
    worst = min(numbers, key=lambda name: numbers[name]["p"])
    assert f"for {worst} " in found.sentences[0]
    assert set(found.figures) == {"ranks", "ecdf"}
    assert all(torch.equal(value, before[name]) for name, value in vae.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in vae.parameters())
    assert dict(pyro.get_param_store()) == held


def test_what_has_no_ranks_is_told_why() -> None:
    for posterior, why in ((Point(linear, 2, (6,)), "point"), (build(POSTERIORS["laplace"], event_shape=(6,)), "flat")):
        with pytest.raises(NotApplicable, match=why):
            calibration(judged(VAE(Flat(2), Gaussian(linear, 2, (6,)), posterior)))
