"""Every number of one evaluation, by name, as ``evaluation.json`` keeps them."""

from typing import Any

from pyrovae.data import Dataset
from pyrovae.errors import PyrovaeError
from pyrovae.evaluation.evidence import FEWEST, Evidence, log_marginal
from pyrovae.evaluation.latent import active_units, distortion, rate
from pyrovae.seeding import seeded
from pyrovae.vae import VAE


def evaluate(
    vae: VAE, dataset: Dataset, seed: int = 0, *, particles: int = 1000, data: int | None = None
) -> tuple[dict[str, Any], Evidence]:
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
        evidence = log_marginal(vae, x, y, particles=particles, progress=True)
        rates, distortions = rate(vae, x, y), distortion(vae, x, y)
        active = active_units(vae, x, y)
    return {
        "estimator": f"iw{particles}",
        "particles": particles,
        "quantity": evidence.quantity,
        "measure": vae.likelihood.measure,
        "mean": evidence.mean,
        "standard_error": evidence.standard_error,
        "data": len(x),
        "khat_threshold": evidence.threshold,
        "khat_share_above": evidence.share_above,
        "verdict": evidence.verdict,
        "ess_median": evidence.ess.median().item(),
        "rate": rates.mean().item(),
        "distortion": distortions.mean().item(),
        "active_units": int(active.sum()),
        "latent_dim": len(active),
        "seed": seed,
    }, evidence
