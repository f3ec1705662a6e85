"""Experiment files: what is filled in, what is read back, and what a mistake in one is told."""

import tomllib
from dataclasses import replace
from inspect import Parameter
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from commands import TINY, files, refusal

from pyrovae import experiment
from pyrovae.cli import experiments
from pyrovae.configuration import Experiment, line_of, read
from pyrovae.errors import PyrovaeError
from pyrovae.programs import PROGRAMS
from pyrovae.schema import CHOICES, TABLES, complete, factory_of, options, problems

FOLDER = Path(__file__).parent.parent / "experiments"


def reread(planned: Experiment, path: Path) -> Experiment:
    path.write_text(tomli_w.dumps(planned.to_dict()))
    return replace(experiment.read(path), name=planned.name)


def given_to(section: str, name: str) -> dict[str, Any]:
    """Returns a section that says what its row leaves open."""
    required = {"path": "x.npy", "parts": [{"name": "laplace", "latent_dim": 16}]}
    known = options(factory_of(section, {"name": name}))
    return {"name": name} | {key: required[key] for key, option in known.items() if option.default is Parameter.empty}


@pytest.mark.parametrize("path", [*sorted(FOLDER.glob("*.toml")), TINY], ids=lambda path: path.stem)
def test_a_resolved_experiment_is_read_back_as_it_was(path: Path, tmp_path: Path) -> None:
    planned = experiment.read(path)
    assert planned.name == path.stem
    assert reread(planned, tmp_path / "experiment.toml") == planned


@pytest.mark.parametrize(
    ("section", "name"), [(section, name) for section, (table, _) in CHOICES.items() for name in TABLES[table]]
)
def test_every_row_of_every_table_is_read_back_as_it_was(section: str, name: str, tmp_path: Path) -> None:
    kind = next(kind for kind, program in PROGRAMS.items() if section in program.sections)
    planned = Experiment.of("a", {"program": kind, section: given_to(section, name), "seed": 3})
    assert reread(planned, tmp_path / "a.toml") == planned


@pytest.mark.parametrize("kind", PROGRAMS)
def test_an_empty_file_is_an_experiment_with_every_default(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("" if kind == "vae" else f'program = "{kind}"')
    planned = experiment.read(tmp_path / "a.toml")
    assert tuple(planned.sections) == PROGRAMS[kind].sections
    assert planned.seed == 0
    for section in planned.sections:
        assert set(options(factory_of(section, {}))) | ({"name"} & set(planned.sections[section])) == set(
            planned.sections[section]
        )


def test_every_option_of_every_row_has_a_default_that_may_be_written() -> None:
    for section, (table, _) in CHOICES.items():
        for name in TABLES[table]:
            given = complete(section, given_to(section, name))
            known = {key: value for key, value in given.items() if value is not None}
            assert problems(section, known) == {}, (section, name)


def test_built_in_experiments_are_found_by_name() -> None:
    assert {path.stem for path in FOLDER.glob("*.toml")} <= set(experiments())


# ------------------------------------------------------------------------------------------- mistakes in a file


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[train]\nepoch = 3", ":2: [train] unknown key 'epoch' (did you mean 'epochs'?)"),
        ("\n# epoch = 1\n[train]\n  epoch=3", ":4: [train] unknown key 'epoch'"),
        ("train.epoch = 3", ":1: [train] unknown key 'epoch'"),
        (
            '[train]\nlearning_rate = "fast"',
            ":2: [train] 'learning_rate' should be float or a schedule table, got 'fas",
        ),
        ("[train]\nlearning_rate = -1", ":2: [train] 'learning_rate' should be above 0, got -1"),
        ("[train]\nlearning_rate = nan", "'learning_rate' should be finite, got nan"),
        ("[train]\nclip = inf", "'clip' should be finite, got inf"),
        ("[train]\nema = 1.5", "'ema' should be 0 or more and below 1, got 1.5"),
        ("[train]\nepochs = 0", "'epochs' should be above 0, got 0"),
        ("[train]\nepochs = 1.5", "'epochs' should be int, got 1.5"),
        ("[train]\nepochs = true", "'epochs' should be int, got True"),
        ('[train]\nengine = "jax"', "'engine' should be 'traced' or 'eager' or 'svi', got 'jax'"),
        ("[encoder]\nhidden = 400", "'hidden' should be list of int, got 400"),
        ("[encoder]\nhidden = [400, 0]", "'hidden' should be above 0, got [400, 0]"),
        ("[encoder]\nhidden = [40.5]", "'hidden' should be list of int, got [40.5]"),
        ("[vae]\nlatent_dim = -2", "'latent_dim' should be above 0, got -2"),
        ("[vae]\nconditional = 1", "'conditional' should be bool, got 1"),
        ('[prior]\nname = "wamp"', ":2: [prior] unknown prior 'wamp' (did you mean 'vamp'?)"),
        ('[prior]\nname = "os.system"', "unknown prior 'os.system' (known: "),
        ("[prior]\nname = 3", "unknown prior '3'"),
        ('[data]\nname = "minst"', "unknown data set 'minst' (did you mean 'mnist'?)"),
        ('[data]\nname = "array"', "[data] missing key 'path' (str)"),
        ('[data]\nbinarize = "often"', "'binarize' should be 'dynamic' or 'static' or 'threshold' or 'none'"),
        ('[posterior]\nname = "normal"', "unknown posterior 'normal'"),
        ('[likelihood]\nname = "bernouli"', "unknown likelihood 'bernouli' (did you mean 'bernoulli'?)"),
        ('[likelihood]\nname = "gaussian"\nnoise = "loud"', ":3: [likelihood] 'noise' should be 'fixed'"),
        ('[encoder]\nname = "transformer"', "unknown network 'transformer' (known: conv, gated-conv, "),
        ('[objective]\nname = "elb"', "unknown objective 'elb' (did you mean 'elbo'?)"),
        ("[objective]\nbeta = -0.1", "'beta' should be 0 or more, got -0.1"),
        ('[objective]\nbeta = { schedule = "lineer", steps = 3 }', ":2: [objective]"),
        ('[objective.beta]\nschedule = "lineer"\nsteps = 3', ":1: [objective]"),
        ("[evaluation]\nparticles = 24", "'particles' should be 25 or more, got 24"),
        ("[evaluation]\ndata = 1", "'data' should be 2 or more, got 1"),
        ("[trian]\nepochs = 3", ":1: unknown section [trian] (did you mean 'train'?)"),
        ("epochs = 3", ":1: unknown key 'epochs' outside of sections"),
        ("train = 3", ":1: 'train' should be a section, [train], got 3"),
        ("[[train]]\nepochs = 3", ":1: 'train' should be a section, [train], got [{"),
        ("seed = -1", ":1: 'seed' should be a whole number, 0 to 2**63 - 1, got -1"),
        ('seed = "one"', ":1: 'seed' should be a whole number"),
        (f"seed = {2**63}", ":1: 'seed' should be a whole number"),
        ("epochs 3", "not TOML: Expected '=' after a key"),
        ("[train\nepochs = 3", "not TOML"),
        ("[train]\nepochs = 3\nepochs = 4", "not TOML: Cannot overwrite a value"),
    ],
)
def test_a_mistake_names_the_file_the_line_and_the_way_out(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    printed = refusal("run", path, "--runs-dir", tmp_path / "runs", code=2)
    assert words in printed
    assert printed.startswith(f"Error: {path}")
    assert files(tmp_path) == ["mine.toml"]


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('seed = 1.5\n[train]\nepoch = 3\nclip = 0\n[prior]\nname = "wamp"\n[vea]\nlatent_dim = 3\n')
    printed = refusal("run", path, "--runs-dir", tmp_path / "runs", code=2).splitlines()
    assert sorted(line.removeprefix(f"Error: {path}:")[0] for line in printed[:-1]) == ["1", "3", "4", "6", "7"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"\xff\xfe\x00", "not TOML: 'utf-8' codec"), (b"\x00", "not TOML"), (b"PK\x03\x04", "not TOML")],
)
def test_a_file_that_is_no_text(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    assert words in refusal("run", tmp_path / "a.toml", code=2)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "no experiment file nowhere.toml" in refusal("run", "nowhere.toml", code=2)
    assert "unknown experiment 'digits-gausian-mixture'" in refusal("run", "digits-gausian-mixture", code=2)
    assert "unknown experiment" in refusal("run", "a" * 300, code=2)
    assert "File name too long" in refusal("run", "a" * 300 + ".toml", code=2)
    assert f"cannot read {tmp_path}: Is a directory" in refusal("run", tmp_path, code=2)


# ------------------------------------------------------------------------------------------- --set


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("train.epochs=3", "train", "epochs", 3),
        (" train.epochs = 3", "train", "epochs", 3),
        ("prior.name=vamp", "prior", "name", "vamp"),
        ('prior.name="vamp"', "prior", "name", "vamp"),
        ("vae.conditional=true", "vae", "conditional", True),
        ("encoder.hidden=[8, 9]", "encoder", "hidden", [8, 9]),
        ("train.learning_rate=1e-4", "train", "learning_rate", 1e-4),
        ('objective.beta={schedule="linear",steps=4}', "objective", "beta", {"schedule": "linear", "steps": 4}),
    ],
)
def test_set_writes_a_key(override: str, section: str, key: str, value: Any) -> None:
    assert experiment.read(TINY, [override]).sections[section][key] == value


def test_the_last_set_and_the_seed_option_win(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("seed = 1\n[train]\nepochs = 7")
    planned = experiment.read(path, ["train.epochs=3", "train.epochs=4", "seed=2"])
    assert (planned.sections["train"]["epochs"], planned.seed) == (4, 2)
    assert experiment.read(path, ["seed=2"], seed=3).seed == 3


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("epochs=3", "write section.key=value"),
        ("train.epochs", "write section.key=value"),
        ("", "write section.key=value"),
        ("=3", "write section.key=value"),
        ("a.b.c=3", "write section.key=value"),
        ("train={epochs=3}", "write section.key=value"),
        ("seed=fast", "--set seed=fast: 'seed' should be a whole number"),
        ("seed.x=3", "'seed' should be a whole number"),
        ("train.=3", "--set train.=3: [train] unknown key ''"),
        (".epochs=3", "unknown section []"),
        ("trian.epochs=3", "unknown section [trian] (did you mean 'train'?)"),
        ("train.epoch=3", "--set train.epoch=3: [train] unknown key 'epoch' (did you mean 'epochs'?)"),
        ("train.epochs=fast", "--set train.epochs=fast: [train] 'epochs' should be int, got 'fast'"),
        ("train.epochs=", "'epochs' should be int, got ''"),
        ("prior.name=wamp", "--set prior.name=wamp: [prior] unknown prior 'wamp'"),
    ],
)
def test_a_mistake_in_set_is_not_blamed_on_the_file(override: str, words: str, tmp_path: Path) -> None:
    assert words in refusal("run", TINY, "--set", override, "--runs-dir", tmp_path / "runs", code=2)
    assert files(tmp_path) == []


def test_set_into_a_key_that_is_no_section(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("train = 3")
    assert "'train' is no section" in refusal("run", tmp_path / "a.toml", "--set", "train.epochs=3", code=2)


# ------------------------------------------------------------------------------------------- small parts


def test_lines_are_found_in_other_spellings() -> None:
    text = "seed = 1\n[ train ] # epochs\nepochs = 1\n[objective.beta]\nsteps = 2\n"
    places = [("", "seed"), ("train", "epochs"), ("objective", "beta"), ("train", ""), ("train", "seed"), ("vae", "")]
    assert [line_of(text, *place) for place in places] == [":1", ":3", ":4", ":2", "", ""]


def test_an_experiment_of_python_values_tells_the_same() -> None:
    with pytest.raises(PyrovaeError, match="unknown key 'epoch'") as caught:
        Experiment.of("toy", {"train": {"epoch": 3}})
    assert caught.value.exit_code == 2


def test_the_resolved_file_is_toml_with_every_section() -> None:
    resolved = tomllib.loads(tomli_w.dumps(experiment.read(TINY).to_dict()))
    assert set(resolved) == {"program", "seed", *PROGRAMS["vae"].sections}


def test_a_new_name_empties_its_section(tmp_path: Path) -> None:
    """Mutation: the old row's options kept, which the new row does not know."""
    path = tmp_path / "vamp.toml"
    path.write_text('[prior]\nname = "vamp"\npseudo_inputs = 7\n')
    named = read(path, ["prior.components=4", "prior.name=gaussian-mixture"]).sections["prior"]
    assert (named["name"], named["components"]) == ("gaussian-mixture", 4)
    assert read(path, ["prior.name=vamp"]).sections["prior"]["pseudo_inputs"] == 7
