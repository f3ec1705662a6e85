"""The benchmarks run and print tables with a verdict in each row of targets; their numbers are not looked at."""

import doctest
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parent.parent / "experiments" / "benchmarks"
SCRIPTS = ("training_step", "log_marginal", "growth")
VERDICT = re.compile(r"hit|missed|not run(: .+)?|reported: .+")
RATIO = re.compile(r"\d[\d.e+-]* \([\d.e+-]+-[\d.e+-]+\)")


@pytest.fixture(scope="module")
def harness() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_harness", FOLDER / "harness.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def printed() -> dict[str, str]:
    """What each script prints; all run at once, since most of their time is spent on imports."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    running = {
        name: subprocess.Popen(
            [sys.executable, str(FOLDER / f"{name}.py"), "--quick", "--threads", "1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for name in SCRIPTS
    }
    finished = {name: (*process.communicate(timeout=300), process.returncode) for name, process in running.items()}
    failed = {name: errors for name, (_, errors, status) in finished.items() if status}
    assert not failed, "\n".join(failed.values())
    return {name: text for name, (text, _, _) in finished.items()}


def tables(text: str) -> list[list[list[str]]]:
    """Returns the cells of every Markdown table, header first, without the line below it."""
    blocks = re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE)
    return [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines() if "|---" not in line]
        for block in blocks
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_tables_parse_and_targets_have_a_verdict(printed: dict[str, str], name: str) -> None:
    found = tables(printed[name])
    assert all(len(row) == len(table[0]) for table in found for row in table)
    (targets,) = (table for table in found if table[0] == ["target", "limit", "measured", "verdict"])
    assert len(targets) > 1
    for _, limit, measured, verdict in targets[1:]:
        assert VERDICT.fullmatch(verdict)
        assert bool(measured) == (not verdict.startswith("not run"))
        if verdict in ("hit", "missed"):
            assert RATIO.fullmatch(measured)
            assert (float(measured.split()[0]) <= float(limit.removeprefix("<= "))) == (verdict == "hit")


@pytest.mark.slow
def test_a_section_names_command_machine_and_versions(printed: dict[str, str]) -> None:
    for name, text in printed.items():
        assert f"python experiments/benchmarks/{name}.py --quick --threads 1" in text
        assert re.search(r"^Machine: .+ (with|without) amx_bf16, \d+ cores, 1 used\. .*torch \d", text, re.MULTILINE)


@pytest.mark.slow
def test_estimates_of_the_same_weights_agree(printed: dict[str, str]) -> None:
    assert "agrees" in printed["log_marginal"]
    assert "DISAGREES" not in printed["log_marginal"]


def test_a_ratio_is_of_two_times_of_one_repeat(harness: ModuleType) -> None:
    """The machine became five times slower in the second repeat: medians of each would say 0.6, not 0.5."""
    times = {"ours": [1.0, 5.0, 1.2], "theirs": [2.0, 10.0, 2.0]}
    assert harness.ratio(times, "ours", "theirs") == pytest.approx((0.5, 0.5, 0.6))
    assert harness.ratio(times, "ours", "nobody") is None


def test_examples_of_the_harness(harness: ModuleType) -> None:
    assert doctest.testmod(harness).failed == 0


def test_verdicts(harness: ModuleType) -> None:
    measured = harness.Ratio(0.5, 0.4, 2.0)
    assert harness.Target("a", 0.5, measured).verdict == "hit"
    assert harness.Target("a", 0.4, measured).verdict == "missed"
    assert harness.Target("a", 0.4, None, "no module").verdict == "not run: no module"
    assert harness.Target("a", 0.4, measured, "no amx_bf16").verdict == "reported: no amx_bf16"


def test_writing_replaces_its_own_section_alone(harness: ModuleType) -> None:
    text = "top\n<!-- begin a-1 -->\nold\n<!-- end a-1 -->\nbetween\n<!-- begin a-2 -->\n<!-- end a-2 -->\n"
    once = harness.replaced(text, "a-1", "new")
    assert once == text.replace("old", "new")
    assert harness.replaced(once, "a-1", "new") == once
    assert "between" in (added := harness.replaced(once, "b", "more"))
    assert added.endswith("<!-- begin b -->\nmore\n<!-- end b -->\n")


def test_the_readme_has_a_section_for_each_command() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name in ("training_step-1", "training_step-2", "log_marginal-2", "growth-2"):
        assert re.search(rf"<!-- begin {name} -->\n.*<!-- end {name} -->", text, re.DOTALL)
