"""Laws of `fit`: engines agree, a seed names a run, selection looks at validation data only, and faults are named."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any

import pytest
import torch
from compositions import SMALL, objective_of
from pyro.infer import RenyiELBO, Trace_ELBO, TraceMeanField_ELBO
from torch import Tensor, nn

from pyrovae import (
    ELBO,
    IWAE,
    MLP,
    OBJECTIVES,
    PRIORS,
    VAE,
    AnalyticELBO,
    Bernoulli,
    Dataset,
    DiagonalNormal,
    Gaussian,
    GaussianMixture,
    History,
    StandardNormal,
    fit,
    make_dataset,
)
from pyrovae.densities import Densities
from pyrovae.errors import PyrovaeError
from pyrovae.schema import construct
from pyrovae.training.engines import ENGINES
from pyrovae.training.loop import Order
from pyrovae.training.monitor import validate
from pyrovae.vae import is_proper

EVENT, LATENT, CLASSES, ROWS = (6,), 2, 3, 60
ENGINE = pytest.mark.parametrize("engine", ENGINES)
network = partial(MLP, hidden=[8])
loop, monitor = (import_module(f"pyrovae.training.{name}") for name in ("loop", "monitor"))
Weights = dict[str, Tensor]
CHOSEN = SMALL | {"vamp": {"pseudo_inputs": 6, "labels": True}}  # other rows take their defaults
TRAINABLE = [name for name, prior in PRIORS.items() if is_proper(prior)]  # with a posterior that has a density


class Double(Dataset):
    """The same data in double precision."""

    def _read(self, x: Tensor) -> Tensor:
        return super()._read(x).double()


def toy(rows: int = ROWS, held_out: int = 10, seed: int = 0, kind: type[Dataset] = Dataset) -> Dataset:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(rows + 2 * held_out, *EVENT, generator=generator).round()
    y = torch.arange(len(x)) % CLASSES
    data = make_dataset("toy", x, y, validation=held_out, test=held_out, classes=tuple("abc"))
    return kind(**{name: getattr(data, name) for name in Dataset.__dataclass_fields__})


def make(prior: str = "standard-normal", seed: int = 0, **options: Any) -> VAE:
    torch.manual_seed(seed)
    posterior = DiagonalNormal(network, LATENT, EVENT)
    context = {"latent_dim": LATENT, "event_shape": EVENT, "support": "binary", "classes": CLASSES}
    made = construct(PRIORS[prior], CHOSEN.get(prior, {}), context | {"posterior": posterior})
    return VAE(made, Bernoulli(network, LATENT, EVENT), posterior)


def weights(vae: nn.Module) -> Weights:
    return {name: value.detach().clone() for name, value in vae.state_dict().items()}


def equal(a: Weights, b: Weights) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def trained(vae: VAE | None = None, data: Dataset | None = None, objective: Any = None, **options: Any) -> Weights:
    vae = vae or make()
    quick = {"epochs": 3, "batch_size": 16, "learning_rate": 0.01}
    fit(vae, data or toy(), objective or ELBO(), **quick | options)
    return weights(vae)


# Engines agree


COSINE, STEP = ({"schedule": name, "value": 1e-2} for name in ("cosine", "step"))
WARM = {"schedule": "linear", "steps": 60}


@pytest.mark.parametrize(
    ("prior", "learning_rate", "beta"),
    [("standard-normal", 1e-2, 1.0), ("standard-normal", STEP, 1.0), *((prior, COSINE, WARM) for prior in TRAINABLE)],
)
def test_every_engine_gives_the_same_weights(prior: str, learning_rate: Any, beta: Any) -> None:
    """100 steps in double precision; mutation: a learning-rate schedule counted in epochs by one of the engines."""
    options = {"epochs": 25, "batch_size": 16, "learning_rate": learning_rate}
    runs = {}
    for engine in ENGINES:
        runs[engine] = trained(make(prior).double(), toy(kind=Double), ELBO(beta=beta), engine=engine, **options)
    start = weights(make(prior).double())
    for found in runs.values():
        assert max((found[name] - start[name]).abs().max().item() for name in start) > 0.1
        assert max((found[name] - runs["eager"][name]).abs().max().item() for name in start) < 1e-6


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_engine_gives_the_same_record(objective: str) -> None:
    records = [
        fit(make(), toy(), objective_of(objective, size=ROWS), epochs=2, engine=e, batch_size=16).records
        for e in ENGINES
    ]
    for rows in zip(*records, strict=True):
        kl = [row.pop("kl", []) for row in rows]
        assert all(values == pytest.approx(kl[0], rel=1e-5) for values in kl)
        for row in rows:
            assert row | {"seconds": 0} == pytest.approx(rows[0] | {"seconds": 0}, rel=1e-5)


# A seed names a run


def test_data_order_is_a_function_of_seed_and_epoch() -> None:
    def rows(seed: int, epoch: int) -> list[int]:
        batches = Order(seed, epoch, 50, 7)
        return torch.cat([batches[i] for i in range(len(batches))]).tolist()

    torch.manual_seed(1)
    first = rows(0, 1)
    torch.manual_seed(2)
    assert rows(0, 1) == first
    assert sorted(first) == list(range(50))
    assert len({tuple(rows(seed, epoch)) for seed in range(4) for epoch in range(4)}) == 16
    assert Order(0, 1, 50, 50)[0].tolist() == first
    assert Order(0, 1, 50, 7)[3].tolist() == first[21:28], "a batch can be had without those before it"


@ENGINE
@pytest.mark.parametrize("prior", TRAINABLE)
def test_the_same_seed_gives_the_same_bytes_and_another_one_other(engine: Any, prior: str) -> None:
    runs = [trained(make(prior), seed=seed, engine=engine) for seed in (5, 5, 6)]
    assert equal(runs[0], runs[1])
    assert not equal(runs[0], runs[2])


def test_what_was_drawn_before_does_not_matter() -> None:
    first = trained(vae := make())
    assert vae is not None
    later = make()
    torch.rand(17)
    assert equal(trained(later), first)


def test_an_objective_can_be_used_again() -> None:
    """A second training with the same objective starts its schedule of beta anew."""
    objective = ELBO(beta={"schedule": "linear", "steps": 6})
    assert equal(trained(objective=objective), trained(objective=objective))


def test_validation_does_not_disturb_the_noise_of_training() -> None:
    """Mutation: `validate` without `fork_rng`."""
    after: list[Weights] = []

    def keep(judged: VAE, *args: Any) -> dict[str, float]:
        after.append(weights(judged))
        return dict.fromkeys(["validation_loss", "rate", "distortion"], -float(len(after)))

    looked = trained()
    assert equal(trained(validate=keep), after[-1])
    best = fit(vae := make(), toy(), ELBO(), epochs=3, batch_size=16, learning_rate=0.01).best
    assert equal(looked, weights(vae))
    assert equal(looked, after[best - 1])


# Selection and early stopping


def opposite() -> Dataset:
    """Validation data that training unlearns: all black, where the training data are all white."""
    data = toy()
    x = torch.ones_like(data.train.x)
    return replace(data, train=replace(data.train, x=x), validation=replace(data.validation, x=0 * data.validation.x))


@ENGINE
def test_training_stops_and_keeps_the_best_weights(engine: Any) -> None:
    """Mutation: the last weights are left instead of the best ones."""
    vae, data, objective, first = make(), opposite(), ELBO(), []
    keep = lambda record: first.append(weights(vae)) if record["epoch"] == 1 else None  # noqa: E731
    history = fit(
        vae, data, objective, on_epoch=keep, epochs=50, patience=3, learning_rate=0.01, batch_size=16, engine=engine
    )
    assert (len(history), history.best) == (4, 1)
    assert equal(weights(vae), first[0])
    assert history["validation_loss"] == sorted(history["validation_loss"])
    assert history["train_loss"][-1] < history["train_loss"][0]


@ENGINE
@pytest.mark.parametrize("ema", [None, 0.8])
def test_validation_recomputed_equals_the_record_of_the_best_epoch(engine: Any, ema: float | None) -> None:
    vae, data, objective = make(), toy(), ELBO()
    history = fit(vae, data, objective, seed=4, epochs=9, learning_rate=0.1, batch_size=16, ema=ema, engine=engine)
    again = validate(vae, data, objective, seed=4)
    assert 1 <= history.best == 1 + history["validation_loss"].index(min(history["validation_loss"]))
    assert again == {name: history.records[history.best - 1][name] for name in again}
    assert not vae.training


def test_without_patience_training_goes_on() -> None:
    history = fit(make(), opposite(), ELBO(), epochs=6, learning_rate=0.01, batch_size=16)
    assert (len(history), history.best) == (6, 1)


def test_selection_starts_after_the_warm_up() -> None:
    """Four steps an epoch: beta has ended at the end of epoch 3. Mutation: `warmup` ignored keeps epoch 1."""
    objective = ELBO(beta={"schedule": "linear", "steps": 9})
    history = fit(make(), opposite(), objective, epochs=50, patience=2, learning_rate=0.01, batch_size=16)
    assert (history.best, len(history)) == (3, 5)
    assert history["beta"] == pytest.approx([3 / 9, 7 / 9, 1, 1, 1])  # of each epoch's last step


def test_a_warm_up_that_never_ends_keeps_the_last_weights_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    vae, last = make(), []
    objective = ELBO(beta={"schedule": "linear", "steps": 999})
    history = fit(
        vae, opposite(), objective, on_epoch=lambda _: last.append(weights(vae)), epochs=3, batch_size=16, patience=1
    )
    assert history.best == len(history) == 3
    assert equal(weights(vae), last[-1])
    assert "warning: beta's schedule did not end within 12 steps" in capsys.readouterr().err


def test_validation_is_at_beta_1() -> None:
    """Mutation: `per_datum` at the schedule's beta."""
    losses = [
        fit(make(), toy(), ELBO(beta=beta), epochs=1, learning_rate=0.0, batch_size=16).records[0]
        for beta in (0.0, 1.0)
    ]
    assert losses[0]["validation_loss"] == losses[1]["validation_loss"]
    assert losses[0]["rate"] > 0.01
    assert losses[0]["train_loss"] < losses[1]["train_loss"]


def test_the_test_split_is_never_read() -> None:
    data = toy()
    noisy = replace(data, test=replace(data.test, x=1 - data.test.x))
    assert equal(trained(data=data), trained(data=noisy))


# Averages, clipping, learning rates


@ENGINE
def test_ema_is_the_average_by_hand(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutation: decay and 1 - decay exchanged; an average that is updated once an epoch."""
    path: list[Weights] = []

    class Watched(ENGINES[engine]):  # type: ignore[misc]
        def step(self, *batch: Tensor) -> float:
            loss = super().step(*batch)
            path.append(weights(self.module))
            return loss

    monkeypatch.setitem(ENGINES, engine, Watched)
    found = trained(make("vamp"), ema=0.7, engine=engine, epochs=1)
    average = path[0]
    for point in path[1:]:
        average = {name: 0.7 * average[name] + 0.3 * point[name] for name in average}
    for name, value in found.items():
        torch.testing.assert_close(value, average[name].to(value.dtype), rtol=1e-5, atol=1e-6)


def test_ema_leaves_the_training_alone() -> None:
    losses = [fit(make(), toy(), ELBO(), epochs=3, batch_size=16, ema=ema)["train_loss"] for ema in (None, 0.9)]
    assert losses[0] == losses[1]


class Huge(ELBO):
    """Gradients of a thousand nats per datum and more."""

    def bound(self, sites: Densities, beta: float | Tensor) -> Tensor:
        return 1e4 * super().bound(sites, beta)


def gradient_norm(clip: float | None) -> float:
    vae = make()
    fit(vae, toy(), Huge(), epochs=1, batch_size=20, clip=clip)
    return math.sqrt(sum(p.grad.square().sum().item() for p in vae.parameters() if p.grad is not None))


def test_clip_bounds_the_gradient_per_datum() -> None:
    assert gradient_norm(clip=0.5) == pytest.approx(0.5 * 20, rel=1e-4)
    assert gradient_norm(clip=None) > 1e4


def test_a_clip_that_is_never_reached_changes_nothing() -> None:
    assert equal(trained(clip=1e9), trained())
    assert not equal(trained(clip=0.01), trained())


def test_clip_bounds_the_update_after_a_huge_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adam's second moment would remember the huge gradient and stand still for a thousand steps."""
    spread = []
    for clip in (None, 1.0):
        step_of = iter(range(10**6))
        monkeypatch.setattr(
            Huge, "bound", lambda self, s, b, at=step_of: ELBO.bound(self, s, b) * (1e6 if next(at) == 1 else 1)
        )  # the call before the first step checks whether the parts fit
        vae, seen = make(), []
        trained(vae, objective=Huge(), clip=clip, epochs=5, on_epoch=lambda _, v=vae, w=seen: w.append(weights(v)))
        # From the end of the first epoch on, whichever epoch validation data would keep.
        spread.append(sum((seen[-1][name] - seen[0][name]).abs().sum().item() for name in seen[0]))
    assert spread[1] > 1.5 * spread[0]


def test_clip_with_svi_is_refused() -> None:
    with pytest.raises(PyrovaeError, match=r"train\.clip with train.engine = 'svi'") as caught:
        trained(clip=1.0, engine="svi")
    assert "eager" in caught.value.hint


@pytest.mark.parametrize(
    ("learning_rate", "expected"),
    [
        (0.01, [0.01, 0.01, 0.01, 0.01]),
        ({"schedule": "cosine", "value": 0.01}, [0.01 * (1 + math.cos(math.pi * s / 16)) / 2 for s in (3, 7, 11, 15)]),
        ({"schedule": "step", "value": 0.01, "drops": 1}, [0.01, 0.01, 0.001, 0.001]),
        ({"schedule": "linear", "value": 0.01, "steps": 8}, [0.00375, 0.00875, 0.01, 0.01]),
    ],
)
@ENGINE
def test_the_learning_rate_is_on_record(engine: Any, learning_rate: Any, expected: list[float]) -> None:
    history = fit(make(), toy(), ELBO(), epochs=4, batch_size=16, learning_rate=learning_rate, engine=engine)
    assert history["learning_rate"] == pytest.approx(expected, abs=1e-12)


@ENGINE
def test_a_learning_rate_of_zero_moves_nothing(engine: Any) -> None:
    assert equal(trained(make(), learning_rate=0.0, engine=engine), weights(make()))


@ENGINE
def test_the_first_step_of_adam_is_the_learning_rate(engine: Any) -> None:
    start, end = weights(make()), trained(make(), epochs=1, batch_size=ROWS, learning_rate=0.125, engine=engine)
    steps = torch.cat([(end[name] - start[name]).abs().flatten() for name in start])
    assert steps.max().item() == pytest.approx(0.125, rel=1e-3)


# Pyro's own objectives


@ENGINE
@pytest.mark.parametrize(
    "objective",
    [
        Trace_ELBO(),
        TraceMeanField_ELBO(),
        RenyiELBO(alpha=0.5, num_particles=3, vectorize_particles=True, max_plate_nesting=1),
    ],
    ids=lambda objective: type(objective).__name__,
)
@pytest.mark.parametrize("prior", TRAINABLE)
def test_pyros_own_objectives_are_taken(engine: Any, objective: Any, prior: str) -> None:
    vae = make(prior)
    before = dict(vae.named_parameters())
    start = weights(vae)
    history = fit(vae, opposite(), objective, epochs=3, batch_size=16, learning_rate=0.03, engine=engine)
    assert [name for name, p in before.items() if torch.equal(p, start[name])] == []
    assert history["beta"] == [1.0] * 3
    assert history["train_loss"][-1] < history["train_loss"][0]


def test_trace_elbo_and_ours_train_alike() -> None:
    runs = [trained(make().double(), toy(kind=Double), objective, epochs=5) for objective in (ELBO(), Trace_ELBO())]
    assert max((runs[0][name] - runs[1][name]).abs().max().item() for name in runs[0]) < 1e-9


# Faults


def diverges(value: float = math.nan) -> ELBO:
    """Returns an objective that turns infinite or undefined at its sixth step, which is the second of epoch 2."""
    objective = ELBO()
    objective.schedule = lambda step: value if step == 5 else 1.0
    return objective


@ENGINE
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_names_step_and_epoch(engine: Any, value: float) -> None:
    with pytest.raises(PyrovaeError, match=r"loss became -?(nan|inf) at step 6 \(epoch 2\)") as caught:
        trained(objective=diverges(value), engine=engine)
    assert "train.learning_rate" in caught.value.hint


def test_it_leaves_the_weights_of_the_step_before() -> None:
    """Mutation: `check_finite` after `optimizer.step`."""
    vae, before = make(), []
    with pytest.raises(PyrovaeError):
        fit(vae, toy(rows=16), diverges(), on_epoch=lambda _: before.append(weights(vae)), epochs=9, batch_size=16)
    assert len(before) == 5
    assert equal(weights(vae), before[-1])


@ENGINE
def test_a_learning_rate_that_is_far_too_high_is_an_error_with_a_step(engine: Any) -> None:
    """Weights that overflow make encoder outputs nan, which Pyro notices before the loss does."""
    with pytest.raises(PyrovaeError, match=r"at step \d+ \(epoch \d+\)"):
        trained(learning_rate=1e30, engine=engine)


def test_fewer_rows_than_a_batch_are_named() -> None:
    with pytest.raises(PyrovaeError, match="60 rows < batch size 61") as caught:
        trained(batch_size=61)
    assert "60" in caught.value.hint


@pytest.mark.parametrize(
    "option", [{"batch_size": 0}, {"batch_size": -5}, {"epochs": 0}, {"ema": 1.5}, {"clip": -1.0}, {"patience": 0}]
)
def test_an_impossible_number_is_refused_before_the_first_step(option: dict[str, Any]) -> None:
    with pytest.raises(PyrovaeError, match=next(iter(option))):
        trained(**option)


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(PyrovaeError, match="warp"):
        trained(engine="warp")


@pytest.mark.parametrize(
    ("vae", "words"),
    [
        (
            lambda: VAE(StandardNormal(2), Bernoulli(MLP, 2, (7,)), DiagonalNormal(MLP, 2, (7,))),
            r"model expects \(7,\)",
        ),
        (
            lambda: VAE(GaussianMixture(2, 5), Bernoulli(MLP, 2, EVENT), DiagonalNormal(MLP, 2, EVENT)),
            "reads 5 classes",
        ),
    ],
)
def test_a_model_that_does_not_fit_the_data_is_refused(vae: Callable[[], VAE], words: str) -> None:
    with pytest.raises(PyrovaeError, match=words):
        trained(vae())


def test_grey_data_under_a_bernoulli_likelihood_are_refused_and_a_gaussian_takes_them() -> None:
    grey = make_dataset("grey", torch.linspace(0, 1, 300).reshape(50, 6), validation=5, test=5)
    with pytest.raises(PyrovaeError, match="Bernoulli scores binary data, data set grey holds unit values"):
        trained(data=grey)
    trained(VAE(StandardNormal(2), Gaussian(network, 2, EVENT), DiagonalNormal(network, 2, EVENT)), grey)


# Batches and records


@ENGINE
@pytest.mark.parametrize(("batch_size", "steps"), [(60, 1), (16, 4), (59, 2), (7, 9)])
def test_the_last_batch_of_an_epoch_may_be_smaller(engine: Any, batch_size: int, steps: int) -> None:
    history = fit(make(), toy(), ELBO(), epochs=2, batch_size=batch_size, engine=engine)
    assert history["step"] == [steps, 2 * steps]


def sure(noise: float = -1e6) -> VAE:
    """Returns a VAE whose posterior has next to no spread, so that its loss has next to no noise."""
    vae = make()
    vae.posterior.encoder.layers[-1].weight.data[LATENT:] = 0
    vae.posterior.encoder.layers[-1].bias.data[LATENT:] = noise
    return vae


@pytest.mark.parametrize("objective", [AnalyticELBO(), AnalyticELBO(particles=3)])
@ENGINE
def test_losses_are_per_datum_whatever_the_batch(engine: Any, objective: Any) -> None:
    """Mutation: the mean over batches of the mean over a batch, which weighs the smaller last batch too much."""
    losses = [
        fit(sure(), toy(), objective, epochs=1, batch_size=size, learning_rate=0.0, engine=engine)["train_loss"][0]
        for size in (60, 59, 16, 7)
    ]
    assert losses == pytest.approx([losses[0]] * 4, rel=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_loss_of_a_batch_is_minus_the_sum_over_its_data(objective: str) -> None:
    """Mutation: the mean over the batch, or over pixels, instead of the sum."""
    vae, (x, _), made = make(), toy().held_out("train"), objective_of(objective, size=ROWS)
    torch.manual_seed(0)
    each = made.per_datum(vae.model, vae.guide, x)
    torch.manual_seed(0)
    assert made.loss(vae.model, vae.guide, x) == pytest.approx(-each.sum().item(), rel=1e-6)
    assert each.shape == (ROWS,)


def test_a_datum_scores_the_same_in_any_company() -> None:
    vae, (x, _), objective = sure(), toy().held_out("train"), AnalyticELBO()
    alone = torch.cat([objective.per_datum(vae.model, vae.guide, row[None]) for row in x])
    torch.testing.assert_close(alone, objective.per_datum(vae.model, vae.guide, x), rtol=2e-3, atol=2e-3)


def test_validation_in_chunks_is_validation_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    vae, data = sure(), toy()
    whole = validate(vae, data, AnalyticELBO(), seed=0)
    monkeypatch.setattr(monitor, "CHUNK", 3)
    parts = validate(vae, data, AnalyticELBO(), seed=0)
    for name in ("validation_loss", "distortion"):  # the rate is sampled, and as wide as a chi-square
        assert parts[name] == pytest.approx(whole[name], rel=1e-3)


def test_rate_and_distortion_add_up_to_the_bound() -> None:
    for record in fit(make(), toy(), ELBO(), epochs=3, batch_size=16):
        assert record["rate"] + record["distortion"] == pytest.approx(record["validation_loss"], abs=0.5)


def test_on_epoch_sees_each_record_of_the_history() -> None:
    seen: list[dict[str, Any]] = []
    history = fit(make(), toy(), ELBO(), on_epoch=seen.append, epochs=3, batch_size=16)
    assert isinstance(history, History)
    assert seen == history.records == list(history)
    assert history["epoch"] == [1, 2, 3]
    assert list(seen[0]) == [
        "epoch", "step", "beta", "learning_rate", "train_loss",
        "validation_loss", "rate", "distortion", "label_loss", "kl", "active_units", "latent_dim", "seconds",
    ]  # fmt: skip
    assert all(isinstance(value, int | float) for record in seen for name, value in record.items() if name != "kl")
    assert all(len(record["kl"]) == LATENT for record in seen)


def test_one_line_an_epoch_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    history = fit(make(), toy(), ELBO(), epochs=3, batch_size=16)
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(":")[0] for line in err.splitlines()] == ["epoch 1", "epoch 2", "epoch 3"]
    assert f"validation_loss {history['validation_loss'][0]:.2f}" in err
    assert "nats per datum" in err


def test_training_learns() -> None:
    """The data are one pattern and its negative: log 2 nats, where no model at all needs 6 log 2 = 4.16."""
    pattern = torch.tensor([1.0, 0, 1, 1, 0, 0])
    data = make_dataset("two", torch.stack([pattern, 1 - pattern]).repeat(100, 1), validation=20, test=20)
    torch.manual_seed(0)
    vae = VAE(StandardNormal(2), Bernoulli(network, 2, EVENT), DiagonalNormal(network, 2, EVENT))
    history = fit(vae, data, IWAE(particles=5), epochs=25, batch_size=16, learning_rate=0.02)
    assert history["validation_loss"][0] > 3
    assert math.log(2) - 0.1 < min(history["validation_loss"]) < 1.2


def test_a_warm_up_longer_than_the_training_is_announced_before_it(capsys: pytest.CaptureFixture[str]) -> None:
    fit(make(), toy(), ELBO(beta={"schedule": "linear", "steps": 999}), epochs=1, batch_size=16)
    assert capsys.readouterr().err.startswith("warning: beta's schedule takes 999 steps, the training 4\n")


def test_scored_labels_are_on_the_line_of_the_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    """Without them validation_loss is not the sum of what is printed beside it."""
    for prior, printed in (("gaussian-mixture", True), ("standard-normal", False)):
        history = fit(make(prior), toy(), ELBO(), epochs=1, batch_size=16)
        assert ("label_loss" in capsys.readouterr().err) == printed
        terms = sum(history.records[0][name] for name in ("rate", "distortion", "label_loss"))
        assert history.records[0]["validation_loss"] == pytest.approx(terms, rel=1e-5)


def test_parts_of_different_latent_dimensions_are_refused_in_one_line() -> None:
    for latent in (1, 3):
        vae = VAE(StandardNormal(latent), Bernoulli(network, LATENT, EVENT), DiagonalNormal(network, LATENT, EVENT))
        with pytest.raises(PyrovaeError, match="the parts do not fit together") as caught:
            fit(vae, toy(), ELBO(), epochs=1, batch_size=16)
        assert len(str(caught.value).splitlines()) == 1
