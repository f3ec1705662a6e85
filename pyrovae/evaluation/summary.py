"""Every number of one evaluation, by name, as ``evaluation.json`` keeps them."""

from dataclasses import replace
from math import prod
from typing import Annotated, Any

from torch import Tensor

from pyrovae.data import Dataset
from pyrovae.errors import PyrovaeError
from pyrovae.evaluation.evidence import FEWEST, Estimate, Evidence, log_marginal
from pyrovae.evaluation.latent import active_units, distortion, rate
from pyrovae.ranges import Range
from pyrovae.seeding import seeded
from pyrovae.strings import alive
from pyrovae.vae import VAE, is_point


def evaluate(
    vae: VAE,
    dataset: Dataset,
    seed: int = 0,
    *,
    particles: Annotated[int, Range(FEWEST)] = 1000,
    data: Annotated[int, Range(2)] | None = None,
) -> tuple[dict[str, Any], Estimate]:
    """Judges a VAE on test data; changes no parameter and no random state outside.

    Test data are read without labels, so that models with and without pools are judged by the same log p(x); only a
    conditional VAE reads them, and its quantity says so.

    Args:
        vae: The trained VAE.
        dataset: Its data; the test split was binarised once, with the data's seed.
        seed: Of the draws of z.
        particles: Importance samples per datum.
        data: Judge only the first so many test data.

    Returns:
        The numbers by name, and the evidence per datum.

    Raises:
        PyrovaeError: Too few particles for a k-hat.
    """
    if particles < FEWEST:
        hint = f"give {FEWEST} or more, the fewest whose tail can be fitted"
        raise PyrovaeError(f"evaluation.particles = {particles}", hint=hint, exit_code=2)
    x, y = dataset.held_out("test")
    x, y = x[:data], y[:data] if vae.conditional and y is not None else None
    with seeded(seed):
        evidence = judge(vae, x, y, particles)
        rates, distortions = rate(vae, x, y), distortion(vae, x, y)
        active = active_units(vae, x, y)
    measure = vae.likelihood.measure
    if measure == "mass" and dataset.support == "levels" and not vae.missing and not is_point(vae.posterior):
        evidence = replace(evidence, dims=prod(dataset.event_shape))
    if dataset.alphabet:
        evidence = replace(evidence, characters=alive(x.long()).sum(1).double().mean().item())
    return {
        "estimator": evidence.estimator,
        "particles": particles,
        "quantity": evidence.quantity,
        "measure": measure,
        "mean": evidence.mean,
        "standard_error": evidence.standard_error,
        **({"bits_per_dim": evidence.bits_per_dim} if evidence.dims is not None else {}),
        **({"nats_per_character": evidence.nats_per_character} if evidence.characters is not None else {}),
        "data": len(x),
        **(tails(evidence) if isinstance(evidence, Evidence) else {}),
        "verdict": evidence.verdict,
        **({} if is_point(vae.posterior) else {"rate": rates.mean().item()}),
        "distortion": distortions.mean().item(),
        "active_units": int(active.sum()),
        "latent_dim": len(active),
        "seed": seed,
    }, evidence


def judge(vae: VAE, x: Tensor, y: Tensor | None, particles: int) -> Estimate:
    """Returns log p(x) by importance sampling; of a plain autoencoder log p(x | z) at its code, named as such."""
    if is_point(vae.posterior):
        given = "z, y" if vae.conditional else "z"
        return Estimate(-distortion(vae, x, y), f"log p({'observed x' if vae.missing else 'x'} | {given})")
    return log_marginal(vae, x, y, particles=particles, progress=True)


def tails(evidence: Evidence) -> dict[str, Any]:
    """Returns what the verdict rests on."""
    return {
        "khat_threshold": evidence.threshold,
        "khat_share_above": evidence.share_above,
        "ess_median": evidence.ess.median().item(),
        "psis_mean": evidence.psis.double().mean().item(),
        "drift": evidence.gain.mean,
        "drift_standard_error": evidence.gain.standard_error,
        "reasons": evidence.reasons,
    }
