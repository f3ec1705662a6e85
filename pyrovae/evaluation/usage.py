r"""What a VAE makes of its latent space: how much a code tells, of what, and whether the prior lies where the codes do.

With the aggregate posterior of N data, :math:`q(z) = \frac{1}{N} \sum_n q(z \mid x_n)`, the rate splits (Hoffman and
Johnson, 2016) into what a code tells of which datum it is of, and what keeps the codes apart from the prior:

.. math:: R = I(n; z) + \mathrm{KL}(q(z) \,\|\, p(z)), \qquad I(n; z) = \mathbb{E}\,[\log q(z \mid x_n) - \log q(z)]

N data can be told apart by log N nats at most. Where I(n; z) is near that ceiling it is a property of N, and
KL(q(z) || p(z)) = R - I only an upper bound of what it would be for the population.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import torch
from torch import Tensor

from pyrovae.evaluation.evidence import batches
from pyrovae.evaluation.judged import Findings, Judged, NotApplicable
from pyrovae.evaluation.latent import COLLAPSED, active_units, averaged, distortion, kl_of_dimensions, rate
from pyrovae.evaluation.paired import Paired, paired
from pyrovae.figures.usage import code_densities, dimension_use
from pyrovae.ranges import Range
from pyrovae.vae import VAE, is_point, is_proper

SATURATED = 0.9  # share of the ceiling log N from which on the information is a property of N
RARE = 0.01  # share of held-out codes that lie where the aggregate is thinner than what counts as a hole
AT_ONCE = 2**22  # numbers of z at once


class Aggregate(NamedTuple):
    """Draws z from the aggregate posterior of N data, each from one of them, shape ``(draws,)``.

    Attributes:
        log_q: log q(z | x_n) under the datum that z was drawn from.
        log_aggregate: log q(z).
        log_prior: log p(z).
        size: Number of data N.
    """

    log_q: Tensor
    log_aggregate: Tensor
    log_prior: Tensor
    size: int

    @property
    def information(self) -> Paired:
        """I(n; z), nats."""
        return paired(self.log_q - self.log_aggregate)

    @property
    def marginal_divergence(self) -> Paired:
        """KL(q(z) || p(z)), nats."""
        return paired(self.log_aggregate - self.log_prior)

    @property
    def ceiling(self) -> float:
        """log N, the most that I(n; z) can be."""
        return math.log(self.size)

    @property
    def saturated(self) -> bool:
        """Whether I(n; z) is above 0.9 of its ceiling."""
        return self.information.mean > SATURATED * self.ceiling


def usage(
    judged: Judged, *, codes: Annotated[int, Range(2)] = 10_000, draws: Annotated[int, Range(2)] = 1000
) -> Findings:
    """Active units, rate and distortion, information of codes, holes of the prior, and whether z has collapsed.

    Args:
        judged: The VAE and its data.
        codes: Test data at most whose posteriors make up the aggregate.
        draws: Draws from the aggregate, and from the prior.

    Raises:
        NotApplicable: The posterior is a point, so codes have no density.
    """
    vae = judged.vae
    if is_point(vae.posterior):
        raise NotApplicable("a point posterior has no rate")
    x, y = judged.held_out("test", codes)
    y = judged.read(y)
    rates, distortions = (paired(terms(vae, x, y)) for terms in (rate, distortion))
    active, gain = active_units(vae, x, y), decoder_gain(vae, x, y)
    kl = averaged_kl(vae, x, y)
    numbers = {
        "rate": rates.mean, "rate_standard_error": rates.standard_error,
        "distortion": distortions.mean, "distortion_standard_error": distortions.standard_error,
        "active_units": int(active.sum()), "latent_dim": len(active),
        "decoder_gain": gain.mean, "decoder_gain_standard_error": gain.standard_error,
        "verdict": verdict(active, rates, gain),
        **({} if kl is None else {"kl": kl.tolist()}),
    }  # fmt: skip
    sentences = [
        f"{verdict(active, rates, gain)}; {int(active.sum())} of {len(active)} units are active",
        f"rate {rates}, distortion {distortions} nats per datum; another datum's z would cost {gain} nats more",
    ]
    figures = {"dimensions": dimension_use(variance_of_codes(vae, x, y), kl)}
    if getattr(vae.posterior, "density", "everywhere") != "everywhere" or not is_proper(vae.prior):
        return Findings(
            numbers, [*sentences, "information of codes: not applicable: no density at other codes"], figures
        )
    found = aggregate(vae, x, y, draws)
    holes = prior_holes(judged, x, y, draws)
    figures["holes"] = code_densities(*holes)
    return Findings(
        numbers | numbers_of(found) | numbers_of_holes(*holes),
        [*sentences, *said(found), said_of_holes(*holes)],
        figures,
    )


def verdict(active: Tensor, rates: Paired, gain: Paired) -> str:
    """Says whether z is used: not where no unit is active, the rate is 0.1 nat or less, or the decoder does without z.

    Example:
        >>> verdict(torch.tensor([True, False]), Paired(9.0, 0.1), Paired(30.0, 1.0))
        'in use, 1 dimension idle'
        >>> verdict(torch.tensor([True, True]), Paired(9.0, 0.1), Paired(0.1, 0.1))
        'collapsed: the decoder does without z'
    """
    if not active.any() or rates.mean <= COLLAPSED:
        return "collapsed: codes tell nothing of the data"
    if not gain.exceeds(COLLAPSED, 2):
        return "collapsed: the decoder does without z"
    idle = int((~active).sum())
    return "in use" + (f", {idle} dimension{'s' * (idle > 1)} idle" if idle else "")


def decoder_gain(vae: VAE, x: Tensor, y: Tensor | None) -> Paired:
    """Returns by how many nats a datum is likelier from its own draw of z than from its neighbour's in the data."""
    losses = []
    for batch in batches(vae, x, y, size=1000):
        with torch.no_grad():
            z = vae.encode(*batch).sample()
            own, others = (log_likelihood(vae, code, *batch) for code in (z, z.roll(1, 0)))
        losses.append(own - others)
    return paired(torch.cat(losses))


def log_likelihood(vae: VAE, z: Tensor, *batch: Tensor) -> Tensor:
    """Returns log p(x | z) of each datum, shape ``(n,)``."""
    likelihood, observed = vae.observation(z, *batch)
    scored: Tensor = likelihood.log_prob(observed)
    return scored


def averaged_kl(vae: VAE, x: Tensor, y: Tensor | None) -> Tensor | None:
    """Returns the closed-form KL of each dimension, mean over data; nothing where there is none."""
    found = []

    def read(sites: Any) -> Tensor:
        found.append(kl_of_dimensions(sites))
        return sites.divergence

    averaged(read, vae, x, y)
    known = [kl for kl in found if kl is not None]
    return torch.stack(known).sum(0) / len(x) if len(known) == len(found) else None


@torch.no_grad()
def variance_of_codes(vae: VAE, x: Tensor, y: Tensor | None) -> Tensor:
    """Returns Var_x(E[z_d | x]), shape ``(latent_dim,)``."""
    return torch.cat([vae.embed(*batch) for batch in batches(vae, x, y, size=1000)]).var(0)


@torch.no_grad()
def aggregate(vae: VAE, x: Tensor, y: Tensor | None, draws: int) -> Aggregate:
    """Draws from the aggregate posterior of data and returns the log densities there.

    Args:
        vae: A VAE whose posterior has a density everywhere.
        x: Data, shape ``(N, *event_shape)``.
        y: The labels that it reads.
        draws: How many; each datum is drawn from equally often, as far as that goes.
    """
    index = torch.cat([torch.randperm(len(x)) for _ in range(math.ceil(draws / len(x)))])[:draws]
    ((rows, *labels),) = batches(vae, x[index], None if y is None else y[index], size=draws)
    posterior = vae.encode(rows, *labels)
    z = posterior.sample()
    log_prior = vae.prior(*labels).log_prob(z)
    log_q, log_mixture = posterior.log_prob(z).double(), log_aggregate(vae, x, y, z)
    return Aggregate(log_q, log_mixture, log_prior.double(), len(x))


@torch.no_grad()
def log_aggregate(vae: VAE, x: Tensor, y: Tensor | None, z: Tensor) -> Tensor:
    """Returns log q(z) of codes, shape ``(draws,)``, under the mixture of the posteriors of N data."""
    size = max(1, AT_ONCE // z.numel())
    columns = []
    for batch in batches(vae, x, y, size=size):
        posterior = vae.encode(*batch)
        points = z[:, None].expand(len(z), len(batch[0]), z.shape[-1])
        columns.append(posterior.log_prob(points).double().logsumexp(1))
    return torch.stack(columns).logsumexp(0) - math.log(len(x))


@torch.no_grad()
def prior_holes(judged: Judged, x: Tensor, y: Tensor | None, draws: int) -> tuple[Tensor, Tensor]:
    """Returns log q(z) of codes of validation data, and of draws from the prior, ``(draws,)`` each.

    The codes are of other data than those of the aggregate, as the draws are: both find it as thin between its data.
    """
    vae = judged.vae
    others, labels = judged.held_out("validation", draws)
    codes = torch.cat([vae.encode(*batch).sample() for batch in batches(vae, others, judged.read(labels), size=1000)])
    drawn = vae.prior(vae.labels(draws)).expand((draws,)).sample()
    return log_aggregate(vae, x, y, codes), log_aggregate(vae, x, y, drawn)


def share_of_holes(codes: Tensor, drawn: Tensor) -> tuple[float, float]:
    """Returns the share of prior draws that lie where only 1 % of held-out codes do, and its standard error.

    Example:
        >>> share_of_holes(torch.arange(1000.0), torch.arange(1000.0) - 500)
        (0.51, 0.0158...)
    """
    share = (drawn < codes.quantile(RARE)).double().mean().item()
    return share, math.sqrt(share * (1 - share) / len(drawn))


def numbers_of(found: Aggregate) -> dict[str, Any]:
    return {
        "information": found.information.mean,
        "information_standard_error": found.information.standard_error,
        "ceiling": found.ceiling,
        "saturated": found.saturated,
        "marginal_divergence": found.marginal_divergence.mean,
        "marginal_divergence_standard_error": found.marginal_divergence.standard_error,
    }


def numbers_of_holes(codes: Tensor, drawn: Tensor) -> dict[str, float]:
    share, error = share_of_holes(codes, drawn)
    return {"hole_share": share, "hole_share_standard_error": error}


def said(found: Aggregate) -> Sequence[str]:
    """Says how much codes tell, beside the most that so many data let them."""
    ceiling = f"of at most log {found.size} = {found.ceiling:.2f}"
    mark = ", saturated: more data would give more" if found.saturated else ""
    bound = " or less, for more data" if found.saturated else ""
    return [
        f"a code tells I(n; z) = {found.information} nats, {ceiling}{mark}",
        f"KL(aggregate || prior) = {found.marginal_divergence} nats{bound}",
    ]


def said_of_holes(codes: Tensor, drawn: Tensor) -> str:
    share, error = share_of_holes(codes, drawn)
    return f"{share:.1%} ± {error:.1%} of prior draws lie where only {RARE:.0%} of held-out codes do"
