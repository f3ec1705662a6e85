"""The GAN: the game against closed forms, each network's own gradient, what is refused, and a run from end to end."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import judged, refusal, sets, succeeds
from pyro.distributions import Delta
from scipy.integrate import quad
from scipy.stats import norm
from test_resume import check as check_resumed
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from pyrovae import MLP, Dataset, Flat, GaussianMixture, StandardNormal, conv, fit, make_dataset
from pyrovae.baselines import GAN, Generator, Minimax, spectrally_normalised
from pyrovae.baselines.minimax import Logits, check, logits_of, validate
from pyrovae.configuration import Experiment
from pyrovae.errors import PyrovaeError
from pyrovae.evaluation.sections import SECTIONS
from pyrovae.experiment import prepare
from pyrovae.priors import FlowPrior
from pyrovae.programs.gan import LACKS
from pyrovae.training.engines import Traced
from pyrovae.training.tracing import trace

ONE = torch.tensor(1.0, dtype=torch.float64)
PICTURE = (1, 8, 8)
Made = tuple[GAN, Dataset, Minimax]


def pictures(network: Any = MLP, prior: nn.Module | None = None, *, spectral_norm: bool = False) -> GAN:
    torch.manual_seed(0)
    discriminator = network(PICTURE, (1,))
    return GAN(
        prior or StandardNormal(4),
        Generator(network, 4, PICTURE),
        spectrally_normalised(discriminator) if spectral_norm else discriminator,
    )


def line(weight: float, bias: float) -> GAN:
    """Returns a GAN of numbers whose discriminator's logit is ``weight * x + bias``."""
    gan = GAN(StandardNormal(1), Generator(MLP, 1, (1,), "real"), MLP((1,), (1,), hidden=[]))
    layer = gan.discriminator.layers[0]
    nn.init.constant_(layer.weight, weight)
    nn.init.constant_(layer.bias, bias)
    return gan


def grey(rows: int = 40, seed: int = 0) -> Dataset:
    x = np.random.default_rng(seed).random((rows, *PICTURE)).astype("float32")
    return make_dataset("grey", x, validation=8, test=8, support="unit")


# ---------------------------------------------------------------------------------------------------- the game itself


def jensen_shannon(shift: float) -> float:
    """Returns the divergence of two standard normals ``shift`` apart, by quadrature of its definition."""
    p, q = norm(0, 1), norm(shift, 1)

    def integrand(x: float) -> float:
        middle = math.log((p.pdf(x) + q.pdf(x)) / 2)
        return (p.pdf(x) * (p.logpdf(x) - middle) + q.pdf(x) * (q.logpdf(x) - middle)) / 2

    return float(quad(integrand, -12, 12, limit=200)[0])


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.5])
def test_the_best_discriminator_reaches_the_jensen_shannon_divergence(shift: float) -> None:
    """log p - log q of normals is linear, so the best discriminator is known; its loss is log 4 - 2 JS."""
    gan = line(-shift, shift**2 / 2)
    x = torch.from_numpy(norm.ppf((np.arange(20_000) + 0.5) / 20_000)).float()[:, None]
    loss = Minimax(penalty=0.0).discriminator_loss(gan, x, x + shift).item() / len(x)
    assert loss == pytest.approx(math.log(4) - 2 * jensen_shannon(shift), abs=2e-4)
    bound = Logits(gan.logits(x), gan.logits(x + shift)).divergence.mean().item()
    assert bound == pytest.approx(jensen_shannon(shift), abs=1e-4)
    for worse in (0.0, -2.0, 1.0):
        other = line(worse - shift, shift**2 / 2)
        assert Logits(other.logits(x), other.logits(x + shift)).divergence.mean().item() <= bound


def test_who_cannot_tell_pays_log_four_and_takes_nobody_for_real() -> None:
    numbers = logits_of(line(0.0, 0.0), torch.randn(7, 1)).numbers()
    assert numbers["discriminator_loss"] == pytest.approx(math.log(4), abs=1e-6)
    assert numbers["generator_loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert (numbers["judged_real"], numbers["judged_fake"]) == (0.0, 0.0)


def test_shares_are_of_real_and_of_generated_data_apart() -> None:
    numbers = Logits(torch.tensor([1.0, 1.0, 1.0, -1.0]), torch.tensor([-1.0, -1.0, -1.0, 1.0])).numbers()
    assert (numbers["judged_real"], numbers["judged_fake"]) == (0.75, 0.25)
    assert numbers["generator_loss"] == pytest.approx((3 * math.log1p(math.e) + math.log1p(math.exp(-1))) / 4)


@pytest.mark.parametrize("penalty", [0.0, 3.0])
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_each_network_has_the_gradient_of_its_own_loss(penalty: float, *, spectral_norm: bool) -> None:
    """Mutations: nothing is detached; the saturating loss of the generator; the penalty at samples; half of it."""
    gan = pictures(spectral_norm=spectral_norm).eval()
    x = torch.rand(6, *PICTURE, requires_grad=True)
    torch.manual_seed(1)
    loss = Minimax(penalty=penalty, spectral_norm=spectral_norm).batch_loss(gan, x.detach())
    loss.backward()
    torch.manual_seed(1)
    made = gan.likelihood(StandardNormal(4)().expand((6,)).sample()).mean
    real, fake = gan.discriminator(x), gan.discriminator(made.detach())
    own = cross_entropy(real, torch.ones_like(real), reduction="sum")
    own = own + cross_entropy(fake, torch.zeros_like(fake), reduction="sum")
    (slope,) = torch.autograd.grad(real.sum(), x, create_graph=True)
    own = own + penalty / 2 * (slope**2).sum()
    judged_as = gan.discriminator(made)
    other = cross_entropy(judged_as, torch.ones_like(judged_as), reduction="sum")
    for part, part_loss in ((gan.discriminator, own), (gan.likelihood, other)):
        for parameter, wanted in zip(
            part.parameters(), torch.autograd.grad(part_loss, list(part.parameters()), retain_graph=True), strict=True
        ):
            torch.testing.assert_close(parameter.grad, wanted)
    torch.testing.assert_close(loss, own + other)


def test_the_penalty_of_a_linear_discriminator_is_its_weight_squared() -> None:
    gan, x = line(-3.0, 0.5), torch.randn(5, 1)
    losses = [Minimax(penalty=penalty).discriminator_loss(gan, x, x + 1).item() for penalty in (0.0, 2.0)]
    assert losses[1] - losses[0] == pytest.approx(5 * 9.0, rel=1e-5)


@pytest.mark.parametrize("network", [MLP, conv])
def test_normalised_weights_keep_a_largest_singular_value_of_one(network: Any) -> None:
    """After steps that scale the weights up; mutation: the power iteration stands still."""
    gan = pictures(network, spectral_norm=True).train()
    criterion = Minimax(spectral_norm=True)
    optimizer = torch.optim.SGD(gan.parameters(), lr=0.01)
    for _ in range(20):
        optimizer.zero_grad()
        criterion.batch_loss(gan, torch.rand(8, *PICTURE)).backward()
        optimizer.step()
    layers = [layer for layer in gan.discriminator.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    assert len(layers) > 2
    for layer in layers:
        assert torch.linalg.svdvals(layer.weight.detach().flatten(1))[0].item() == pytest.approx(1, abs=0.03)


# ------------------------------------------------------------------------------------------------------- the engines


@pytest.mark.parametrize("penalty", [0.0, 2.0])
@pytest.mark.parametrize(
    ("network", "prior"),
    [(MLP, None), (conv, None), (MLP, lambda: FlowPrior(4)), (MLP, lambda: GaussianMixture(4))],
    ids=["mlp", "conv", "flow", "mixture"],
)
def test_the_game_is_traced_to_the_last_bit(
    network: Any, prior: Callable[[], nn.Module] | None, penalty: float
) -> None:
    """Penalties are second derivatives. Replayed with other data and other weights."""
    gan, criterion, x = pictures(network, prior and prior()), Minimax(penalty=penalty), torch.rand(6, *PICTURE)
    graph = trace(gan, criterion, ONE, x)
    parameters = list(gan.parameters())
    with torch.no_grad():
        for parameter in parameters:
            parameter.add_(0.01 * torch.randn_like(parameter))
    torch.manual_seed(1)
    loss = criterion.batch_loss(gan, x.flip(0))
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    torch.manual_seed(1)
    with torch.no_grad():
        replayed, *found = graph(*parameters, ONE, x.flip(0))
    assert torch.equal(loss, replayed)
    for a, b in zip(gradients, found, strict=True):
        assert (a is None and b is None) or torch.equal(a, b)


@pytest.mark.parametrize(("make", "learns"), [(lambda: FlowPrior(4), True), (lambda: GaussianMixture(4), False)])
def test_a_prior_learns_where_its_draws_have_a_gradient(make: Callable[[], nn.Module], *, learns: bool) -> None:
    gan = pictures(prior=make())
    Minimax().batch_loss(gan, torch.rand(4, *PICTURE)).backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in gan.prior.parameters()) == learns


def test_normalised_weights_are_not_traced() -> None:
    """A trace runs the programs, and their power iteration, once more than an eager training does."""
    criterion = Minimax(spectral_norm=True)
    assert "not to be traced" in Traced(pictures(spectral_norm=True), criterion, lambda step: 0.1).reason


@pytest.mark.parametrize("spectral_norm", [False, True])
@pytest.mark.parametrize("ema", [None, 0.8])
def test_a_stopped_game_goes_on_to_the_last_bit(
    ema: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, spectral_norm: bool
) -> None:
    """In mid epoch, traced at another step; the power iteration is part of the state."""
    monkeypatch.setattr("pyrovae.training.engines.EAGER_FIRST", 2)

    def make() -> Made:
        return pictures(spectral_norm=spectral_norm), grey(), Minimax(spectral_norm=spectral_norm)

    history = check_resumed(make, tmp_path, 4, 4, check=check, validate=validate, ema=ema, epochs=4)
    assert history["step"] == [3, 6, 9, 12]
    assert history.best == 4, "nothing selects: the last weights stay"


def test_validation_has_the_same_noise_each_time_and_disturbs_none() -> None:
    """Mutations: it is not seeded; the networks stay in training mode, and the power iteration moves."""
    gan, data = pictures(spectral_norm=True).train(), grey()
    weights = {name: value.clone() for name, value in gan.state_dict().items()}
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again = (validate(gan, data, Minimax(), 3) for _ in range(2))
    assert first == again
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(value, weights[name]) for name, value in gan.state_dict().items()), "no power iteration"
    assert validate(gan, data, Minimax(), 4) != first
    assert first["validation_loss"] == first["generator_loss"] + first["discriminator_loss"]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        x = data.held_out("validation")[0]
        with torch.no_grad():
            loss = Minimax(penalty=0.0).batch_loss(gan, x).item() / len(x)
    assert first["validation_loss"] == pytest.approx(loss, rel=1e-5)


# ------------------------------------------------------------------------------------------------------- it learns

MODES, SPREAD = 5, 0.05


def ring(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws points around the corners of a regular polygon, and which corner each is at."""
    noise = np.random.default_rng(seed)
    corner = noise.integers(MODES, size=rows)
    angle = 2 * np.pi * corner / MODES
    centre = np.stack([np.cos(angle), np.sin(angle)], 1)
    return (centre + SPREAD * noise.normal(size=(rows, 2))).astype("float32"), corner


@pytest.mark.slow
def test_a_trained_generator_covers_every_mode() -> None:
    """Each corner gets 0.2 of the samples up to 0.08, 9 standard errors; few samples lie between corners.

    Mutation: the discriminator sees real data alone.
    """
    x, _ = ring(2000, 0)
    data = make_dataset("ring", x, validation=100, test=100, support="real")
    torch.manual_seed(0)
    networks = {"hidden": [64, 64]}
    gan = GAN(
        StandardNormal(2),
        Generator(lambda *shapes: MLP(*shapes, **networks), 2, (2,), "real"),
        MLP((2,), (1,), **networks),
    )
    criterion = Minimax(penalty=0.1)
    fit(
        gan,
        data,
        criterion,
        0,
        check=check,
        validate=validate,
        epochs=80,
        batch_size=128,
        learning_rate=2e-3,
        ema=0.99,
    )
    torch.manual_seed(1)
    made = gan.sample(2000)
    centres = torch.tensor(
        [[math.cos(2 * math.pi * k / MODES), math.sin(2 * math.pi * k / MODES)] for k in range(MODES)]
    )
    distance, corner = torch.cdist(made, centres).min(1)
    shares = torch.bincount(corner[distance < 6 * SPREAD], minlength=MODES) / len(made)
    assert (shares - 1 / MODES).abs().max() < 0.08
    assert shares.sum() > 0.8


# -------------------------------------------------------------------------------------------------- what is refused


def test_what_a_gan_cannot_be_made_of_is_refused() -> None:
    generator, discriminator = Generator(MLP, 4, PICTURE), MLP(PICTURE, (1,))
    with pytest.raises(PyrovaeError, match="a flat prior has nothing to draw from"):
        GAN(Flat(4), generator, discriminator)
    for parts in (
        (GaussianMixture(4, classes=10, labels=True), generator, discriminator),
        (StandardNormal(4), generator, MLP(PICTURE, (1,), classes=10)),
    ):
        with pytest.raises(PyrovaeError, match="a GAN reads no labels"):
            GAN(*parts)
    with pytest.raises(PyrovaeError, match="not counts"):
        Generator(MLP, 4, (8,), "count")
    with pytest.raises(PyrovaeError, match=r"gan.penalty = -1"):
        Minimax(penalty=-1.0)


def unfit(**changes: Any) -> str:
    """Returns why parts, data and a criterion do not go together."""
    generator, discriminator = changes.get("generator", MLP), changes.get("discriminator", MLP(PICTURE, (1,)))
    gan = GAN(StandardNormal(changes.get("dim", 4)), Generator(generator, 4, PICTURE), discriminator)
    with pytest.raises(PyrovaeError) as error:
        check(gan, changes.get("data", grey()), changes.get("criterion", Minimax()))
    return str(error.value)


def test_what_does_not_fit_together_is_refused_before_a_step() -> None:
    holes = np.where(np.random.default_rng(0).random((40, *PICTURE)) < 0.2, np.nan, 0.5).astype("float32")
    missing = make_dataset("holes", holes, validation=8, test=8, support="unit", missing=True)
    assert "data set holes has missing values, which a GAN cannot read" in unfit(data=missing)
    assert "returns (2,) numbers, not one" in unfit(discriminator=MLP(PICTURE, (2,)))
    assert "the parts do not fit together" in unfit(dim=3)
    assert "the parts do not fit together" in unfit(discriminator=MLP((1, 7, 7), (1,)))
    assert "change at each call" in unfit(discriminator=spectrally_normalised(MLP(PICTURE, (1,))))
    real = make_dataset(
        "real", np.random.default_rng(0).normal(size=(40, *PICTURE)).astype("float32"), validation=8, test=8
    )
    assert "real" in unfit(data=real)


def test_generated_data_are_of_the_support_of_the_data() -> None:
    z = 100 * torch.randn(50, 4)
    for support, low, high in (("unit", 0.0, 1.0), ("binary", 0.0, 1.0), ("levels", 0.0, 1.0)):
        made = Generator(MLP, 4, (3,), support)(z)
        assert isinstance(made, Delta)
        assert low <= made.mean.min()
        assert made.mean.max() <= high
    assert Generator(MLP, 4, (3,), "real")(z).mean.max() > 1


TOY: dict[str, Any] = {"program": "gan", "data": {"name": "digits", "binarize": "none"}}


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"prior": {"name": "flat"}}, "nothing to draw from"),
        ({"prior": {"name": "vamp"}}, "a GAN has no encoder"),
        ({"prior": {"name": "gaussian-mixture", "labels": True}}, "prior.labels = true, but a GAN reads no labels"),
        ({"train": {"patience": 3}}, "train.patience with program 'gan'"),
        ({"train": {"engine": "svi"}}, "program 'gan', which has no guide"),
        ({"posterior": {}}, r"unknown section \[posterior\] \(program 'gan' has none\)"),
        ({"gan": {"penalty": -1.0}}, "'penalty' should be 0 or more"),
        ({"data": {"name": "digits", "binarize": "none", "support": "count"}}, "."),
    ],
)
def test_a_file_that_cannot_work_is_refused_with_its_reason(section: dict[str, Any], words: str) -> None:
    with pytest.raises(PyrovaeError, match=words):
        prepare(Experiment.of("a", TOY | section))


@pytest.mark.parametrize("prior", ["standard-normal", "gaussian-mixture", "full-covariance-mixture", "flow", "laplace"])
def test_every_prior_that_can_be_drawn_from_makes_a_gan(prior: str) -> None:
    made = prepare(Experiment.of("a", TOY | {"prior": {"name": prior}}))
    assert made.module.sample(3).shape == (3, *PICTURE)
    assert made.experiment.sections["prior"].get("labels", False) is False


def test_data_that_are_not_finite_are_named_by_their_rows() -> None:
    data = grey()
    data.train.x[7] = torch.nan
    with pytest.raises(PyrovaeError, match=r"the data are not finite: 1 of 24 data \(rows 7\)"):
        fit(pictures(), data, Minimax(), 0, check=check, validate=validate, epochs=1, batch_size=24)


# ---------------------------------------------------------------------------------------------- from the command line

SMALLEST = {"train.epochs": 2, "decoder.hidden": [16], "discriminator.hidden": [16]}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gan")
    said = succeeds("run", "digits-gan", "--runs-dir", folder, "--name", "toy", *sets(SMALLEST))
    assert "Jensen-Shannon divergence of samples from test data >= " in said
    return folder / "toy"


def test_a_run_leaves_what_a_vaes_run_leaves(run: Path) -> None:
    names = {path.name for path in run.rglob("*")}
    assert {"checkpoint.pt", "evaluation.json", "experiment.toml", "manifest.json", "metrics.jsonl"} <= names
    assert {"training.png", "samples.png", "walk.gif"} <= names
    numbers = json.loads((run / "evaluation.json").read_text())
    assert numbers["verdict"].startswith("not applicable")
    assert numbers["mean"] == pytest.approx(math.log(2) - numbers["discriminator_loss"] / 2, abs=1e-6)
    rows = [json.loads(row) for row in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert all(math.isfinite(row["validation_loss"]) for row in rows)


def test_every_section_says_something_of_a_gan_or_why_not(run: Path) -> None:
    assert set(LACKS) == {"evidence", *SECTIONS} - {"generation"}
    said = judged(run)
    for section, reason in LACKS.items():
        assert f"{section}: not applicable: {reason}" in said
    assert "generation (" in said
    assert "FID over its features" in said
    standing = json.loads((run / "evaluation.json").read_text())
    assert set(standing["sections"]) == set(SECTIONS)
    assert "Jensen-Shannon" in (run / "report.md").read_text()
    succeeds("resume", run)
    assert json.loads((run / "evaluation.json").read_text()) == standing, "judged anew, sections stay"


def test_samples_are_drawn_as_of_a_vae(run: Path, tmp_path: Path) -> None:
    for name in ("a.npy", "b.npy"):
        succeeds("sample", run, "--count", 5, "-o", tmp_path / name)
    drawn = np.load(tmp_path / "a.npy")
    assert drawn.shape == (5, *PICTURE)
    assert np.array_equal(drawn, np.load(tmp_path / "b.npy"))
    succeeds("sample", run, "-o", tmp_path / "a.png")
    assert "reads no labels" in refusal("sample", run, "--class", "3", "-o", tmp_path / "c.npy")


@pytest.mark.parametrize(
    "command",
    [
        ("score", "-o", "a.csv"),
        ("embed", "-o", "a.npy"),
        ("reconstruct", "-o", "a.png"),
        ("traverse", "-o", "a.png"),
        ("interpolate", "0", "1", "-o", "a.png"),
        ("compare",),
    ],
    ids=lambda command: command[0],
)
def test_what_needs_an_encoder_or_a_density_refuses_in_a_line(command: tuple[str, ...], run: Path) -> None:
    name, *rest = command
    lines = refusal(name, run, *rest, code=2).splitlines()
    assert len(lines) == 2
    assert "a GAN has no encoder and gives no density" in lines[0]


def test_figures_are_drawn_again_by_the_same_command(run: Path) -> None:
    (run / "figures" / "samples.png").unlink()
    assert str(run / "figures" / "samples.png") in succeeds("figures", run)


def test_a_search_among_gans_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('program = "gan"\n[sweep.search]\ntrials = 2\n"gan.penalty" = [0.1, 1.0]\n')
    assert "program 'gan' does not say what is better" in refusal(
        "sweep", "run", path, "--runs-dir", tmp_path / "runs", code=2
    )
