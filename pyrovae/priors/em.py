"""Where a mixture starts that is to be fitted to codes: at what expectation maximisation finds in them."""

import torch
from torch import Tensor

from pyrovae.distributions import unbounded_scale
from pyrovae.priors.gaussian_mixture import GaussianMixture

FLOOR = 1e-4  # of a scale, over that of all codes: a component on a single code would have none


@torch.no_grad()
def start_at(prior: GaussianMixture, z: Tensor, y: Tensor | None = None, *, seed: int = 0) -> None:
    """Puts the components of a mixture where codes lie, by expectation maximisation (Dempster et al., 1977).

    Steps of a gradient are as long for codes that lie 100 apart as for those that lie 1 apart, and an autoencoder's
    codes lie anywhere.

    Args:
        prior: The mixture; with labels, each pool is fitted to the codes of its class.
        z: Codes, shape ``(n, D)``.
        y: Their labels, shape ``(n,)``, read where the mixture reads labels.
        seed: Of the start of the maximisation.

    Example:
        >>> prior = GaussianMixture(1, components=2)
        >>> start_at(prior, torch.tensor([[98.0], [102.0], [-98.0], [-102.0]]))
        >>> prior.loc.flatten().sort().values.round().tolist()
        [-100.0, 100.0]
    """
    from sklearn.mixture import GaussianMixture as Expectation

    groups = [z] if y is None or not prior.classes else [z[y == label] for label in range(prior.classes)]
    each = len(prior.logits) // len(groups)
    floor = FLOOR * float(z.std(0).mean())
    found = [
        Expectation(min(each, len(group)), covariance_type="diag", reg_covar=floor**2, random_state=seed).fit(
            group.double().cpu().numpy()
        )
        for group in groups
    ]
    for number, (mixture, group) in enumerate(zip(found, groups, strict=True)):
        # as many components as there are places for; of fewer codes than that, some start at the same place
        places = torch.arange(each) % mixture.n_components
        rows = slice(number * each, (number + 1) * each)
        prior.loc[rows] = torch.from_numpy(mixture.means_)[places].to(prior.loc)
        scale = torch.from_numpy(mixture.covariances_).sqrt()[places]
        prior.raw_scale[rows] = scale.apply_(unbounded_scale).to(prior.raw_scale)
        share = torch.from_numpy(mixture.weights_)[places] * len(group) / len(z)
        prior.logits[rows] = share.log().to(prior.logits)
