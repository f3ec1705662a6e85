"""What codes tell: probes and clusters of known distributions, factors that codes are made of, data that know them."""

import itertools
import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from pyro.distributions import MixtureSameFamily, Normal
from scipy.stats import entropy, norm
from sklearn.neighbors import KNeighborsClassifier
from small_models import linear, linear_vae
from torch import Tensor, nn
from torch.distributions import Categorical

from pyrovae import (
    VAE,
    Bernoulli,
    Dataset,
    DiagonalNormal,
    FlowPrior,
    FullCovarianceNormal,
    Gaussian,
    GaussianMixture,
    Split,
    StandardNormal,
)
from pyrovae.data import DATA
from pyrovae.data.sprites import sprite_factors
from pyrovae.evaluation import disentanglement as factors_of
from pyrovae.evaluation.clustering import clustering, clusters_of, matched_accuracy
from pyrovae.evaluation.disentanglement import aggregate, disentanglement, total_correlation
from pyrovae.evaluation.factor_scores import Part, forest, found_alone, gap, information, part_of, separate
from pyrovae.evaluation.judged import Judged, NotApplicable
from pyrovae.evaluation.paired import paired
from pyrovae.evaluation.representation import (
    View,
    codes_of,
    compared,
    few_labels,
    few_of_each,
    hits,
    points_of,
    probes,
    representation,
    standardised,
)
from pyrovae.evaluation.representation import linear as linear_probe


def two_classes(distance: float, n: int = 4000) -> tuple[View, View]:
    """Returns points whose second coordinate, small beside the first, tells the class, and the classes."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 2 * n)
    points = np.stack([rng.normal(size=2 * n), 1e-3 * (rng.normal(size=2 * n) + distance * y)], 1)
    return View(points[:n], points[n:]), View(y[:n], y[n:])


def test_the_linear_probe_reaches_the_error_of_the_best_line() -> None:
    """Mutations: codes or x are not standardised; the probe is judged on other labels."""
    points, y = two_classes(2.0)
    found, _ = probes(points, points, y, 5)
    expected = norm.cdf(1.0)
    error = math.sqrt(expected * (1 - expected) / 4000)
    assert found.numbers["linear"] == found.numbers["linear_of_x"]
    assert abs(found.numbers["linear"] - expected) < 4 * error


def test_neighbours_vote() -> None:
    """Labels are flipped with probability 0.2: of five flipped neighbours three or more are right with 0.942.

    Mutations: one neighbour, 0.68; data vote on themselves.
    """
    rng = np.random.default_rng(1)
    n, kept, votes = 8000, 0.8, 0.94208
    y = np.where(rng.random(2 * n) < kept, 1, 0)
    points, labels = rng.random((2 * n, 2)), View(y[:n], y[n:])
    _, found = probes(View(points[:n], points[n:]), View(points[:n], points[n:]), labels, 5)
    expected = kept * votes + (1 - kept) * (1 - votes)
    # Each training datum votes for about five test data, which are right or wrong together.
    assert abs(found.numbers["nearest"] - expected) < 4 * math.sqrt(6 * expected * (1 - expected) / n)
    assert found.numbers["nearest_above_x"] == found.numbers["nearest_above_x_standard_error"] == 0


def test_codes_and_x_are_compared_over_the_same_data() -> None:
    """Mutations: the difference the other way round; the errors of both are added as if data were others."""
    points, y = two_classes(2.0)
    nothing = View(points.train[:, :1], points.test[:, :1])
    nearest = partial(KNeighborsClassifier, 9)
    found = compared("probe", "probe", nearest, standardised(points), nothing, y).numbers
    right = [hits(nearest(), view, y).double() for view in (standardised(points), nothing)]
    above = paired(right[0] - right[1])
    assert found["probe_above_x"] == pytest.approx(above.mean)
    assert found["probe_above_x"] > 0.2
    assert found["probe_above_x_standard_error"] == pytest.approx(above.standard_error)
    assert found["probe"] == right[0].mean()
    assert found["probe_of_x"] == right[1].mean()


def test_few_labels_are_so_many_of_each_class_and_others_each_time() -> None:
    """Mutations: the first rows; so many in all; with replacement."""
    y = np.repeat([0, 1, 2], [50, 30, 4])
    torch.manual_seed(0)
    draws = [few_of_each(y, 6) for _ in range(20)]
    for rows in draws:
        assert np.bincount(y[rows]).tolist() == [6, 6, 4]
        assert len(set(rows.tolist())) == len(rows)
    assert len({tuple(sorted(rows.tolist())) for rows in draws}) == 20


def test_the_few_label_probe_has_seen_few_labels() -> None:
    """Mutations: all labels are seen; codes and x swapped; the deviation is the mean's error."""
    torch.manual_seed(0)
    points, y = two_classes(8.0, n=1000)
    nothing = View(points.train[:, :1], points.test[:, :1])
    found = few_labels(points, nothing, y, 5, 30).numbers
    assert found["few"] > 0.99
    # From five labels of each class a line through noise is on either side as likely.
    assert abs(found["few_of_x"] - 0.5) < 0.03
    hard, y = two_classes(1.0, n=1000)
    few, many = (few_labels(hard, hard, y, count, 30).numbers for count in (2, 400))
    assert few["few"] < many["few"] - 0.05
    assert few["few_standard_deviation"] > 5 * many["few_standard_deviation"]


@pytest.mark.parametrize("clusters", [3, 4, 6])
def test_the_best_assignment_is_the_best_of_all(clusters: int) -> None:
    """Mutations: each cluster has its most frequent class, also where that is taken; further clusters count nothing."""
    rng = np.random.default_rng(clusters)
    classes, y, found = 4, rng.integers(0, 4, 60), rng.integers(0, clusters, 60)
    found = np.where(rng.random(60) < 0.6, np.minimum(y, 1) % clusters, found)
    counts = np.array([[np.sum((y == k) & (found == c)) for c in range(clusters)] for k in range(classes)])
    if clusters < classes:
        ways = [
            sum(counts[k, c] for c, k in enumerate(chosen)) for chosen in itertools.permutations(range(4), clusters)
        ]
        assert matched_accuracy(found, y) == pytest.approx(max(ways) / 60)
        return
    sums = {way: sum(counts[k, c] for k, c in enumerate(way)) for way in itertools.permutations(range(clusters), 4)}
    best = [way for way, count in sums.items() if count == max(sums.values())]
    further = {sum(counts[:, c].max() for c in range(clusters) if c not in way) for way in best}
    assert any(matched_accuracy(found, y) == pytest.approx((max(sums.values()) + rest) / 60) for rest in further)


def mixture_vae(size: int, *, classes: int = 0) -> VAE:
    prior = GaussianMixture(2, classes, labels=bool(classes), components=size)
    vae = VAE(prior, Gaussian(linear, 2, (6,)), DiagonalNormal(linear, 2, (6,)))
    with torch.no_grad():
        angle = torch.arange(size) * 2 * math.pi / size
        prior.loc.copy_(10 * torch.stack([angle.cos(), angle.sin()], 1))
    return vae


def around(vae: VAE, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns points near the components' means, and which."""
    rng = np.random.default_rng(0)
    which = rng.integers(0, len(vae.prior.loc), n)
    return vae.prior.loc.detach().double().numpy()[which] + rng.normal(size=(n, 2)), which


def test_components_are_the_clusters_of_a_mixture() -> None:
    """Mutations: k-means whatever the prior; the least likely component; fewer clusters than there are."""
    vae = mixture_vae(6)
    codes, which = around(vae, 200)
    clusters, size, name = clusters_of(vae, codes, 3)
    assert (clusters == which).all()
    assert (size, name) == (6, "the 6 components of the prior")
    found = clustering(vae, codes, which // 2, 3, 10).numbers
    assert "cluster_accuracy" not in found
    assert found["cluster_majority_accuracy"] == 1
    assert found["clusters_used"] == 6
    assert "trained with labels" in clusters_of(mixture_vae(6, classes=3), codes, 3)[2]


@pytest.mark.parametrize("prior", [StandardNormal(2), FlowPrior(2), GaussianMixture(2, components=1)])
def test_other_priors_leave_it_to_k_means(prior: nn.Module) -> None:
    """Mutations: whatever has responsibilities is a mixture; one component makes one cluster."""
    vae = VAE(prior, Gaussian(linear, 2, (6,)), DiagonalNormal(linear, 2, (6,)))
    codes, which = around(mixture_vae(4), 400)
    found = clustering(vae, codes, which, 4, 10).numbers
    assert (found["cluster_accuracy"], found["nmi"], found["ari"]) == pytest.approx((1, 1, 1))
    assert found["clusters"] == "k-means with 4 means"


def test_the_error_of_a_clustering_is_that_of_a_share() -> None:
    """Mutations: the deviation is divided by the root of the resamples; labels and clusters are drawn apart."""
    torch.manual_seed(0)
    vae = mixture_vae(4)
    codes, which = around(vae, 500)
    y = np.where(np.arange(500) % 5 == 0, (which + 1) % 4, which)
    found = clustering(vae, codes, y, 4, 200).numbers
    assert found["cluster_accuracy"] == 0.8
    assert found["cluster_accuracy_standard_error"] == pytest.approx(math.sqrt(0.8 * 0.2 / 500), rel=0.2)


def labelled(**options: Any) -> Dataset:
    """Returns data of a linear VAE whose label is the sign of its first latent dimension."""
    model = linear_vae(n=600)
    x, y = model.x.float(), (model.vae.embed(model.x)[:, 0] > 0).long()
    splits = [Split(*(rows[part] for rows in (x, y))) for part in torch.arange(600).chunk(3)]
    return replace(Dataset("toy", *splits, "real", ("a", "b")), **options)


def test_the_section_reads_codes_and_changes_nothing() -> None:
    """Mutations: draws instead of means; x in the place of codes; more training data than asked for."""
    vae, dataset = linear_vae(n=1).vae, labelled()
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    found = representation(Judged(vae, dataset), training=150, few=3, subsets=2, resamples=3).numbers
    assert (found["training"], found["data"]) == (150, 200)
    points = View(codes_of(vae, dataset.train.x[:150]), codes_of(vae, dataset.test.x))
    assert np.allclose(points.test, vae.embed(dataset.test.x.double()))
    assert dataset.train.y is not None
    assert dataset.test.y is not None
    y = View(dataset.train.y[:150].numpy(), dataset.test.y.numpy())
    assert found["linear"] == hits(linear_probe(), standardised(points), y).double().mean()
    assert found["linear"] > 0.95
    assert all(torch.equal(value, before[name]) for name, value in vae.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in vae.parameters())


def test_x_is_what_an_encoder_reads() -> None:
    """Mutations: NaN stays; counts stay."""
    x = torch.tensor([[[1.0, math.nan]], [[3.0, 7.0]]])
    assert points_of(x, labelled()).tolist() == [[1, 0], [3, 7]]
    assert np.allclose(points_of(x, labelled(support="count")), np.log([[2, 1], [4, 8]]))


def test_without_labels_of_its_own_there_is_nothing_to_probe() -> None:
    dataset, vae = labelled(), linear_vae(n=1).vae
    bare = [Split(split.x) for split in dataset]
    same = [Split(split.x, torch.zeros(len(split), dtype=torch.long)) for split in dataset]
    conditional = VAE(
        StandardNormal(2), Gaussian(linear, 2, (6,), classes=2), DiagonalNormal(linear, 2, (6,), classes=2)
    )
    for of, splits, reason in ((vae, bare, "no labels"), (vae, same, "one class"), (conditional, [*dataset], "reads")):
        with pytest.raises(NotApplicable, match=reason):
            representation(Judged(of, Dataset("toy", *splits, "real", ("a", "b"))))


VALUES = 5


def grid(repeats: int = 60) -> np.ndarray:
    """Returns two factors of five values, every combination as often."""
    pairs = list(itertools.product(range(VALUES), repeat=2))
    return np.random.default_rng(0).permutation(np.array(pairs * repeats))


def noisy(codes: np.ndarray, seed: int = 0) -> np.ndarray:
    return codes + 1e-3 * np.random.default_rng(seed).normal(size=codes.shape)


def compare(codes: np.ndarray, v: np.ndarray) -> Part:
    """Compares codes of two thirds with their factors, and finds those of the rest."""
    torch.manual_seed(0)
    n = 2 * len(v) // 3
    return part_of(codes[:n], v[:n], codes[:n], codes[n:], v[n:])


def test_codes_that_are_the_factors_are_disentangled() -> None:
    """Mutations: the best without the next; entropies in bits; trees in the place of intervals."""
    v = grid()
    third = np.random.default_rng(1).normal(size=(len(v), 1))
    part = compare(np.concatenate([third, noisy(v[:, ::-1])], 1), v)
    assert np.allclose(part.told, [[0, 0], [0, 1], [1, 0]], atol=0.05)
    assert gap(part.told) == pytest.approx(1, abs=0.05)
    assert part.right == 1
    assert separate(part.importance) == pytest.approx(1, abs=1e-6)
    assert separate(part.importance.T) == pytest.approx(1, abs=1e-6)
    assert part.found[1:].max(0).tolist() == [1, 1]
    # Another factor's code finds one of five by chance, over 500 test data.
    assert abs(gap(part.found) - (1 - 1 / VALUES)) < 0.05


def test_a_turn_by_45_degrees_leaves_no_gap() -> None:
    """A sum or difference of two factors tells H(sum) - H(factor) of either.

    Mutations: information over the entropy of the code; best without the next; importances not weighed.
    """
    v = grid()
    codes = noisy(np.stack([v.sum(1), v[:, 0] - v[:, 1]], 1) / math.sqrt(2))
    part = compare(codes, v)
    triangle = entropy(np.convolve(np.ones(VALUES), np.ones(VALUES)))
    assert np.allclose(part.told, triangle / math.log(VALUES) - 1, atol=0.03)
    assert gap(part.told) < 0.02
    assert gap(part.found) < 0.05
    assert separate(part.importance) < 0.05
    assert separate(part.importance.T) < 0.05
    assert part.right > 0.95, "both dimensions together tell all"


def test_noise_tells_nothing() -> None:
    """Mutations: trees are judged on what they were fitted to; information of the codes' own noise."""
    v = grid()
    part = compare(np.random.default_rng(3).normal(size=(len(v), 3)), v)
    assert part.told.max() < 0.05
    assert gap(part.told) < 0.04
    data = len(v) // 3
    error = math.sqrt(0.2 * 0.8 / data)
    assert abs(part.found - 0.2).max() < 4.5 * error
    assert abs(part.right - 0.2) < 4 * error


def test_information_of_a_normal_code_is_that_of_quadrature() -> None:
    """Mutations: nats are bits; columns and rows swapped."""
    rng, distance = np.random.default_rng(4), 2.0
    v = rng.integers(0, 2, (6000, 2))
    z = rng.normal(size=(6000, 3))
    z[:, 2] += distance * v[:, 1]
    torch.manual_seed(0)
    found = information(z, v)
    at = np.linspace(-10, 12, 4001)
    density = np.stack([norm.pdf(at), norm.pdf(at, distance)]) / 2
    total = density.sum(0)
    expected = math.log(2) + np.trapezoid((density * np.log(density / total)).sum(0), at)
    assert found.shape == (3, 2)
    assert found[2, 1] == pytest.approx(expected, abs=0.03)
    assert found[:, 0].max() < 0.03


def test_a_factor_is_found_from_as_many_intervals_as_it_has_values() -> None:
    """Mutations: two intervals for all; as many as one likes; they are judged on the data that they were fitted to."""
    z = np.linspace(0, 1, 600, endpoint=False)[:, None]
    v = np.stack([np.floor(3 * z[:, 0]), np.floor(6 * z[:, 0]) % 2], 1).astype(int)
    # Three intervals are enough for the first; two intervals find at most four of six sixths of the other.
    assert found_alone(z, v, z, v).tolist()[0] == pytest.approx([1, 4 / 6], abs=0.01)
    assert found_alone(z, v, z, (v + 1) % 3)[0, 0] == 0


def test_forests_look_at_all_dimensions() -> None:
    """Mutations: some dimensions at each split, as forests do by default."""
    rng = np.random.default_rng(5)
    v = rng.integers(0, 4, 400)
    codes = np.concatenate([noisy(v[:, None]), rng.normal(size=(400, 9))], 1)
    torch.manual_seed(0)
    importance, right = forest(codes, v, codes, v)
    assert importance[0] == pytest.approx(1, abs=1e-6)
    assert right == 1


def test_a_factor_in_two_dimensions_is_disentangled_and_not_complete() -> None:
    """Mutations: importances are transposed; the entropy's base is the other side's number."""
    v = grid()
    part = compare(np.concatenate([noisy(v), noisy(v[:, :1], seed=1)], 1), v)
    assert part.importance.shape == part.told.shape == part.found.shape == (3, 2)
    assert np.allclose(part.importance.sum(0), 1)
    assert separate(part.importance) == pytest.approx(1, abs=1e-6)
    # The trees take either dimension for the first factor: one minus log 2 over log 3 where they take both as often.
    least = (1 + 1 - math.log(2) / math.log(3)) / 2
    assert least <= separate(part.importance.T) < least + 0.1
    assert gap(part.told) == pytest.approx(0.5, abs=0.05)


def test_the_section_means_each_score_over_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutations: disentanglement is completeness; MIG reads shares that are found; one part alone."""
    told = np.array([[0.9, 0.0, 0.0], [0.5, 0.1, 0.0], [0.0, 0.7, 0.0], [0.0, 0.0, 0.6]])
    found = np.array([[0.8, 0.2, 0.4], [0.7, 0.2, 0.4], [0.2, 0.3, 0.3], [0.2, 0.1, 0.5]])
    importance = np.array([[0.5, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    seen: list[int] = []

    def part_of_known(*rows: np.ndarray) -> Part:
        seen.append(len(rows[0]))
        return Part(told + 0.1 * len(seen) * np.eye(4, 3), found, importance, 0.1 * len(seen))

    monkeypatch.setattr(factors_of, "part_of", part_of_known)
    monkeypatch.setattr(factors_of, "information_map", lambda *_: None)  # of two factors, of which sprites have five
    numbers = disentanglement(Judged(vae_of_sprites(), DATA["sprites"](size=16, **THREE)), draws=5).numbers
    assert len(seen) == 5
    assert sum(seen) == numbers["training"]
    # The gap of the first factor grows by 0.1 a part, those of the others fall by as much.
    gaps = [(0.4 + 0.1 * k + 0.6 - 0.1 * k + 0.6 - 0.1 * k) / 3 for k in range(1, 6)]
    expected = {"mig": np.mean(gaps), "sap": 0.1, "dci_disentanglement": 1, "dci_informativeness": 0.3}
    expected["dci_completeness"] = (3 - math.log(2) / math.log(4)) / 3
    assert {name: numbers[name] for name in expected} == pytest.approx(expected)
    assert numbers["dci_informativeness_standard_error"] == pytest.approx(math.sqrt(0.025 / 5))


def test_a_dimension_counts_as_much_as_it_matters() -> None:
    """Mutations: no weights; natural logarithms."""
    about = np.array([[3.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 0, 0]])
    assert separate(about) == pytest.approx(0.75 * 1 + 0.25 * (1 - math.log(2) / math.log(4)))
    assert separate(np.zeros((2, 2))) == 0


def turned(n: int, noise: float = 0.5) -> tuple[VAE, Tensor, float]:
    """Returns a linear VAE whose codes are turned by 30 degrees and stretched, data, and the total correlation."""
    model = linear_vae(n=n, noise=noise)
    variance = 1 / (torch.tensor([4.0, 1.0], dtype=torch.double) / noise**2 + 1)
    mix = torch.tensor([[1.0, 0.8], [0.3, 1.2]], dtype=torch.double)
    layer = model.vae.posterior.encoder.layers[0]
    with torch.no_grad():
        layer.weight[:2] = mix @ layer.weight[:2]
        layer.bias[:2] = mix @ layer.bias[:2]
    covariance = mix @ (1 - variance).diag() @ mix.T + variance.diag()
    return model.vae, model.x, 0.5 * (covariance.diagonal().log().sum() - covariance.logdet()).item()


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factors_of, "AT_ONCE", 30)


@pytest.mark.usefixtures("few_at_once")
def test_aggregate_densities_are_the_mixture_of_all_posteriors() -> None:
    """Mutations: log N is left out, or counted once for all dimensions; the last chunk alone."""
    vae, x, _ = turned(7)
    torch.manual_seed(0)
    own, joint, marginals = aggregate(vae, x, 5)
    torch.manual_seed(0)
    rows = torch.randperm(7)[:5]
    posterior, z = vae.encode(x), vae.encode(x[rows]).sample()
    weights = Categorical(logits=torch.zeros(7))
    assert torch.allclose(own, vae.encode(x[rows]).log_prob(z))
    assert torch.allclose(joint, MixtureSameFamily(weights, posterior).log_prob(z))
    scale = posterior.base_dist.scale
    alone = [MixtureSameFamily(weights, Normal(posterior.mean[:, d], scale[:, d])).log_prob(z[:, d]) for d in range(2)]
    assert torch.allclose(marginals, torch.stack(alone).sum(0))


def test_total_correlation_is_that_of_the_covariance() -> None:
    """Mutations: the sign; the rate instead of the marginals; bits."""
    vae, x, expected = turned(4000)
    torch.manual_seed(1)
    found = total_correlation(vae, x, 2000).numbers
    assert expected > 0.3
    assert abs(found["total_correlation"] - expected) < 4 * found["total_correlation_standard_error"]
    assert found["total_correlation_standard_error"] < 0.05
    assert not found["total_correlation_saturated"]
    assert total_correlation(*turned(100, noise=1e-3)[:2], 500).numbers["total_correlation_saturated"]


def test_a_posterior_that_does_not_factorise_has_no_total_correlation() -> None:
    vae = VAE(StandardNormal(2), Gaussian(linear, 2, (6,)), FullCovarianceNormal(linear, 2, (6,)))
    found = total_correlation(vae, torch.zeros(4, 6), 3)
    assert not found.numbers
    assert "not applicable" in found.sentences[0]


class Centroid(nn.Module):
    """Knows the centroid and the area of a picture, with little noise."""

    def forward(self, x: Tensor, y: Tensor | None = None) -> Any:
        place = torch.arange(x.shape[-1], dtype=x.dtype) / x.shape[-1]
        area = x.sum((1, 2, 3))
        across, down = ((x.sum((1, axis)) @ place) / area for axis in (2, 3))
        return Normal(torch.stack([down, area / 64, across], 1), 1e-3).to_event(1)


OPTIONS: Any = {"scales": 2, "orientations": 2, "positions": 6, "test": 0.2, "seed": 5}
THREE: Any = {"scales": 1, "orientations": 1, "positions": 12, "test": 0.2}  # factors that vary: shape and place


def test_the_section_finds_the_factors_that_a_code_is_made_of() -> None:
    """Mutations: factors of other rows, of another split; means and draws of other data."""
    dataset = DATA["sprites"](size=32, **OPTIONS)
    vae = VAE(StandardNormal(3), Bernoulli(linear, 3, (1, 32, 32)), Centroid())
    torch.manual_seed(0)
    findings = disentanglement(Judged(vae, dataset), codes=300, draws=50)
    found = findings.numbers
    told = dict(zip(found["factors"], found["told"], strict=True))
    assert list(told) == ["shape", "scale", "orientation", "pos_x", "pos_y"]
    for name, dimension in (("scale", 1), ("pos_x", 2), ("pos_y", 0)):
        own = told[name].pop(dimension)
        assert own > 0.85, name
        assert max(told[name]) < 0.2, name
    assert max(told["orientation"]) < 0.5
    assert found["dci_chance"] == pytest.approx((1 / 3 + 1 / 2 + 1 / 2 + 1 / 6 + 1 / 6) / 5)
    assert found["mig"] > 0.4
    assert (found["training"], found["data"]) == (300, len(dataset.test))
    assert {"sap", "dci_disentanglement", "dci_completeness", "dci_informativeness", "total_correlation"} < set(found)
    assert all(0 < found[f"{name}_standard_error"] < 0.1 for name in ("mig", "sap", "dci_disentanglement"))
    assert list(findings.figures) == ["information"]


def test_the_factors_of_a_split_go_with_its_rows_and_into_no_hash() -> None:
    """Mutations: `take` leaves them as they are; `to` forgets them; the splits are crossed."""
    dataset, known = DATA["sprites"](size=16, **OPTIONS), sprite_factors(**OPTIONS)
    for split, rows in zip(dataset, known, strict=True):
        assert split.factors is not None
        assert torch.equal(split.factors, rows.x)
        taken = split.take(torch.tensor([3, 0, 3])).factors
        assert taken is not None
        assert torch.equal(taken, rows.x[[3, 0, 3]])
        assert split.to("cpu").factors is not None
        assert split.whole().factors is split.factors
        assert split.hash() == replace(split, factors=None).hash() == replace(split, factors=1 + rows.x).hash()


def vae_of_sprites(latent_dim: int = 3, classes: int = 0) -> VAE:
    shape = (1, 16, 16)
    likelihood = Bernoulli(linear, latent_dim, shape, classes=classes)
    return VAE(StandardNormal(latent_dim), likelihood, DiagonalNormal(linear, latent_dim, shape, classes=classes))


def test_without_factors_there_is_nothing_to_compare() -> None:
    dataset = DATA["sprites"](size=16, **OPTIONS)

    def vae(latent_dim: int = 3, classes: int = 0) -> VAE:
        parts = (
            Bernoulli(linear, latent_dim, (1, 16, 16), classes=classes),
            DiagonalNormal(linear, latent_dim, (1, 16, 16), classes=classes),
        )
        return VAE(StandardNormal(latent_dim), *parts)

    bare = replace(dataset, train=replace(dataset.train, factors=None))
    few = replace(dataset, test=dataset.test.take(torch.arange(49)))
    one = replace(dataset, **{name: one_factor(getattr(dataset, name)) for name in ("train", "test")})
    for part, data, reason in (
        (vae(), bare, "not known"),
        (vae(classes=3), dataset, "reads the labels"),
        (vae(), few, "too few"),
        (vae(), one, "fewer than two"),
        (vae(1), dataset, "one dimension"),
    ):
        with pytest.raises(NotApplicable, match=reason):
            disentanglement(Judged(part, data))


def one_factor(split: Split) -> Split:
    assert split.factors is not None
    return replace(split, factors=split.factors * torch.tensor([1.0, 0, 0, 0, 0]))
