"""What docs/new_part.md promises: a part is one file and one line."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from commands import TINY, files, refusal, sets, succeeds, train

from pyrovae import DATA, LIKELIHOODS, PRIORS, runs, storage

PAGE = (Path(__file__).parent.parent / "docs" / "new_part.md").read_text(encoding="utf-8")
FILES = re.findall(r"`(pyrovae/\w+/\w+\.py)`:\n\n```python\n(.*?)```", PAGE, re.DOTALL)
LINES = dict(re.findall(r"(PRIORS|LIKELIHOODS|DATA) = \{\.\.\., \"([a-z-]+)\": \w+\}", PAGE))
TABLES: dict[str, dict[str, Any]] = {"PRIORS": PRIORS, "LIKELIHOODS": LIKELIHOODS, "DATA": DATA}


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs each file of the page, and each line."""
    names: dict[str, Any] = {}
    for path, code in FILES:
        namespace = {"__name__": path.removesuffix(".py").replace("/", ".")}
        exec(compile(code, path, "exec"), namespace)
        names |= namespace
    for table, line in re.findall(r"(PRIORS|LIKELIHOODS|DATA) = \{\.\.\., (.*?)\}", PAGE):
        for name, part in eval(f"{{{line}}}", names).items():
            monkeypatch.setitem(TABLES[table], name, part)


def test_the_page_has_one_file_and_one_line_of_each() -> None:
    assert [path.split("/")[1] for path, _ in FILES] == ["priors", "likelihoods", "data"]
    assert LINES == {"PRIORS": "cauchy", "LIKELIHOODS": "geometric", "DATA": "moons"}
    assert all(len(code.splitlines()) < 40 for _, code in FILES)


def test_they_are_listed_with_their_options_and_papers() -> None:
    priors, likelihoods, data = (succeeds("list", table) for table in ("priors", "likelihoods", "data"))
    assert "cauchy: Independent Cauchy dimensions around 0, with a learned scale (Cauchy, 1853)." in priors
    assert "scale = 1.0  (float)" in priors
    assert "geometric: Independent numbers of failures before a success" in likelihoods
    assert "rows = 600  (int)" in data
    assert "| `cauchy` | Independent Cauchy" in succeeds("list", "priors", "--markdown")


@pytest.mark.parametrize(
    "options",
    [
        {"prior.name": "cauchy", "prior.scale": 0.5},
        {"likelihood.name": "geometric"},
        {"data.name": "moons", "likelihood.name": "gaussian", "train.batch_size": 32},
    ],
    ids=["prior", "likelihood", "data"],
)
def test_they_are_trained_and_judged_from_the_command_line(options: dict[str, Any], tmp_path: Path) -> None:
    directory = train(tmp_path, "mine", options)
    assert storage.read_json(directory / runs.EVALUATION)["quantity"] == "log p(x)"
    assert "mine" in succeeds("compare", directory)
    assert "together" in succeeds("run", TINY, "--dry-run", *(f"--set={key}={value}" for key, value in options.items()))


def test_the_commands_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pyrovae.gallery.draw", lambda *_: None)
    (commands,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in commands.splitlines():
        _, *words = shlex.split(line, comments=True)
        succeeds(*words, *sets({"train.epochs": 1, "evaluation.particles": 50} if words[0] == "run" else {}))
    assert files(tmp_path / "runs")


def test_a_wrong_option_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(tomli_w.dumps({"prior": {"name": "cauchy", "scales": 2.0}}))
    assert "unknown key 'scales' (did you mean 'scale'?)" in refusal("run", path, code=2)
    assert files(tmp_path) == ["mine.toml"]
