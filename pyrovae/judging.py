"""Judging a run, section by section: each is written as soon as it is done, so that what was stopped goes on.

evaluation.json    the evidence, and by ``sections`` what else was found, with the options it was found with
log_marginal.npy   log p(x) of each test datum
analysis.nc        what the posterior believes of a few data, for ArviZ
evaluation/        pictures
report.md, .html   all of it on one page
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import pyro
import xarray as xr

from pyrovae import figures, runs, storage
from pyrovae.configuration import Experiment, merge, read
from pyrovae.data.download import cache_dir
from pyrovae.errors import PyrovaeError, did_you_mean
from pyrovae.evaluation.judged import Findings, Judged, NotApplicable
from pyrovae.evaluation.sections import BESIDE_EVIDENCE, SECTIONS
from pyrovae.experiment import load, load_vae, named_data
from pyrovae.judgement import evidence_of, judge, standing_evaluation, weights_of, with_verdict
from pyrovae.netcdf import load_datatree, save_datatree
from pyrovae.report import write_report
from pyrovae.schema import options, wrong
from pyrovae.seeding import seeded
from pyrovae.vae import VAE

EVIDENCE = "evidence"
PICTURES = "evaluation"
TREE = "analysis.nc"


@dataclass(frozen=True)
class Request:
    """What an evaluation is asked for.

    Attributes:
        only: Sections, which are then computed even if they stand; by default all that do not.
        keep: Do not compute these either where they stand.
        overrides: Options of sections, such as ``ais.chains=32``.
        particles: Importance samples per datum, instead of the experiment's.
        data: Test data at most.
        minutes: After which no further section is begun.
        again: Compute what stands already.
        against: Name or path of other data, which should look improbable.
        background: Another run on the same data.
    """

    only: Sequence[str] = ()
    overrides: Sequence[str] = ()
    particles: int | None = None
    data: int | None = None
    minutes: float | None = None
    again: bool = False
    keep: bool = False
    against: str | None = None
    background: Path | None = None

    def __post_init__(self) -> None:
        for name in self.only:
            if name not in (EVIDENCE, *SECTIONS):
                hint = did_you_mean(name, (EVIDENCE, *SECTIONS))
                raise PyrovaeError(f"unknown section '{name}'", hint=hint, exit_code=2)
        _ = self.options

    @property
    def options(self) -> dict[str, dict[str, Any]]:
        """Options by section.

        Raises:
            PyrovaeError: There is no such section or option, or a value does not fit.
        """
        content: dict[str, Any] = {}
        for override in self.overrides:
            merge(content, override)
        found: list[tuple[str, str]] = []
        for section, given in content.items():
            if section not in SECTIONS:
                hint = did_you_mean(section, SECTIONS)
                raise PyrovaeError(f"--set {section}: no such section", hint=hint, exit_code=2)
            found += wrong(section, given, options(SECTIONS[section])).items()
        if found:
            lines = "\n".join(f"--set: {problem}" for _, problem in found)
            raise PyrovaeError(lines, hint="pyrovae list sections shows every option", exit_code=2)
        return content

    def wants(self, section: str) -> bool:
        return not self.only or section in self.only

    @property
    def skips(self) -> bool:
        """Whether what stands there, with the same options, is not computed again."""
        return self.keep or not (self.only or self.again)


def evaluate_run(directory: Path, request: Request, data_dir: Path | None = None) -> Iterator[str]:
    """Judges a run on its test data, section by section, and yields what is found in words.

    Sections that stand there with the same options are not computed again, unless they are named. Nothing changes the
    run's weights.

    Args:
        directory: A run.
        request: What to judge, and how thoroughly.
        data_dir: Where data are looked for first.

    Raises:
        PyrovaeError: The run, its data or an option cannot be used.
    """
    module, dataset = load(directory, data_dir)
    experiment = read(directory / runs.EXPERIMENT)
    lacks = experiment.program.lacks
    end = monotonic() + 60 * request.minutes if request.minutes is not None else None
    if EVIDENCE in lacks:
        data, log_prob = request.data, None
        if EVIDENCE in (request.only or [EVIDENCE]):
            yield f"{EVIDENCE}: not applicable: {lacks[EVIDENCE]}"
        if not standing_evaluation(directory):
            yield str(experiment.program.judge(experiment, module, dataset, directory))
    else:
        yield from judge_evidence(experiment, module, dataset, directory, request)
        data, log_prob = evidence_options(experiment, request)["data"], evidence_of(directory, module)
    judged = Judged(
        module,
        dataset,
        experiment.seed,
        data,
        log_prob,
        cache_dir() / "classifiers",
        None if request.against is None else named_data(request.against, data_dir=data_dir, like=dataset),
        None if request.background is None else load_vae(request.background),
    )
    for name in SECTIONS:
        if request.wants(name):
            if end is not None and monotonic() > end:
                yield f"{name}: not begun, the {request.minutes:g} minutes are over; the same command goes on"
                continue
            yield from judge_section(name, judged, directory, request, lacks.get(name))
    yield from map(str, write_report(directory))


def judge_evidence(experiment: Experiment, vae: VAE, dataset: Any, directory: Path, request: Request) -> Iterator[str]:
    """Estimates log p(x) of the test data where it is wanted, or missing, and yields the sentence on it."""
    standing = standing_evaluation(directory)
    chosen = evidence_options(experiment, request)
    size = min(len(dataset.test), chosen["data"] or len(dataset.test))
    stands = (standing.get("particles"), standing.get("data"), standing.get("seed")) == (
        chosen["particles"], size, experiment.seed,
    )  # fmt: skip
    needed = not standing or (request.wants(EVIDENCE) and not (request.skips and stands))
    if needed:
        yield str(judge(experiment, vae, dataset, directory, **chosen)[0])
        lost = [name for name in BESIDE_EVIDENCE if name in standing.get("sections", {})]
        if lost and lost[0] not in standing_evaluation(directory).get("sections", {}):
            yield f"{', '.join(lost)}: stood beside the evidence before, to be computed again"
    elif request.wants(EVIDENCE):
        yield standing.get("sentence", f"{standing['estimator']} {standing['quantity']} = {standing['mean']:.2f}")


def evidence_options(experiment: Experiment, request: Request) -> dict[str, Any]:
    chosen = {"particles": request.particles, "data": request.data}
    defaults = {"data": None} | experiment.chosen("evaluation")
    return defaults | {key: value for key, value in chosen.items() if value is not None}


def judge_section(
    name: str, judged: Judged, directory: Path, request: Request, lacking: str | None = None
) -> Iterator[str]:
    """Computes one section unless it stands, writes it, and yields what it says.

    Args:
        name: Of the section.
        judged: What it judges.
        directory: The run.
        request: What was asked for.
        lacking: Why the run's program can have no such section, where that is so.
    """
    given = request.options.get(name, {})
    defaults = {key: option.default for key, option in options(SECTIONS[name]).items()}
    # Lists, as JSON has them: what is read back is then equal.
    chosen = {key: list(value) if isinstance(value, tuple) else value for key, value in (defaults | given).items()}
    asked = chosen | {"data": judged.data, "seed": judged.seed, "against": request.against}
    asked["background"] = None if request.background is None else str(request.background)
    standing = standing_evaluation(directory).get("sections", {}).get(name)
    if standing and standing["options"] == asked and request.skips:
        yield from said(name, standing, "computed before")
        return
    started = monotonic()
    try:
        if lacking:
            raise NotApplicable(lacking)
        with seeded(judged.seed), pyro.get_param_store().scope():
            findings = SECTIONS[name](judged, **given)
        pictures = keep_figures(name, findings, directory)
        if findings.tree:
            keep_tree(findings.tree, directory)
        found: dict[str, Any] = {
            "sentences": findings.sentences,
            "reasons": findings.reasons,
            "figures": pictures,
            "numbers": findings.numbers,
        }
    except NotApplicable as reason:
        found = {"not_applicable": str(reason)}
    found |= {"options": asked, "seconds": round(monotonic() - started, 1)}
    numbers = standing_evaluation(directory)
    sections = numbers.get("sections", {}) | {name: found}
    ordered = {section: sections[section] for section in SECTIONS if section in sections}
    storage.write_json(directory / runs.EVALUATION, with_verdict(numbers | {"sections": ordered}))
    shown = ", ".join(f"{key} = {value}" for key, value in chosen.items() if value is not None)
    yield from said(name, found, shown)


def said(name: str, found: Mapping[str, Any], shown: str) -> Iterator[str]:
    """Yields what a section says, under its name and sizes."""
    if "not_applicable" in found:
        yield f"{name}: not applicable: {found['not_applicable']}"
        return
    yield f"{name} ({shown})" if shown else name
    yield from (f"  {sentence}" for sentence in found["sentences"])


def keep_figures(name: str, findings: Findings, directory: Path) -> list[str]:
    """Saves a section's pictures and returns where, from the run directory on."""
    paths = [f"{PICTURES}/{name}_{label}.png" for label in findings.figures]
    if paths:
        (directory / PICTURES).mkdir(exist_ok=True)
    for path, figure in zip(paths, findings.figures.values(), strict=True):
        figures.save(figure, directory / path)
    return paths


def keep_tree(groups: Mapping[str, xr.Dataset], directory: Path) -> None:
    """Writes groups of ArviZ's tree beside those that stand there of the same weights."""
    path, weights = directory / TREE, weights_of(directory)
    standing = load_datatree(path) if path.exists() else xr.DataTree()
    kept = standing.to_dict() if standing.attrs.get("weights") == weights else {}
    fresh = {f"/{group.strip('/')}": values for group, values in groups.items()}  # as `to_dict` names them
    tree = xr.DataTree.from_dict(kept | fresh)
    tree.attrs["weights"] = weights
    save_datatree(tree, path)
