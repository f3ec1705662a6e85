r"""Whether each latent dimension stands for one of the factors that generated the data, where these are known.

With factors v, latent dimensions z_j, and those that tell most, j = a, and second most, j = b, of a factor,

* *MIG* (Chen et al., 2018) is the mean over factors of :math:`(I(z_a; v) - I(z_b; v)) / H(v)`. Information is estimated
  from draws z ~ q(z | x), one a datum, by distances between neighbours (Ross, 2014), scikit-learn's
  ``mutual_info_classif``: it needs no density of q, so that any posterior will do, and is nearly unbiased;
* *SAP* (Kumar et al., 2018) is the mean over factors of the same gap between shares of test data whose factor is found
  from E[z_j | x] alone, by as many intervals as it has values;
* *DCI* (Eastwood and Williams, 2018) reads the importances of dimensions in forests that find each factor from all of
  E[z | x]. *Disentanglement* is one minus the entropy of a dimension's importances over factors, to the base of their
  number, weighted by its importance; *completeness* the same of a factor over dimensions; *informativeness* the share
  of test data that forests are right on;
* *total correlation* is :math:`\mathrm{KL}(q(z) \,\|\, \prod_d q(z_d))`, where the aggregate posterior
  :math:`q(z) = \frac{1}{N} \sum_n q(z \mid x_n)` is the exact mixture over N training data.

Values of a factor count as classes without an order. All but the last are means over disjoint fifths of the data.
"""

import math
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import entropy
from torch import Tensor

from pyrovae.data.sprites import FACTORS
from pyrovae.densities import Site
from pyrovae.errors import PyrovaeError
from pyrovae.evaluation.evidence import batches
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
TREES = 20  # of a forest
LEAF = 5  # data in a leaf at least: trees that part single data find noise important
AT_ONCE = 2**22  # numbers of z at once


class Part(NamedTuple):
    """What one part of the data says; matrices have a row for each dimension and a column for each factor.

    Attributes:
        told: I(z_j; v) / H(v).
        found: Share of test data whose factor is found from E[z_j | x].
        importance: Of each dimension in the forest that finds a factor, summing to 1 over dimensions.
        right: Share of test data whose factor such a forest finds, mean over factors.
    """

    told: Array
    found: Array
    importance: Array
    right: float


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


def part_of(z: Array, v: Array, codes: Array, test_codes: Array, test_v: Array) -> Part:
    """Compares draws and codes of some data with their factors."""
    forests = [forest(codes, column, test_codes, test) for column, test in zip(v.T, test_v.T, strict=True)]
    importance, right = zip(*forests, strict=True)
    return Part(
        information(z, v) / [entropy(np.bincount(column)) for column in v.T],
        found_alone(codes, v, test_codes, test_v),
        np.stack(importance, 1),
        float(np.mean(right)),
    )


def seed() -> int:
    """Draws a seed for scikit-learn from torch's generator."""
    return int(torch.randint(2**31, ()))


def information(z: Array, v: Array) -> Array:
    """Returns I(z_j; v_k) in nats, shape ``(latent_dim, factors)``, 0 where its estimate is below.

    Args:
        z: Draws, shape ``(n, latent_dim)``.
        v: Values of the factors, integers of shape ``(n, factors)``.
    """
    from sklearn.feature_selection import mutual_info_classif

    return np.stack([mutual_info_classif(z, column, random_state=seed()) for column in v.T], 1)


def found_alone(codes: Array, v: Array, test_codes: Array, test_v: Array) -> Array:
    """Returns the share of test data whose factor is found from one dimension, shape ``(latent_dim, factors)``."""
    from sklearn.tree import DecisionTreeClassifier

    def share(dimension: int, factor: int) -> float:
        tree = DecisionTreeClassifier(max_leaf_nodes=int(v[:, factor].max()) + 1, random_state=0)
        tree.fit(codes[:, [dimension]], v[:, factor])
        return float(tree.score(test_codes[:, [dimension]], test_v[:, factor]))

    return np.array([[share(j, k) for k in range(v.shape[1])] for j in range(codes.shape[1])])


def forest(codes: Array, v: Array, test_codes: Array, test_v: Array) -> tuple[Array, float]:
    """Returns the importance of each dimension for a factor, and the share of test data where the factor is found."""
    from sklearn.ensemble import RandomForestClassifier

    # Every split looks at all dimensions: among few, the best of them is at times noise.
    trees = RandomForestClassifier(TREES, max_features=None, min_samples_leaf=LEAF, random_state=seed())
    trees.fit(codes, v)
    return trees.feature_importances_, float(trees.score(test_codes, test_v))


def gap(scores: Array) -> float:
    """Returns by how much the best dimension is better than the next, mean over factors.

    Example:
        >>> gap(np.array([[1.0, 0.1], [0.2, 0.6], [0.0, 0.5]]))
        0.45
    """
    ordered = np.sort(scores, axis=0)
    return float((ordered[-1] - ordered[-2]).mean())


def separate(importance: Array) -> float:
    """Returns how much each row is about one column: 1 if about one alone, 0 if about all alike, weighted by its sum.

    Example:
        >>> separate(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]))
        0.333...
    """
    used = importance[importance.sum(1) > 0]
    weights = used.sum(1) / used.sum() if len(used) else np.zeros(0)
    return float(weights @ (1 - entropy(used, base=importance.shape[1], axis=1))) if len(used) else 0.0


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
