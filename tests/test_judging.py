"""Judging section by section: what is written, what stands, what is skipped and why, and the page that tells it."""

import hashlib
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import pytest
import torch
from commands import SMALL, Maker, contents, invoke, refusal, succeeds, train
from matplotlib.figure import Figure

from pyrovae import VAE, judgement, judging, load
from pyrovae.evaluation.judged import Findings, Judged, NotApplicable
from pyrovae.evaluation.sections import SECTIONS
from pyrovae.netcdf import load_datatree
from pyrovae.schema import options
from pyrovae.seeding import seeded


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Puts two sections in place of all: "count" counts its calls and draws, "never" does not apply."""
    calls: list[int] = []

    def count(judged: Judged, *, size: int = 3, widths: Sequence[int] = (4, 5)) -> Findings:
        calls.append(size)
        assert judged.log_prob is not None
        return Findings({"size": size}, [f"counted {size} < & >"], {"blank": Figure()}, ["it was counted"])

    def never(judged: Judged) -> Findings:
        raise NotApplicable("there is nothing to say")

    for name in list(SECTIONS):
        monkeypatch.delitem(SECTIONS, name)
    monkeypatch.setitem(SECTIONS, "count", count)
    monkeypatch.setitem(SECTIONS, "never", never)
    return calls


def numbers(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "evaluation.json").read_text())
    return content


def test_every_section_is_said_written_and_shown(copied: Maker, two: list[int]) -> None:
    """Mutations: a picture is not saved; the reason does not reach the verdict; HTML is not escaped."""
    run = copied()
    printed = succeeds("evaluate", run)
    assert "count (size = 3, widths = [4, 5])\n  counted 3 < & >\n" in printed
    assert "never: not applicable: there is nothing to say\n" in printed
    sections = numbers(run)["sections"]
    assert sections["count"]["numbers"] == {"size": 3}
    assert sections["never"]["not_applicable"] == "there is nothing to say"
    assert (numbers(run)["verdict"], numbers(run)["reasons"][-1]) == ("unreliable", "it was counted")
    assert (run / "evaluation" / "count_blank.png").exists()
    markdown, html = ((run / name).read_text() for name in ("report.md", "report.html"))
    assert "![count_blank](evaluation/count_blank.png)" in markdown
    assert "counted 3 &lt; &amp; &gt;" in html
    assert "counted 3 <" not in html
    assert 'src="data:image/png;base64,' in html
    assert not re.search(r'(src|href)="(?!data:)', html), "one file that needs no other"
    assert "Not applicable: there is nothing to say." in markdown


def test_what_stands_is_not_computed_again(copied: Maker, two: list[int]) -> None:
    """Mutations: options are not compared; `--only` is skipped; `--again` is not looked at."""
    run = copied()
    succeeds("evaluate", run)
    assert "count (computed before)\n  counted 3" in succeeds("evaluate", run)
    assert two == [3]
    succeeds("evaluate", run, "--set", "count.size=5")
    assert two == [3, 5]
    succeeds("evaluate", run, "--only", "count")
    succeeds("evaluate", run, "--again")
    assert two == [3, 5, 3, 3]


@pytest.mark.parametrize("name", SECTIONS)
def test_no_option_of_a_section_hides_what_is_asked_of_all(name: str) -> None:
    """Sizes stand in the file beside these, which say as well whether a section is computed again."""
    assert not {"data", "seed", "against", "background"} & set(options(SECTIONS[name]))


def test_other_weights_make_all_of_it_old(copied: Maker, two: list[int]) -> None:
    run = copied()
    succeeds("evaluate", run)
    written = numbers(run)
    (run / "evaluation.json").write_text(json.dumps(written | {"weights": "those of another training"}))
    succeeds("evaluate", run)
    assert two == [3, 3]
    assert numbers(run)["weights"] == hashlib.sha256((run / "checkpoint.pt").read_bytes()).hexdigest()[:12]


def test_sections_beside_the_evidence_are_dropped_when_it_is_drawn_anew(
    copied: Maker, two: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mutations: it is kept; others are dropped too; equal draws drop it."""
    monkeypatch.setattr(judging, "BESIDE_EVIDENCE", ("count",))
    monkeypatch.setattr(judgement, "BESIDE_EVIDENCE", ("count",))
    run = copied()
    succeeds("evaluate", run)
    assert "stood beside" not in succeeds("evaluate", run, "--only", "evidence")
    assert set(numbers(run)["sections"]) == {"count", "never"}
    printed = succeeds("evaluate", run, "--only", "evidence", "--particles", 60)
    assert "count: stood beside the evidence before, to be computed again" in printed
    assert set(numbers(run)["sections"]) == {"never"}
    assert "it was counted" not in numbers(run)["reasons"]


def test_no_section_is_begun_after_the_minutes(copied: Maker, two: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 61.0, 61.0, 61.0])
    monkeypatch.setattr(judging, "monotonic", lambda: next(clock))
    run = copied()
    printed = succeeds("evaluate", run, "--minutes", 1)
    assert "count: not begun, the 1 minutes are over; the same command goes on" in printed
    assert two == []


def test_a_section_that_fails_leaves_what_came_before(copied: Maker, two: list[int]) -> None:
    def fails(judged: Judged) -> Findings:
        raise KeyboardInterrupt

    run = copied()
    SECTIONS["never"] = fails
    assert invoke("evaluate", run).exit_code == 130
    assert numbers(run)["sections"]["count"]["numbers"] == {"size": 3}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "evidance"], "did you mean 'evidence'?"),
        (["--set", "count.sise=2"], "unknown key 'sise' (did you mean 'size'?)"),
        (["--set", "count.size=many"], "'size' should be int, got 'many'"),
        (["--set", "cuont.size=2"], "did you mean 'count'?"),
        (["--against", "fashion"], "did you mean 'fashion-mnist'?"),
    ],
)
def test_mistakes_are_named(root: Path, two: list[int], words: list[str], said: str) -> None:
    assert said in refusal("evaluate", root / "pools", *words, code=2)


def test_an_evaluation_changes_no_weight_and_no_number_of_the_record(copied: Maker, two: list[int]) -> None:
    run = copied()
    before = contents(run)
    succeeds("evaluate", run)
    after = contents(run)
    written = {"evaluation.json", "report.md", "report.html", "evaluation/count_blank.png"}
    assert {name for name in after if before.get(name) != after[name]} == written
    assert np.load(run / "log_marginal.npy").dtype == np.float32


# ------------------------------------------------------------------------------------------- every section of the table


def state_of(vae: VAE) -> list[Any]:
    """Returns all of a VAE that an evaluation must leave alone, byte for byte."""
    tensors = {name: value.numpy().tobytes() for name, value in vae.state_dict().items()}
    flags = [(name, p.requires_grad, p.grad is None) for name, p in vae.named_parameters()]
    return [tensors, flags, [module.training for module in vae.modules()]]


@pytest.mark.parametrize("section", SECTIONS)
def test_no_section_changes_a_parameter(root: Path, section: str) -> None:
    """Mutations: a mode, a flag, a gradient, one number of one weight; draws outside of the seed."""
    assert set(SMALL) == set(SECTIONS)
    vae, dataset = load(root / "pools")
    before, generator, store = state_of(vae), torch.get_rng_state(), dict(pyro.get_param_store())
    log_prob = torch.from_numpy(np.load(root / "pools" / "log_marginal.npy"))
    judged = Judged(vae, dataset, data=60, log_prob=log_prob, against=dataset)
    with suppress(NotApplicable), seeded(0), pyro.get_param_store().scope():
        assert SECTIONS[section](judged, **SMALL[section]).sentences
    assert state_of(vae) == before
    assert torch.equal(torch.get_rng_state(), generator)
    assert dict(pyro.get_param_store()) == store


def test_every_section_applies_to_pools_but_for_factors(root: Path) -> None:
    vae, dataset = load(root / "pools")
    with pytest.raises(NotApplicable, match="factors"):
        SECTIONS["disentanglement"](Judged(vae, dataset))


def test_nuts_goes_into_the_tree(copied: Maker) -> None:
    run = copied()
    options = [word for key, value in SMALL["nuts"].items() for word in ("--set", f"nuts.{key}={value}")]
    succeeds("evaluate", run, "--only", "nuts", *options)
    assert dict(load_datatree(run / "analysis.nc")["posterior_nuts"].sizes) == {
        "chain": 2, "draw": 10, "datum": 1, "latent": 4,
    }  # fmt: skip


def test_gradients_has_a_command_of_its_own(copied: Maker) -> None:
    run = copied()
    printed = succeeds("gradients", run, "--set", "particles=[1, 2]", "--set", "repeats=5", "--set", "batch=8")
    assert "gradients (particles = [1, 2], repeats = 5, batch = 8)" in printed
    assert numbers(run)["sections"]["gradients"]["options"]["particles"] == [1, 2]


@pytest.mark.parametrize("binarize", ["none", "static"])
def test_other_data_are_read_as_the_run_s_own(
    tmp_path: Path, two: list[int], monkeypatch: pytest.MonkeyPatch, binarize: str
) -> None:
    """Mutations: the row's default binarisation, which would be refused or compared unlike."""
    likelihood = "bernoulli" if binarize == "static" else "discretized-logistic"
    run = train(tmp_path, "run", {"data.binarize": binarize, "likelihood.name": likelihood})
    seen = []

    def look(judged: Judged) -> Findings:
        assert judged.against is not None
        seen.append(judged.against.binarize)
        return Findings({}, ["seen"])

    monkeypatch.setitem(SECTIONS, "count", look)
    succeeds("evaluate", run, "--only", "count", "--against", "digits")
    assert seen == [binarize]
