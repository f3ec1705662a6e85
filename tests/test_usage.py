"""Use of the latent space: information of codes on both sides of its ceiling, holes and collapse, in closed form."""

import math

import pytest
import torch
from small_models import Linear, linear, linear_vae
from torch import Tensor

from pyrovae import VAE, Dataset, Flat, Gaussian, Point, Split
from pyrovae.evaluation.judged import Judged, NotApplicable
from pyrovae.evaluation.latent import active_units
from pyrovae.evaluation.paired import Paired
from pyrovae.evaluation.usage import (
    Aggregate,
    aggregate,
    averaged_kl,
    decoder_gain,
    prior_holes,
    share_of_holes,
    usage,
    verdict,
)


def drawn(n: int, draws: int = 2000, **options: float) -> tuple[Linear, Aggregate]:
    model = linear_vae(n=n, **options)
    torch.manual_seed(1)
    return model, aggregate(model.vae, model.x, None, draws)


def information(noise: float) -> float:
    """Returns I(x; z) of the exact posterior: half the log of prior variance over posterior variance, summed."""
    precision = torch.tensor([4.0, 1.0]) / noise**2 + 1
    return 0.5 * precision.log().sum().item()


def errors(found: Paired, expected: float) -> float:
    return (found.mean - expected) / found.standard_error


def test_information_below_its_ceiling_is_that_of_the_population() -> None:
    """Mutations: log N is left out; the own density at another datum's draw; a sum over draws instead of data."""
    _, found = drawn(8000)
    assert abs(errors(found.information, information(0.5))) < 4
    assert abs(found.information.mean - information(0.5)) < 0.1, "the error above is not what makes it pass"
    assert not found.saturated


def test_information_above_its_ceiling_is_the_ceiling() -> None:
    """Mutations: the ceiling in bits; saturation at the ceiling itself; the ceiling of the draws."""
    model, found = drawn(200, noise=1e-3)
    assert information(1e-3) > 14
    assert abs(found.information.mean - math.log(200)) < 0.01
    assert found.saturated
    # The rate is what it is, so that the divergence of this aggregate is the rest of it.
    rest = model.rate.mean().item() - math.log(200)
    assert abs(errors(found.marginal_divergence, rest)) < 4


@pytest.mark.parametrize(("shift", "widen"), [(0.0, 1.0), (0.7, 1.0), (0.0, 2.0)])
def test_the_aggregate_is_as_far_from_the_prior_as_two_normals_are(shift: float, widen: float) -> None:
    """Mutations: the prior's density at other points; minus; the information instead."""
    _, found = drawn(8000, shift=shift, widen=widen)
    variance = 1 / (torch.tensor([4.0, 1.0]) / 0.25 + 1)
    total = 1 - variance + widen**2 * variance
    expected = 0.5 * (total + shift**2 - 1 - total.log()).sum().item()
    assert abs(errors(found.marginal_divergence, expected)) < 4
    assert abs(found.marginal_divergence.mean - expected) < 0.1


def judged(model: Linear, data: Tensor) -> Judged:
    half = len(data) // 2
    splits = [Split(part.float()) for part in (data[:4], data[half:], data[:half])]
    return Judged(model.vae.float(), Dataset("toy", *splits, "real"))


def holes(shift: float) -> tuple[float, float]:
    model = linear_vae(n=8000, shift=shift)
    request = judged(model, model.x)
    torch.manual_seed(2)
    return share_of_holes(*prior_holes(request, *request.held_out("test"), 2000))


def test_a_prior_where_the_codes_are_has_no_holes_and_one_elsewhere_is_one() -> None:
    """Mutations: the other quantile; codes of the aggregate's own data; densities of the prior instead."""
    share, _ = holes(0.0)
    assert abs(share - 0.01) < 4 * math.sqrt(2 * 0.01 * 0.99 / 2000)
    # Codes are at N(6, 1), of which 1 % are below 3.67; of N(0, 1) all but one in 8000 are.
    assert holes(6.0)[0] > 0.99


def test_the_kl_of_dimensions_sums_to_the_rate() -> None:
    model = linear_vae(n=64, shift=0.3, widen=1.5)
    kl = averaged_kl(model.vae, model.x, None)
    assert kl is not None
    assert kl.shape == (2,)
    assert abs(kl.sum().item() - model.rate.mean().item()) < 1e-6


def test_a_code_helps_by_what_the_closed_form_says() -> None:
    """Mutations: the sign; means of the codes instead of draws; the own code twice."""
    model = linear_vae(n=8000)
    torch.manual_seed(3)
    found = decoder_gain(model.vae, model.x, None)
    # An exact draw z and x are distributed as the model draws them, so |x - W z|^2 is d s^2 on average; a neighbour's
    # z' is an independent draw of the prior, which adds |W (z - z')|^2, 2 |W|^2 on average.
    assert abs(errors(found, 2 * (4.0 + 1.0) / (2 * 0.25))) < 4


def test_verdicts() -> None:
    """Mutations: any -> all; the gain is not looked at; its error is not."""
    on, off = torch.tensor([True, True]), torch.tensor([False, False])
    clear, none = Paired(5.0, 0.1), Paired(0.3, 0.2)
    assert verdict(on, clear, clear) == "in use"
    assert verdict(off, clear, clear).startswith("collapsed: codes")
    assert verdict(on, Paired(0.1, 0.0), clear).startswith("collapsed: codes")
    assert verdict(on, clear, none).startswith("collapsed: the decoder")


def test_the_section_says_it_and_draws_it() -> None:
    model = linear_vae(n=400)
    found = usage(judged(model, model.x), codes=200, draws=100)
    assert found.numbers["verdict"] == "in use"
    assert found.numbers["active_units"] == int(active_units(model.vae, model.x.float()).sum()) == 2
    assert abs(found.numbers["rate"] - model.rate[:200].mean().item()) < 5 * found.numbers["rate_standard_error"]
    assert set(found.figures) == {"dimensions", "holes"}
    assert any("of at most log 200 = 5.30" in sentence for sentence in found.sentences)


def test_a_point_has_no_rate() -> None:
    vae = VAE(Flat(2), Gaussian(linear, 2, (6,)), Point(linear, 2, (6,)))
    model = linear_vae(n=16)
    with pytest.raises(NotApplicable, match="point"):
        usage(Judged(vae, judged(model, model.x).dataset))
