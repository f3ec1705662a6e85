"""log p(x) by annealing beside log p(x) by importance sampling, on the same data: do they agree, which is too low?"""

from typing import Annotated, Any

from pyrovae.evaluation.annealing import Annealed, Sandwich, ais, bdmc, tuned
from pyrovae.evaluation.judged import Findings, Judged, NotApplicable
from pyrovae.evaluation.paired import Paired, paired
from pyrovae.ranges import Range
from pyrovae.vae import is_proper

AGREE, ERRORS = 0.2, 3.0  # nats by which the two may differ, and standard errors above that


def bounds(
    judged: Judged,
    *,
    annealed: Annotated[int, Range(2)] = 100,
    temperatures: Annotated[int, Range(2)] = 200,
    chains: Annotated[int, Range(1)] = 16,
    leapfrog: Annotated[int, Range(1)] = 10,
) -> Findings:
    """Anneals test data and data drawn from the model.

    Step sizes are tuned on validation data, then kept for test data and for simulated ones, both ways.

    Args:
        judged: The VAE, its data and its importance-sampled log p(x).
        annealed: How many test data, and as many simulated ones.
        temperatures: Steps from the prior to the posterior.
        chains: Per datum.
        leapfrog: Steps of one proposal.

    Raises:
        NotApplicable: The prior is flat.
    """
    vae, log_prob = judged.vae, judged.log_prob
    if not is_proper(vae.prior):
        raise NotApplicable("annealing starts from draws of the prior, a flat prior has none")
    x, y = judged.held_out("test", annealed if log_prob is None else min(annealed, len(log_prob)))
    pilot, pilot_y = judged.held_out("validation")
    path = tuned(
        vae, pilot, judged.read(pilot_y), temperatures=temperatures, chains=chains, leapfrog=leapfrog, progress=True
    )
    forward = ais(vae, x, judged.read(y), path=path, progress=True)
    sandwich = bdmc(vae, judged.read(y), data=len(x), path=path, progress=True)
    numbers, sentences = numbers_of(forward, sandwich), [str(forward), str(sandwich)]
    if log_prob is None:
        return Findings(numbers, [*sentences, "a point posterior has no importance-sampled log p(x) to stand beside"])
    apart = paired(forward.log_prob.double().cpu() - log_prob[: len(x)].double())
    above = [f"annealed importance sampling is {apart} nats above it on {len(x)} data"]
    return Findings(
        numbers | beside(apart),
        [sentences[0], f"{said(apart)} on these data", sentences[1]],
        reasons=above if distrusted(apart) == "importance sampling" else [],
    )


def numbers_of(forward: Annealed, sandwich: Sandwich) -> dict[str, Any]:
    """Returns what ``evaluation.json`` keeps."""
    return {
        "estimator": forward.estimator,
        "mean": forward.mean,
        "standard_error": forward.standard_error,
        "data": len(forward.log_prob),
        "chains": forward.path.chains,
        "leapfrog": forward.path.leapfrog,
        "acceptance": forward.acceptance.mean().item(),
        "simulated_lower": sandwich.lower.mean,
        "simulated_upper": sandwich.upper.mean,
        "simulated_gap": sandwich.gap.mean,
        "simulated_gap_standard_error": sandwich.gap.standard_error,
    }


def beside(apart: Paired) -> dict[str, Any]:
    return {
        "above_importance_sampling": apart.mean,
        "above_importance_sampling_standard_error": apart.standard_error,
        "distrusted": distrusted(apart),
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
