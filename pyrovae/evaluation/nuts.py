r"""NUTS on z, beside the guide: draws of p(z | x) by the same model, without the encoder.

The no-U-turn sampler (Hoffman and Gelman, 2014) runs on the program ``model(x, y)`` of one datum at a time, some chains
one after the other, each from its own draw of the prior. R-hat and effective sample size are the rank-normalised ones
(Vehtari et al., 2021). By datum and dimension, with m and s the mean and deviation of z under the guide and under NUTS,

.. math:: \frac{m_q - m_p}{s_p}, \qquad \frac{s_q}{s_p}, \qquad P_p(z \in I_q),

:math:`I_q` the central interval that holds 50 % or 90 % of the guide.
"""

import math
from typing import Annotated, Any, NamedTuple

import numpy as np
import pyro
import torch
from arviz_stats.base import array_stats
from pyro.infer import MCMC, NUTS
from torch import Tensor
from tqdm import tqdm

from pyrovae.analysis import nuts_dataset
from pyrovae.evaluation.evidence import batches
from pyrovae.evaluation.judged import Findings, Judged, NotApplicable
from pyrovae.evaluation.paired import paired
from pyrovae.figures.nuts import chain_ranks, posterior_intervals
from pyrovae.ranges import Range
from pyrovae.vae import VAE, is_point, is_proper

AGREED = 1.01  # R-hat above which chains do not agree (Vehtari et al., 2021)
GUIDE = 10_000  # draws of the guide, beside which NUTS's own error counts
SHARES = (0.5, 0.9)  # held by the guide's central intervals


class Chains(NamedTuple):
    """Draws of z, shape ``(chains, draws, n, D)``, and how many transitions after the warm-up diverged."""

    z: Tensor
    divergences: int


class Comparison(NamedTuple):
    """The guide beside NUTS by datum and dimension, arrays of shape ``(n, D)``.

    Attributes:
        rhat: Rank-normalised R-hat of the chains.
        ess: Effective sample size of NUTS for a mean.
        difference: Mean of the guide minus that of NUTS, in standard deviations of NUTS.
        noise: Standard error of that.
        ratio: Standard deviation of the guide over that of NUTS.
        inside: Share of NUTS inside the guide's central 50 % and 90 %, shape ``(2, n, D)``.
    """

    rhat: np.ndarray
    ess: np.ndarray
    difference: np.ndarray
    noise: np.ndarray
    ratio: np.ndarray
    inside: np.ndarray

    @property
    def agree(self) -> bool:
        """Whether R-hat is at most 1.01 everywhere."""
        return bool((self.rhat <= AGREED).all())

    @property
    def worst(self) -> tuple[int, int]:
        """Datum and dimension of the largest difference of means."""
        datum, dimension = np.unravel_index(np.abs(self.difference).argmax(), self.difference.shape)
        return int(datum), int(dimension)


def nuts(
    judged: Judged,
    *,
    sampled: Annotated[int, Range(1)] = 3,
    chains: Annotated[int, Range(2)] = 4,
    warmup: Annotated[int, Range(1)] = 100,
    draws: Annotated[int, Range(10)] = 400,
) -> Findings:
    """Samples p(z | x) of a few test data by NUTS and says how the guide compares.

    Args:
        judged: The VAE and its data.
        sampled: How many test data.
        chains: Per datum.
        warmup: Transitions of a chain in which its step size and masses are adapted.
        draws: Of a chain after that.

    Raises:
        NotApplicable: The posterior is a point, or the prior is flat.
    """
    vae = judged.vae
    if is_point(vae.posterior):
        raise NotApplicable("a point posterior has no spread to compare")
    if not is_proper(vae.prior):
        raise NotApplicable("a flat prior has no draws to start from")
    x, y = judged.held_out("test", sampled)
    y = judged.read(y)
    found = sample(vae, x, y, chains=chains, warmup=warmup, draws=draws, progress=True)
    guide = guide_draws(vae, x, y)
    comparison = compared(found.z, guide)
    first = found.z[:, :, 0].double().cpu()
    figures = {
        "intervals": posterior_intervals(first.flatten(0, 1), guide[:, 0]),
        "ranks": chain_ranks(first),
    }
    tree = {"posterior_nuts": nuts_dataset(found.z)}
    return Findings(numbers_of(found, comparison), said(found, comparison), figures, tree=tree)


def nuts_draws(
    vae: VAE, x: Tensor, y: Tensor | None = None, *, chains: int = 4, warmup: int = 100, draws: int = 400
) -> Tensor:
    """Draws z ~ p(z | x) of each datum by NUTS, shape ``(chains, draws, n, latent_dim)``.

    Args:
        vae: The model; its posterior is not looked at.
        x: Data, shape ``(n, *event_shape)``.
        y: Labels that the programs read, shape ``(n,)``.
        chains: Per datum, one after the other.
        warmup: Transitions before the draws.
        draws: Of each chain.

    Example:
        >>> from pyrovae import MLP, Bernoulli, DiagonalNormal, StandardNormal
        >>> vae = VAE(StandardNormal(2), Bernoulli(MLP, 2, (8,)), DiagonalNormal(MLP, 2, (8,)))
        >>> nuts_draws(vae, torch.ones(1, 8), chains=2, warmup=5, draws=10).shape
        torch.Size([2, 10, 1, 2])
    """
    return sample(vae, x, y, chains=chains, warmup=warmup, draws=draws).z


def sample(
    vae: VAE, x: Tensor, y: Tensor | None, *, chains: int, warmup: int, draws: int, progress: bool = False
) -> Chains:
    """Runs all chains of each datum, one after the other."""
    found = []
    with tqdm(total=len(x) * chains, disable=None if progress else True, desc="nuts") as bar:
        for batch in batches(vae, x, y, size=1):
            for _ in range(chains):
                found.append(chain(vae, batch, warmup, draws))
                bar.update()
    z = torch.stack([part.z for part in found]).unflatten(0, (len(x), chains))
    return Chains(z.permute(1, 2, 0, 3), sum(part.divergences for part in found))


def chain(vae: VAE, batch: tuple[Tensor, ...], warmup: int, draws: int) -> Chains:
    """Runs one chain on one datum from a draw of the prior, draws of shape ``(draws, D)``."""
    x, y = batch if len(batch) == 2 else (batch[0], None)
    with torch.no_grad():
        start = vae.prior(y).expand((1,)).sample()
    with pyro.get_param_store().scope():
        vae.model(x, y)  # looks at the data, once instead of at each of thousands of steps
        with pyro.validation_enabled(is_validate=False):
            sampler = MCMC(
                NUTS(vae.model),
                num_samples=draws,
                warmup_steps=warmup,
                initial_params={"z": start},
                disable_progbar=True,
            )
            sampler.run(x, y)
    (diverged,) = sampler.diagnostics()["divergences"].values()
    return Chains(sampler.get_samples()["z"][:, 0], len(diverged))


@torch.no_grad()
def guide_draws(vae: VAE, x: Tensor, y: Tensor | None) -> Tensor:
    """Returns draws of the guide, shape ``(10000, n, D)``."""
    columns = [vae.encode(*batch).sample((GUIDE,)) for batch in batches(vae, x, y, size=1)]
    return torch.cat(columns, 1).double().cpu()


def compared(z: Tensor, guide: Tensor) -> Comparison:
    """Compares draws of the guide ``(G, n, D)`` with those of NUTS ``(chains, draws, n, D)``."""
    draws, others = z.double().cpu().numpy(), guide.double().cpu().numpy()
    pooled = draws.reshape(-1, *draws.shape[2:])
    deviation, ratio = pooled.std(0), others.std(0) / pooled.std(0)
    ess = array_stats.ess(draws, chain_axis=0, draw_axis=1, method="mean")
    return Comparison(
        rhat=array_stats.rhat(draws, chain_axis=0, draw_axis=1),
        ess=ess,
        difference=(others.mean(0) - pooled.mean(0)) / deviation,
        noise=np.sqrt(1 / ess + ratio**2 / len(others)),
        ratio=ratio,
        inside=np.stack([share_inside(pooled, others, share) for share in SHARES]),
    )


def share_inside(draws: np.ndarray, guide: np.ndarray, share: float) -> np.ndarray:
    """Returns the share of draws inside the guide's central interval, by datum and dimension.

    Example:
        >>> share_inside(np.arange(100.0), np.arange(50.0, 150.0), 0.5).item()
        0.25
    """
    low, high = np.quantile(guide, [(1 - share) / 2, (1 + share) / 2], axis=0)
    inside: np.ndarray = ((draws >= low) & (draws <= high)).mean(0)
    return inside


def summaries(comparison: Comparison) -> dict[str, Any]:
    """Returns means over data of what is averaged over dimensions, by name."""
    columns = {
        "mean_difference": np.abs(comparison.difference),
        "sd_ratio": comparison.ratio,
        **{f"coverage_{100 * share:.0f}": inside for share, inside in zip(SHARES, comparison.inside, strict=True)},
    }
    return {name: paired(torch.from_numpy(values.mean(1))) for name, values in columns.items()}


def numbers_of(found: Chains, comparison: Comparison) -> dict[str, Any]:
    """Returns what ``evaluation.json`` keeps."""
    chains, draws, data, _ = found.z.shape
    datum, dimension = comparison.worst
    numbers = {"data": data, "chains": chains, "draws": draws, "divergences": found.divergences}
    for name, value in summaries(comparison).items():
        numbers |= {name: value.mean, f"{name}_standard_error": value.standard_error}
    return numbers | {
        "mean_difference_noise": expected_absolute(comparison.noise),
        "rhat_largest": comparison.rhat.max().item(),
        "ess_smallest": comparison.ess.min().item(),
        "chains_agree": comparison.agree,
        "worst": {"datum": datum, "dimension": dimension, "difference": comparison.difference[datum, dimension].item()},
        "by_datum_and_dimension": {name: values.tolist() for name, values in comparison._asdict().items()},
    }


def expected_absolute(noise: np.ndarray) -> float:
    """Returns how far from zero draws of N(0, noise^2) are on average."""
    return math.sqrt(2 / math.pi) * noise.mean().item()


def said(found: Chains, comparison: Comparison) -> list[str]:
    """Says whether the chains agree, and then how the guide compares, over how many data."""
    chains, draws, data, _ = found.z.shape
    values = summaries(comparison)
    above = int((comparison.rhat > AGREED).sum())
    datum, dimension = comparison.worst
    difference, noise = (float(column[datum, dimension]) for column in (comparison.difference, comparison.noise))
    warning = f"the chains do not agree, R-hat is above {AGREED} for {above} of {comparison.rhat.size} marginals"
    return [
        f"NUTS, {chains} chains of {draws} draws for each of {data} data: R-hat at most {comparison.rhat.max():.3f}, "
        f"effective sample size at least {comparison.ess.min():.0f}, {found.divergences} divergences",
        *([] if comparison.agree else [f"{warning}: what follows is not to be relied on, more draws may mend it"]),
        f"means of the guide are {values['mean_difference']} standard deviations off on average, "
        f"{expected_absolute(comparison.noise):.2f} of it from sampling alone; "
        f"the most is {difference:+.2f} ± {noise:.2f}, datum {datum}, z{dimension}",
        f"its standard deviations are {values['sd_ratio']} of those of NUTS; "
        f"its central 50 % and 90 % hold {percent(values['coverage_50'])} and {percent(values['coverage_90'])} of NUTS",
    ]


def percent(value: Any) -> str:
    """Writes a share and its standard error in percent."""
    mean, error = 100 * value.mean, 100 * value.standard_error
    return f"{mean:.1f}" + ("" if math.isnan(error) else f" ± {error:.1f}") + " %"
