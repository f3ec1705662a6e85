r"""How clusters of codes agree with labels.

Clusters are the prior's components where it is a mixture, else those of k-means. With clusters c and labels y,

.. math:: \text{accuracy} = \max_{\pi} \frac{1}{n} \sum_i [y_i = \pi(c_i)],

the maximum over one-to-one assignments of clusters to classes. Where there are more clusters than classes, each that is
left over counts for the class that is most frequent in it: that is the *majority accuracy*, which grows with the number
of clusters and compares with no accuracy.
"""

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pyrovae.evaluation.judged import Findings
from pyrovae.evaluation.manifolds import Measured
from pyrovae.mixtures import Mixture
from pyrovae.vae import VAE

Array = NDArray[Any]


def clustering(vae: VAE, codes: Array, y: Array, classes: int, resamples: int) -> Findings:
    """Says how clusters of test codes agree with labels; errors are the bootstrap's over data, clusters given."""
    clusters, size, name = clusters_of(vae, codes, classes)
    agreed = agreement(clusters, y)
    redrawn = []
    for _ in range(resamples):
        rows = torch.randint(len(y), (len(y),)).numpy()
        redrawn.append(agreement(clusters[rows], y[rows]))
    errors = np.std(redrawn, axis=0, ddof=1)
    accuracy, nmi, ari = map(Measured, agreed, errors.tolist())
    kind = "majority_accuracy" if size > classes else "accuracy"
    used = len(np.unique(clusters))
    numbers = {"clusters": name, "clusters_used": used, "clusters_of_labels": bool(vae.pools)}
    for key, value in ((f"cluster_{kind}", accuracy), ("nmi", nmi), ("ari", ari)):
        numbers |= {key: value.value, f"{key}_standard_error": value.standard_error}
    return Findings(
        numbers,
        [
            f"clusters of test codes, {name}, {used} of them used: {kind.replace('_', ' ')} {in_percent(accuracy)}%, "
            f"NMI {nmi}, ARI {ari}"
        ],
    )


def clusters_of(vae: VAE, codes: Array, classes: int) -> tuple[Array, int, str]:
    """Returns the cluster of each code, how many clusters there are, and what they are."""
    with torch.no_grad():
        prior = vae.prior()
        if isinstance(prior, Mixture) and prior.log_weights.shape[-1] > 1:
            parameter = next(vae.parameters())
            likeliest = prior.responsibilities(torch.from_numpy(codes).to(parameter)).argmax(-1).cpu().numpy()
            size = prior.log_weights.shape[-1]
            taught = ", which were trained with labels" if vae.pools else ""
            return likeliest, size, f"the {size} components of the prior{taught}"
    from sklearn.cluster import KMeans

    size = min(classes, len(codes))
    means = KMeans(size, n_init=10, random_state=int(torch.randint(2**31, ())))
    with warnings.catch_warnings(action="ignore"):  # that collapsed codes are fewer than clusters
        return means.fit_predict(codes), size, f"k-means with {size} means"


def agreement(clusters: Array, y: Array) -> tuple[float, float, float]:
    """Returns accuracy, normalised mutual information and adjusted Rand index (Hubert and Arabie, 1985)."""
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    nmi, ari = normalized_mutual_info_score(y, clusters), adjusted_rand_score(y, clusters)
    return matched_accuracy(clusters, y), float(nmi), float(ari)


def matched_accuracy(clusters: Array, y: Array) -> float:
    """Returns the share of data whose cluster stands for their class, the best assignment (Kuhn, 1955).

    Each class has one cluster; further clusters count for their most frequent class.

    Example:
        >>> matched_accuracy(np.array([5, 5, 5, 2, 2, 2]), np.array([0, 0, 1, 1, 1, 1]))
        0.8333333333333334
    """
    from sklearn.metrics.cluster import contingency_matrix

    counts = contingency_matrix(y, clusters)
    own = linear_sum_assignment(counts, maximize=True)
    further = np.delete(counts, own[1], axis=1).max(axis=0)
    return float((counts[own].sum() + further.sum()) / len(y))


def in_percent(value: Measured) -> Measured:
    """Returns a share and its error in percent.

    Example:
        >>> str(in_percent(Measured(0.1234, 0.02)))
        '12.3 ± 2.0'
    """
    return Measured(100 * value.value, 100 * value.standard_error)
