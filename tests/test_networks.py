"""Laws of a network: any leading shape, one datum at a time, labels read where there are classes and nowhere else."""

import inspect
import re
from collections.abc import Sequence
from functools import partial
from itertools import product
from math import prod
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from pyrovae import POSTERIORS
from pyrovae.errors import PyrovaeError
from pyrovae.listing import summary
from pyrovae.networks import NETWORKS, Network, conv, gated_mlp, log_counts, pictures, resnet
from pyrovae.networks.labels import append_label
from pyrovae.networks.layers import GAINS, function

PICTURES = [(28, 20), (79, 79), (3, 32, 32), (1, 8, 8), (1, 5)]
LEADING = [(), (7,), (3, 7), (0, 3)]
CODE = (2, 4)


def narrow(name: str) -> Network:
    """Returns a network of the table, narrower where it has the usual options for that."""
    known = inspect.signature(NETWORKS[name]).parameters
    widths = {"channels": (4, 6), "hidden": (16, 16) if isinstance(known["hidden"].default, tuple) else 16}
    return partial(NETWORKS[name], **{key: width for key, width in widths.items() if key in known})


def reads_vectors(name: str) -> bool:
    try:
        return bool(NETWORKS[name]((5,), (4,)))
    except PyrovaeError:
        return False


VECTORS = {name: reads_vectors(name) for name in NETWORKS}
NO_VECTORS = pytest.mark.parametrize("name", [name for name in NETWORKS if not VECTORS[name]])
OF_PICTURES = pytest.mark.parametrize("name", [name for name in NETWORKS if not VECTORS[name] and name != "gru"])
CASES = [(name, shape) for name in NETWORKS for shape in [*PICTURES, *[(5,)] * VECTORS[name]]]
EVERY = pytest.mark.parametrize(("name", "shape"), CASES)
ROW = pytest.mark.parametrize("name", NETWORKS)


def pair(name: str, shape: Sequence[int], classes: int = 0) -> list[tuple[nn.Module, tuple[int, ...]]]:
    """Returns an encoder and a decoder in float64, each with the shape of its input."""
    torch.manual_seed(0)
    wanted = [(tuple(shape), CODE), ((4,), tuple(shape))]
    return [(narrow(name)(start, end, classes).double(), start) for start, end in wanted]


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@EVERY
@pytest.mark.parametrize("leading", LEADING)
def test_any_leading_shape(name: str, shape: tuple[int, ...], leading: tuple[int, ...]) -> None:
    (encoder, _), (decoder, _) = pair(name, shape)
    assert encoder(draw(*leading, *shape)).shape == (*leading, *CODE)
    assert decoder(draw(*leading, 4)).shape == (*leading, *shape)


@EVERY
def test_a_leading_shape_is_only_a_shape(name: str, shape: tuple[int, ...]) -> None:
    """Mutation: `flatten` in the wrong order, rows of one datum in another."""
    for network, start in pair(name, shape, classes=3):
        x, y = draw(2, 3, *start), torch.tensor([0, 1, 2])
        one_by_one = torch.stack([torch.stack([network(x[i, j], y[j]) for j in range(3)]) for i in range(2)])
        torch.testing.assert_close(network(x, y), one_by_one, rtol=1e-9, atol=1e-9)


def reads_neighbours(network: nn.Module, x: Tensor) -> bool:
    """Tells whether the output of the first datum has a gradient in another one, or moves with it."""
    x = x.clone().requires_grad_()
    first = network(x)[0]
    first.square().sum().backward()
    assert x.grad is not None
    assert x.grad[0].any()
    others = torch.cat([x[:1], 10 * x[1:] + 1])
    return bool(x.grad[1:].any()) or not torch.allclose(network(others)[0], first, rtol=0, atol=1e-6)


def normalise_batch(layer: nn.Module, inputs: Any, out: Tensor) -> Tensor:
    return batch_norm(out, None, None, training=True)


@EVERY
def test_a_datum_does_not_depend_on_its_neighbours(name: str, shape: tuple[int, ...]) -> None:
    assert not any(reads_neighbours(network, draw(4, *start)) for network, start in pair(name, shape))


@EVERY
def test_batch_norm_would_fail_that_law(name: str, shape: tuple[int, ...]) -> None:
    for network, start in pair(name, shape):
        first = next(layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d))
        first.register_forward_hook(normalise_batch)
        assert reads_neighbours(network, draw(4, *start))


@EVERY
@pytest.mark.parametrize("classes", [0, 3])
def test_labels_change_the_output_only_where_there_are_classes(name: str, shape: tuple[int, ...], classes: int) -> None:
    for network, start in pair(name, shape, classes):
        x = draw(*start).expand(3, *start)
        distinct = network(x, torch.arange(3)).flatten(1)
        assert len(distinct.round(decimals=9).unique(dim=0)) == max(classes, 1)


@EVERY
def test_missing_labels_are_an_error(name: str, shape: tuple[int, ...]) -> None:
    for network, start in pair(name, shape, classes=3):
        with pytest.raises(ValueError, match="'y', which were not given"):
            network(draw(2, *start))


@EVERY
@pytest.mark.parametrize("classes", [0, 3])
def test_every_parameter_gets_a_gradient(name: str, shape: tuple[int, ...], classes: int) -> None:
    for network, start in pair(name, shape, classes):
        network(draw(6, *start), torch.arange(6) % 3).square().sum().backward()
        assert [key for key, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@EVERY
def test_every_number_of_the_datum_is_read(name: str, shape: tuple[int, ...]) -> None:
    """Mutation: a convolution that drops the last row of an odd picture."""
    encoder, _ = pair(name, shape)[0]
    x = draw(*shape).requires_grad_()
    encoder(x).square().sum().backward()
    assert x.grad is not None
    assert int(x.grad.ne(0).sum()) == prod(shape)


@EVERY
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_output_has_the_precision_of_the_input(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    for network, start in pair(name, shape, classes=3):
        assert network.to(dtype)(draw(2, *start).to(dtype), torch.arange(2)).dtype == dtype


@ROW
def test_a_network_prints_its_shapes_and_classes(name: str) -> None:
    (encoder, _), (decoder, _) = pair(name, (3, 32, 32), classes=10)
    assert "(3, 32, 32) and 10 classes -> (2, 4)" in repr(encoder)
    assert "(4,) and 10 classes -> (3, 32, 32)" in repr(decoder)


@ROW
def test_a_row_is_one_sentence_with_its_paper(name: str) -> None:
    assert re.fullmatch(r"[^.]+( et al\.)?,? ?(\d{4}|[^.]+, \d{4})\)\.", summary(NETWORKS[name]))


# Initial weights


def spreads(network: nn.Module, start: Sequence[int]) -> tuple[float, float]:
    """Returns the standard deviation of all outputs, and that of one output over data."""
    with torch.no_grad():
        out = network(draw(64, *start).float()).flatten(1)
    return out.std().item(), out.std(0).mean().item()


def fresh(name: str, shape: Sequence[int]) -> list[tuple[float, float]]:
    """Returns the spreads of an encoder and a decoder of full width."""
    torch.manual_seed(0)
    ends = [(shape, (32,)), ((16,), shape)]
    return [spreads(NETWORKS[name](start, end), start) for start, end in ends]


@EVERY
def test_fresh_outputs_are_neither_silent_nor_loud(name: str, shape: tuple[int, ...]) -> None:
    for whole, over_data in fresh(name, shape):
        assert 0.01 < over_data < 1.1 * whole < 3


@OF_PICTURES
def test_with_the_initial_weights_of_torch_a_decoder_would_be_silent(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "keep_scale", lambda network, activation: network)
    assert fresh(name, (1, 28, 28))[1][1] < 0.01


@pytest.mark.parametrize("activation", GAINS)
def test_a_gain_keeps_the_second_moment(activation: str) -> None:
    """By Gauss-Hermite quadrature, over two normals, of which a gate reads both."""
    points, weights = np.polynomial.hermite_e.hermegauss(80)
    grid = GAINS[activation] * torch.tensor(list(product(points, points)))
    weight = torch.tensor(np.outer(weights, weights).ravel() / weights.sum() ** 2)
    moment = weight @ function(activation, dim=-1)(grid).square()[:, 0]
    assert moment.item() == pytest.approx(1, abs=1e-4)


# One network each


def test_a_gate_is_a_product_with_a_sigmoid_of_the_same_input() -> None:
    network, x = gated_mlp((5,), (2,), hidden=[3]).double(), draw(7, 5)
    first, last = (dict(network.named_parameters())[f"layers.{k}.weight"] for k in (0, 2))
    nn.init.normal_(bias := network.get_parameter("layers.0.bias"))
    w, v = first.chunk(2)
    b, c = bias.chunk(2)
    hidden = (x @ w.T + b) * torch.sigmoid(x @ v.T + c)
    torch.testing.assert_close(network(x), hidden @ last.T + network.get_parameter("layers.2.bias"))


def test_a_residual_block_without_its_branch_is_the_identity_but_for_its_weight() -> None:
    level = resnet((1, 8, 8), (2,), channels=[4], blocks=3).double().levels[0]
    blocks, x = level[1:-1], draw(2, 4, 4, 4)
    for block in blocks:
        assert block.keep**2 + block.add**2 == pytest.approx(1)
        nn.init.zeros_(block.branch[-1].weight)
        nn.init.zeros_(block.branch[-1].bias)
    torch.testing.assert_close(blocks(x), x * 0.75**1.5)


@pytest.mark.parametrize(
    "name", [name for name in NETWORKS if "blocks" in inspect.signature(NETWORKS[name]).parameters]
)
@pytest.mark.parametrize("blocks", [0, 1, 3])
def test_blocks_lengthen_a_network(name: str, blocks: int) -> None:
    per_block = {"gated-conv": 1, "resnet": 2}[name]
    for start, end in [((1, 8, 8), (2,)), ((2,), (1, 8, 8))]:
        network = narrow(name)(start, end, blocks=blocks)
        count = sum(isinstance(layer, nn.Conv2d) for layer in network.modules())
        assert count == 2 * (1 + per_block * blocks) + len(end) // 2
        assert network(torch.zeros(3, *start)).shape == (3, *end)


@ROW
def test_log_counts_reads_the_logarithm_of_counts_and_labels_as_they_are(name: str) -> None:
    """Mutation: `x.log()`; labels not handed on."""
    torch.manual_seed(0)
    counting = log_counts(narrow(name))((3, 7), CODE, 3).double()
    x, y = draw(2, 5, 3, 7).abs().mul(1000).round(), torch.arange(5) % 3
    torch.testing.assert_close(counting(x, y), counting.network((1 + x).log(), y))
    assert counting.classes == 3
    assert "(3, 7) and 3 classes -> (2, 4)" in repr(counting)


def test_log_counts_hands_options_on() -> None:
    assert len(log_counts(gated_mlp)((5,), (2,), hidden=[3]).network.layers) == 3


# Mistakes


@NO_VECTORS
def test_networks_of_pictures_refuse_vectors(name: str) -> None:
    with pytest.raises(PyrovaeError, match=rf"'{name}' needs (pictures|sequences).*\(5,\)") as caught:
        NETWORKS[name]((5,), (5,))
    assert "mlp" in caught.value.hint


@OF_PICTURES
@pytest.mark.parametrize(("start", "end"), [((8, 8), (2,)), ((2,), (8, 8))])
def test_networks_of_pictures_have_a_level(name: str, start: tuple[int, ...], end: tuple[int, ...]) -> None:
    with pytest.raises(PyrovaeError, match=rf"'{name}' has no level: channels = \[\]") as caught:
        NETWORKS[name](start, end, channels=[])
    assert "[32, 64]" in caught.value.hint


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_conv_refuses_vectors_in_every_posterior(posterior: str) -> None:
    """A posterior may ask for an output of two dimensions, which is not a picture."""
    with pytest.raises(PyrovaeError, match=r"\(5,\)"):
        POSTERIORS[posterior](conv, 4, (5,))


def test_append_label_is_one_hot_planes_after_the_channels() -> None:
    out = append_label(torch.full((2, 1, 3, 3), 7.0), torch.tensor([1, 0]), 2, event_dim=3)
    assert out[:, :, 0, 0].tolist() == [[7, 0, 1], [7, 1, 0]]
