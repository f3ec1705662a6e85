"""What stands in a run directory of its evaluation, and the evidence, which is written first."""

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pyrovae import runs, storage
from pyrovae.checkpoints import BEST
from pyrovae.evaluation import Estimate, evaluate
from pyrovae.evaluation.sections import BESIDE_EVIDENCE
from pyrovae.vae import VAE, is_point

if TYPE_CHECKING:
    from pyrovae.configuration import Experiment


def judge(experiment: "Experiment", vae: VAE, dataset: Any, directory: Path, **overrides: Any) -> tuple[Estimate, bool]:
    """Estimates log p(x) and writes it into the run directory, unless a larger evaluation stands there already.

    Returns:
        The evidence, and whether it was written.
    """
    chosen = experiment.chosen("evaluation") | {key: value for key, value in overrides.items() if value is not None}
    numbers, evidence = evaluate(vae, dataset, experiment.seed, **chosen)
    path, standing = directory / runs.EVALUATION, standing_evaluation(directory)
    if any(numbers[size] < standing.get(size, 0) for size in ("data", "particles")):
        held = f"{standing['particles']} particles of {standing['data']} data"
        print(f"not written: {path} holds a larger evaluation, {held}", file=sys.stderr)
        return evidence, False
    log_prob = evidence.log_prob.float().cpu().numpy()
    unchanged = standing and np.array_equal(storage.read_array(directory / runs.PER_DATUM), log_prob)
    kept = {
        name: found for name, found in standing.get("sections", {}).items() if unchanged or name not in BESIDE_EVIDENCE
    }
    storage.write_array(directory / runs.PER_DATUM, log_prob)
    evidence_numbers = numbers | {"sentence": str(evidence), "weights": weights_of(directory)}
    storage.write_json(path, with_verdict(evidence_numbers | {"sections": kept}))
    return evidence, True


def with_verdict(numbers: dict[str, Any]) -> dict[str, Any]:
    """Returns an evaluation whose verdict on its evidence counts what the sections say against it."""
    if "own_reasons" not in numbers and "reasons" not in numbers:
        return numbers  # a point posterior's, which has no evidence
    own = numbers.get("own_reasons", numbers.get("reasons", []))
    reasons = [*own, *(reason for found in numbers["sections"].values() for reason in found.get("reasons", []))]
    verdict = "unreliable" if reasons else "reliable"
    return numbers | {"own_reasons": own, "reasons": reasons, "verdict": verdict}


def standing_evaluation(directory: Path) -> dict[str, Any]:
    """Returns what stands in a run directory of the weights that stand there; nothing of older ones."""
    path = directory / runs.EVALUATION
    content = storage.read_json(path) if path.exists() else {}
    if "ais" in content:  # of the first revision, without its options
        del content["ais"]
    return content if content.get("weights", weights_of(directory)) == weights_of(directory) else {}


def weights_of(directory: Path) -> str:
    """Names the weights of a run by their file's hash."""
    return hashlib.sha256((directory / BEST).read_bytes()).hexdigest()[:12]


def evidence_of(directory: Path, vae: VAE) -> torch.Tensor | None:
    """Returns the importance-sampled log p(x) that stands in a run directory, unless its posterior is a point."""
    if is_point(vae.posterior):
        return None
    return torch.from_numpy(storage.read_array(directory / runs.PER_DATUM))
