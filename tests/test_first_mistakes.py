"""What people get wrong with their first VAE in Python is refused with what to do, and never scored in silence."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyro import distributions as dist
from small_models import linear_vae
from torch import Tensor, nn

import pyrovae
from pyrovae import ELBO, MLP, VAE, Bernoulli, DiagonalNormal, PyrovaeError, StandardNormal
from pyrovae.checks import check_combination

EVENT = (1, 8, 8)
DIGITS = pyrovae.DATA["digits"]()


def make(prior: Any = None) -> VAE:
    torch.manual_seed(0)
    return VAE(prior or StandardNormal(3), Bernoulli(MLP, 3, EVENT), DiagonalNormal(MLP, 3, EVENT))


class Made(nn.Module):
    """A prior that returns what it is given."""

    def __init__(self, returned: Callable[[], Any]) -> None:
        super().__init__()
        self.returned = returned

    def forward(self, y: Tensor | None = None) -> Any:
        return self.returned()


def refused(action: Callable[[], object]) -> str:
    """Returns the last two lines of a traceback: message and hint."""
    with pytest.raises(PyrovaeError) as caught:
        action()
    message, hint = "".join(traceback.format_exception_only(caught.value)).splitlines()
    assert hint.startswith("Hint: ")
    return f"{message.split(': ', 1)[1]}\n{hint}"


WRONG: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "channels last": (lambda x: x.permute(0, 2, 3, 1), "x has shape (5, 8, 8, 1), this VAE reads (n, 1, 8, 8)"),
    "flat": (lambda x: x.flatten(1), "x has shape (5, 64), this VAE reads (n, 1, 8, 8)"),
    "one datum": (lambda x: x[0], "one datum is a batch of one: x[None]"),
    "no channel": (lambda x: x[:, 0], "x has shape (5, 8, 8), this VAE reads (n, 1, 8, 8)"),
    "array": (lambda x: x.numpy(), "x is no tensor but ndarray\nHint: torch.as_tensor(x)"),
}
READERS: dict[str, Callable[[VAE, Any], object]] = {
    "log_marginal": lambda vae, x: pyrovae.log_marginal(vae, x, particles=30),
    "rate": lambda vae, x: pyrovae.rate(vae, x),
    "distortion": lambda vae, x: pyrovae.distortion(vae, x),
    "embed": lambda vae, x: vae.embed(x),
    "reconstruct": lambda vae, x: vae.reconstruct(x),
    "check": lambda vae, x: pyrovae.check(vae, x),
    "model": lambda vae, x: vae.model(x),
    "to_datatree": lambda vae, x: pyrovae.to_datatree(vae, x, draws=30),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("wrong", WRONG)
def test_x_of_another_shape_is_named_with_the_right_one(wrong: str, reader: str) -> None:
    """Channels at the end once gave a number, 500 nats off. Mutations: model, guide or batches do not look."""
    spoil, message = WRONG[wrong]
    assert message in refused(lambda: READERS[reader](make(), spoil(DIGITS.held_out("test")[0][:5])))


PRIORS: dict[str, tuple[Callable[[], Any], str]] = {
    "torch's": (
        lambda: torch.distributions.Independent(torch.distributions.Normal(torch.zeros(3), 1.0), 1),
        "the prior returned torch.distributions.independent.Independent, which is no distribution of Pyro's",
    ),
    "tensor": (lambda: torch.zeros(3), "the prior returned torch.Tensor, which is no distribution"),
    "nothing": (lambda: None, "the prior returned NoneType, which is no distribution"),
    "no event": (
        lambda: dist.Normal(torch.zeros(3), 1.0),
        "the prior returned batch shape (3,) and event shape (); expected () and (3,)\nHint: .to_event(1)",
    ),
    "twenty": (
        lambda: dist.Normal(torch.zeros(20, 3), 1.0).to_event(1),
        "the prior returned batch shape (20,) and event shape (3,); expected () and (3,)\nHint: return one draw",
    ),
    "matrix": (
        lambda: dist.Normal(torch.zeros(1, 3), 1.0).to_event(2),
        "the prior returned batch shape () and event shape (1, 3); expected () and (3,)",
    ),
}


@pytest.mark.parametrize("name", PRIORS)
def test_what_a_prior_returned_is_named_with_what_it_should(name: str) -> None:
    """By `check` and before a training. Mutations: one of both does not look; the hint of the other mistake."""
    returned, message = PRIORS[name]
    vae = make(Made(returned))
    assert message in refused(lambda: pyrovae.check(vae, DIGITS.held_out("test")[0][:5]))
    assert message in refused(lambda: check_combination(vae, DIGITS, ELBO()))
    if "no distribution" in message:
        assert message in refused(lambda: vae.model(size=2))


@pytest.mark.parametrize("part", ["prior", "likelihood", "posterior"])
def test_a_part_that_is_no_module_is_refused_since_nothing_would_train_it(part: str) -> None:
    vae = make()
    parts = {"prior": vae.prior, "likelihood": vae.likelihood, "posterior": vae.posterior} | {part: lambda *_: None}
    assert f"the {part} is no torch.nn.Module but function" in refused(lambda: VAE(**parts))


def test_names_have_their_nearest_in_a_traceback() -> None:
    """Mutation: the hint is an attribute alone, which nobody sees."""
    assert "did you mean 'linear'?" in refused(lambda: ELBO(beta={"schedule": "linaer", "steps": 3}))
    assert "did you mean 'test'?" in refused(lambda: DIGITS.held_out("tests"))


def test_a_run_goes_and_goes_on_where_a_string_says(tmp_path: Path) -> None:
    sections = {"data": {"name": "digits"}, "train": {"epochs": 1}, "evaluation": {"particles": 30, "data": 10}}
    pyrovae.run(pyrovae.Experiment.of("small", sections), str(tmp_path / "small"), figures=False)
    pyrovae.resume(str(tmp_path / "small"), ["train.epochs=2"], figures=False)
    assert len((tmp_path / "small" / "metrics.jsonl").read_text().splitlines()) == 2


def test_what_is_right_is_still_taken() -> None:
    model = linear_vae(n=3)
    assert np.isfinite(pyrovae.log_marginal(model.vae, model.x, particles=30).mean)
