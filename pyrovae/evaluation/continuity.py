r"""Whether decoded paths between codes of data go evenly, and through data: what is claimed of VAEs, and measured here.

With :math:`x_t = \mathbb{E}[x \mid z_t]` along a path of T steps, and :math:`d_t = |x_t - x_{t-1}|`,

.. math:: \text{jump} = \frac{\max_t d_t}{\frac{1}{T} \sum_t d_t}, \qquad
    \text{roughness} = \frac{\frac{1}{T - 1} \sum_t |x_{t+1} - 2 x_t + x_{t-1}|}{\frac{1}{T} \sum_t d_t}

Both say how evenly x moves, and neither whether it is ever like data: a *fade* from the one decoded end to the other,
straight in x, has jump 1 and roughness 0. What is like data is told by a classifier of the data.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Annotated, Any, NamedTuple

import torch
from torch import Tensor

from pyrovae.evaluation.classifier import Classifier, classifier_of, read_by
from pyrovae.evaluation.evidence import batches
from pyrovae.evaluation.judged import Findings, Judged, NotApplicable
from pyrovae.evaluation.latent import CHUNK
from pyrovae.evaluation.manifolds import Measured, Share, measured, share
from pyrovae.evaluation.readings import SURE, likeliest, numbers
from pyrovae.figures.continuity import step_sizes, ways
from pyrovae.gallery import STEPS, span_of
from pyrovae.paths import PATHS, Path, dense, linear
from pyrovae.ranges import Range
from pyrovae.vae import VAE, is_proper

ELEMENTS = 2**22  # numbers of x decoded at once
SHOWN = 2  # pairs in a picture
FADE = "fade"
KINDS = {"same": "of one class", "other": "of two classes", "any": "of data"}
KEPT = {"same": "are read as their class all along", "other": "change once, from the one class to the other"}


class Ends(NamedTuple):
    """Pairs of data by their codes, shape ``(pairs, latent_dim)``, and their classes, ``(pairs, 2)``, where known."""

    start: Tensor
    stop: Tensor
    classes: Tensor | None


class Way(NamedTuple):
    """What is read along paths, ``points`` of them from end to end.

    Attributes:
        sizes: How far x moves with each step, shape ``(pairs, points - 1)``.
        roughness: Mean change from a step to the next over the mean step, shape ``(pairs,)``.
        shown: Some points of the first paths, shape ``(few, 9, *event_shape)``.
        classes: As the classifier reads them, shape ``(pairs, points)``.
        confidence: Probability of the likeliest class, likewise.
        log_prob: log p(z), likewise, in nats.
    """

    sizes: Tensor
    roughness: Tensor
    shown: Tensor
    classes: Tensor | None = None
    confidence: Tensor | None = None
    log_prob: Tensor | None = None


def continuity(
    judged: Judged, *, pairs: Annotated[int, Range(2)] = 100, steps: Annotated[int, Range(3)] = 33
) -> Findings:
    """Walks from test datum to test datum in latent space, by every path of the table, and looks at what is decoded.

    Args:
        judged: The model, its data, and where the classifier is kept.
        pairs: Of each kind, chosen at random: both of one class, or of two.
        steps: Points on a path, ends included.

    Raises:
        NotApplicable: There is no encoder, or no pair.
    """
    vae, dataset = judged.vae, judged.dataset
    if getattr(vae, "posterior", None) is None:
        raise NotApplicable("no encoder, so there are no codes of data to go between")
    kinds = dict(ends_of(judged, pairs))
    if not kinds:
        raise NotApplicable("fewer than 2 pairs of test data")
    labelled = all(ends.classes is not None for ends in kinds.values())
    classifier = classifier_of(dataset, judged.cache) if labelled else None
    found = {kind: dict(walked(vae, ends, steps, classifier)) for kind, ends in kinds.items()}
    measures = {
        kind: {name: measures_of(way, kinds[kind].classes, kind, even=name == FADE) for name, way in each.items()}
        for kind, each in found.items()
    }
    shown = found.get("other", next(iter(found.values())))
    return Findings(
        {kind: {"pairs": len(kinds[kind].start)} | {name: numbers(**values) for name, values in each.items()}
         for kind, each in measures.items()},
        [introduction(kinds, steps), *sentences(measures)],
        {
            "paths": ways({name: way.shown for name, way in shown.items()}, span=span_of(dataset)),
            "steps": step_sizes({KINDS[kind]: {name: way.sizes for name, way in each.items() if name != FADE}
                                 for kind, each in found.items()}),
        },
    )  # fmt: skip


def ends_of(judged: Judged, most: int) -> Iterator[tuple[str, Ends]]:
    """Yields pairs of test data by kind; a decoder that reads labels has no path from one class to another."""
    vae = judged.vae
    x, y = judged.held_out("test")
    order = torch.randperm(len(x))
    labelled = y is not None and bool(judged.dataset.classes)
    for kind in ("same", *(() if vae.conditional else ("other",))) if labelled else ("any",):
        chosen = chosen_pairs(y[order] if y is not None and labelled else None, kind, min(most, len(x) // 2))
        if len(chosen) < 2:
            continue
        index = order[chosen]
        start, stop = (codes(judged, x[rows], None if y is None else y[rows]) for rows in index.unbind(1))
        yield kind, Ends(start, stop, y[index] if y is not None and labelled else None)


def chosen_pairs(y: Tensor | None, kind: str, rows: int) -> Tensor:
    """Returns which data make pairs of a kind, shape ``(pairs, 2)``, out of data in random order; no datum twice.

    Example:
        >>> chosen_pairs(torch.tensor([0, 1, 0, 0, 1, 1]), "same", 3).tolist()
        [[0, 3], [1, 4]]
    """
    if y is None:
        return torch.arange(2 * rows).reshape(rows, 2)
    free, found = torch.arange(len(y)) >= rows, []
    for first in range(rows):
        partners = torch.where(free & ((y == y[first]) == (kind == "same")))[0][:1]
        free[partners] = False  # pairs that share a datum are not independent
        found += [(first, partner) for partner in partners.tolist()]
    return torch.tensor(found, dtype=torch.long).reshape(-1, 2)


@torch.no_grad()
def codes(judged: Judged, x: Tensor, y: Tensor | None) -> Tensor:
    """Returns E[z | x], shape ``(n, latent_dim)``."""
    vae = judged.vae
    return torch.cat([vae.embed(*batch) for batch in batches(vae, x, judged.read(y), size=CHUNK)])


def walked(vae: VAE, ends: Ends, steps: int, classifier: Classifier | None) -> Iterator[tuple[str, Way]]:
    """Yields what is read along each path of the table that the prior has, and along a fade."""
    for name, path in PATHS.items():
        if path is not dense or is_proper(vae.prior):
            yield name, along(vae, path, ends, steps, classifier)
    yield FADE, along(vae, None, ends, steps, classifier)


@torch.no_grad()
def along(vae: VAE, path: Path | None, ends: Ends, steps: int, classifier: Classifier | None) -> Way:
    """Returns what is read along one path of each pair; without a path, along a fade in x."""
    y = ends.classes[:, :1].to(ends.start.device) if vae.conditional and ends.classes is not None else None
    labels = None if y is None else y.expand(-1, steps)
    prior = vae.prior(labels)
    z = torch.stack([ends.start, ends.stop], 1) if path is None else path(*ends[:2], steps=steps, prior=prior)
    size = max(1, ELEMENTS // (steps * prod(vae.likelihood.event_shape)))
    parts = []
    for rows in torch.arange(len(z), device=z.device).split(size):
        x = vae.decode(z[rows], None if labels is None else labels[rows, : z.shape[1]]).float().cpu()
        x = x if path is not None else linear(*x.flatten(2).unbind(1), steps=steps).unflatten(-1, x.shape[2:])
        parts.append(read_along(x, classifier))
    way = joined(parts)
    return way._replace(log_prob=prior.log_prob(z).double().cpu()) if path and is_proper(vae.prior) else way


def read_along(x: Tensor, classifier: Classifier | None) -> Way:
    """Returns what is read along decoded paths, shape ``(pairs, points, *event_shape)``."""
    moves = x.flatten(2).double().diff(dim=1)
    sizes = moves.norm(dim=-1)
    roughness = over(moves.diff(dim=1).norm(dim=-1).mean(1), sizes.mean(1), still=0.0)
    shown = x[:SHOWN, torch.linspace(0, x.shape[1] - 1, STEPS).round().long()]
    if classifier is None:
        return Way(sizes, roughness, shown)
    features, classes = read_by(classifier, x.flatten(0, 1))
    shape = x.shape[:2]
    return Way(sizes, roughness, shown, classes.reshape(shape), likeliest(classifier, features).reshape(shape))


def joined(parts: Sequence[Way]) -> Way:
    """Returns the paths of all parts, of which the first are shown."""
    sizes, roughness, shown, classes, confidence, _ = (
        None if column[0] is None else torch.cat([rows for rows in column if rows is not None])
        for column in zip(*parts, strict=True)
    )
    assert sizes is not None
    assert roughness is not None
    assert shown is not None
    return Way(sizes, roughness, shown[:SHOWN], classes, confidence)


def over(values: Tensor, mean: Tensor, *, still: float) -> Tensor:
    """Returns values over the mean step, and what is said of a path on which x never moves."""
    return torch.where(mean > 0, values / mean.clamp(min=torch.finfo(mean.dtype).tiny), still)


def jump(sizes: Tensor) -> Tensor:
    """Returns the largest step of each path over its mean one: 1 where they are equal, T where x moves in one.

    Example:
        >>> jump(torch.tensor([[2.0, 2, 2, 2], [0, 4, 0, 0], [0, 0, 0, 0]]))
        tensor([1., 4., 1.])
    """
    return over(sizes.amax(1), sizes.mean(1), still=1.0)


def keeps(read: Tensor, classes: Tensor, kind: str) -> Tensor:
    """Tells of each path whether it is read as its class all along, or changes once, from its first to its second.

    Args:
        read: Classes along the paths, shape ``(pairs, points)``.
        classes: Of both ends, shape ``(pairs, 2)``.
        kind: ``"same"`` or ``"other"``.

    Example:
        >>> read = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1], [0, 2, 2, 1], [0, 0, 0, 0]])
        >>> ends = torch.tensor([[0, 1], [0, 1], [0, 1], [0, 0]])
        >>> keeps(read, ends, "other").tolist(), keeps(read, ends, "same").tolist()
        ([True, False, False, False], [False, False, False, True])
    """
    return ends_right(read, classes) & (changes(read) == (0 if kind == "same" else 1))


def ends_right(read: Tensor, classes: Tensor) -> Tensor:
    """Tells of each path whether both its ends are read as the classes of their data."""
    return (read[:, [0, -1]] == classes).all(1)


def changes(read: Tensor) -> Tensor:
    """Returns how often the class changes along each path, shape ``(pairs,)``."""
    return (read.diff(dim=1) != 0).sum(1)


def measures_of(way: Way, classes: Tensor | None, kind: str, *, even: bool = False) -> dict[str, Measured | Share]:
    """Returns what is said of a path, by name, with errors over pairs; evenness only where it is not by its making."""
    found: dict[str, Measured | Share] = {}
    if not even:
        found = {"jump": measured(jump(way.sizes)), "roughness": measured(way.roughness)}
    if way.classes is not None and way.confidence is not None and classes is not None:
        found |= {
            "kept": share(keeps(way.classes, classes, kind)),
            "ends_right": share(ends_right(way.classes, classes)),
            "changes": measured(changes(way.classes).double()),
            "confidence": measured(way.confidence.mean(1)),
            "confidence_ends": measured(way.confidence[:, [0, -1]].mean(1)),
            "confidence_lowest": measured(way.confidence.amin(1)),
            "sure": measured((way.confidence > SURE).double().mean(1)),
        }
    if way.log_prob is not None:
        found |= {
            "log_prior": measured(way.log_prob.mean(1)),
            "log_prior_ends": measured(way.log_prob[:, [0, -1]].mean(1)),
            "log_prior_lowest": measured(way.log_prob.amin(1)),
        }
    return found


def introduction(kinds: Mapping[str, Ends], steps: int) -> str:
    """Says what the paths join."""
    counts = " and ".join(f"{len(ends.start)} pairs {KINDS[kind]}" for kind, ends in kinds.items())
    return f"{counts}, {steps} points of E[x | z] on the way; a fade is straight in x between the same decoded ends"


def sentences(measures: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[str]:
    """Yields a sentence for each path of each kind."""
    for kind, each in measures.items():
        for name, found in each.items():
            if parts := list(said(found, kind)):
                yield f"{name}, {KINDS[kind]}: {'; '.join(parts)}"


def said(found: Mapping[str, Any], kind: str) -> Iterator[str]:
    """Yields the parts of a sentence on a path, as far as there are numbers."""
    if "jump" in found:
        yield f"largest step {found['jump']} times the mean one, roughness {found['roughness']}"
    if "kept" in found:
        yield f"{found['kept']} {KEPT[kind]} (the ends alone are read right in {found['ends_right'].value:.1%})"
        yield (
            f"confidence {found['confidence']}, at the ends {found['confidence_ends']}, at its lowest "
            f"{found['confidence_lowest']}, above {SURE} on {found['sure']} of the way"
        )
    if "log_prior" in found:
        yield (
            f"log p(z) {found['log_prior']} nats, at the ends {found['log_prior_ends']}, at its lowest "
            f"{found['log_prior_lowest']}"
        )
