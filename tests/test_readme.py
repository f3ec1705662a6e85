"""What the README shows, runs: its Python block, its experiment file, its commands and its results."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import click
import pyro
import pytest
import torch
from click.testing import CliRunner

from pyrovae.cli import main, places
from pyrovae.configuration import Experiment

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
COMMANDS = [line.split("#")[0].strip() for line in README.splitlines() if line.startswith("pyrovae ")]


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return str(found)


def test_python_block_trains_a_vae() -> None:
    pyro.clear_param_store()  # as in a new process: SVI reads what other tests left under the same names
    torch.manual_seed(0)
    names: dict[str, Any] = {}
    exec(block("python").replace("range(2000)", "range(200)"), names)
    assert names["sevens"].shape == (16, 1, 8, 8)
    assert -40 < names["log_marginal"](names["vae"], names["x"][:50], particles=100).mean < -20


def test_experiment_file_is_one() -> None:
    experiment = Experiment.of("readme", tomllib.loads(block("toml")))
    assert experiment.sections["prior"]["name"] == "gaussian-mixture"


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_parse(command: str) -> None:
    """Every command of the README is known, with its options, and names experiments that exist."""
    _, name, *words = shlex.split(command)
    found = main.commands[name]
    if isinstance(found, click.Group):
        found = found.commands[words.pop(0)]
    parent = click.Context(main, **main.context_settings)  # without it click would remember other help options
    context = found.make_context(name, words, parent=parent)
    if "config" in context.params:
        assert places.find_config(context.params["config"]).is_file()


def test_there_are_commands() -> None:
    assert {"run", "init", "list", "sample", "evaluate", "compare"} <= {command.split()[1] for command in COMMANDS}


def test_pictures_exist_and_are_small() -> None:
    for path in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (Path(__file__).parent.parent / path).stat().st_size < 300_000


def test_list_command_names_the_readmes_table() -> None:
    printed = CliRunner().invoke(main, ["list"]).output
    table = README.split("## What is here")[1]
    rows = re.findall(r"`([a-z-]+)`", table.split("Any row goes")[0])
    assert all(f"  {row}:" in printed for row in rows)
