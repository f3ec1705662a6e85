"""What is said of samples: distances and overlaps that are known, and models whose samples are known to be right."""

import json
import math
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from pyro.distributions import Delta
from small_models import linear, raw_scale, score
from torch import Tensor, nn

from pyrovae import MLP, VAE, Bernoulli, DiagonalNormal, Flat, Gaussian, GaussianMixture, Point, StandardNormal
from pyrovae.data import Dataset, make_dataset
from pyrovae.evaluation import classifier as classifiers
from pyrovae.evaluation.classifier import Classifier, classifier_of, kept, path_of, read_by, trained
from pyrovae.evaluation.generation import class_accuracy, generation, memorisation
from pyrovae.evaluation.judged import Findings, Judged, NotApplicable
from pyrovae.evaluation.manifolds import frechet, frechet_above, kernel, measured, nearest, overlap
from pyrovae.evaluation.readings import Readings, confidence, modes, shares_apart
from pyrovae.evaluation.samples import Box, Sets, draw, like, source_of, training_data
from pyrovae.evaluation.spectra import fine_share, radial, sharpness
from pyrovae.seeding import seeded

CLASSES, FLIPPED = 4, 0.05
PROTOTYPES = torch.rand(CLASSES, 1, 8, 8, generator=torch.Generator().manual_seed(0)).round()
LOGITS = (2 * PROTOTYPES - 1) * math.log((1 - FLIPPED) / FLIPPED)


def prototypes(rows: int = 2000, *, labels: bool = True) -> Dataset:
    """Draws noisy pictures of four prototypes."""
    with seeded(1):
        y = torch.randint(CLASSES, (rows,))
        x = torch.bernoulli(LOGITS[y].sigmoid()).byte()
    return make_dataset("noisy prototypes", x, y if labels else None, test=400, validation=100)


@torch.no_grad()
def oracle(order: list[int] | None = None, *, conditional: bool = False, prior: Any = None) -> VAE:
    """Builds the VAE that draws the prototypes' own distribution; class y has the picture of class ``order[y]``."""
    reads = CLASSES if conditional else 0
    pools = GaussianMixture(CLASSES, CLASSES, labels=True)
    likelihood = Bernoulli(linear, CLASSES, (1, 8, 8), reads)
    vae = VAE(prior or pools, likelihood, DiagonalNormal(linear, CLASSES, (1, 8, 8), reads))
    pools.loc.copy_(torch.eye(CLASSES))
    pools.raw_scale.fill_(float(raw_scale(torch.tensor(1e-2))))
    weight = likelihood.decoder.layers[0].weight.zero_()
    weight[:, -CLASSES:] = LOGITS[order or list(range(CLASSES))].flatten(1).T
    likelihood.decoder.layers[0].bias.zero_()
    return vae


DATA = prototypes()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the classifier of the prototypes, which need few steps."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifiers, "STEPS", 100)
        classifier_of(DATA, folder)
    return folder


def found(vae: VAE, dataset: Dataset, cache: Path | None = None, **sizes: Any) -> Findings:
    with seeded(0):
        return generation(Judged(vae, dataset, cache=cache), **sizes)


def exact_moments(n: int, mean: Tensor, covariance: Tensor) -> Tensor:
    """Draws points whose own mean and covariance are those."""
    z = torch.randn(n, len(mean), dtype=torch.double)
    z = z - z.mean(0)
    whitened = torch.linalg.solve_triangular(torch.linalg.cholesky(z.T.cov()), z.T, upper=False)
    return mean + (torch.linalg.cholesky(covariance) @ whitened).T


def test_frechet_of_gaussians_is_the_closed_form() -> None:
    """For 2 x 2 matrices tr (A B)^1/2 = (tr A B + 2 (det A B)^1/2)^1/2. Mutations: features in single precision; one
    set is given twice; what is not finite reaches LAPACK, which ends the process."""
    torch.manual_seed(0)
    a = torch.tensor([[2.0, 0.9], [0.9, 1.0]], dtype=torch.double)
    b = torch.tensor([[1.0, -0.4], [-0.4, 3.0]], dtype=torch.double)
    mean = torch.tensor([1.0, -2.0], dtype=torch.double)
    root = ((a @ b).trace() + 2 * torch.linalg.det(a @ b).sqrt()).sqrt()
    expected = mean.square().sum() + a.trace() + b.trace() - 2 * root
    points = exact_moments(50, torch.zeros_like(mean), a), exact_moments(40, mean, b)
    assert frechet(*points) == pytest.approx(expected.item(), rel=1e-8)
    assert math.isnan(frechet(points[0] * math.nan, points[1]))
    assert math.isnan(frechet(points[0], points[1] * math.inf))


def test_the_bootstrap_has_the_error_of_means_that_are_far_apart() -> None:
    """|m - m'|^2 = 9 has deviation 2 * 3 * (2 / n)^1/2 to first order; data are shared by both distances, so that the
    difference of two equal ones has the same. Mutations: data are drawn anew for each distance (1.4 times); nothing or
    one set only is drawn anew; the difference has the sign of the other."""
    torch.manual_seed(0)
    n = 400
    expected = 6 * math.sqrt(2 / n)
    data, training, samples = (torch.randn(n, 2, dtype=torch.double) for _ in range(3))
    shift = torch.tensor([3.0, 0.0])
    far, floor, above = frechet_above(data, training + shift, samples + shift, resamples=200)
    assert [error / expected for _, error in (far, floor, above)] == pytest.approx([1, 1, 1], rel=0.2)
    assert far.value == pytest.approx(9, abs=4 * expected)
    assert above.value == pytest.approx(far.value - floor.value)


def test_the_kernel_distance_is_unbiased() -> None:
    """(u v + 1)^3 makes it 3 d1^2 + 3 d2^2 + d3^2 of the differences of the first three moments. Mutations: all blocks
    are the first; blocks of one set with those of the same set."""
    torch.manual_seed(0)
    data, same, other = (torch.randn(4000, 1, dtype=torch.double) + shift for shift in (0.0, 0.0, 0.5))
    assert score(kernel(data, same, blocks=200)) < 3
    expected = 3 * 0.5**2 + 3 * 0.25**2 + (0.5**3 + 3 * 0.5) ** 2
    assert score(kernel(data, other, blocks=200), expected) < 3
    assert kernel(data, other).shape == (10,)


def test_overlaps_of_points_on_a_line() -> None:
    """Counted by hand. Mutations: recall with the balls of data; coverage with those of samples; rims are outside; a
    point is its own neighbour; density without k."""
    data = torch.tensor([0.0, 1, 2, 3, 6, 37, 37.5], dtype=torch.double)[:, None]
    samples = torch.tensor([0.5, 1, 5.5, 40, 40.5], dtype=torch.double)[:, None]
    nearby = overlap(data, samples, neighbours=1)
    assert (nearby.precision.value, nearby.recall.value, nearby.coverage.value) == (3 / 5, 5 / 7, 4 / 7)
    assert nearby.density == measured(torch.tensor([2.0, 3, 1, 0, 0], dtype=torch.double))
    # the balls of data reach 2, 1, 1, 2, 4, 31, 31.5
    further = overlap(data, samples, neighbours=2)
    assert further.density.value == pytest.approx((2 + 4 + 1 + 2 + 2) / 2 / 5)


def test_copies_overlap_wholly() -> None:
    """Each ball holds its own datum and k others, the last of them on its rim. Mutations: distances by products of
    matrices; a piece of the rows is left out."""
    torch.manual_seed(0)
    data = torch.randn(700, 64, dtype=torch.double)
    copies = overlap(data, data.clone(), neighbours=5)
    assert (copies.precision.value, copies.recall.value, copies.coverage.value) == (1, 1, 1)
    assert copies.density.value == pytest.approx(6 / 5, rel=1e-12)


def test_the_nearest_are_found_and_their_distance_is_exact() -> None:
    """Mutations: the search's own distances (a copy is then not at 0); the farthest."""
    torch.manual_seed(0)
    others = torch.rand(300, 1, 8, 8) + 100
    points = torch.cat([others[7:8], torch.rand(50, 1, 8, 8) + 100])
    index, distance = nearest(points, others)
    expected = (points[:, None] - others).double().flatten(2).norm(dim=-1)
    assert torch.equal(index, expected.argmin(1))
    assert distance[0] == 0
    assert torch.allclose(distance.double(), expected.min(1).values)


def wave(cycles: int, size: int = 16) -> Tensor:
    """Returns two equal pictures, a cosine of so many cycles from left to right."""
    return torch.cos(2 * math.pi * cycles * torch.arange(size) / size).expand(2, 1, size, size)


def test_sharpness_of_sinusoids() -> None:
    """Mutations: the mean of a picture counts; amplitudes in place of energies; the frequency of one axis only."""
    assert fine_share(wave(6)).value == pytest.approx(1, abs=1e-6)
    assert fine_share(wave(2)).value == pytest.approx(0, abs=1e-6)
    assert fine_share(5 + 3 * wave(2) + wave(6)).value == pytest.approx(1 / 10, rel=1e-5)
    # three cycles down and three across are 0.265 cycles a pixel
    assert fine_share(wave(3)).value == pytest.approx(0, abs=1e-6)
    assert fine_share(wave(3) * wave(3).transpose(2, 3)).value == pytest.approx(1, abs=1e-6)


def test_a_blur_of_known_transfer_lowers_sharpness_by_what_it_takes() -> None:
    """Averaging neighbours takes cos(pi f)^2 of the energy. Mutations: data over samples; planes are not summed."""
    torch.manual_seed(0)
    data = torch.rand(200, 3, 16, 16)
    assert sharpness(data, data).value == 1
    f = torch.hypot(torch.fft.fftfreq(16)[:, None], torch.fft.fftfreq(16))
    transfer = torch.cos(math.pi * torch.fft.fftfreq(16)).square() * torch.ones(16, 1)
    power = torch.fft.fft2(data).abs().square().sum((0, 1))
    blurred = (data + data.roll(1, -1)) / 2
    expected = [(p[f > 0.25].sum() / p[f > 0].sum()).item() for p in (power * transfer, power)]
    assert sharpness(blurred, data).value == pytest.approx(expected[0] / expected[1], rel=1e-4)
    assert sharpness(3 * data + 1, data).value == pytest.approx(1, rel=1e-4)


def test_the_error_of_sharpness_is_its_deviation_over_draws() -> None:
    """Mutations: the error of one side only; the root of n is forgotten."""
    torch.manual_seed(0)
    sets = torch.randn(2, 200, 50, 6, 6) * (1 + torch.rand(2, 200, 50, 1, 1))
    found = [sharpness(*pair) for pair in zip(*sets, strict=True)]
    deviation = torch.tensor([value for value, _ in found]).std().item()
    assert sum(error for _, error in found) / len(found) == pytest.approx(deviation, rel=0.15)


def test_radial_spectra() -> None:
    """A single bright pixel is white; a wave of c cycles fills the ring at c. Mutations: rings are sums."""
    point = torch.zeros(4, 9, 12)
    point[:, 3, 2] = 1
    frequency, power = radial(point)
    assert torch.allclose(power, torch.ones(4, dtype=torch.double))
    assert torch.allclose(frequency, torch.arange(1, 5) / 9)
    frequency, power = radial(wave(3))
    assert frequency[power > 1e-6].tolist() == [3 / 16]


def memorised(samples: Tensor, training: Tensor, data: Tensor) -> dict[str, Any]:
    return memorisation(Sets(data, samples, samples, training), DATA).numbers


def test_copies_are_memorised_and_strangers_are_not() -> None:
    """Mutations: distances to test data; samples that are farther; a quantile of the samples' own distances."""
    torch.manual_seed(0)
    training, data, strangers = torch.rand(500, 8), torch.rand(300, 8), torch.rand(300, 8) + 1
    assert memorised(training[:300], training, data)["memorised"] == 1
    assert memorised(strangers, training, data)["memorised"] == 0
    half = memorised(torch.cat([training[:150], strangers[:150]]), training, data)
    assert half["memorised"] == 0.5
    assert half["memorised_test"] == pytest.approx(0.01, abs=0.004)
    assert half["nearest_median_test"] > 0


def test_the_data_s_own_distribution_is_told_from_training_data_by_nothing(cache: Path) -> None:
    """Within four errors, or inside intervals. Mutations: E[x | z] in place of draws; one pool in place of all; more
    training data than samples."""
    numbers = found(oracle(), DATA, cache).numbers
    assert numbers["classifier_accuracy"] > 0.99
    assert abs(numbers["fid_above_training"]) < 4 * numbers["fid_above_training_standard_error"]
    assert abs(numbers["kid"]) < 4 * numbers["kid_standard_error"]
    assert abs(numbers["sharpness"] - 1) < 4 * numbers["sharpness_standard_error"]
    for name in ("precision", "recall", "coverage"):
        assert numbers[name] == pytest.approx(numbers[f"{name}_training"], abs=0.06)
    assert numbers["memorised"] == pytest.approx(numbers["memorised_test"], abs=0.06)
    assert numbers["class_accuracy"] > 0.99
    assert (numbers["samples"], numbers["training"]) == (400, 1500)
    assert numbers["precision_training"] * 400 == pytest.approx(round(numbers["precision_training"] * 400))


def test_one_class_alone_has_no_recall(cache: Path) -> None:
    """Mutations: samples and data are exchanged; training data in place of samples."""
    numbers = found(oracle([2] * CLASSES), DATA, cache).numbers
    assert numbers["fid_above_training"] > 10 * numbers["fid_above_training_standard_error"]
    assert numbers["precision"] > 0.9
    assert numbers["recall"] < 0.5
    assert numbers["coverage"] < 0.5
    assert numbers["class_accuracy"] == pytest.approx(1 / CLASSES, abs=0.01)


@pytest.mark.parametrize("conditional", [False, True])
def test_samples_of_a_label_are_judged_by_its_class(cache: Path, *, conditional: bool) -> None:
    """Two pictures are exchanged. Mutations: labels are left out; hits of all classes are those of one."""
    prior = StandardNormal(CLASSES) if conditional else None
    judged = Judged(oracle([1, 0, 2, 3], conditional=conditional, prior=prior), DATA)
    with seeded(0):
        said = class_accuracy(judged, classifier_of(DATA, cache), DATA.held_out("test")[0])
    assert said.numbers["class_accuracy"] == pytest.approx(0.5, abs=0.01)
    assert [said.numbers["by_class"][name]["accuracy"] > 0.98 for name in "0123"] == [False, False, True, True]
    assert (said.numbers["draws_a_class"], "lowest: 0, 0.0%" in said.sentences[0]) == (100, True)


def test_draws_and_means_are_of_the_same_code() -> None:
    """Mutations: z is drawn twice; the last piece is left out."""
    vae = oracle()
    with torch.no_grad():
        vae.likelihood.decoder.layers[0].weight.mul_(100)
    drawn, means = draw(vae, 450)
    assert drawn.shape == (450, 1, 8, 8)
    assert torch.equal(drawn, means.round())


def test_samples_get_the_holes_of_data() -> None:
    x = torch.tensor([[1.0, math.nan], [math.nan, 1.0]])
    assert like(torch.full((3, 2), 5.0), x).tolist() == [[5, 0], [0, 5], [5, 0]]


def test_training_data_are_drawn_from_all_of_them() -> None:
    """Mutations: the first rows; with replacement."""
    data = make_dataset("numbers", torch.arange(100.0)[:, None] + 0.5, test=10, validation=10)
    with seeded(0):
        some, everything = training_data(data, 40), training_data(data, 1000)
    assert some.unique().numel() == 40
    assert not torch.equal(some, data.held_out("train")[0][:40])
    assert torch.equal(everything.sort(0).values, data.held_out("train")[0].sort(0).values)


def test_without_labels_sharpness_and_memorisation_remain(tmp_path: Path) -> None:
    said = found(oracle(prior=StandardNormal(CLASSES)), prototypes(labels=False), tmp_path / "cache")
    assert said.sentences[0].startswith("no labels, so no classifier")
    assert {"sharpness", "memorised"} < set(said.numbers)
    assert not {"fid", "classifier_accuracy", "class_accuracy"} & set(said.numbers)
    assert set(said.figures) == {"spectra", "nearest"}
    assert not (tmp_path / "cache").exists()


def test_vectors_have_no_spectrum_and_holes_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutations: holes are not filled in data, in training data, or by the classifier: nothing takes NaN."""
    quickly(monkeypatch)
    with seeded(0):
        x = torch.randn(300, 4)
        x[torch.rand(300, 4) < 0.1] = math.nan
        y = torch.randint(2, (300,))
    data = make_dataset("table", x, y, test=100, support="real", missing=True)
    vae = VAE(StandardNormal(2), Gaussian(linear, 2, (4,)), DiagonalNormal(linear, 2, (4,)), missing=True)
    said = found(vae, data, resamples=3)
    assert set(said.figures) == {"nearest"}
    assert all(math.isfinite(said.numbers[name]) for name in ("fid", "kid", "density", "memorised", "nearest_median"))


def test_what_has_no_samples_or_too_few_data() -> None:
    autoencoder = VAE(Flat(2), Bernoulli(MLP, 2, (1, 8, 8)), Point(MLP, 2, (1, 8, 8)))
    with pytest.raises(NotApplicable, match="a flat prior has nothing to draw from"):
        generation(Judged(autoencoder, DATA), source="prior")
    with pytest.raises(NotApplicable, match="20 data to compare with are too few"):
        generation(Judged(oracle(), DATA, data=20))
    vae = VAE(StandardNormal(2), Gaussian(linear, 2, (1, 8, 8)), DiagonalNormal(linear, 2, (1, 8, 8)))
    with torch.no_grad():
        vae.likelihood.decoder.layers[0].bias.fill_(math.inf)
    with pytest.raises(NotApplicable, match="samples are not finite"):
        generation(Judged(vae, DATA))


# ------------------------------------------------------------------------------------------- codes from the box


@torch.no_grad()
def coder(**reads: int) -> VAE:
    """Builds an autoencoder of (1, 8, 8) whose codes are the first three pixels, doubled, and whose x[:3] is z / 2."""
    likelihood = Gaussian(linear, 3, (1, 8, 8), noise="fixed", scale=1e-3, **reads)
    vae = VAE(Flat(3), likelihood, Point(linear, 3, (1, 8, 8), **reads))
    for part in (vae.likelihood.decoder, vae.posterior.encoder):
        part.layers[0].weight.zero_()
        part.layers[0].bias.zero_()
    vae.posterior.encoder.layers[0].weight[:, :3] = 2 * torch.eye(3)
    vae.likelihood.decoder.layers[0].weight[:3, :3] = torch.eye(3) / 2
    return vae


def pictures(rows: int = 700) -> Dataset:
    """Draws pictures whose first three pixels lie in boxes of their own."""
    with seeded(2):
        x = torch.rand(rows, 1, 8, 8)
        x.flatten(1)[:, :3] *= torch.tensor([1.0, 0.5, 0.0])
        x.flatten(1)[:, 1] += 2
    return make_dataset("pictures", x, torch.arange(rows) % 2, test=100, validation=50, support="real")


def test_the_box_is_of_the_training_codes_and_draws_fill_it() -> None:
    """Known ends, uniform draws within, a dimension that never varies. Mutations: test data; a box by deviations;
    normal draws; one draw for all dimensions."""
    data, judged = pictures(), Judged(coder(), pictures())
    box = source_of(judged, None, 10_000)
    assert box is not None
    codes = 2 * data.held_out("train")[0].flatten(1)[:, :3]
    assert torch.equal(box.low, codes.amin(0))
    assert torch.equal(box.high, codes.amax(0))
    assert box.size == 550
    with seeded(0):
        z = box.draw(4000).double()
    assert ((z >= box.low) & (z <= box.high)).all()
    assert (z[:, 2] == 0).all()
    share = (z[:, :2] - box.low[:2]) / (box.high - box.low)[:2]
    assert score(share, 1 / 2) < 4
    assert score(share.square(), 1 / 3) < 4
    assert score((share[:, 0] - 0.5) * (share[:, 1] - 0.5)) < 4
    with seeded(0):
        few = source_of(judged, "box", 60)
    assert few is not None
    assert few.size == 60
    assert (few.high <= box.high).all()
    assert not torch.equal(few.high, codes[:60].amax(0)), "not the first rows"


def test_samples_of_an_autoencoder_are_decoded_from_the_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says so, and a VAE draws from it when asked. Mutations: the prior; a code of data."""
    quickly(monkeypatch)
    said = found(coder(), pictures(), samples=80, resamples=3)
    assert said.sentences[0] == (
        "codes are uniform in the box of 550 training codes, smallest to largest of each dimension"
    )
    assert said.numbers["source"] == "box"
    drawn = draw(coder(), 300, box=Box(torch.tensor([0.0, 4, 0]), torch.tensor([2.0, 5, 0]), 9))[1].flatten(1)
    assert (drawn[:, 0].min() < 0.1, drawn[:, 0].max() > 0.9) == (True, True)
    assert (drawn[:, 1].min() >= 2, drawn[:, 1].max() <= 2.5) == (True, True)
    vae = VAE(StandardNormal(3), coder().likelihood, DiagonalNormal(linear, 3, (1, 8, 8)))
    asked = found(vae, pictures(), samples=80, resamples=3, source="box")
    default = found(vae, pictures(), samples=80, resamples=3)
    assert (asked.numbers["source"], default.numbers["source"]) == ("box", "prior")
    assert "box" in asked.sentences[0]
    assert "box" not in default.sentences[0]


def test_a_box_draws_no_pool_but_every_label_of_a_conditional_one(cache: Path) -> None:
    """Mutation: samples of the box are asked for the class whose pool was not drawn from."""
    assert "class_accuracy" not in found(oracle(), DATA, cache, source="box", resamples=3).numbers
    conditional = oracle(conditional=True, prior=StandardNormal(CLASSES))
    assert found(conditional, DATA, cache, source="box", resamples=3).numbers["class_accuracy"] > 0.98


class Source(nn.Module):
    """A model that only makes data: a prior and a likelihood, all of it at one point, and no posterior."""

    conditional = pools = False

    def __init__(self) -> None:
        super().__init__()
        self.prior, self.decoder = StandardNormal(2), linear((2,), (1, 8, 8), 0)

    def likelihood(self, z: Tensor, y: Tensor | None = None) -> Delta:
        return Delta(self.decoder(z, y), event_dim=3)

    def labels(self, size: int, y: Any = None) -> None:
        return None


def test_what_only_makes_data_is_judged_too(monkeypatch: pytest.MonkeyPatch) -> None:
    quickly(monkeypatch)
    model: Any = Source()
    said = found(model, pictures(), samples=80, resamples=3)
    assert {"fid", "confidence", "class_distance", "sharpness", "memorised"} < set(said.numbers)
    with pytest.raises(NotApplicable, match="no encoder"):
        found(model, pictures(), source="box")


def test_means_are_judged_where_they_are_asked_for(cache: Path) -> None:
    """E[x | z] has no noise: nearer to training data than test data are. Mutations: draws of x all the same, also in
    what is drawn by label."""
    drawn, means = (found(oracle(), DATA, cache, resamples=3, means=flag) for flag in (False, True))
    assert means.sentences[0] == "what is judged is E[x | z], no draw of x"
    assert means.numbers["sharpness"] == means.numbers["sharpness_of_means"]
    assert drawn.numbers["sharpness"] != drawn.numbers["sharpness_of_means"]
    assert means.numbers["nearest_median"] < 0.8 * drawn.numbers["nearest_median"]
    assert (means.numbers["means"], drawn.numbers["means"]) == (True, False)
    seen = []
    with pytest.MonkeyPatch.context() as patch, seeded(0):
        patch.setattr("pyrovae.evaluation.generation.like", lambda rows, _: seen.append(rows) or rows)
        class_accuracy(Judged(oracle(), DATA), classifier_of(DATA, cache), DATA.held_out("test")[0], means=True)
    assert all(0 < rows.min() < 0.2 for rows in seen)


# ------------------------------------------------------------------------------------------- what is read in samples


def fixed(logits: Tensor) -> Classifier:
    """Returns a classifier whose features are one-hot rows that the head turns into these logits."""
    classifier = Classifier((4,), logits.shape[1])
    with torch.no_grad():
        classifier.head.weight.zero_()
        classifier.head.bias.zero_()
        classifier.head.weight[:, : len(logits)] = logits.T
    return classifier


def rows_of(*index: int) -> Tensor:
    return torch.eye(64, dtype=torch.double)[list(index)]


def test_confidence_is_the_probability_of_the_likeliest_class() -> None:
    """Logits log 1, log 3 give 3 / 4; log 19 gives 19 / 20. Mutations: of the first class; logits for probabilities;
    the sets are exchanged."""
    classifier = fixed(torch.tensor([[0.0, math.log(3)], [math.log(19), 0.0], [0.0, 0.0]]))
    said = confidence(classifier, Readings(rows_of(0, 1), rows_of(1, 1, 1, 2), rows_of(1, 1)))
    numbers = said.numbers
    assert numbers["confidence"] == pytest.approx((0.75 + 0.95) / 2)
    assert numbers["confidence_test"] == pytest.approx((3 * 0.95 + 0.5) / 4)
    assert numbers["confidence_test_standard_error"] == pytest.approx(0.45 / 2 / 2)
    assert numbers["confidence_training"] == pytest.approx(0.95)
    assert (numbers["confident"], numbers["confident_test"], numbers["confident_training"]) == (0.5, 0.75, 1)
    assert "in samples = 0.85" in said.sentences[0]


def test_classes_are_counted() -> None:
    """Of four classes one is never drawn and one is not in the test data. Mutations: shares of the other set; a class
    that no test datum has is missing; a half is forgotten; the largest share, not the largest difference."""
    samples, test, training = (
        torch.tensor(counts).repeat_interleave(torch.tensor(times))
        for counts, times in (([0, 1, 3], [50, 34, 16]), ([0, 1, 2], [50, 40, 10]), ([0, 1, 2], [50, 40, 10]))
    )
    said = modes(Readings(samples, test, training), ["a", "b", "c", "d"], 50)
    assert said.numbers["class_distance"] == pytest.approx((0.06 + 0.1 + 0.16) / 2)
    assert said.numbers["class_distance_training"] == 0
    assert (said.numbers["classes_found"], said.numbers["classes_missing"]) == (2, ["c"])
    assert [said.numbers["shares"][name]["samples"] for name in "abcd"] == [0.5, 0.34, 0, 0.16]
    assert [said.numbers["shares"][name]["test"] for name in "abcd"] == [0.5, 0.4, 0.1, 0]
    assert "2 of 3 classes are found" in said.sentences[0]
    assert said.sentences[0].endswith("; not c")
    assert "most that of d: 16.0%" in said.sentences[1]


def test_the_error_of_class_shares_is_their_deviation() -> None:
    """Of two classes the distance is |p - q|, of deviation (p (1 - p) / n + q (1 - q) / m)^1/2 where it is far from 0.
    Mutations: one set only is drawn anew; a permutation, which changes nothing."""
    torch.manual_seed(0)
    data, others = torch.arange(400) % 2, torch.arange(200) % 10 // 9
    found, error = shares_apart(data, others, 2, 500)
    assert found == pytest.approx(0.4)
    assert error == pytest.approx(math.sqrt(0.25 / 400 + 0.09 / 200), rel=0.12)


def test_a_mode_that_is_not_drawn_is_named(cache: Path) -> None:
    """Mutation: labels of the data in place of what is read."""
    numbers = found(oracle([2] * CLASSES), DATA, cache).numbers
    assert numbers["classes_missing"] == ["0", "1", "3"]
    assert numbers["class_distance"] == pytest.approx(0.75, abs=0.05)
    right = found(oracle(), DATA, cache).numbers
    assert (right["classes_found"], right["classes_missing"]) == (CLASSES, [])
    assert right["class_distance"] < 0.1
    assert abs(right["confident"] - right["confident_test"]) < 0.05
    noise = oracle()
    with torch.no_grad():
        noise.likelihood.decoder.layers[0].weight.zero_()
    unsure = found(noise, DATA, cache, resamples=3).numbers
    assert unsure["confidence"] < unsure["confidence_test"] - 0.05
    assert unsure["confidence_training"] == pytest.approx(unsure["confidence_test"], abs=0.02)


def test_a_section_changes_nothing_and_depends_on_its_seed_alone(cache: Path) -> None:
    """Mutations: a draw from another generator; parameters are written into; a file beside the cached one."""
    vae = oracle()
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    files = sorted(cache.rglob("*"))
    first, again = (found(vae, DATA, cache, samples=100, resamples=3).numbers for _ in range(2))
    assert json.dumps(first) == json.dumps(again)
    assert all(torch.equal(before[name], value) for name, value in vae.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in vae.parameters())
    assert vae.training
    assert sorted(cache.rglob("*")) == files


def quickly(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(classifiers, "STEPS", 3)


def test_a_cached_classifier_is_taken_and_equals_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutations: it is trained anew; a buffer or the mode is not kept."""
    quickly(monkeypatch)
    new = classifier_of(DATA, tmp_path / "not" / "there")
    monkeypatch.setattr(classifiers, "trained", lambda _: pytest.fail("trained although it was kept"))
    old = classifier_of(DATA, tmp_path / "not" / "there")
    x = DATA.held_out("test")[0]
    assert torch.equal(read_by(new, x)[0], read_by(old, x)[0])
    assert not old.training
    assert not any(parameter.requires_grad for parameter in old.parameters())


@pytest.mark.parametrize("how", ["cut", "flipped", "object", "foreign", "other shape"])
def test_a_file_that_is_not_its_own_is_trained_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Mutations: the key is not compared; errors of reading are not caught; the file is left as it is."""
    quickly(monkeypatch)
    path = path_of(DATA, tmp_path)
    right = classifier_of(DATA, tmp_path).state_dict()
    content = path.read_bytes()
    half = len(content) // 2
    if how in ("foreign", "other shape"):
        other = prototypes(rows=1500)
        kind = trained(other) if how == "foreign" else Classifier((4,), 2)
        classifiers.keep(path_of(other, tmp_path), kind)
        path.write_bytes(path_of(other, tmp_path).read_bytes())
    else:
        flipped = content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
        path.write_bytes({"cut": content[:half], "flipped": flipped, "object": pickle.dumps(Path)}[how])
    assert kept(path, DATA) is None
    again = classifier_of(DATA, tmp_path).state_dict()
    assert all(torch.equal(again[name], value) for name, value in right.items())
    assert kept(path, DATA) is not None


def test_where_nothing_can_be_written_the_classifier_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quickly(monkeypatch)
    (tmp_path / "file").touch()
    assert isinstance(classifier_of(DATA, tmp_path / "file" / "cache"), Classifier)


def test_the_name_of_a_classifier_tells_its_training_data() -> None:
    """Mutations: the hash of other rows; the way they are read is left out; a name that is a path."""
    other = prototypes(rows=1500)
    names = {path_of(data, Path()).name for data in (DATA, prototypes(), other)}
    assert len(names) == 2
    assert all(name.startswith("noisy_prototypes-") for name in names)


def test_a_classifier_learns_vectors_in_any_units_and_counts() -> None:
    """Two columns of the same deviation relative to the classes' distance, one of them a thousand times as large.
    Mutations: no location and scale; one for all columns."""
    with seeded(0):
        y = torch.randint(2, (600,))
        x = torch.randn(600, 3) + 6 * y[:, None] * torch.tensor([1.0, 0, 0])
        x = x * torch.tensor([1.0, 1e4, 0]) + torch.tensor([0.0, 1e5, 7])
    data = make_dataset("table", x, y, test=100, support="real")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifiers, "STEPS", 60)
        model = trained(data)
    test, labels = data.held_out("test")
    assert torch.eq(read_by(model, test)[1], torch.as_tensor(labels)).double().mean() > 0.97
    assert torch.allclose(
        Classifier((1,), 2, counts=True).read(torch.tensor([[0.0], [math.e - 1]])).T, torch.arange(2.0)
    )
