r"""Whether other data look less probable than the VAE's own, by three scores; a high score says *other*.

.. math:: -\log p(x), \qquad |\log p(x) - \bar\ell|, \qquad \log p_b(x) - \log p(x)

The first is the likelihood. The second is the distance from what is typical, with :math:`\bar\ell` the mean over
validation data: other data that look *more* probable are found out as well (Nalisnick et al., 2019). The third weighs
log p(x) by that of a background VAE, which has learned what all such data share (Ren et al., 2019).

AUROC is the probability that a datum of the other data has a higher score than one of the VAE's own: 1 is told apart,
1/2 is chance, and below it the other data look more probable or more typical than the VAE's own.
"""

from dataclasses import replace
from math import sqrt
from typing import Annotated, Any

import numpy as np
from scipy.stats import rankdata
from torch import Tensor

from pyrovae.data import Dataset
from pyrovae.errors import PyrovaeError
from pyrovae.evaluation.evidence import FEWEST, Evidence, log_marginal
from pyrovae.evaluation.judged import Findings, Judged, NotApplicable
from pyrovae.evaluation.manifolds import Measured
from pyrovae.figures.separation import score_histograms
from pyrovae.ranges import Range
from pyrovae.vae import VAE, is_point, is_proper

NAMES = {"log_prob": "log p(x)", "typicality": "typicality", "likelihood_ratio": "likelihood ratio"}


def outliers(
    judged: Judged, *, each: Annotated[int, Range(2)] = 1000, particles: Annotated[int, Range(FEWEST)] = 100
) -> Findings:
    """Scores test data of both sets by importance-sampled log p(x), and says how well scores tell them apart.

    Args:
        judged: The VAE, its data, the other data, and a background VAE where there is one.
        each: Test data of each set at most, and validation data.
        particles: Importance samples per datum, the same for all.

    Raises:
        NotApplicable: There are no other data, or the VAE has no log p(x).
        PyrovaeError: The other data are of another kind than the VAE's own, or the background VAE is.
    """
    vae, against = judged.vae, judged.against
    if against is None:
        raise NotApplicable("give other data with --against")
    if reason := without_density(vae):
        raise NotApplicable(reason)
    check_kind(judged.dataset, against)
    x, other_x = judged.held_out("test", each)[0], as_read(judged, against, each)
    own, other, typical = (
        log_marginal(vae, rows, particles=particles, progress=True)
        for rows in (x, other_x, judged.held_out("validation", each)[0])
    )
    scores = {
        "log_prob": (-own.log_prob, -other.log_prob),
        "typicality": tuple((found.log_prob - typical.mean).abs() for found in (own, other)),
    }
    if judged.background is not None:
        check_background(judged.background, judged.dataset)
        ratios = (log_ratio(judged.background, *pair, particles) for pair in ((own, x), (other, other_x)))
        scores["likelihood_ratio"] = tuple(-ratio for ratio in ratios)
    found = {name: auroc(*pair) for name, pair in scores.items()}
    return Findings(
        numbers_of(found, own, other) | {"against": against.name, "particles": particles},
        [*(said(name, value, against.name) for name, value in found.items()), caution(own, other, against.name)],
        {"log_prob": score_histograms({judged.dataset.name: own.log_prob, against.name: other.log_prob})},
    )


def without_density(vae: VAE) -> str:
    """Returns why a VAE has no log p(x), or nothing."""
    if is_point(vae.posterior) or not is_proper(vae.prior):
        return "an autoencoder has no log p(x)"
    return "log p(x | y) needs labels, and other data have others" if vae.conditional else ""


def kind(dataset: Dataset) -> tuple[Any, ...]:
    return dataset.event_shape, dataset.support, dataset.levels


def check_kind(dataset: Dataset, against: Dataset) -> None:
    """Raises unless both data sets have the same shape, support and grey levels, and holes only where the VAE's may."""
    if kind(dataset) != kind(against) or (against.missing and not dataset.missing):
        own, other = (" ".join(map(str, filter(None, kind(data)))) for data in (dataset, against))
        holes = ", with values missing" if against.missing and not dataset.missing else ""
        raise PyrovaeError(
            f"{dataset.name} is {own}, {against.name} is {other}{holes}: densities of unlike data do not compare",
            hint="--against takes data of the same shape and support",
            exit_code=2,
        )


def check_background(background: VAE, dataset: Dataset) -> None:
    """Raises unless the background VAE has a log p(x) of such data."""
    shape = tuple(getattr(background.likelihood, "event_shape", dataset.event_shape))
    reason = without_density(background)
    if shape != dataset.event_shape:
        reason = f"its data have shape {shape}, those of {dataset.name} {dataset.event_shape}"
    if reason:
        raise PyrovaeError(f"--background: {reason}", hint="give a run on the same data", exit_code=2)


def as_read(judged: Judged, against: Dataset, most: int) -> Tensor:
    """Returns test data of another set, as many as of the VAE's own at most, in the units that the VAE reads."""
    x, units = replace(judged, dataset=against).held_out("test", most)[0], judged.dataset.units
    x = x if against.units is None else against.units.to_user(x)
    return x if units is None else units.to_model(x)


def log_ratio(background: VAE, found: Evidence, x: Tensor, particles: int) -> Tensor:
    """Returns log p(x) - log p_b(x), shape ``(n,)``, nats."""
    return found.log_prob.cpu() - log_marginal(background, x, particles=particles, progress=True).log_prob.cpu()


def auroc(own: Tensor, other: Tensor) -> Measured:
    r"""Returns the area under the receiver operating characteristic and its standard error (DeLong et al., 1988).

    The *placement* of a datum is the share of the other set's data that lie on the right side of it, ties by half. With
    variances S of the placements over m own and n other data, the error is :math:`\sqrt{S_m / m + S_n / n}`. Where no
    scores overlap it is 0, and says nothing.

    Args:
        own: Scores of data that should have low ones, shape ``(m,)``.
        other: Scores of data that should have high ones, shape ``(n,)``.

    Example:
        >>> auroc(Tensor([1.0, 2.0, 3.0]), Tensor([2.5, 3.5]))
        Measured(value=0.833..., standard_error=0.235...)
    """
    from sklearn.metrics import roc_auc_score

    low, high = (scores.detach().double().cpu().numpy() for scores in (own, other))
    values, m, n = np.concatenate([low, high]), len(low), len(high)
    ranks = rankdata(values)
    above = 1 - (ranks[:m] - rankdata(low)) / n  # share of other scores above each own one
    below = (ranks[m:] - rankdata(high)) / m
    area = roc_auc_score(np.arange(m + n) >= m, values)
    return Measured(float(area), sqrt(above.var(ddof=1) / m + below.var(ddof=1) / n))


def numbers_of(found: dict[str, Measured], own: Evidence, other: Evidence) -> dict[str, Any]:
    """Returns what ``evaluation.json`` keeps."""
    numbers: dict[str, Any] = {}
    for name, value in found.items():
        numbers |= {f"{name}_auroc": value.value, f"{name}_auroc_standard_error": value.standard_error}
    for name, evidence in (("own", own), ("other", other)):
        numbers |= {
            f"{name}_data": len(evidence.log_prob),
            f"{name}_mean": evidence.mean,
            f"{name}_standard_error": evidence.standard_error,
            f"{name}_khat_share_above": evidence.share_above,
        }
    return numbers


def said(name: str, area: Measured, other: str) -> str:
    """Says how a score tells the data apart, over both sets' data.

    Example:
        >>> said("log_prob", Measured(0.3, 0.01), "svhn")
        'log p(x): AUROC 0.300 ± 0.010; svhn looks more like the data than test data do'
    """
    words = f"{NAMES[name]}: AUROC {area}"
    if area.value + 2 * area.standard_error < 0.5:
        return f"{words}; {other} looks more like the data than test data do"
    return words + ("; no scores overlap, so the error is not known" if area.value == 1 else "")


def caution(own: Evidence, other: Evidence, name: str) -> str:
    """Says how far log p(x) of either set is to be trusted: where an encoder is lost, it is too low."""
    return (
        f"k-hat above {own.threshold:.2f} for {own.share_above:.1%} of {len(own.log_prob)} test data and "
        f"{other.share_above:.1%} of {len(other.log_prob)} of {name}: there log p(x) may be too low"
    )
