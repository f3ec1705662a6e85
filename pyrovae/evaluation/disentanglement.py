r"""Whether each latent dimension stands for one of the factors that generated the data, where these are known.

MIG, SAP and DCI (`factor_scores`) compare dimensions with factors; they are means over disjoint fifths of the data. The
*total correlation* of the aggregate posterior, the exact mixture over N training data, compares dimensions with each
other:

.. math:: \mathrm{KL}\Bigl(q(z) \,\Big\|\, \prod_d q(z_d)\Bigr), \qquad q(z) = \frac{1}{N} \sum_n q(z \mid x_n)
"""

import math
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyrovae.data.sprites import FACTORS
from pyrovae.densities import Site
from pyrovae.errors import PyrovaeError
from pyrovae.evaluation.evidence import batches
from pyrovae.evaluation.factor_scores import gap, part_of, separate
from pyrovae.evaluation.judged import Findings, Judged, NotApplicable
from pyrovae.evaluation.latent import CHUNK
from pyrovae.evaluation.manifolds import Measured, measured
from pyrovae.evaluation.paired import paired
from pyrovae.evaluation.representation import codes_of, shortened
from pyrovae.evaluation.usage import SATURATED
from pyrovae.figures.separation import information_map
from pyrovae.objectives.legality import per_dimension
from pyrovae.ranges import Range
from pyrovae.vae import VAE

Array = NDArray[Any]

PARTS = 5  # disjoint, of training and of test data
FEWEST = 50, 10  # training and test data in each of them
AT_ONCE = 2**22  # numbers of z at once


def disentanglement(
    judged: Judged, *, codes: Annotated[int, Range(PARTS * FEWEST[0])] = 10_000, draws: Annotated[int, Range(2)] = 1000
) -> Findings:
    """Compares latent dimensions with the factors of the data.

    Args:
        judged: The VAE and its data.
        codes: Training data at most.
        draws: From the aggregate posterior, for the total correlation.

    Raises:
        NotApplicable: Factors are not known, the encoder reads labels, z has one dimension, or data are too few.
    """
    vae, (x, v), (test_x, test_v), names = judged.vae, *with_factors(judged, codes)
    every = (draws_of(vae, x), v, codes_of(vae, x), codes_of(vae, test_x), test_v)
    if every[0].shape[1] < 2:
        raise NotApplicable("z has one dimension, which nothing can be told apart from")
    found = [part_of(*(rows[start::PARTS] for rows in every)) for start in range(PARTS)]
    scores = {
        "mig": over(gap(part.told) for part in found),
        "sap": over(gap(part.found) for part in found),
        "dci_disentanglement": over(separate(part.importance) for part in found),
        "dci_completeness": over(separate(part.importance.T) for part in found),
        "dci_informativeness": over(part.right for part in found),
    }
    told = np.mean([part.told for part in found], axis=0)
    chance = float(np.mean([1 / len(np.unique(column)) for column in v.T]))
    correlation = total_correlation(vae, x, draws)
    return Findings(
        numbers_of(scores)
        | {"dci_chance": chance, "told": told.T.tolist(), "factors": names, "training": len(x), "data": len(test_x)}
        | correlation.numbers,
        [*said(scores, chance), *correlation.sentences],
        {"information": information_map(told.T, names)},
    )


def with_factors(judged: Judged, codes: int) -> tuple[tuple[Tensor, Array], tuple[Tensor, Array], list[str]]:
    """Returns training and test data, each with the classes of its factors, and the factors' names."""
    train, test = judged.dataset.train.factors, judged.dataset.test.factors
    if train is None or test is None:
        raise NotApplicable("the factors of the data are not known")
    if judged.vae.conditional:
        raise NotApplicable("the encoder reads the labels")
    x, test_x = shortened(judged.dataset, codes).held_out("train")[0], judged.held_out("test")[0]
    if len(x) < PARTS * FEWEST[0] or len(test_x) < PARTS * FEWEST[1]:
        raise NotApplicable(f"{len(x)} training and {len(test_x)} test data are too few for {PARTS} parts")
    v, test_v, names = classes_of(train[: len(x)], test[: len(test_x)])
    if len(names) < 2:
        raise NotApplicable("fewer than two factors vary")
    return (x, v), (test_x, test_v), names


def classes_of(factors: Tensor, test: Tensor) -> tuple[Array, Array, list[str]]:
    """Returns the factors that vary as numbers 0, 1, ... of their values, and their names.

    Example:
        >>> training = torch.tensor([[2.0, 0.5, 1.0], [0.0, 0.5, 2.0]])
        >>> v, test, names = classes_of(training, torch.tensor([[1.0, 0.5, 1.0]]))
        >>> v.tolist(), test.tolist(), names
        ([[2, 0], [0, 1]], [[1, 0]], ['shape', 'orientation'])
    """
    columns = [np.unique(column, return_inverse=True)[1] for column in torch.cat([factors, test]).cpu().numpy().T]
    varying = [index for index, column in enumerate(columns) if column.max() > 0]
    values = np.stack([columns[index] for index in varying], 1)
    return values[: len(factors)], values[len(factors) :], [FACTORS[index] for index in varying]


@torch.no_grad()
def draws_of(vae: VAE, x: Tensor) -> Array:
    """Returns one draw of q(z | x) for each datum, float64 of shape ``(n, latent_dim)``."""
    drawn = [vae.encode(*batch).sample() for batch in batches(vae, x, None, size=CHUNK)]
    return torch.cat(drawn).double().cpu().numpy()


def over(values: Iterator[float]) -> Measured:
    """Returns the mean over parts and its standard error."""
    return measured(torch.tensor(list(values), dtype=torch.double))


def total_correlation(vae: VAE, x: Tensor, draws: int) -> Findings:
    """Says the total correlation of the aggregate posterior, or why it has none that is known."""
    try:
        own, joint, marginals = aggregate(vae, x, draws)
    except PyrovaeError as error:
        return Findings({}, [f"total correlation: not applicable: {error}"])
    found, told = paired(joint - marginals), paired(own - joint)
    saturated = told.mean > SATURATED * math.log(len(x))
    mark = ", an upper bound for more data: codes name their datum" if saturated else ""
    return Findings(
        {
            "total_correlation": found.mean,
            "total_correlation_standard_error": found.standard_error,
            "total_correlation_saturated": saturated,
        },
        [f"total correlation = {found} nats ({draws} draws from the aggregate of {len(x)} training data{mark})"],
    )


@torch.no_grad()
def aggregate(vae: VAE, x: Tensor, draws: int) -> tuple[Tensor, Tensor, Tensor]:
    """Returns log q(z | x_n), log q(z) and the sum of log q(z_d) at draws from the aggregate, ``(draws,)`` each.

    Raises:
        PyrovaeError: The posterior does not factorise over dimensions.
    """
    rows = torch.cat([torch.randperm(len(x)) for _ in range(math.ceil(draws / len(x)))])[:draws]
    ((some,),) = batches(vae, x[rows], None, size=draws)
    posterior = vae.encode(some)
    z = posterior.sample()
    joint, marginals = [], []
    for batch in batches(vae, x, None, size=max(1, AT_ONCE // z.numel())):
        density = vae.encode(*batch)
        one = per_dimension(Site(z, z, density, observed=False), "posterior", "total correlation")
        every = one.log_prob(z[:, None]).double()
        joint.append(every.sum(-1).logsumexp(1))
        marginals.append(every.logsumexp(1))
    log_size = math.log(len(x))
    log_q = torch.stack(joint).logsumexp(0) - log_size
    return posterior.log_prob(z).double(), log_q, (torch.stack(marginals).logsumexp(0) - log_size).sum(-1)


def numbers_of(scores: dict[str, Measured]) -> dict[str, Any]:
    """Returns what ``evaluation.json`` keeps."""
    values = {name: score.value for name, score in scores.items()}
    return values | {f"{name}_standard_error": score.standard_error for name, score in scores.items()}


def said(scores: dict[str, Measured], chance: float) -> list[str]:
    """Says the scores; errors are over five parts of the data."""
    return [
        f"MIG = {scores['mig']}, SAP = {scores['sap']} (errors over {PARTS} disjoint parts of the data)",
        f"DCI: disentanglement {scores['dci_disentanglement']}, completeness {scores['dci_completeness']}, "
        f"informativeness {scores['dci_informativeness']} (by chance {chance:.3f})",
    ]
