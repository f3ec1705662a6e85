"""Ways between two codes: ends, angles and norms that are known, and actions that nothing else lowers."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from commands import Maker, refusal, succeeds, train
from compositions import build
from PIL import Image
from pyro.distributions import MultivariateNormal, Normal
from scipy.optimize import minimize
from torch import Tensor

from pyrovae import Flat, GaussianMixture, PyrovaeError, StandardNormal
from pyrovae.paths import PATHS, action, dense, linear, path_named, spherical

DOUBLE = torch.double
STANDARD = StandardNormal(3).double()()


def codes(count: int = 5, dim: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    return torch.randn(count, dim, dtype=DOUBLE), 2 * torch.randn(count, dim, dtype=DOUBLE)


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("steps", [2, 3, 8])
def test_every_path_ends_where_it_should(name: str, steps: int) -> None:
    """Of one pair and of many. Mutations: an end moves; the ends are exchanged; steps are counted without ends."""
    start, stop = codes()
    path = PATHS[name](start, stop, steps=steps, prior=STANDARD)
    assert path.shape == (5, steps, 3)
    torch.testing.assert_close(path[:, 0], start)
    torch.testing.assert_close(path[:, -1], stop)
    alone = PATHS[name](start[2], stop[2], steps=steps, prior=STANDARD)
    torch.testing.assert_close(alone, path[2], atol=1e-4, rtol=1e-4)


def test_a_straight_path_has_equal_steps() -> None:
    start, stop = codes()
    path = linear(start, stop, steps=5)
    torch.testing.assert_close(path[:, 2], (start + stop) / 2)
    torch.testing.assert_close(path.diff(dim=1), ((stop - start) / 4)[:, None].expand(5, 4, 3))


def test_a_spherical_path_turns_evenly_and_keeps_its_norm() -> None:
    """From (2, 0) to 120 degrees and norm 4. Mutations: norms that are mixed by the sines; the angle is halved."""
    end = torch.tensor([math.cos(2 * math.pi / 3), math.sin(2 * math.pi / 3)], dtype=DOUBLE)
    path = spherical(torch.tensor([2.0, 0.0], dtype=DOUBLE), 4 * end, steps=5)
    torch.testing.assert_close(path.norm(dim=-1), torch.tensor([2.0, 2.5, 3.0, 3.5, 4.0], dtype=DOUBLE))
    angles = torch.atan2(path[:, 1], path[:, 0]) * 180 / math.pi
    torch.testing.assert_close(angles, torch.tensor([0.0, 30, 60, 90, 120], dtype=DOUBLE))
    start, stop = codes()
    even = spherical(start / start.norm(dim=1, keepdim=True), stop / stop.norm(dim=1, keepdim=True), steps=9)
    torch.testing.assert_close(even.norm(dim=-1), torch.ones(5, 9, dtype=DOUBLE))


def test_codes_of_nearly_one_direction_are_joined_smoothly() -> None:
    """In single precision too. Mutations: the arc cosine of a product; no straight path where sines vanish."""
    start = torch.tensor([3.0, 4.0])
    for turn in (0.0, 1e-7, 1e-5, 1e-3, math.pi):
        sine, cosine = math.sin(turn), math.cos(turn)
        stop = torch.stack([cosine * start[0] - sine * start[1], sine * start[0] + cosine * start[1]])
        path = spherical(start, stop, steps=4)
        assert path.isfinite().all()
        if turn < 1:
            torch.testing.assert_close(path, linear(start, stop, steps=4), atol=5e-6, rtol=0)
            torch.testing.assert_close(path.norm(dim=-1), torch.full((4,), 5.0))
    # nearly half a turn, where a middle code is long by as much as the angle is wrong
    back = torch.tensor([math.cos(math.pi - 3e-3), math.sin(math.pi - 3e-3)])
    turned = spherical(torch.tensor([1.0, 0.0]), back, steps=5)
    torch.testing.assert_close(turned.norm(dim=-1), torch.ones(5), atol=1e-4, rtol=0)
    nowhere = spherical(torch.zeros(2), start, steps=3)
    assert nowhere.tolist() == [[0, 0], [1.5, 2], [3, 4]]


def exact(start: Tensor, stop: Tensor, steps: int, weight: float) -> Tensor:
    """Solves T (2 z_t - z_{t-1} - z_{t+1}) + w / (2 T) z_t = 0, where the action of a standard normal is least."""
    parts = steps - 1
    size = steps - 2
    system = (2 * parts + weight / (2 * parts)) * np.eye(size) - parts * (np.eye(size, k=1) + np.eye(size, k=-1))
    right = np.zeros((size, start.shape[-1]))
    right[0] += parts * start.numpy()
    right[-1] += parts * stop.numpy()
    return torch.from_numpy(np.linalg.solve(system, right))


@pytest.mark.parametrize(("steps", "weight"), [(3, 1.0), (9, 4.0), (33, 20.0)])
def test_a_dense_path_under_a_standard_normal_is_the_closed_form(steps: int, weight: float) -> None:
    """Mutations: a weight by the number of steps; half of the squares; one step of the search only."""
    start, stop = codes()
    found = dense(start, stop, steps=steps, prior=STANDARD, weight=weight)
    for path, a, b in zip(found, start, stop, strict=True):
        torch.testing.assert_close(path[1:-1], exact(a, b, steps, weight), atol=1e-4, rtol=1e-4)
    straight = linear(start, stop, steps=steps)
    assert (found.square().sum((1, 2)) < straight.square().sum((1, 2))).all(), "it bends towards the origin"
    assert (action(found, STANDARD, weight) < action(straight, STANDARD, weight)).all()


def test_refining_a_dense_path_converges_to_a_curve() -> None:
    """sinh(k s) of k^2 = w / 2 on an axis from 0 to 1: the action is of the curve, and not of how many steps it has."""
    weight = 8.0
    path = dense(torch.zeros(1, dtype=DOUBLE), torch.ones(1, dtype=DOUBLE), steps=65, weight=weight,
                 prior=StandardNormal(1).double()())  # fmt: skip
    share = torch.linspace(0, 1, 65, dtype=DOUBLE)
    torch.testing.assert_close(path[:, 0], (2 * share).sinh() / math.sinh(2), atol=1e-3, rtol=0)


def test_three_points_are_where_brute_force_finds_them() -> None:
    """Between the modes of a correlated normal and a mixture, by another optimiser. Mutation: ends that may move."""
    mixture = GaussianMixture(2, components=3).double()
    with torch.no_grad():
        mixture.loc.copy_(torch.tensor([[-2.0, 0], [2, 0], [0, 2.5]]))
    tilted = MultivariateNormal(torch.tensor([0.0, 1.0], dtype=DOUBLE), torch.tensor([[1.0, 0.8], [0.8, 1]]).double())
    start, stop = torch.tensor([-2.0, 0.1], dtype=DOUBLE), torch.tensor([2.0, 0.3], dtype=DOUBLE)
    with torch.no_grad():
        priors = [mixture(), tilted]
    for prior in priors:

        @torch.no_grad()
        def cost(middle: Any, prior: Any = prior) -> float:
            return float(action(torch.stack([start, torch.from_numpy(middle), stop]), prior, 30.0))

        found = dense(start, stop, steps=3, prior=prior, weight=30.0)
        brute = minimize(cost, ((start + stop) / 2).numpy(), method="Nelder-Mead", options={"xatol": 1e-8})
        torch.testing.assert_close(found[1], torch.from_numpy(brute.x), atol=1e-4, rtol=0)
        assert action(found, prior, 30.0) < action(linear(start, stop, steps=3), prior, 30.0)


def test_the_action_is_counted_by_hand() -> None:
    """Two steps of length 1 and 2 with standard normal codes 0, 1, 3: 2 (1 + 4) + w / 2 (10 / 2 + 3 log(2 pi) / 2)."""
    path = torch.tensor([[0.0], [1.0], [3.0]], dtype=DOUBLE)
    prior = Normal(torch.zeros(1, dtype=DOUBLE), 1.0).to_event(1)
    assert action(path, prior, 0.0).item() == pytest.approx(10)
    assert action(path, prior, 4.0).item() == pytest.approx(10 + 2 * (5 + 1.5 * math.log(2 * math.pi)))


def test_no_parameter_gets_a_gradient_and_no_path_is_worse_than_the_straight_one() -> None:
    """Mutation: `backward` through the prior."""
    vae = build("flow")
    start, stop = torch.randn(2, 20, 2)
    with torch.no_grad():
        prior = vae.prior()
        found = dense(3 * start, 3 * stop, steps=9, prior=prior)
    assert not found.requires_grad
    straight = linear(3 * start, 3 * stop, steps=9)
    assert (action(found, prior) <= action(straight, prior) + 1e-4).all()
    assert all(parameter.grad is None for parameter in vae.parameters())


def test_paths_that_cannot_be_taken() -> None:
    with pytest.raises(PyrovaeError, match="a flat prior is as dense everywhere") as caught:
        dense(*codes(), steps=4, prior=Flat(3)())
    assert "refit-prior" in caught.value.hint
    with pytest.raises(PyrovaeError, match="unknown path 'lineal'") as caught:
        path_named("lineal")
    assert "linear" in caught.value.hint


# ------------------------------------------------------------------------------------------------ the command


@pytest.mark.parametrize("name", PATHS)
def test_the_command_takes_every_path(copied: Maker, name: str) -> None:
    """Mutation: the straight one whatever is asked for."""
    run = copied()
    succeeds("interpolate", run, 0, 7, "--path", name, "--steps", 5, "-o", run / "a.npy")
    succeeds("interpolate", run, 0, 7, "--steps", 5, "-o", run / "b.npy")
    found, straight = np.load(run / "a.npy"), np.load(run / "b.npy")
    np.testing.assert_allclose(found[[0, -1]], straight[[0, -1]], atol=1e-5)
    assert np.allclose(found, straight, atol=1e-4) == (name == "linear")


def test_a_gif_goes_there_and_back(copied: Maker) -> None:
    """Mutations: one way only; an end is shown twice."""
    run = copied()
    succeeds("interpolate", run, 0, 7, "--steps", 6, "-o", run / "path.gif")
    succeeds("interpolate", run, 0, 7, "--steps", 6, "-o", run / "path.npy")
    with Image.open(run / "path.gif") as gif:
        assert gif.n_frames == 10  # type: ignore[attr-defined]
        gif.seek(5)
        shown = np.asarray(gif.convert("L").resize((8, 8), Image.Resampling.NEAREST)) / 255
    np.testing.assert_allclose(shown, np.load(run / "path.npy")[5, 0], atol=0.03)


def test_mistakes_are_told(copied: Maker) -> None:
    run = copied()
    assert "unknown path 'sperical'" in refusal("interpolate", run, 0, 7, "--path", "sperical", code=2)
    assert "end it in .png or .npy or .csv or .gif" in refusal("interpolate", run, 0, 7, "-o", "a.mp4", code=2)


def test_an_autoencoder_has_no_density_to_follow(copied: Maker, tmp_path: Any) -> None:
    run = train(tmp_path, "auto", {"prior.name": "flat", "posterior.name": "point"})
    assert "a flat prior is as dense everywhere" in refusal("interpolate", run, 0, 7, "--path", "density")
    succeeds("interpolate", run, 0, 7, "--path", "spherical", "-o", tmp_path / "a.gif")
