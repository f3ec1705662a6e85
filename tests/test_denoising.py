"""What an encoder reads of damaged data: how much of it, when, and that the likelihood scores the data as they are."""

import math
from typing import Any

import pyro
import pytest
import torch
from commands import TINY, refusal, sets
from compositions import build, data
from small_models import score

from pyrovae import ELBO, MLP, VAE, Bernoulli, Flat, Point, PyrovaeError
from pyrovae.densities import densities
from pyrovae.objectives.prior_fit import PriorFit
from pyrovae.training.engines import ENGINES
from pyrovae.training.tracing import trace
from pyrovae.vae import freezing_is_meant

EVENT = (4, 25)
X = torch.rand(200, *EVENT, generator=torch.Generator().manual_seed(0)).round()


def autoencoder(**options: Any) -> VAE:
    torch.manual_seed(0)
    return VAE(Flat(2), Bernoulli(MLP, 2, EVENT), Point(MLP, 2, EVENT, **options))


def test_without_corruption_nothing_is_drawn_and_no_bit_differs() -> None:
    """Mutation: noise of deviation 0 is drawn."""
    vae = autoencoder().train()
    before = torch.get_rng_state()
    with torch.no_grad():
        assert torch.equal(vae.embed(X), vae.posterior.encoder(X, None))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_share_that_is_asked_for_is_set_to_zero() -> None:
    """Each element by itself: a binomial share over data, and no more alike within a datum than between data.
    Mutations: the share that is kept; whole data or whole rows; a scaling of what is kept."""
    torch.manual_seed(0)
    read = autoencoder(corruption=0.3).posterior.corrupted(torch.full((4000, *EVENT), 5.0))
    assert read.unique().tolist() == [0, 5]
    gone = (read == 0).double().flatten(1)
    assert score(gone.mean(1), 0.3) < 4
    assert gone.mean(1).std().item() == pytest.approx(math.sqrt(0.3 * 0.7 / 100), rel=0.05)


def test_noise_is_normal_and_added_to_all() -> None:
    """First, second and fourth moment. Mutations: a variance for a deviation; uniform noise; one draw a datum."""
    torch.manual_seed(0)
    read = autoencoder(corruption=0.5, noise=0.2).posterior.corrupted(torch.full((2000, *EVENT), 9.0)).double()
    kept = (read > 4.5).double()
    noise = ((read - 9 * kept) / 0.2).flatten()
    assert score(noise) < 4
    assert score(noise.square(), 1.0) < 4
    assert score(noise.pow(4), 3.0) < 4
    assert score(kept.flatten(), 0.5) < 4


def test_it_is_off_in_evaluation_and_where_the_encoder_is_frozen() -> None:
    """Mutations: the mode, or the flag of the parameters, is not looked at."""
    vae = autoencoder(corruption=0.5, noise=1.0)
    with torch.no_grad():
        clean = vae.posterior.encoder(X, None)
        assert not torch.equal(vae.train().embed(X), clean)
        assert torch.equal(vae.eval().embed(X), clean)
        vae.posterior.requires_grad_(requires_grad=False)
        assert torch.equal(vae.train().embed(X), clean)


def test_the_likelihood_scores_the_data_as_they_are() -> None:
    """Mutation: the model reads what the encoder has read."""
    vae = autoencoder(corruption=0.5).train()
    with pyro.get_param_store().scope(), torch.no_grad():
        torch.manual_seed(3)
        sites = densities(vae.model, vae.guide, X)
        torch.manual_seed(3)
        code = vae.posterior.encoder(vae.posterior.corrupted(X), None)
        torch.testing.assert_close(sites.evidence[0], vae.likelihood(code).log_prob(X))


def test_a_prior_that_is_fitted_reads_clean_codes() -> None:
    vae = build("gaussian-mixture", "point", corruption=0.9)
    for part in (vae.likelihood, vae.posterior):
        part.requires_grad_(requires_grad=False)
    x = data()[0]
    with pyro.get_param_store().scope(), torch.no_grad(), freezing_is_meant():
        loss = PriorFit().loss(vae.train().model, vae.guide, x)
        expected = -vae.prior().log_prob(vae.posterior.encoder(x, None)).sum().item()
    assert loss == pytest.approx(expected, rel=1e-6)


def test_the_traced_graph_draws_anew_as_the_program_does() -> None:
    """Mutations: the mask is fixed in the graph; two draws become one."""
    vae, x = build("flat", "point", corruption=0.4, noise=0.3), data()[0]
    with pyro.get_param_store().scope():
        graph = trace(vae, ELBO(), torch.tensor(1.0), x)
        for seed in (1, 2):
            torch.manual_seed(seed)
            loss = ELBO().differentiable_loss(vae.model, vae.guide, x, beta=torch.tensor(1.0))
            gradients = torch.autograd.grad(loss, list(vae.parameters()))
            torch.manual_seed(seed)
            with torch.no_grad():
                replayed, *found = graph(*vae.parameters(), torch.tensor(1.0), x)
            assert replayed is not None
            assert torch.equal(replayed, loss.detach())
            assert all(b is not None and torch.equal(a, b) for a, b in zip(gradients, found, strict=True))


def test_it_learns_to_denoise() -> None:
    """A point from two prototypes: half of the elements are missing, and what comes back is whole."""
    torch.manual_seed(0)
    prototypes = torch.rand(2, *EVENT).round()
    x = prototypes[torch.arange(200) % 2]
    vae = autoencoder(corruption=0.5).train()
    with pyro.get_param_store().scope():
        engine = ENGINES["traced"](vae, ELBO(), lambda step: 0.01, None)
        for _ in range(60):
            engine.step(x)
    damaged = vae.posterior.corrupted(x)
    assert (vae.eval().reconstruct(damaged).round() == x).double().mean() > 0.99


def test_noise_on_counts_is_refused() -> None:
    with pytest.raises(PyrovaeError, match=r"posterior.noise = 0.5 would make counts negative"):
        Point(MLP, 2, (4,), support="count", noise=0.5)
    options = {"posterior.name": "point", "prior.name": "flat"}
    for key, value, said in (("corruption", 1.0, "below 1"), ("noise", -1.0, "0 or more")):
        assert said in refusal("run", TINY, "--dry-run", *sets(options | {f"posterior.{key}": value}), code=2)
