"""Another prior on a trained VAE: what stays, what learns, what is refused, and what it says it changed."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import Maker, refusal, succeeds, train
from small_models import linear_vae
from torch import Tensor

from pyrovae import Dataset, Split, fit, load
from pyrovae.evaluation.bounds import bounds
from pyrovae.evaluation.judged import Findings, Judged
from pyrovae.evaluation.sections import SECTIONS
from pyrovae.objectives.prior_fit import PriorFit
from pyrovae.priors import GaussianMixture
from pyrovae.vae import VAE


@pytest.fixture(autouse=True)
def no_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the judging of samples to its own tests."""
    for name in list(SECTIONS):
        if name != "ais":
            monkeypatch.delitem(SECTIONS, name)
    monkeypatch.setattr("pyrovae.refitting.SAMPLES", ())
    monkeypatch.setattr("pyrovae.gallery.draw", lambda *_: None)


def weights(run: Path, part: str) -> dict[str, Tensor]:
    return {name: value for name, value in load(run)[0].state_dict().items() if name.startswith(part)}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("prior", ["flow", "vamp"])
def test_the_prior_learns_and_the_rest_stays(copied: Maker, prior: str) -> None:
    """Mutations: the encoder is not taken over; nothing is frozen; the source is written into."""
    source = copied("normal")
    before = (source / "evaluation.json").read_bytes()
    options = ["--set", f"prior.name={prior}", "--set", "train.epochs=2", "--runs-dir", source.parent]
    if prior == "vamp":
        options += ["--set", "prior.pseudo_inputs=20"]
    printed = succeeds("refit-prior", "normal", *options)
    assert "normal" in printed.splitlines()[-1]
    made = source.parent / f"normal-{prior}"
    for part in ("likelihood", "posterior"):
        assert equal(weights(source, part), weights(made, part))
    assert any(name for name in weights(made, "prior"))
    manifest = json.loads((made / "manifest.json").read_text())
    assert manifest["refit_of"]["run"] == "normal"
    assert manifest["configuration"]["prior"]["name"] == prior
    assert (source / "evaluation.json").read_bytes() == before
    records = [json.loads(line) for line in (made / "metrics.jsonl").read_text().splitlines()]
    assert records[1]["validation_loss"] < records[0]["validation_loss"], "the prior has learnt"
    gain = np.load(made / "log_marginal.npy").astype(float) - np.load(source / "log_marginal.npy")
    assert f"{abs(gain.mean()):.2f} ±" in printed.splitlines()[-1]


def test_a_refit_goes_on_with_the_same_frozen_parts(copied: Maker) -> None:
    """Mutations: resume trains all of it; resume takes the experiment's objective."""
    source = copied("normal")
    options = ["--set", "prior.name=flow", "--set", "train.epochs=1", "--runs-dir", source.parent]
    succeeds("refit-prior", "normal", *options)
    made = source.parent / "normal-flow"
    prior = weights(made, "prior")
    succeeds("resume", made, "--set", "train.epochs=3")
    assert equal(weights(source, "posterior"), weights(made, "posterior"))
    assert not equal(prior, weights(made, "prior"))


def test_an_autoencoder_gets_a_log_p_by_annealing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = train(tmp_path, "auto", {"posterior.name": "point", "prior.name": "flat"})

    def small(judged: Judged) -> Findings:
        return bounds(judged, annealed=4, temperatures=4, chains=2)

    monkeypatch.setitem(SECTIONS, "ais", small)
    options = [
        "--set",
        "prior.name=gaussian-mixture",
        "--set",
        "prior.labels=false",
        "--name",
        "x",
        "--runs-dir",
        tmp_path,
    ]
    printed = succeeds("refit-prior", source, *options)
    assert "ais4 log p(x) =" in printed
    assert "an autoencoder has no log p(x)" in printed


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("prior.name=standard-normal", "has that prior"),
        ("vae.latent_dim=3", "refit-prior cannot change vae.latent_dim"),
        ("prior.name=flat", "prior 'flat' has nothing to learn"),
        ("prior.name=laplace", "prior 'laplace' has nothing to learn"),
    ],
)
def test_what_cannot_be_refitted_is_refused(root: Path, tmp_path: Path, option: str, said: str) -> None:
    assert said in refusal("refit-prior", root / "normal", "--set", option, "--runs-dir", tmp_path, code=2)
    assert not list(tmp_path.iterdir())


def test_the_best_prior_is_the_aggregate_posterior() -> None:
    """A normal prior fitted to the codes of a linear-Gaussian VAE has their mean and variance: those of N(shift, ...).

    Mutations: the posterior's density instead of the prior's; the likelihood is trained on; beta weighs it.
    """
    model = linear_vae(n=2000, shift=0.5, widen=1.5)
    vae = VAE(
        GaussianMixture(2, components=1, labels=False).double(), model.vae.likelihood, model.vae.posterior
    ).float()
    vae.likelihood.requires_grad_(requires_grad=False)
    vae.posterior.requires_grad_(requires_grad=False)
    split = Split(model.x.float())
    fit(vae, Dataset("toy", split, split, split, "real"), PriorFit(), epochs=60, batch_size=200, learning_rate=0.03)
    variance = 1 / (torch.tensor([4.0, 1.0]) / 0.25 + 1)
    expected = 1 - variance + 1.5**2 * variance
    fitted = vae.prior.components()
    assert torch.allclose(fitted.mean.squeeze(), torch.tensor(0.5), atol=0.08)
    assert torch.allclose(fitted.variance.squeeze(), expected, rtol=0.1)
