"""Decoded paths whose steps, classes and densities are known, and what is said of them."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from small_models import linear
from torch import Tensor, nn

from pyrovae import VAE, DiagonalNormal, Flat, Gaussian, GaussianMixture, Point, StandardNormal
from pyrovae.data import Dataset, make_dataset
from pyrovae.evaluation import classifier as classifiers
from pyrovae.evaluation import continuity as module
from pyrovae.evaluation.continuity import (
    Ends,
    along,
    changes,
    chosen_pairs,
    continuity,
    ends_of,
    jump,
    keeps,
    measures_of,
    read_along,
    walked,
)
from pyrovae.evaluation.judged import Findings, Judged, NotApplicable
from pyrovae.figures.continuity import step_sizes, ways
from pyrovae.paths import PATHS
from pyrovae.seeding import seeded

SHAPE = (1, 4, 4)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifiers, "STEPS", 3)


def pictures(rows: int = 300, *, classes: int = 3, labels: bool = True) -> Dataset:
    with seeded(0):
        x = torch.rand(rows, *SHAPE)
    y = torch.arange(rows) % classes if labels else None
    return make_dataset("pictures", x, y, test=120, validation=50, support="real")


def vae_of(prior: Any = None, reads: int = 0) -> VAE:
    torch.manual_seed(0)
    parts = Gaussian(linear, 2, SHAPE, reads), DiagonalNormal(linear, 2, SHAPE, reads)
    return VAE(prior or StandardNormal(2), *parts)


def autoencoder() -> VAE:
    torch.manual_seed(0)
    return VAE(Flat(2), Gaussian(linear, 2, SHAPE), Point(linear, 2, SHAPE))


class Threshold(nn.Module):
    """Features are x itself; class 0, 1 or 2 has the logit 4 x_k."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 3, bias=False)
        self.head.weight.data.copy_(4 * torch.eye(3))

    def features(self, x: Tensor) -> Tensor:
        return x


class Decoded(nn.Module):
    """A likelihood whose mean is a function of z."""

    event_shape = (1,)

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, z: Tensor, y: Tensor | None = None) -> Any:
        from pyro.distributions import Delta

        return Delta(self.function(z), event_dim=1)


def decoded(function: Any, points: int, prior: Any = None) -> Any:
    """Reads two paths from -1 to 1 through a decoder of one number."""
    vae = VAE(prior or StandardNormal(1), Decoded(function), DiagonalNormal(linear, 1, (1,)))
    ends = Ends(torch.full((2, 1), -1.0), torch.ones(2, 1), None)
    return along(vae, PATHS["linear"], ends, points, None)


def test_a_linear_decoder_moves_evenly() -> None:
    way = decoded(lambda z: 3 * z + 1, 9)
    torch.testing.assert_close(way.sizes, torch.full((2, 8), 0.75, dtype=torch.double), atol=1e-6, rtol=0)
    torch.testing.assert_close(jump(way.sizes), torch.ones(2, dtype=torch.double), atol=1e-5, rtol=0)
    torch.testing.assert_close(way.roughness, torch.zeros(2, dtype=torch.double), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("function", "ratio", "roughness"),
    [
        (lambda z: (z > 0.1).float(), 8.0, 2 * 8 / 7),  # one step of eight, in and out of it
        (torch.relu, 2.0, 1 / 7 * 2),  # half of the way nothing moves, then evenly: one change, of a step
        (lambda z: torch.where((z * 4).round() % 2 == 0, 0.0, 1.0), 1.0, 2.0),  # to and fro
        (lambda z: 0 * z, 1.0, 0.0),  # nothing ever moves
    ],
)
def test_decoders_with_known_jumps(function: Any, ratio: float, roughness: float) -> None:
    """Mutations: the mean over steps that move; second differences over one step more; a division by 0."""
    way = decoded(function, 9)
    assert jump(way.sizes).tolist() == pytest.approx([ratio] * 2, rel=1e-5)
    assert way.roughness.tolist() == pytest.approx([roughness] * 2, rel=1e-5)


def test_the_density_is_that_of_the_points() -> None:
    """Mutations: of the ends alone; in another order; no log p where it is known."""
    way = decoded(lambda z: z, 5)
    z = torch.linspace(-1, 1, 5, dtype=torch.double)
    torch.testing.assert_close(way.log_prob, (-(z**2) / 2 - math.log(2 * math.pi) / 2).expand(2, 5))
    found = measures_of(way, None, "any")
    assert found["log_prior"].value == pytest.approx(-0.25 - math.log(2 * math.pi) / 2)
    assert found["log_prior_ends"].value == pytest.approx(-0.5 - math.log(2 * math.pi) / 2)
    assert found["log_prior_lowest"].value == pytest.approx(-0.5 - math.log(2 * math.pi) / 2)
    assert not {"kept", "confidence"} & set(found)


def three_ways() -> Any:
    """Returns what a classifier with logits 4 x reads: A to B at once, A to B by way of C, and A all along."""
    a, b, c = torch.eye(3)
    return read_along(
        torch.stack([torch.stack(way) for way in ([a, a, b, b], [a, c, c, b], [a, a, a, a])]), Threshold()
    )


def test_classes_along_a_path_are_counted() -> None:
    """Mutations: changes are of the ends; a path by way of another class is kept; misread ends are kept."""
    way = three_ways()
    assert way.classes.tolist() == [[0, 0, 1, 1], [0, 2, 2, 1], [0, 0, 0, 0]]
    assert changes(way.classes).tolist() == [1, 2, 0]
    two, one = torch.tensor([[0, 1]] * 3), torch.tensor([[0, 0]] * 3)
    assert keeps(way.classes, two, "other").tolist() == [True, False, False]
    assert keeps(way.classes, one, "same").tolist() == [False, False, True]
    assert keeps(way.classes, two.flip(1), "other").tolist() == [False, False, False]
    assert keeps(way.classes, one + 1, "same").tolist() == [False, False, False]
    assert measures_of(way, two, "other")["ends_right"].value == pytest.approx(2 / 3)


def test_confidence_along_a_path_is_counted() -> None:
    """e^4 / (e^4 + 2) at a corner, 1 / 3 where nothing is told. Mutations: the highest for the lowest; middle points
    only; a share over all pairs without an error over pairs."""
    a, nothing = torch.eye(3)[0], torch.zeros(3)
    classifier: Any = Threshold()
    way = read_along(torch.stack([torch.stack([a, nothing, nothing, a]), torch.stack([a] * 4)]), classifier)
    sure = math.exp(4) / (math.exp(4) + 2)
    found = measures_of(way, torch.zeros(2, 2, dtype=torch.long), "same")
    assert found["confidence"].value == pytest.approx((6 * sure + 2 / 3) / 8)
    assert found["confidence_ends"].value == pytest.approx(sure)
    assert found["confidence_lowest"].value == pytest.approx((sure + 1 / 3) / 2)
    assert found["sure"].value == pytest.approx(3 / 4)
    assert found["sure"].standard_error == pytest.approx(1 / 4)  # of 1 / 2 and 1
    assert "jump" not in measures_of(way, None, "any", even=True)


@pytest.mark.parametrize("kind", ["same", "other"])
def test_pairs_are_of_their_kind_and_at_random(kind: str) -> None:
    """Mutations: kinds are exchanged; the first data; codes of one end for both."""
    data, vae = pictures(), vae_of()
    x, y = data.held_out("test")
    with seeded(0):
        ends = dict(ends_of(Judged(vae, data), 30))[kind]
    assert ends.classes is not None
    assert ends.classes.shape == (30, 2)
    assert ((ends.classes[:, 0] == ends.classes[:, 1]) == (kind == "same")).all()
    z = vae.embed(x)
    index = [[int((z - code).norm(dim=1).argmin()) for code in end] for end in ends[:2]]
    assert y is not None
    assert all(torch.equal(y[rows], ends.classes[:, i]) for i, rows in enumerate(index))
    assert not set(index[0]) & set(index[1])
    assert len({*index[0], *index[1]}) == 60, "no datum twice"
    assert sorted(index[0]) != list(range(30))


def test_pairs_without_a_partner_are_left_out() -> None:
    assert chosen_pairs(torch.tensor([0, 1, 2, 0, 3, 4]), "same", 3).tolist() == [[0, 3]]
    assert chosen_pairs(None, "any", 2).tolist() == [[0, 1], [2, 3]]


def test_parts_make_the_same_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutations: the last part is left out; more is shown than asked for."""
    data, vae = pictures(), vae_of(GaussianMixture(2, 3, labels=True, components=3))
    with seeded(0):
        ends = dict(ends_of(Judged(vae, data), 7))["other"]
    classifier = classifiers.classifier_of(data)
    whole = dict(walked(vae, ends, 5, classifier))
    monkeypatch.setattr(module, "ELEMENTS", 2 * 5 * 16)
    parts = dict(walked(vae, ends, 5, classifier))
    for name in (*PATHS, "fade"):
        for a, b in zip(whole[name], parts[name], strict=True):
            assert (a is None) == (b is None)
            assert a is None or b is None or torch.allclose(a.double(), b.double(), atol=1e-5)
        assert parts[name].shown.shape == (2, 9, *SHAPE)


def test_a_fade_is_straight_in_x_between_the_decoded_ends() -> None:
    """Mutation: a path of codes."""
    vae, data = vae_of(), pictures()
    with torch.no_grad():
        vae.likelihood.decoder.layers[0].weight.mul_(5)
    with seeded(0):
        ends = dict(ends_of(Judged(vae, data), 4))["other"]
    way = along(vae, None, ends, 9, None)
    torch.testing.assert_close(way.shown[:, 0], vae.decode(ends.start[:2]).float())
    torch.testing.assert_close(way.shown[:, 8], vae.decode(ends.stop[:2]).float())
    torch.testing.assert_close(way.shown[:, 4], (way.shown[:, 0] + way.shown[:, 8]) / 2)
    assert way.log_prob is None


def found(vae: Any, data: Dataset, cache: Path | None = None) -> Findings:
    with seeded(0):
        return continuity(Judged(vae, data, cache=cache), pairs=6, steps=5)


def test_every_path_is_judged_by_kind() -> None:
    said = found(vae_of(), pictures())
    assert set(said.numbers) == {"same", "other"}
    assert set(said.numbers["other"]) == {"pairs", *PATHS, "fade"}
    assert said.sentences[0].startswith("6 pairs of one class and 6 pairs of two classes, 5 points of E[x | z]")
    assert len(said.sentences) == 1 + 2 * 4
    assert "linear, of two classes: largest step 1.0" in said.sentences[5]
    assert {"kept_interval", "sure_standard_error", "log_prior", "jump"} <= set(said.numbers["same"]["density"])
    assert "jump" not in said.numbers["same"]["fade"]
    assert set(said.figures) == {"paths", "steps"}


def test_an_autoencoder_follows_no_density() -> None:
    said = found(autoencoder(), pictures())
    assert set(said.numbers["same"]) == {"pairs", "linear", "spherical", "fade"}
    assert "log_prior" not in said.numbers["same"]["linear"]
    assert not any("log p(z)" in sentence for sentence in said.sentences)


def test_a_decoder_that_reads_labels_stays_in_one_class() -> None:
    """Pools, and labels that the decoder reads, by the class of both ends. Mutations: another class; no label."""
    vae = vae_of(GaussianMixture(2, 3, labels=True, components=3), reads=3)
    assert set(found(vae, pictures()).numbers) == {"same"}
    with torch.no_grad():
        vae.likelihood.decoder.layers[0].weight.zero_()
        vae.likelihood.decoder.layers[0].weight[:, 2:] = torch.arange(3.0)  # the class is all that is decoded
        vae.likelihood.decoder.layers[0].bias.zero_()
        ends = dict(ends_of(Judged(vae, pictures()), 5))["same"]
        assert ends.classes is not None
        shown = along(vae, PATHS["linear"], ends, 5, None).shown
    assert torch.allclose(shown, ends.classes[:2, :1, None, None, None].float().expand_as(shown))


def test_without_labels_steps_and_density_remain() -> None:
    said = found(vae_of(), pictures(labels=False))
    assert set(said.numbers) == {"any"}
    assert set(said.numbers["any"]["fade"]) == set()
    assert len(said.sentences) == 1 + 3
    assert "confidence" not in " ".join(said.sentences)


def test_panels_of_step_sizes_share_their_scale() -> None:
    """Mutation: the scale of the first one, where others jump further."""
    figure = step_sizes({"a": {"linear": [[1.0, 1, 1]]}, "b": {"linear": [[0.0, 0, 9]]}})
    assert [axes.get_ylim()[0] for axes in figure.axes] == [0, 0]
    assert all(axes.get_ylim()[1] > 3 for axes in figure.axes)
    assert figure.axes[1].lines[1].get_ydata().tolist() == [0, 0, 3]  # type: ignore[union-attr]


def test_the_picture_has_a_block_for_each_pair() -> None:
    """Mutation: rows are ordered by path, and named by pair."""
    images = {"linear": torch.zeros(2, 3, 4, 4), "fade": torch.ones(2, 3, 4, 4)}
    axes = ways(images, span=(0, 1)).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["linear", "fade"] * 2
    assert [float(picture.get_array().mean()) for picture in axes.images] == [0, 0, 0, 1, 1, 1] * 2  # type: ignore[union-attr]


def test_what_has_no_codes_or_no_pairs() -> None:
    vae: Any = vae_of()
    with pytest.raises(NotApplicable, match="fewer than 2 pairs"):
        continuity(Judged(vae, pictures(), data=2))
    del vae.posterior
    with pytest.raises(NotApplicable, match="no encoder"):
        continuity(Judged(vae, pictures()))
