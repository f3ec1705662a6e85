"""Laws of a network: any leading shape, one datum at a time, labels read where there are classes and nowhere else."""

from collections.abc import Sequence
from math import prod

import pytest
import torch
from torch import Tensor, nn

from pyrovae import POSTERIORS
from pyrovae.errors import PyrovaeError
from pyrovae.networks import NETWORKS, conv
from pyrovae.networks.labels import append_label

PICTURES = [(28, 20), (79, 79), (3, 32, 32), (1, 8, 8)]
LEADING = [(), (7,), (3, 7)]
CODE = (2, 4)
CASES = [(name, shape) for name in NETWORKS for shape in PICTURES] + [("mlp", (5,))]
EVERY = pytest.mark.parametrize(("name", "shape"), CASES)


def pair(name: str, shape: Sequence[int], classes: int = 0) -> list[tuple[nn.Module, tuple[int, ...]]]:
    """Returns an encoder and a decoder in float64, each with the shape of its input."""
    torch.manual_seed(0)
    wanted = [(tuple(shape), CODE), ((4,), tuple(shape))]
    return [(NETWORKS[name](start, end, classes).double(), start) for start, end in wanted]


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
    """Tells whether the output of the first datum has a gradient in another one."""
    x = x.clone().requires_grad_()
    network(x)[0].square().sum().backward()
    assert x.grad is not None
    assert x.grad[0].any()
    return bool(x.grad[1:].any())


@EVERY
def test_a_datum_does_not_depend_on_its_neighbours(name: str, shape: tuple[int, ...]) -> None:
    assert not any(reads_neighbours(network, draw(4, *start)) for network, start in pair(name, shape))


def test_batch_norm_would_fail_that_law() -> None:
    assert reads_neighbours(nn.BatchNorm1d(5).double(), draw(4, 5))


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


def test_conv_refuses_vectors() -> None:
    with pytest.raises(PyrovaeError, match=r"'conv' needs pictures.*\(5,\)") as caught:
        conv((5,), (5,))
    assert "mlp" in caught.value.hint


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_conv_refuses_vectors_in_every_posterior(posterior: str) -> None:
    """A posterior may ask for an output of two dimensions, which is not a picture."""
    with pytest.raises(PyrovaeError, match=r"\(5,\)"):
        POSTERIORS[posterior](conv, 4, (5,))


def test_append_label_is_one_hot_planes_after_the_channels() -> None:
    out = append_label(torch.full((2, 1, 3, 3), 7.0), torch.tensor([1, 0]), 2, event_dim=3)
    assert out[:, :, 0, 0].tolist() == [[7, 0, 1], [7, 1, 0]]
