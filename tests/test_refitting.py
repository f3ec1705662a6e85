"""Another prior on a trained VAE: what stays, what learns, what is refused, and what it says it changed."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import Maker, refusal, succeeds, train
from small_models import linear_vae
from torch import Tensor
from torch.distributions import Normal

from pyrovae import Dataset, Split, fit, load
from pyrovae.evaluation.bounds import bounds
from pyrovae.evaluation.judged import Findings, Judged
from pyrovae.evaluation.sections import SECTIONS
from pyrovae.objectives.prior_fit import PriorFit
from pyrovae.priors import GaussianMixture
from pyrovae.priors.em import start_at
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


# ------------------------------------------------------------------------------------------------ where mixtures start


def clusters(scale: float = 100.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Draws codes of three classes, one cluster each, far from the origin and from each other."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(3).repeat_interleave(200)
    centres = scale * torch.tensor([[1.0, 5.0], [-4.0, 0.0], [3.0, -3.0]])
    return centres[y] + torch.tensor([1.0, 20.0]) * torch.randn(600, 2, generator=generator), y


def test_a_mixture_starts_at_the_maximum_of_its_likelihood() -> None:
    """The score is that of the clusters' own moments. Mutations: variance for deviation; equal weights; no start."""
    z, y = clusters()
    z, y = z[100:], y[100:]  # classes of unequal size
    start_at(prior := GaussianMixture(2, components=3), z)
    shares = torch.bincount(y) / len(y)
    exact = sum(
        share * (Normal(own.mean(0), own.std(0, correction=0)).log_prob(own).sum(1).mean() + share.log())
        for own, share in zip((z[y == k] for k in range(3)), shares, strict=True)
    )
    assert prior().log_prob(z).mean().item() == pytest.approx(float(exact), abs=1e-3)


def test_pools_start_at_the_codes_of_their_class() -> None:
    """Mutation: all groups are fitted to all codes."""
    z, y = clusters()
    start_at(prior := GaussianMixture(2, classes=3, labels=True, components=6), z, y)
    assert (prior.responsibilities(z).unflatten(-1, (3, 2)).sum(-1).argmax(-1) == y).all()
    torch.testing.assert_close(prior.labels().probs, torch.full((3,), 1 / 3))
    start_at(few := GaussianMixture(2, components=8), z[:5])  # more components than codes
    assert few().log_prob(z[:5]).isfinite().all()
