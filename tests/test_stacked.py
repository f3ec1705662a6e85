"""Stacked denoising autoencoders: what each phase trains, its loss by hand, resumption, and what is said of them."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from outcomes import same
from torch import Tensor
from torch.nn.functional import log_softmax

from pyrovae import Checkpoints, Interrupted, fit
from pyrovae.baselines.greedy import Greedy
from pyrovae.baselines.placing import Placed, score
from pyrovae.baselines.stacked import DenoisingLayer, StackedAutoencoder
from pyrovae.cli import main
from pyrovae.data import Dataset
from pyrovae.data.places import Place, encode
from pyrovae.errors import PyrovaeError
from pyrovae.evaluation.sections import SECTIONS
from pyrovae.programs.stacked_autoencoder import STACKED_PROGRAM, check, validate

WORDS = {"NY": ("york", 43.0, -75.0), "TX": ("lone", 31.0, -99.0), "AK": ("bear", 64.0, -150.0)}
ROWS = [
    Place(f"{word} {chr(97 + i)}{chr(97 + j)}", state, latitude, longitude)
    for state, (word, latitude, longitude) in WORDS.items()
    for i in range(10)
    for j in range(4)
]


def toy(**options: Any) -> Dataset:
    """Texts whose first word decides state and place."""
    return encode("toy", ROWS, features=60, validation=20, test=20, **options)


def stacked(data: Dataset, **options: Any) -> StackedAutoencoder:
    torch.manual_seed(0)
    stack = StackedAutoencoder(data.event_shape, len(data.classes), **{"hidden": (12, 8, 6)} | options)
    stack.start_from(data.train.x, data.train.targets)
    return stack


def gradients(stack: StackedAutoencoder, criterion: Greedy, data: Dataset) -> set[str]:
    """Returns the names of the parts that a step's loss moves."""
    stack.zero_grad()
    criterion.batch_loss(stack, *data.batch(torch.arange(16), targets=True)).backward()
    moved = [name for name, p in stack.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    return {".".join(name.split(".")[:2]) if name.startswith("layers") else name.split(".")[0] for name in moved}


# ------------------------------------------------------------------------------------------------- phases


def test_each_phase_moves_its_layer_alone_and_the_last_one_all() -> None:
    """Mutations: the codes below are not cut off from the gradient; the phases are counted from the wrong step."""
    data = toy()
    stack, criterion = stacked(data).train(), Greedy(3, 80, 16, pretrain=2)
    for step, expected in ((0, "layers.0"), (9, "layers.0"), (10, "layers.1"), (19, "layers.1"), (20, "layers.2")):
        criterion.step = step
        assert gradients(stack, criterion, data) == {expected}
    criterion.step = 30
    everything = {"layers.0", "layers.1", "layers.2", "state_head", "place_head"}
    assert gradients(stack, criterion, data) == everything
    assert gradients(stack, Greedy(3, 80, 16, pretrain=0), data) == everything


def test_phases_begin_where_the_optimizer_starts_anew_and_selection_after_them() -> None:
    criterion = Greedy(3, 81, 16, pretrain=2)
    assert [step for step in range(60) if criterion.restarts(step) and step] == [12, 24, 36]
    assert criterion.warmup == 37
    assert Greedy(3, 80, 16, pretrain=0).warmup == 0
    assert not any(Greedy(3, 80, 16, pretrain=0).restarts(step) for step in range(1, 60))


def test_frozen_layers_stay_to_the_last_bit() -> None:
    """Layers above and below the one that is pretrained, the heads too. Mutation: the optimizer moves what has no
    gradient, by what it remembers of earlier phases."""
    data = toy()
    seen: list[dict[str, Tensor]] = []

    def noted(stack: StackedAutoencoder, *others: Any) -> dict[str, float]:
        seen.append({name: p.detach().clone() for name, p in stack.named_parameters()})
        return validate(stack, *others)

    stack = stacked(data)
    before = {name: p.detach().clone() for name, p in stack.named_parameters()}
    criterion = Greedy(3, len(data.train), 20, pretrain=1)
    fit(stack, data, criterion, 0, None, None, None, check, noted, epochs=4, batch_size=20, learning_rate=0.01)
    for phase, (old, new) in enumerate(zip([before, *seen], seen, strict=False)):
        changed = {name for name in old if not torch.equal(old[name], new[name])}
        layer = {f"layers.{phase}.{part}" for part in ("weight", "bias", "decoder_bias")}
        decoders = {name for name in old if name.endswith("decoder_bias")}
        assert changed == (layer if phase < 3 else set(old) - decoders)


def test_resumed_across_a_boundary_of_phases_it_is_the_same_to_the_last_bit(tmp_path: Path) -> None:
    """Stopped within a phase, at its last step and at the first one of the next. Mutation: the phase is counted from
    the resumption, or the optimizer keeps its means."""
    data = toy(seed=1)
    options: dict[str, Any] = {"epochs": 6, "batch_size": 20, "learning_rate": 0.01}

    def trained(folder: Path, stops: tuple[int, ...]) -> Any:
        folder.mkdir()
        run = partial(fit, dataset=data, seed=3, checkpoints=Checkpoints(folder), check=check, validate=validate)
        for steps in stops:
            asked = iter([0] * (steps - 1) + [15] * 1000)
            with pytest.raises(Interrupted):
                run(stacked(data), objective=Greedy(3, 80, 20, pretrain=1), stop=lambda a=asked: next(a), **options)
        stack = stacked(data)
        history = run(stack, objective=Greedy(3, 80, 20, pretrain=1), **options)
        return {"state": Checkpoints(folder).latest(), "kept": stack.state_dict(), "records": history.records}

    assert same(trained(tmp_path / "whole", ()), trained(tmp_path / "pieces", (3, 2, 4, 5))) == []


# ------------------------------------------------------------------------------------------------- the losses


def test_reconstruction_and_fine_tuning_losses_are_those_by_hand() -> None:
    data = toy()
    stack, criterion = stacked(data).eval(), Greedy(3, 80, 16, pretrain=1, location=2.5)
    x, y, degrees = data.batch(torch.arange(7), targets=True)
    h = x
    for phase, layer in enumerate(stack.layers):
        w, b, c = layer.weight, layer.bias, layer.decoder_bias
        code = 1 / (1 + (-(h @ w.T + b)).exp())
        mean = 1 / (1 + (-(code @ w + c)).exp())
        expected = -(h * mean.log() + (1 - h) * (1 - mean).log()).sum()
        assert torch.allclose(criterion.loss_of(phase, stack, x, y, degrees), expected, rtol=1e-4)
        h = code
    logits, place = (head(h) for head in (stack.state_head, stack.place_head))
    latitude, longitude = torch.deg2rad(degrees).T
    parts = (latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin())
    errors = sum(((place[:, i] - (part - stack.loc[i]) / stack.scale) ** 2).sum() for i, part in enumerate(parts))
    expected = -log_softmax(logits, 1)[torch.arange(7), y].sum() + 2.5 * errors
    assert torch.allclose(criterion.loss_of(3, stack, x, y, degrees), expected, rtol=1e-5)


def test_the_squared_error_of_the_mean_place_is_one_and_frequencies_are_where_decoders_start() -> None:
    data = toy()
    stack = stacked(data)
    assert stack.scaled(data.train.targets).square().sum(1).mean() == pytest.approx(1, abs=1e-5)
    frequency = (data.train.x.double().sum(0) + 1) / (len(data.train) + 2)
    assert torch.allclose(stack.layers[0].decoder_bias.sigmoid().double(), frequency, atol=1e-6)


def test_masking_sets_the_named_share_to_zero_in_training_alone() -> None:
    """Within 4 standard errors of 30 %. Mutations: the share that is kept, noise in evaluation, rescaling."""
    torch.manual_seed(0)
    layer, x = DenoisingLayer(100, 3, corruption=0.3).train(), torch.ones(200, 100)
    masked = layer.corrupted(x)
    assert set(masked.unique().tolist()) == {0.0, 1.0}
    assert abs((masked == 0).double().mean() - 0.3) < 4 * math.sqrt(0.21 / x.numel())
    assert torch.equal(layer.eval().corrupted(x), x)
    assert layer.reconstruction_loss(x) == layer.reconstruction_loss(x)


def test_noise_is_in_training_and_not_in_predictions() -> None:
    data = toy()
    stack, x = stacked(data, dropout=0.5), data.held_out("test")[0]
    assert not torch.equal(stack.train()(x)[0], stack(x)[0])
    assert torch.equal(stack.eval()(x)[0], stack(x)[0])


# ------------------------------------------------------------------------------------------------- what comes out


def test_where_the_text_decides_it_is_right_everywhere() -> None:
    data = toy()
    stack = stacked(data, hidden=(32, 16, 16), dropout=0.0)
    criterion = Greedy(3, len(data.train), 20, pretrain=3)
    options: dict[str, Any] = {"epochs": 100, "batch_size": 20, "learning_rate": 0.01}
    history = fit(stack, data, criterion, 0, None, None, None, check, validate, **options)
    x, y, degrees = data.held_out("test", targets=True)
    states, places = stack.predict(x)
    found = score(Placed("toy", states.numpy(), places.numpy()), y.numpy(), degrees.numpy())
    assert found.accuracy.value == 1.0
    assert found.mean.value < 60  # of 5,000 km between the three
    assert [row["phase"] for row in history][::9][:2] == [0, 3]
    assert history.best > 9


def test_scores_are_means_with_their_errors() -> None:
    """Against kilometres along a meridian: a degree is 111.195 km."""
    degrees, states = np.zeros((4, 2)), np.array([0, 1, 1, 0])
    put = np.array([[0.0, 0], [1, 0], [2, 0], [9, 0]])
    found = score(Placed("toy", np.array([0, 1, 0, 1]), put), states, degrees)
    assert found.accuracy.value == 0.5
    assert found.accuracy.standard_error == pytest.approx(np.std([1, 1, 0, 0], ddof=1) / 2)
    assert found.mean.value == pytest.approx(3 * 111.195, rel=1e-4)
    assert found.median.value == pytest.approx(1.5 * 111.195, rel=1e-4)
    assert found.mean.standard_error == pytest.approx(111.195 * np.std([0, 1, 2, 9], ddof=1) / 2, rel=1e-4)


def test_the_error_of_a_median_is_that_of_theory() -> None:
    """Of n normal distances it is about 1.2533 / sqrt(n) deviations; the bootstrap of 1,000 tells it within 30 %."""
    draw = np.random.default_rng(0)
    put = np.stack([10 + draw.normal(size=1000), np.zeros(1000)], 1)
    found = score(Placed("toy", np.zeros(1000), put), np.zeros(1000), np.zeros((1000, 2)))
    assert found.median.standard_error == pytest.approx(111.195 * 1.2533 / math.sqrt(1000), rel=0.3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: replaced(data, targets=None), "data set toy has no coordinates"),
        (lambda data: replaced(data, y=None), "data set toy has no labels"),
        (lambda data: replaced(data, y=torch.zeros(len(data.train), dtype=torch.long)), "are of one class"),
        (
            lambda data: replaced(data, x=data.train.x[:, :5]),
            "model expects (60,) with 3 classes, data set toy has (5,)",
        ),
    ],
)
def test_other_data_are_refused(change: Callable[[Dataset], Dataset], message: str) -> None:
    data = toy()
    with pytest.raises(PyrovaeError, match=message.replace("(", r"\(").replace(")", r"\)")):
        check(stacked(data), change(data), Greedy(3, 80, 16))


def replaced(data: Dataset, **parts: Any) -> Dataset:
    return replace(data, train=replace(data.train, **parts))


def run(folder: Path, *sets: str) -> Any:
    lines = [",".join(map(str, row)) for row in ROWS]
    (folder / "mine.csv").write_text("\n".join(["text,state,latitude,longitude", *lines]) + "\n")
    chosen = {"data.path": folder / "mine.csv", "stack.hidden": "[8,6]", "stack.pretrain": 1, "data.features": 40}
    chosen |= {"train.epochs": 4, "train.batch_size": 16} | dict(pair.split("=") for pair in sets)
    words = [word for key, value in chosen.items() for word in ("--set", f"{key}={value}")]
    return CliRunner().invoke(main, ["run", "places-stacked", "--runs-dir", str(folder), "--name", "a", *words])


def test_a_run_leaves_its_table_and_pictures_and_says_what_it_lacks(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.exit_code == 0, done.output
    assert "stacked autoencoder, 4 epochs, 2 of them pretraining" in done.output
    numbers = json.loads((tmp_path / "a" / "evaluation.json").read_text())
    assert [row["method"].split(",")[0] for row in numbers["methods"]] == [
        "most frequent state", "logistic and ridge regression", "stacked autoencoder",
    ]  # fmt: skip
    assert numbers["methods"][1]["accuracy"] == 1.0  # the first word decides
    assert sorted(p.name for p in (tmp_path / "a" / "figures").iterdir()) == ["map.png", "training.png"]
    judged = CliRunner().invoke(main, ["evaluate", str(tmp_path / "a")])
    assert judged.exit_code == 0, judged.output
    assert judged.output.count("not applicable") == len(SECTIONS) + 1
    assert "logistic and ridge regression" in (tmp_path / "a" / "report.md").read_text()


def test_every_section_has_its_reason() -> None:
    assert set(STACKED_PROGRAM.lacks) == {"evidence", *SECTIONS}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.epochs=3", "train.epochs = 3 with stack.pretrain = 1 for 2 layers"),
        ("stack.corruption=1.0", "'corruption' should be 0 or more and below 1, got 1.0"),
        ("stack.hiden=[3]", "unknown key 'hiden' (did you mean 'hidden'?)"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    tmp_path: Path, setting: str, message: str
) -> None:
    done = run(tmp_path, setting)
    assert done.exit_code == 2
    assert message in done.output
    assert not (tmp_path / "a").exists()
