"""log p(x) by annealing beside log p(x) by importance sampling, on the same data: do they agree, which is too low?"""

from typing import Annotated, Any

from torch import Tensor

from pyrovae.data import Dataset
from pyrovae.evaluation.annealing import Annealed, Sandwich, ais, bdmc, check_prior, tuned
from pyrovae.evaluation.paired import Paired, paired
from pyrovae.ranges import Range
from pyrovae.seeding import seeded
from pyrovae.vae import VAE

AGREE, ERRORS = 0.2, 3.0  # nats by which the two may differ, and standard errors above that


def bounds(
    vae: VAE,
    dataset: Dataset,
    log_prob: Tensor,
    seed: int = 0,
    *,
    annealed: Annotated[int, Range(2)] = 100,
    temperatures: Annotated[int, Range(2)] = 200,
    chains: Annotated[int, Range(1)] = 16,
    leapfrog: Annotated[int, Range(1)] = 10,
) -> tuple[dict[str, Any], list[str]]:
    """Anneals test data and data drawn from the model; changes no parameter and no random state outside.

    Step sizes are tuned on validation data, then kept for test data and for simulated ones, both ways.

    Args:
        vae: The trained VAE.
        dataset: Its data.
        log_prob: Importance-sampled estimate of each test datum, from the first one on, shape ``(n,)``.
        seed: Of the draws.
        annealed: How many test data, and as many simulated ones.
        temperatures: Steps from the prior to the posterior.
        chains: Per datum.
        leapfrog: Steps of one proposal.

    Returns:
        The numbers by name, and what they say in words.

    Raises:
        PyrovaeError: The prior is flat.
    """
    check_prior(vae)
    (x, y), (pilot, pilot_y) = dataset.held_out("test"), dataset.held_out("validation")
    size = min(annealed, len(log_prob))
    y, pilot_y = (labels if vae.conditional else None for labels in (y, pilot_y))
    with seeded(seed):
        path = tuned(vae, pilot, pilot_y, temperatures=temperatures, chains=chains, leapfrog=leapfrog, progress=True)
        forward = ais(vae, x[:size], None if y is None else y[:size], path=path, progress=True)
        sandwich = bdmc(vae, None if y is None else y[:size], data=size, path=path, progress=True)
    apart = paired(forward.log_prob.double().cpu() - log_prob[:size])
    return numbers_of(forward, sandwich, apart), [str(forward), f"{said(apart)} on these data", str(sandwich)]


def numbers_of(forward: Annealed, sandwich: Sandwich, apart: Paired) -> dict[str, Any]:
    """Returns what ``evaluation.json`` keeps."""
    return {
        "estimator": forward.estimator,
        "mean": forward.mean,
        "standard_error": forward.standard_error,
        "data": len(forward.log_prob),
        "chains": forward.path.chains,
        "leapfrog": forward.path.leapfrog,
        "acceptance": forward.acceptance.mean().item(),
        "above_importance_sampling": apart.mean,
        "above_importance_sampling_standard_error": apart.standard_error,
        "distrusted": distrusted(apart),
        "simulated_lower": sandwich.lower.mean,
        "simulated_upper": sandwich.upper.mean,
        "simulated_gap": sandwich.gap.mean,
        "simulated_gap_standard_error": sandwich.gap.standard_error,
    }


def distrusted(apart: Paired) -> str:
    """Names the estimator that is too low, if they surely differ by more than 0.2 nats: both are lower bounds.

    Example:
        >>> distrusted(Paired(0.5, 0.05)), distrusted(Paired(-0.5, 0.05)), distrusted(Paired(0.5, 0.2))
        ('importance sampling', 'annealing', '')
    """
    if Paired(abs(apart.mean), apart.standard_error).exceeds(AGREE, ERRORS):
        return "importance sampling" if apart.mean > 0 else "annealing"
    return ""


def said(apart: Paired) -> str:
    """Says how far annealing is above importance sampling, and which of them to distrust."""
    which = distrusted(apart)
    verdict = f"{which} is too low" if which else "they agree"
    return f"annealing - importance sampling = {apart} nats: {verdict}"
