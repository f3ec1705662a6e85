"""Other data told apart: areas and errors against closed forms and simulation, scores against exact densities."""

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from pyro.distributions import MultivariateNormal, Normal
from small_models import bent, linear_vae
from torch import Tensor

from pyrovae import VAE, Dataset, DiagonalNormal, Flat, Gaussian, Point, Split, StandardNormal
from pyrovae.data.units import Units
from pyrovae.errors import PyrovaeError
from pyrovae.evaluation.judged import Findings, Judged, NotApplicable
from pyrovae.evaluation.manifolds import Measured
from pyrovae.evaluation.outliers import NAMES, as_read, auroc, outliers, said

MODEL, BACKGROUND = linear_vae(n=1200), linear_vae(n=1, noise=1.5, seed=3)
OWN = MODEL.x[:900]
SHIFTED = (OWN.mean(0) + 0.8 * (MODEL.x[900:] - OWN.mean(0)) + 0.3).float()


def data(x: Tensor, name: str = "own", **options: Any) -> Dataset:
    """Returns a third of the rows for each purpose."""
    train, validation, test = (Split(rows.float()) for rows in x.chunk(3))
    return Dataset(name, train, validation, test, "real", **options)


def judged(against: Dataset | None, vae: VAE = MODEL.vae) -> Judged:
    return Judged(vae, data(OWN), against=against)


def pairs(own: Tensor, other: Tensor) -> float:
    """Returns the share of pairs where the other datum's score is higher, ties by half."""
    return (other[:, None] > own).double().add(0.5 * (other[:, None] == own).double()).mean().item()


@pytest.mark.parametrize("distance", [0.0, 1.0, 2.5])
def test_two_normals_have_the_area_of_the_closed_form(distance: float) -> None:
    """Mutations: own and other swapped; the distance is not over sqrt 2; the error is left at one set's."""
    torch.manual_seed(0)
    area = auroc(torch.randn(4000), torch.randn(1500) + distance)
    expected = Normal(0.0, 1.0).cdf(torch.tensor(distance / math.sqrt(2))).item()
    assert abs(area.value - expected) < 4 * area.standard_error
    assert area.standard_error < 0.01


def test_the_area_counts_pairs_and_halves_of_ties() -> None:
    """Mutations: ties count 1 or 0 in the placements, whose mean is the area as well."""
    own, other = torch.tensor([0.0, 1.0, 1.0, 2.0]), torch.tensor([1.0, 3.0, 0.0])
    right = (other[:, None] > own).double() + 0.5 * (other[:, None] == own)
    above, below = right.mean(0), right.mean(1)
    area = auroc(own, other)
    assert area.value == pytest.approx(pairs(own, other), abs=1e-12)
    assert area.standard_error == pytest.approx((above.var() / 4 + below.var() / 3).sqrt().item(), abs=1e-12)


def test_the_error_is_the_spread_of_areas_over_samples() -> None:
    """Mutations: m and n swapped; one of the two variances is left out; a binomial error."""
    torch.manual_seed(1)
    found = [auroc(torch.randn(80), 4 * torch.randn(20) + 1) for _ in range(500)]
    spread = torch.tensor([area.value for area in found]).std().item()
    claimed = torch.tensor([area.standard_error for area in found]).square().mean().sqrt().item()
    assert abs(claimed / spread - 1) < 4 / math.sqrt(2 * len(found))


def exact(model: VAE, x: Tensor) -> Tensor:
    """Returns log p(x) of a linear VAE in closed form."""
    decoder = model.likelihood.decoder.layers[0]
    w, b = decoder.weight.detach(), decoder.bias.detach()
    scale = model.likelihood(torch.zeros(2, dtype=torch.double)).stddev.detach()
    return MultivariateNormal(b, w @ w.T + scale.square().diag()).log_prob(x.double())


def test_scores_are_those_of_exact_densities() -> None:
    """With its exact posterior a linear VAE's log p(x) is exact, and so are all three areas.

    Mutations: the mean of test data instead of validation data; a sign; the ratio upside down; the other data's
    training rows.
    """
    against = data(SHIFTED, "shifted")
    found = outliers(replace(judged(against), background=BACKGROUND.vae), particles=25)
    own, other = judged(against).held_out("test")[0], against.held_out("test")[0]
    typical = exact(MODEL.vae, judged(against).held_out("validation")[0]).mean()
    expected = {
        "log_prob": [-exact(MODEL.vae, x) for x in (own, other)],
        "typicality": [(exact(MODEL.vae, x) - typical).abs() for x in (own, other)],
        "likelihood_ratio": [exact(BACKGROUND.vae, x) - exact(MODEL.vae, x) for x in (own, other)],
    }
    assert list(expected) == list(NAMES)
    for name, scores in expected.items():
        assert found.numbers[f"{name}_auroc"] == pytest.approx(pairs(*scores), abs=1e-4), name
    values = [found.numbers[f"{name}_auroc"] for name in NAMES]
    assert min(abs(a - b) for a, b in itertools.combinations(values, 2)) > 0.02, "the scores say different things"
    assert found.numbers["own_mean"] == pytest.approx(exact(MODEL.vae, own).mean().item(), abs=1e-4)
    assert found.numbers["other_mean"] == pytest.approx(exact(MODEL.vae, other).mean().item(), abs=1e-4)
    assert list(found.figures) == ["log_prob"]


def section(against: Tensor, **options: int) -> Findings:
    return outliers(judged(data(against, "other")), particles=25, **options)


def test_more_of_the_same_data_are_not_told_apart() -> None:
    """Mutations: scores of the wrong data; the own mean for the other data's typicality."""
    numbers = section(MODEL.x[900:]).numbers
    for name in ("log_prob", "typicality"):
        assert abs(numbers[f"{name}_auroc"] - 0.5) < 4 * numbers[f"{name}_auroc_standard_error"]
    assert "likelihood_ratio_auroc" not in numbers


def test_sizes_are_those_asked_for() -> None:
    numbers = section(SHIFTED, each=40).numbers
    assert (numbers["own_data"], numbers["other_data"]) == (40, 40)
    fewer = outliers(replace(judged(data(SHIFTED, "other")), data=30), particles=25).numbers
    assert (fewer["own_data"], fewer["other_data"]) == (30, 30)


def test_an_area_below_one_half_is_said() -> None:
    assert "more like" in said("log_prob", Measured(0.4, 0.03), "svhn")
    assert "more like" not in said("log_prob", Measured(0.4, 0.06), "svhn")
    assert "overlap" in said("log_prob", Measured(1.0, 0.0), "svhn")


def test_other_units_are_read_as_the_vae_reads() -> None:
    """Mutations: the other data's units are forgotten; the VAE's are; both ways round."""
    metres, feet = torch.tensor([2.0, 1.0]), torch.tensor([4.0, 3.0])
    own = Units(metres.double(), feet.double())
    other = Units(torch.ones(2, dtype=torch.double), 10 * torch.ones(2, dtype=torch.double))
    x = torch.arange(12.0).reshape(6, 2)
    for units in (own, None):
        request = Judged(MODEL.vae, data(x, units=units))
        expected = 10 * x[4:] + 1
        expected = expected if units is None else (expected - metres) / feet
        assert torch.allclose(as_read(request, data(x, units=other), 5), expected)
    assert torch.allclose(as_read(Judged(MODEL.vae, data(x, units=own)), data(x), 1), (x[4:5] - metres) / feet)


def test_data_of_another_kind_are_refused_by_both_names() -> None:
    own = data(OWN)
    others = [data(OWN[:, :5], "narrow"), replace(own, name="pixels", support="unit")]
    others.append(replace(own, name="holes", missing=True))
    for other in others:
        with pytest.raises(PyrovaeError, match=f"own is .*6.* real, {other.name} is "):
            outliers(judged(other))


def vae_of(*, classes: int = 0, width: int = 6) -> VAE:
    parts = Gaussian(bent, 2, (width,), classes=classes), DiagonalNormal(bent, 2, (width,), classes=classes)
    return VAE(StandardNormal(2), *parts)


def test_what_has_no_density_of_other_data_is_not_judged() -> None:
    other = data(SHIFTED)
    with pytest.raises(NotApplicable, match="--against"):
        outliers(judged(None))
    with pytest.raises(NotApplicable, match="autoencoder"):
        outliers(judged(other, VAE(Flat(2), Gaussian(bent, 2, (6,)), Point(bent, 2, (6,)))))
    with pytest.raises(NotApplicable, match="labels"):
        outliers(judged(other, vae_of(classes=3)))
    for background in (vae_of(classes=3), vae_of(width=5)):
        with pytest.raises(PyrovaeError, match="--background"):
            outliers(replace(judged(other), background=background), particles=25)
