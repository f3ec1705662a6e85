r"""Simulation-based calibration of the encoder: do its draws and the z that made x look alike?

.. math:: z \sim p(z), \quad x \sim p(x \mid z), \quad z_1, \dots, z_L \sim q(z \mid x)

Were q(z | x) the posterior, z would be one more draw like the others, and its rank among them uniform on 0..L (Talts
et al., 2018). So it would be for a guide that ignores x and draws from the prior; hence log p(x | z) of the draws is
ranked beside each dimension of z (Modrák et al., 2025). All data come from the model: whether real ones do is another
question.
"""

from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from pyrovae.evaluation.evidence import ROWS, WIDTH, batches
from pyrovae.evaluation.judged import Findings, Judged, NotApplicable
from pyrovae.evaluation.usage import log_likelihood
from pyrovae.figures.calibration import ecdf_differences, rank_histograms
from pyrovae.ranges import Range
from pyrovae.vae import VAE, is_point, is_proper

LEVEL = 0.05  # of all tests together
BINS = 20  # of the chi-square test
CLEAR = 3.0  # standard errors from which on a moment of the ranks says in which way they are wrong
MOST = 5  # quantities named in the sentence


class Ranks(NamedTuple):
    """Ranks of the true value among L draws, shape ``(n, D + 1)``: of each dimension of z and of log p(x | z)."""

    values: np.ndarray
    draws: int

    @property
    def names(self) -> list[str]:
        """What the columns are ranks of."""
        return [*(f"z{number}" for number in range(self.values.shape[1] - 1)), "log p(x | z)"]

    @property
    def shares(self) -> np.ndarray:
        """Ranks on a scale from 0 to 1."""
        scaled: np.ndarray = (self.values + 0.5) / (self.draws + 1)
        return scaled

    @property
    def p_values(self) -> np.ndarray:
        """Of uniformity by column, corrected for their number."""
        return holm(uniformity(self.values, self.draws))


def calibration(
    judged: Judged, *, simulated: Annotated[int, Range(100)] = 1000, draws: Annotated[int, Range(1)] = 99
) -> Findings:
    """Ranks the true z of simulated data among draws of the guide and tests whether the ranks are uniform.

    Args:
        judged: The VAE; its data are not read.
        simulated: How many data are drawn from the model.
        draws: Of the guide for each of them.

    Raises:
        NotApplicable: The posterior is a point, or the prior is flat.
    """
    vae = judged.vae
    if is_point(vae.posterior):
        raise NotApplicable("a point posterior has no draws to rank z among")
    if not is_proper(vae.prior):
        raise NotApplicable("a flat prior has no draws to simulate from")
    ranks = simulated_ranks(vae, simulated=simulated, draws=draws)
    order = ranks.p_values.argsort(kind="stable")
    columns, names = ranks.values[:, order], [ranks.names[index] for index in order]
    figures = {
        "ranks": rank_histograms(columns, draws, names),
        "ecdf": ecdf_differences(columns, draws, names),
    }
    return Findings(numbers_of(ranks), [said(ranks)], figures)


@torch.no_grad()
def simulated_ranks(vae: VAE, *, simulated: int, draws: int) -> Ranks:
    """Draws data from the model, and ranks what is true of each among draws of the guide.

    Args:
        vae: A VAE with a proper prior, whose posterior has draws; labels that a conditional one reads are drawn too.
        simulated: Number of data n.
        draws: Number of draws L.

    Example:
        >>> from pyrovae import MLP, Bernoulli, DiagonalNormal, StandardNormal
        >>> vae = VAE(StandardNormal(2), Bernoulli(MLP, 2, (8,)), DiagonalNormal(MLP, 2, (8,)))
        >>> simulated_ranks(vae, simulated=50, draws=9).values.shape
        (50, 3)
    """
    y = vae.labels(simulated)
    z = vae.prior(y).expand((simulated,)).sample()
    x = vae.decode(z, y, mean=False)
    size = max(1, ROWS // (draws * max(WIDTH, x[0].numel())))
    columns = []
    for true, batch in zip(z.split(size), batches(vae, x, y, size=size), strict=True):
        others = vae.encode(*batch).sample((draws,))
        columns.append(rank(*(quantities(vae, codes, *batch) for codes in (true, others))))
    return Ranks(torch.cat(columns).cpu().numpy(), draws)


def quantities(vae: VAE, z: Tensor, *batch: Tensor) -> Tensor:
    """Returns what is ranked of codes ``(..., n, D)``: z itself and log p(x | z), shape ``(..., n, D + 1)``."""
    return torch.cat([z, log_likelihood(vae, z, *batch)[..., None]], -1)


def rank(true: Tensor, draws: Tensor) -> Tensor:
    """Returns how many draws are below what is true; of those equal to it, each number is as likely.

    Args:
        true: Any shape.
        draws: Shape ``(L, *shape of true)``.

    Example:
        >>> rank(torch.tensor([0.5, -1.0]), torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
        tensor([1, 0])
    """
    below, equal = (draws < true).sum(0), (draws == true).sum(0)
    return below + (torch.rand(true.shape, dtype=torch.float64, device=true.device) * (equal + 1)).long()


def uniformity(ranks: np.ndarray, draws: int) -> np.ndarray:
    """Returns the p-value of a chi-square test of uniform ranks 0..L by column, from ranks ``(n, Q)``.

    The expected counts are those of the ranks that a bin holds, which need not be as many in each.

    Example:
        >>> uniformity(np.arange(400)[:, None] % 10, 9)
        array([1.])
    """
    edges = np.linspace(-0.5, draws + 0.5, min(BINS, draws + 1) + 1)
    expected = np.histogram(np.arange(draws + 1), edges)[0] * len(ranks) / (draws + 1)
    observed = np.stack([np.histogram(column, edges)[0] for column in ranks.T])
    p: np.ndarray = stats.chisquare(observed, expected, axis=1).pvalue
    return p


def holm(p: np.ndarray) -> np.ndarray:
    """Corrects p-values for their number, so that one of them is below 5 % by chance in 5 % of cases (Holm, 1979).

    Example:
        >>> holm(np.array([0.04, 0.01, 0.03]))
        array([0.06, 0.03, 0.06])
    """
    order = p.argsort()
    corrected = np.empty_like(p)
    corrected[order] = np.maximum.accumulate(np.arange(len(p), 0, -1) * p[order]).clip(max=1)
    return corrected


def moments(shares: np.ndarray, draws: int) -> tuple[float, float]:
    """Returns by how many standard errors mean and spread of ranks (0 to 1) are above those of uniform ones."""
    grid = (np.arange(draws + 1) + 0.5) / (draws + 1) - 0.5
    shift, spread = (
        (values.mean() - expected.mean()) / max(expected.std() / np.sqrt(len(values)), 1e-12)
        for values, expected in ((shares - 0.5, grid), ((shares - 0.5) ** 2, grid**2))
    )
    return float(shift), float(spread)


def fault(shares: np.ndarray, draws: int) -> str:
    """Says what draws do whose ranks are not uniform: a high true value has many draws below it.

    Example:
        >>> fault(np.linspace(0, 0.5, 200), 99), fault(np.linspace(0.4, 0.6, 200), 99)
        ('shifted up', 'too wide')
    """
    shift, spread = moments(shares, draws)
    if max(abs(shift), abs(spread)) < CLEAR:
        return "of another shape"
    if abs(shift) >= abs(spread):
        return "shifted up" if shift < 0 else "shifted down"
    return "too narrow" if spread > 0 else "too wide"


def numbers_of(ranks: Ranks) -> dict[str, Any]:
    """Returns what ``evaluation.json`` keeps."""
    size, p_values, shares = len(ranks.values), ranks.p_values, ranks.shares
    quantities = {
        name: {
            "p": p.item(),
            "mean_rank": column.mean().item(),
            "mean_rank_standard_error": column.std(ddof=1).item() / size**0.5,
            "fault": fault(column, ranks.draws) if p < LEVEL else "",
        }
        for name, p, column in zip(ranks.names, p_values, shares.T, strict=True)
    }
    return {
        "data": size,
        "draws": ranks.draws,
        "p_smallest": p_values.min().item(),
        "calibrated": bool(p_values.min() >= LEVEL),
        "quantities": quantities,
    }


def said(ranks: Ranks) -> str:
    """Says whether the encoder is calibrated, or which quantities are not, the worst first, and in which way."""
    p_values, names = ranks.p_values, ranks.names
    of = f"{len(names)} quantities, {len(ranks.values)} simulated data"
    if p_values.min() >= LEVEL:
        return f"encoder calibrated: no ranks differ from uniform ones (smallest p = {p_values.min():.2g}, {of})"
    # p-values of many may be 0 to rounding: among them the moments decide.
    strength = [max(map(abs, moments(column, ranks.draws))) for column in ranks.shares.T]
    order = np.lexsort((-np.array(strength), p_values))[: int((p_values < LEVEL).sum())]
    words = [f"{names[i]} {fault(ranks.shares[:, i], ranks.draws)} (p = {p_values[i]:.1g})" for i in order]
    more = f" and {len(words) - MOST} more" if len(words) > MOST else ""
    return f"encoder not calibrated: of {of}, ranks differ from uniform ones for {', '.join(words[:MOST])}{more}"
