"""Likelihoods: SciPy where it has the distribution, else enumeration and quadrature; digits at the ends of float32."""

import copy
import math
from functools import partial
from typing import Any

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from compositions import WHOLE, keep, positional
from pyro.distributions import Independent
from scipy import stats
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from pyrovae import LIKELIHOODS as EVERY_ROW
from pyrovae import MLP, PyrovaeError
from pyrovae.continuous import ContinuousBernoulli, StudentT
from pyrovae.discrete import Binomial, DiscretizedLogistic, Grid
from pyrovae.likelihoods import Likelihood
from pyrovae.scalar import Widened

DOUBLE = torch.double
# The laws are of single elements; those of counts given their total and of text stand in test_text.py.
LIKELIHOODS = {name: row for name, row in EVERY_ROW.items() if name not in WHOLE}
LATENT, EVENT, LEVELS = 2, (2, 3), 9
VARIANTS: dict[str, list[dict[str, Any]]] = {
    **{name: [{"noise": noise} for noise in ("fixed", "shared", "pixel")] for name in LIKELIHOODS},
    "negative-binomial": [{"dispersion": "element"}, {"dispersion": "datum"}],
    "zero-inflated-negative-binomial": [{"dispersion": "element"}, {"dispersion": "datum"}],
    "student-t": [{"noise": "pixel", "tails": "fixed"}, {"noise": "shared", "df": 3.5}],
}
network = partial(MLP, hidden=[8], activation="tanh")


def made(name: str, levels: int = LEVELS, event: tuple[int, ...] = EVENT, **options: Any) -> Any:
    """Builds a row whose elements differ: its parameters are of size 1."""
    torch.manual_seed(0)
    supplied = {"network": network, "latent_dim": LATENT, "event_shape": event, "classes": 0, "levels": levels}
    row = LIKELIHOODS[name]
    likelihood = row(*positional(row, **supplied), **keep(row, options))
    for parameter in likelihood.parameters():
        nn.init.normal_(parameter, std=0.7)
    return likelihood.double()


def rows() -> list[Any]:
    """Returns every row with every variant of options that it has."""
    found = {}
    for name, row in LIKELIHOODS.items():
        for options in VARIANTS[name]:
            kept = keep(row, options)
            found["-".join([name, *map(str, kept.values())])] = (name, kept)
    return [pytest.param(*case, id=key) for key, case in found.items()]


EVERY = pytest.mark.parametrize(("name", "options"), rows())
NAME = pytest.mark.parametrize("name", LIKELIHOODS)
GREY = [name for name, row in LIKELIHOODS.items() if getattr(row, "accepts", ("",))[0] == "levels"]


def codes(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, LATENT, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def grid(levels: int = LEVELS, dtype: torch.dtype = DOUBLE) -> Tensor:
    return torch.arange(levels, dtype=dtype) / (levels - 1)


def lattice(kind: str) -> tuple[Tensor, Tensor]:
    """Returns points that exhaust a support, and the weight of each in a sum or an integral."""
    if kind == "unit":
        x = torch.linspace(0, 1, 20_001, dtype=DOUBLE)
        return x, trapezium(x)
    if kind == "real":
        u = torch.linspace(-math.pi / 2, math.pi / 2, 200_001, dtype=DOUBLE)[1:-1]
        return u.tan(), trapezium(u) / u.cos().square()
    x = {"binary": grid(2), "levels": grid(), "count": torch.arange(20_001, dtype=DOUBLE)}[kind]
    return x, torch.ones_like(x)


def trapezium(x: Tensor) -> Tensor:
    weights = torch.full_like(x, float(x[1] - x[0]))
    weights[0] /= 2
    weights[-1] /= 2
    return weights


def masses(likelihood: Any, p: Any) -> tuple[Tensor, Tensor]:
    """Returns points that exhaust the support, and the probability that each stands for, both by element."""
    x, weights = (t[(..., *(None,) * len(p.batch_shape))] for t in lattice(likelihood.accepts[0]))
    return x, p.log_prob(x.expand(-1, *p.batch_shape)).exp() * weights


# Laws over the table


@EVERY
def test_probabilities_sum_and_densities_integrate_to_one(name: str, options: dict[str, Any]) -> None:
    """Mutations below: levels without tails, a grid with a Jacobian."""
    likelihood = made(name, **options)
    p = likelihood(codes(2)).base_dist
    x, mass = masses(likelihood, p)
    torch.testing.assert_close(mass.sum(0), torch.ones_like(p.mean), atol=2e-7, rtol=0)
    torch.testing.assert_close((x * mass).sum(0), p.mean, atol=1e-5, rtol=1e-5)


@EVERY
def test_draws_are_of_the_support_and_of_that_mean(name: str, options: dict[str, Any]) -> None:
    likelihood = made(name, **options)
    p = likelihood(codes(1))
    torch.manual_seed(2)
    draws = p.sample((20_000,))
    assert p.support.check(draws).all()
    error = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - p.mean).abs() <= 4.5 * error + 2e-4).all()


@EVERY
def test_draws_are_of_that_distribution(name: str, options: dict[str, Any]) -> None:
    """P(x <= t) of draws at three thresholds; mutation: draws of a discretized logistic by floor instead of round."""
    likelihood = made(name, **options)
    p = likelihood(codes(1)).base_dist
    torch.manual_seed(3)
    draws, (x, mass) = p.sample((20_000,)), masses(likelihood, p)
    for t in (0.0, 0.3, 0.8):
        expected = (mass * (x <= t)).sum(0)
        error = (expected * (1 - expected)).clamp(min=1e-9).sqrt() / math.sqrt(len(draws))
        assert (((draws <= t).double().mean(0) - expected).abs() <= 4.5 * error + 1e-4).all()


@EVERY
def test_mass_or_density(name: str, options: dict[str, Any]) -> None:
    likelihood = made(name, **options)
    p = likelihood(codes(3)).base_dist
    assert likelihood.measure == ("mass" if p.support.is_discrete else "density")
    assert (likelihood.measure == "mass") == ("real" not in likelihood.accepts and "unit" not in likelihood.accepts)
    if likelihood.measure == "mass":
        assert (p.log_prob(p.sample()) <= 1e-12).all()


@EVERY
def test_particles_and_data_broadcast(name: str, options: dict[str, Any]) -> None:
    likelihood, z = made(name, **options), codes(4, 5)
    p = likelihood(z)
    x = p.sample()[0]
    assert isinstance(p, Independent)
    assert (p.batch_shape, p.event_shape, p.mean.shape) == ((4, 5), EVENT, (4, 5, *EVENT))
    each = torch.stack([likelihood(z[i, j]).log_prob(x[j]) for i in range(4) for j in range(5)])
    torch.testing.assert_close(p.log_prob(x), each.reshape(4, 5))
    expanded = likelihood(z[0]).expand((4, 5))
    assert (expanded.batch_shape, expanded.mean.shape, expanded.sample().shape) == ((4, 5), *[(4, 5, *EVENT)] * 2)
    torch.testing.assert_close(expanded.log_prob(x), likelihood(z[0]).log_prob(x).expand(4, 5))


@EVERY
def test_every_number_of_the_decoder_is_read(name: str, options: dict[str, Any]) -> None:
    """Mutation: a scale per pixel that leaves out what the decoder says."""
    likelihood = made(name, **options)
    numbers = likelihood.decoder(codes(5)).detach().requires_grad_()
    p = likelihood.elements(numbers)
    (gradient,) = torch.autograd.grad(p.log_prob(p.sample()).sum(), numbers)
    assert gradient.ne(0).all()


@EVERY
def test_elements_can_be_masked(name: str, options: dict[str, Any]) -> None:
    p = made(name, **options)(codes(4, 5))
    x = p.sample()
    seen = torch.rand(5, *EVENT, generator=torch.Generator().manual_seed(4)) < 0.5
    masked = Independent(p.base_dist.mask(seen), len(EVENT))
    expected = (p.base_dist.log_prob(x) * seen).flatten(2).sum(2)
    torch.testing.assert_close(masked.log_prob(torch.where(seen, x, 0.0)), expected)


@EVERY
@pytest.mark.parametrize("dtype", [torch.float, DOUBLE])
def test_everything_has_the_type_of_the_parameters(name: str, options: dict[str, Any], dtype: torch.dtype) -> None:
    p = made(name, **options).to(dtype)(codes(3).to(dtype))
    x = p.sample()
    assert {x.dtype, p.mean.dtype, p.log_prob(x).dtype} == {dtype}


@EVERY
def test_a_flat_graph_replays_a_row(name: str, options: dict[str, Any]) -> None:
    """Nothing in a row decides by the values of its tensors."""
    likelihood = made(name, **options)
    draws = [(codes(5, seed=seed), likelihood(codes(5, seed=seed)).sample()) for seed in (5, 6)]

    def score(z: Tensor, x: Tensor) -> Tensor:
        return likelihood(z).log_prob(x)

    with dist.validation_enabled(is_validate=False):
        graph = make_fx(score)(*draws[0])
    assert torch.equal(graph(*draws[1]), score(*draws[1]))


OUTSIDE = {"unit": [-0.1, 1.1], "levels": [-0.125, 1.125, 0.1], "binary": [0.5, 2.0], "count": [-1.0, 0.5]}


@NAME
def test_other_data_are_refused(name: str) -> None:
    likelihood = made(name)
    for value in [*OUTSIDE.get(likelihood.accepts[0], []), math.nan]:
        with pytest.raises(ValueError, match="support"):
            likelihood(codes(1)).log_prob(torch.full((1, *EVENT), value, dtype=DOUBLE))


# The ends of float32

EXTREMES = {
    "unit": [0.0, 1e-7, 0.5, 1.0],
    "levels": [0.0, 0.5, 1.0],
    "binary": [0.0, 1.0],
    "real": [-1e6, -1.0, 0.0, 1e6],
    "count": [0.0, 1.0, 300.0, 1e6],
}
FAR = [0.0, 1e-6, 0.09, -0.11, 1.0, -20.0, 1e2, -1e4, 1e6, -1e6]


@EVERY
@pytest.mark.parametrize("scale", [0.0, -1e4, 1e4])
def test_value_and_gradient_are_finite_everywhere(name: str, options: dict[str, Any], scale: float) -> None:
    """Mutations below: PyTorch's ContinuousBernoulli, the plain difference of sigmoids."""
    likelihood = made(name, event=(1,), **options).float()
    for tensor in (getattr(likelihood, n, None) for n in ("raw_scale", "raw_total_count", "raw_df")):
        if tensor is not None:
            tensor.data.fill_(scale)
    x = torch.tensor(EXTREMES[likelihood.accepts[0]])
    shape = likelihood.decoder(torch.zeros(LATENT)).shape
    table = torch.cartesian_prod(*[torch.tensor(FAR)] * min(3, shape.numel())).reshape(-1, min(3, shape.numel()))
    numbers = table.repeat(1, shape.numel())[:, : shape.numel()].reshape(-1, 1, *shape).requires_grad_()
    p = likelihood.elements(numbers)
    log_p = p.log_prob(x[:, None].expand(-1, 1)[None])
    log_p.sum().backward()
    assert log_p.isfinite().all()
    assert p.mean.isfinite().all()
    assert p.support.check(p.sample()).all()
    grads = [q.grad for q in [numbers, *likelihood.parameters(recurse=False)] if q.grad is not None]
    assert len(grads) >= 1
    assert all(grad.isfinite().all() for grad in grads)


@EVERY
def test_float32_keeps_its_digits(name: str, options: dict[str, Any]) -> None:
    """Float64 is the oracle, of the same parameters; mutation: counts that are not widened."""
    single = made(name, levels=256, rate=1e5, **options).float()
    double = copy.deepcopy(single).double()
    with torch.no_grad():
        numbers = 3 * single.decoder(codes(50).float())
        x = single.elements(numbers).sample()
        exact = double.elements(numbers.double()).log_prob(x.double())
        torch.testing.assert_close(single.elements(numbers).log_prob(x).double(), exact, atol=3e-5, rtol=3e-6)
        means = single.elements(numbers).mean.double(), double.elements(numbers.double()).mean
        torch.testing.assert_close(*means, atol=1e-6, rtol=1e-5)


COUNT = torch.tensor([0.0, 3.0, 1e3, 1e6])


def widening_error(distribution: Any) -> Tensor:
    """Returns by how much float32 misses the log probability of counts that lie near the rate."""
    exact = Widened(distribution(DOUBLE), torch.float).log_prob(COUNT)
    return (distribution(torch.float).log_prob(COUNT) - exact).abs().max()


def test_counts_in_float32_would_be_wrong() -> None:
    rate = COUNT + 1
    many = torch.tensor(1e4)
    assert widening_error(lambda t: dist.Poisson(rate.to(t))) > 0.1
    assert widening_error(lambda t: dist.NegativeBinomial(many.to(t), logits=(rate / many).to(t).log())) > 0.1


def test_a_saturated_logit_would_be_wrong_by_nats_in_pytorch() -> None:
    logits, x = torch.tensor([-200.0, 200.0]), torch.tensor([0.1, 0.9])
    expected = (torch.tensor(200.0).log() - 20).expand(2)
    assert ((dist.ContinuousBernoulli(logits=logits).log_prob(x) - expected).abs() > 2).all()
    torch.testing.assert_close(ContinuousBernoulli(logits).log_prob(x), expected)


def test_a_difference_of_sigmoids_would_be_zero() -> None:
    loc, scale = torch.tensor(200.0), torch.tensor(1.0)
    naive = torch.sigmoid((50.5 - loc) / scale) - torch.sigmoid((49.5 - loc) / scale)
    assert naive.log().isneginf()
    exact = stats.logistic.logsf(149.5) + math.log1p(-math.exp(-1))
    assert DiscretizedLogistic(loc, scale, 256).log_prob(torch.tensor(50.0)).item() == pytest.approx(exact, rel=1e-6)


def test_a_wide_logistic_keeps_its_digits() -> None:
    """An inner level has s^-1 / 4 of the mass; mutation: log(1 - exp(-1 / s)), wrong by a tenth of a nat."""
    loc, scale = torch.tensor(128.0), torch.tensor(2e6)
    log_p = DiscretizedLogistic(loc, scale, 256).log_prob(torch.tensor(100.0)).item()
    assert log_p == pytest.approx(-math.log(8e6), abs=1e-5)


# Oracles

LINE = torch.linspace(-4, 4, 9, dtype=DOUBLE)


def agree(distribution: Any, x: Tensor, log_p: Any) -> None:
    torch.testing.assert_close(distribution.log_prob(x), torch.as_tensor(log_p, dtype=x.dtype), atol=1e-8, rtol=1e-9)


def elements(name: str, numbers: Tensor, levels: int = LEVELS, **options: Any) -> tuple[Any, Any]:
    """Returns a row, and its distribution of one element per column of numbers."""
    likelihood = made(name, levels, numbers.shape[-1:], **options)
    return likelihood, likelihood.elements(numbers)


def test_bernoulli_of_scipy() -> None:
    _, p = elements("bernoulli", LINE)
    x = LINE.gt(0.5).double()
    agree(p, x, stats.bernoulli(LINE.sigmoid()).logpmf(x))


@pytest.mark.parametrize(("name", "oracle"), [("gaussian", stats.norm), ("laplace", stats.laplace)])
def test_location_and_scale_of_scipy(name: str, oracle: Any) -> None:
    likelihood, p = elements(name, LINE)
    scale = likelihood.scale().item()
    agree(p, LINE.flip(0), oracle(LINE, scale).logpdf(LINE.flip(0)))


@pytest.mark.parametrize("df", [1.01, 1.5, 4.0, 100.0, 1e4])
def test_student_t_of_scipy(df: float) -> None:
    p = StudentT(torch.tensor(df, dtype=DOUBLE), LINE, torch.tensor(0.3, dtype=DOUBLE))
    agree(p, LINE.flip(0), stats.t(df, LINE, 0.3).logpdf(LINE.flip(0)))


def test_student_t_keeps_its_digits_at_many_degrees_of_freedom() -> None:
    """Mutation: the normaliser in float32, as PyTorch has it."""
    df, at, one = torch.tensor(1e4), torch.zeros(()), torch.ones(())
    exact = stats.t(1e4).logpdf(0.0)
    assert StudentT(df, at, one).log_prob(at).item() == pytest.approx(exact, abs=1e-6)
    assert abs(dist.StudentT(df, at, one).log_prob(at).item() - exact) > 5e-4


def test_student_t_starts_at_its_degrees_of_freedom() -> None:
    for tails, learned in (("fixed", 0), ("shared", 1)):
        likelihood = LIKELIHOODS["student-t"](network, 2, (3,), df=7.5, tails=tails)
        assert likelihood(torch.zeros(2)).base_dist.df.tolist() == pytest.approx([7.5] * 3)
        assert ("raw_df" in dict(likelihood.named_parameters())) == learned


@pytest.mark.parametrize("levels", [2, 9, 256])
def test_binomial_of_scipy(levels: int) -> None:
    _, p = elements("binomial", LINE, levels)
    for k in range(0, levels, max(1, levels // 20)):
        x = torch.full_like(LINE, k / (levels - 1))
        agree(p, x, stats.binom(levels - 1, LINE.sigmoid()).logpmf(k))


def test_binomial_of_pyro_at_saturated_logits() -> None:
    logits = torch.tensor([-1e4, -50.0, 0.0, 50.0, 1e4], dtype=DOUBLE)
    for k in torch.arange(9.0, dtype=DOUBLE):
        agree(Binomial(logits, 9), k.expand(5), dist.Binomial(8, logits=logits).log_prob(k.expand(5)))


def test_categorical_is_a_softmax() -> None:
    numbers = torch.randn(LEVELS, 4, dtype=DOUBLE, generator=torch.Generator().manual_seed(7))
    _, p = elements("categorical", numbers)
    for k in range(LEVELS):
        agree(p, torch.full((4,), k / (LEVELS - 1), dtype=DOUBLE), numbers.log_softmax(0)[k])
    torch.testing.assert_close(p.mean, (numbers.softmax(0) * grid()[:, None]).sum(0))


def logistic_mass(k: int, loc: Tensor, scale: float, levels: int) -> Tensor:
    """Returns P(k) by SciPy's logistic distribution, where white is 1."""
    edge = 0.5 / (levels - 1)
    q = stats.logistic(loc.numpy(), scale)
    low = q.cdf(k / (levels - 1) - edge) if k > 0 else 0.0
    return torch.as_tensor((q.cdf(k / (levels - 1) + edge) if k < levels - 1 else np.ones(loc.shape)) - low)


@pytest.mark.parametrize("levels", [2, 3, 9])
def test_discretized_logistic_of_scipy(levels: int) -> None:
    likelihood, p = elements("discretized-logistic", LINE / 4, levels)
    scale = likelihood.scale().item()
    for k in range(levels):
        expected = logistic_mass(k, 0.5 + LINE / 4, scale, levels)
        torch.testing.assert_close(p.log_prob(torch.full_like(LINE, k / (levels - 1))).exp(), expected)


def test_mixture_of_scipy() -> None:
    numbers = torch.randn(2, 3, 4, dtype=DOUBLE, generator=torch.Generator().manual_seed(8)) / 2
    likelihood, p = elements("discretized-logistic-mixture", numbers, components=3, noise="shared")
    weights, loc, scale = numbers[0].softmax(0), numbers[1] + torch.tensor([[1.0], [3], [5]]) / 6, likelihood.scale()
    for k in range(LEVELS):
        expected = (weights * logistic_mass(k, loc, scale.item(), LEVELS)).sum(0)
        torch.testing.assert_close(p.log_prob(torch.full((4,), k / (LEVELS - 1), dtype=DOUBLE)).exp(), expected)


def test_one_component_is_no_mixture() -> None:
    _, one = elements("discretized-logistic", LINE / 9, noise="fixed")
    numbers = torch.stack([LINE, LINE / 9])[:, None]
    _, mixture = elements("discretized-logistic-mixture", numbers, components=1, noise="fixed")
    for x in grid():
        agree(mixture, x.expand(9), one.log_prob(x.expand(9)))
    torch.testing.assert_close(mixture.mean, one.mean)


COUNTS = torch.tensor([0.0, 0, 1, 5, 40, 300, 9000, 1e6], dtype=DOUBLE)
RAW = torch.linspace(-6, 6, 8, dtype=DOUBLE)


def test_poisson_of_scipy() -> None:
    likelihood, p = elements("poisson", RAW, rate=50.0)
    agree(p, COUNTS, stats.poisson(likelihood.rate(RAW)).logpmf(COUNTS))
    assert likelihood.rate(torch.tensor([-1e9, 0.0, 1e9])).tolist() == pytest.approx([0.005, 50, 5e5])


def nbinom(likelihood: Any, raw: Tensor) -> Any:
    total_count = torch.exp(math.log(1e4) * (likelihood.raw_total_count / math.log(1e4)).tanh()).detach()
    return stats.nbinom(total_count.numpy(), (total_count / (total_count + likelihood.rate(raw))).numpy())


def test_negative_binomial_of_scipy() -> None:
    likelihood, p = elements("negative-binomial", RAW[None], rate=50.0)
    oracle = nbinom(likelihood, RAW)
    agree(p, COUNTS, oracle.logpmf(COUNTS))
    torch.testing.assert_close(p.mean, torch.as_tensor(oracle.mean()))
    torch.testing.assert_close(p.base.variance, torch.as_tensor(oracle.var()))


def test_zero_inflation_of_scipy() -> None:
    gate = RAW.flip(0)
    likelihood, p = elements("zero-inflated-negative-binomial", torch.stack([gate, RAW]), rate=50.0)
    oracle, lost = nbinom(likelihood, RAW), gate.sigmoid()
    kept = (-gate).sigmoid().log() + torch.as_tensor(oracle.logpmf(COUNTS.numpy()))
    agree(p, COUNTS, torch.where(COUNTS == 0, torch.logaddexp(lost.log(), kept), kept))
    torch.testing.assert_close(p.mean, (1 - lost) * torch.as_tensor(oracle.mean()))


@pytest.mark.parametrize("dispersion", ["element", "datum"])
@pytest.mark.parametrize("name", ["negative-binomial", "zero-inflated-negative-binomial"])
def test_dispersion_is_of_elements_or_of_data(name: str, dispersion: str) -> None:
    p = made(name, dispersion=dispersion)(codes(6)).base_dist.base
    total_count = (p if name == "negative-binomial" else p.base_dist).total_count.flatten(1)
    assert len(total_count.unique(dim=0)) == (1 if dispersion == "element" else 6)
    assert len(total_count[0].unique()) == math.prod(EVENT)


@pytest.mark.parametrize("logit", [0.0, 1e-9, 0.05, 0.0999, 0.1001, -0.05, 3.0, -8.0, 40.0, -700.0])
def test_continuous_bernoulli_of_its_definition(logit: float) -> None:
    """Mutation: the series one term shorter."""
    q = ContinuousBernoulli(torch.tensor(logit, dtype=DOUBLE))
    x = torch.linspace(0, 1, 200_001, dtype=DOUBLE)
    shape = (logit * x - max(logit, 0.0)).exp()
    area = (shape * trapezium(x)).sum()
    mean = (x * shape * trapezium(x)).sum() / area
    assert q.log_prob(x[1000]).item() == pytest.approx((shape[1000] / area).log().item(), rel=1e-5, abs=1e-9)
    assert q.mean.item() == pytest.approx(mean.item(), rel=1e-5)


def test_continuous_bernoulli_of_pytorch_in_float64() -> None:
    logits = torch.linspace(-9, 9, 40, dtype=DOUBLE)
    x = torch.rand(40, dtype=DOUBLE, generator=torch.Generator().manual_seed(9))
    theirs = dist.ContinuousBernoulli(logits=logits)
    agree(ContinuousBernoulli(logits), x, theirs.log_prob(x))
    torch.testing.assert_close(ContinuousBernoulli(logits).mean, theirs.mean)


def test_both_branches_of_the_continuous_bernoulli_meet() -> None:
    """Value and gradient on either side of where the series takes over; the gradient is x - E[x]."""
    logits = torch.tensor([-0.1 - 1e-12, -0.1 + 1e-12, 0.0, 0.1 - 1e-12, 0.1 + 1e-12], dtype=DOUBLE).requires_grad_()
    q, x = ContinuousBernoulli(logits), torch.tensor(0.3, dtype=DOUBLE)
    (gradient,) = torch.autograd.grad(q.log_prob(x).sum(), logits)
    torch.testing.assert_close(gradient, x - q.mean, atol=1e-11, rtol=0)
    torch.testing.assert_close(q.log_prob(x)[[0, 3]], q.log_prob(x)[[1, 4]], atol=1e-11, rtol=0)


# Grey levels


def uniform(name: str) -> Any:
    """Returns a row at 256 levels whose decoder says 0 of every element."""
    likelihood = made(name, levels=256, event=(3, 4)).float()
    for parameter in likelihood.decoder.parameters():
        nn.init.zeros_(parameter)
    return likelihood


def bits(likelihood: Any) -> Tensor:
    """Returns bits per dimension of data of each level: log p(x) of a datum by its dimensions and log 2."""
    x = grid(256, torch.float)[:, None, None].expand(-1, 3, 4)
    return -likelihood(torch.zeros(256, LATENT)).log_prob(x) / (12 * math.log(2))


def test_the_uniform_model_of_256_levels_has_8_bits_per_dimension() -> None:
    likelihood = uniform("categorical")
    assert bits(likelihood).tolist() == [8.0] * 256
    datum = likelihood.double()(torch.zeros(LATENT, dtype=DOUBLE)).base_dist.log_prob(grid(256)[7].expand(3, 4))
    assert datum.tolist() == [[-math.log(256)] * 4] * 3


@pytest.mark.parametrize("name", GREY)
def test_no_model_codes_uniform_levels_in_less(name: str) -> None:
    """Gibbs' inequality: with one bit lost or won somewhere, a row could be compared with none."""
    mean = bits(uniform(name)).mean().item()
    assert mean == 8.0 if name == "categorical" else mean > 8.001


class NoTails(DiscretizedLogistic):
    """The mutation: outer levels are intervals like all others."""

    def _log_prob(self, value: Tensor) -> Tensor:
        low, high = (value - 0.5 - self.loc) / self.scale, (value + 0.5 - self.loc) / self.scale
        return (high.sigmoid() - low.sigmoid()).log()


class WithJacobian(Grid):
    """The mutation: levels as a change of variables, as of a density."""

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value) + math.log(self.levels - 1)


@pytest.mark.parametrize("mutation", ["tails", "jacobian"])
def test_a_mutation_fails_to_sum_to_one(mutation: str) -> None:
    loc, scale = 4 + LINE, torch.ones_like(LINE)
    base = (NoTails if mutation == "tails" else DiscretizedLogistic)(loc, scale, LEVELS)
    wrong = (WithJacobian if mutation == "jacobian" else Grid)(base, LEVELS)
    right = Grid(DiscretizedLogistic(loc, scale, LEVELS), LEVELS)
    total, expected = (p.log_prob(grid()[:, None].expand(LEVELS, 9)).exp().sum(0) for p in (wrong, right))
    assert ((total - 1).abs() > 1e-3).any()
    torch.testing.assert_close(expected, torch.ones_like(LINE))


def test_zeros_that_are_not_lost_would_miss_the_mean() -> None:
    likelihood = made("zero-inflated-negative-binomial")
    p = likelihood(codes(2)).base_dist
    x, mass = masses(likelihood, p)
    assert ((p.base.base_dist.mean - (x * mass).sum(0)).abs() > 0.05).all()


@pytest.mark.parametrize("levels", [2, 3, 17, 256, 1024])
@pytest.mark.parametrize("dtype", [torch.float, DOUBLE])
def test_a_grid_knows_its_points_up_to_rounding(levels: int, dtype: torch.dtype) -> None:
    p = Grid(Binomial(torch.zeros((), dtype=dtype), levels), levels)
    x = torch.arange(levels).to(torch.float) / (levels - 1)
    assert p.support.check(x.to(dtype)).all()
    assert p.support.check(torch.nextafter(x, torch.tensor(2.0)).to(dtype)).all()
    assert not p.support.check(x.to(dtype) + 0.01 / (levels - 1)).any()
    assert not p.support.check(torch.tensor([-1.0, levels]) / (levels - 1)).any()
    exact = Binomial(torch.zeros((), dtype=dtype), levels).log_prob(torch.arange(levels).to(dtype))
    assert torch.equal(p.log_prob(x.to(dtype)), exact)


def test_binary_data_are_two_levels() -> None:
    """On two levels every row is a Bernoulli distribution."""
    x = torch.tensor([[0.0], [1.0]], dtype=DOUBLE)
    for name in GREY:
        p = made(name, levels=2, event=(5,))(codes(1)).base_dist
        agree(p, x.expand(2, 5), dist.Bernoulli(p.mean[0]).log_prob(x.expand(2, 5)))


@pytest.mark.parametrize("name", GREY)
@pytest.mark.parametrize("levels", [None, 0, 1])
def test_data_without_levels_are_refused(name: str, levels: Any) -> None:
    with pytest.raises(PyrovaeError, match=name) as caught:
        made(name, levels=levels)
    assert "gaussian" in caught.value.hint


def test_too_many_classes_are_refused() -> None:
    with pytest.raises(PyrovaeError, match="65536 grey levels: 256 at most") as caught:
        made("categorical", levels=65536)
    assert "discretized-logistic" in caught.value.hint


@pytest.mark.parametrize("df", [1.0, 0.5, 1e5])
def test_tails_without_a_mean_are_refused(df: float) -> None:
    with pytest.raises(PyrovaeError, match=r"likelihood\.df") as caught:
        LIKELIHOODS["student-t"](network, 2, (3,), df=df)
    assert "1.01 or more" in caught.value.hint


def test_the_scale_is_shared_code() -> None:
    """Every row with a scale starts from it, fixed, learned, or read from z around it."""
    for name in ("gaussian", "laplace", "student-t", "discretized-logistic", "discretized-logistic-mixture"):
        for noise, learned in (("fixed", 0), ("shared", 1), ("pixel", 1)):
            options: dict[str, Any] = {"noise": noise, "scale": 0.3}
            row = LIKELIHOODS[name]
            supplied = {"network": network, "latent_dim": 2, "event_shape": (3,), "classes": 0, "levels": 4}
            likelihood: Any = row(*positional(row, **supplied), **options)
            assert ("raw_scale" in dict(likelihood.named_parameters())) == learned
            assert likelihood.scale().item() == pytest.approx(0.3)


def test_a_new_row_is_one_method() -> None:
    class Exponential(Likelihood):
        """Independent exponential elements (a test, 2026)."""

        accepts = ("real",)
        measure = "density"

        def elements(self, numbers: Tensor) -> Any:
            return dist.Exponential(numbers.exp())

    assert Exponential(network, LATENT, EVENT)(torch.zeros(5, LATENT)).event_shape == EVENT
