"""Stories: verdicts against SciPy's intervals, what a file may say, and a whole one on the digits."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from commands import TINY, refusal, succeeds
from scipy import stats

from pyrovae import running, storage
from pyrovae.cli.places import find_story
from pyrovae.errors import PyrovaeError
from pyrovae.story import read
from pyrovae.story.metrics import turns, value_of
from pyrovae.story.page import cells
from pyrovae.story.plan import Claim, Direction
from pyrovae.story.telling import Outcome, experiment_of
from pyrovae.story.verdicts import FAILS, HOLDS, UNDECIDED, difference, ratio_of_spreads, verdict

SPREAD = Claim("a varies more", "fid", "a", "higher", "b", statistic="spread")


def claim(expected: Direction, by: float = 0.0) -> Claim:
    return Claim("a differs from b", "fid", "a", expected, "b", by)


# ------------------------------------------------------------------------------------------------------- verdicts


def test_the_interval_of_two_means_is_welchs() -> None:
    """Mutations: ddof=0; pooled degrees of freedom; 90 %."""
    a, b = [1.0, 1.4, 0.7, 1.1], [3.0, 8.0, 5.5]
    low, high = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    found = difference(a, b)
    np.testing.assert_allclose([found.value, found.low, found.high], [np.mean(a) - np.mean(b), low, high])


def test_the_interval_beside_a_number_is_students() -> None:
    low, high = stats.ttest_1samp(values := [1.0, 1.4, 0.7], 0.0).confidence_interval(0.95)
    found = difference(values, 2.0)
    np.testing.assert_allclose([found.low, found.high], [low - 2.0, high - 2.0])


def test_the_interval_of_a_ratio_of_spreads_covers_as_often_as_it_says() -> None:
    """2,000 pairs of samples, spreads 3 : 1; the share is within 3 standard errors of 95 %. Mutation: 1 - tails."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        found = ratio_of_spreads(rng.normal(0, 3, 5).tolist(), rng.normal(0, 1, 4).tolist())
        hits += found.low < 3 < found.high
    assert abs(hits / 2000 - 0.95) < 3 * math.sqrt(0.95 * 0.05 / 2000)


@pytest.mark.parametrize(
    ("expected", "by", "word"),
    [("lower", 0.0, HOLDS), ("higher", 0.0, FAILS), ("lower", 3.9, UNDECIDED), ("lower", 9.0, FAILS),
     ("higher", -9.0, HOLDS), ("higher", -3.9, UNDECIDED), ("higher", -1.0, FAILS)],
)  # fmt: skip
def test_a_claim_holds_where_the_whole_interval_is_beyond_the_least_difference(
    expected: Direction, by: float, word: str
) -> None:
    """a is lower than b by 4 [3.8, 4.2]. Mutations: by with the other sign; value for low."""
    assert verdict(claim(expected, by), [1.0, 1.1, 0.9], [5.0, 5.1, 4.9])[0] == word


def test_one_training_decides_nothing_and_equal_ones_everything() -> None:
    assert verdict(claim("lower"), [1.0], [5.0, 5.1])[0] == UNDECIDED
    assert verdict(claim("lower"), [1.0, 1.0], [5.0, 5.0])[0] == HOLDS
    assert verdict(SPREAD, [1.0], [5.0, 5.1])[0] == UNDECIDED


def test_a_spread_is_compared_as_a_ratio() -> None:
    assert verdict(SPREAD, [1.0, 90.0, -70.0, 30.0], [1.0, 1.1, 0.9, 1.0])[0] == HOLDS
    assert verdict(SPREAD, [1.0, 1.1, 0.9, 1.0], [1.0, 90.0, -70.0, 30.0])[0] == FAILS
    with pytest.raises(PyrovaeError, match="another contender"):
        verdict(SPREAD, [1.0, 2.0], 3.0)


def test_a_row_says_what_its_interval_is_of() -> None:
    """Mutations: every row is a ratio; seeds always agree."""
    higher = Claim("a is above one", "fid", "a", "higher", 1.0)
    (word, ratio), (_, apart) = verdict(SPREAD, [1.0, 2.0], [2.0, 4.0]), verdict(higher, [2.0, 2.0], 1.0)
    assert cells(Outcome(SPREAD, [1.0, 2.0], [2.0, 4.0], ratio, word))[4] == f"ratio {ratio}"
    assert cells(Outcome(higher, [2.0, 2.0], 1.0, apart, word))[4] == "1 [1, 1], all seeds agree"


# -------------------------------------------------------------------------------------------------------- numbers


def test_turns_are_the_steps_against_the_course() -> None:
    assert turns([1.0, 2.0, 1.5, 3.0]) == pytest.approx(1 / 3)
    assert turns([3.0, 2.0, 1.0]) == 0.0


def test_a_metric_is_found_by_its_path(tmp_path: Path) -> None:
    found = {"options": {}, "numbers": {"fid": 2.5, "by_class": {"7": {"accuracy": 0.9}}}}
    sections = {"generation": found, "nuts": {"not_applicable": "a point"}}
    storage.write_json(tmp_path / "evaluation.json", {"distortion": 80.0, "sections": sections})
    assert value_of(tmp_path, "distortion") == 80.0
    assert value_of(tmp_path, "generation.by_class.7.accuracy") == 0.9
    for metric, reason in {
        "generation.fidd": "did you mean 'fid'",
        "nuts.rhat": "nuts is not applicable: a point",
    }.items():
        with pytest.raises(PyrovaeError) as error:
            value_of(tmp_path, metric)
        assert reason in f"{error.value} {error.value.hint}"


# ---------------------------------------------------------------------------------------------------------- files

STORY = """
title = "A <small> story"
text = ["Said first."]
[sizes.tiny]
seeds = [0, 1]
set = ["train.batch_size=64", "evaluation.data=60"]
options = ["generation.samples=50", "generation.training=60", "generation.resamples=5"]
[contenders.wide]
experiment = "tiny.toml"
evaluate = ["generation"]
[contenders.narrow]
experiment = "tiny.toml"
set = ["vae.latent_dim=2"]
seeds = 1
[[chapters]]
title = "Sizes"
text = ["Wider is better."]
pictures = [["wide", "figures/samples.png", "what it draws"]]
curve = ["wide", "narrow"]
[[chapters.claims]]
says = "A wide code loses less"
metric = "distortion"
of = "wide"
than = "narrow"
expected = "lower"
unit = "nats"
[[chapters.claims]]
says = "It generates something"
metric = "generation.coverage"
of = "wide"
than = -1
expected = "higher"
"""


def write(folder: Path, *changes: tuple[str, str]) -> Path:
    text = STORY
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "tiny.toml").write_bytes(TINY.read_bytes())
    (folder / "story.toml").write_text(text, encoding="utf-8")
    return folder / "story.toml"


MISTAKES = {
    "unknown contender": (('of = "wide"\nthan = "narrow"', 'of = "wode"\nthan = "narrow"'), "did you mean 'wide'"),
    "unknown section": (('["generation"]', '["generations"]'), "unknown section 'generations'"),
    "unknown key": (("curve =", "curves ="), "unknown key 'curves' in chapter 'Sizes'"),
    "missing key": (('metric = "distortion"\n', ""), "claim 'A wide code loses less' lacks 'metric'"),
    "no file": (('"tiny.toml"\nset', '"big.toml"\nset'), "no experiment file big.toml"),
    "two origins": (('seeds = 1\n', 'seeds = 1\nrefit = "wide"\n'), "needs an experiment or a refit"),
    "refit of nothing": (('experiment = "tiny.toml"\nset', 'refit = "wid"\nset'), "refits 'wid'"),
    "direction": (('expected = "lower"', 'expected = "less"'), "higher or lower"),
    "not TOML": (("title = ", "title "), "not TOML"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_in_a_story_are_named(case: str, tmp_path: Path) -> None:
    change, reason = MISTAKES[case]
    assert reason in refusal("story", write(tmp_path, change), "--size", "tiny", "--runs-dir", tmp_path, code=2)
    assert not list(tmp_path.glob("story-*"))


def test_sizes_and_chapters_are_known(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert "did you mean 'tiny'" in refusal("story", path, "--size", "tinny", "--runs-dir", tmp_path, code=2)
    assert "no chapter 2" in refusal("story", path, "--only", "1,2", "--runs-dir", tmp_path, code=2)


def names(story: Path) -> Sequence[str]:
    plan = read(story)
    return [contender.name for contender in plan.needed(plan.chapters)]


def test_what_is_fitted_to_another_contender_comes_after_it(tmp_path: Path) -> None:
    refit = ('experiment = "tiny.toml"\nset', 'refit = "wide"\nset')
    other = ('of = "wide"\nthan = "narrow"', 'of = "narrow"\nthan = "wide"')
    assert names(write(tmp_path, refit, other)) == ["wide", "narrow"]


@pytest.mark.parametrize("size", ["digits", "mnist"])
def test_the_story_that_is_shipped_can_be_told(size: str) -> None:
    """Every contender's experiment can be read at every size, and all contenders of a claim have two seeds or more."""
    plan = read(find_story())
    scale = plan.size(size)
    made = {
        name: experiment_of(plan, scale, contender, seed=0)
        for name, contender in plan.contenders.items()
        if not contender.refit
    }
    assert {experiment.sections["data"]["name"] for experiment in made.values()} == {size}
    epochs = {experiment.sections["train"]["epochs"] for experiment in made.values()}
    assert len(epochs) == 1, "all see the data equally often"
    claimed = {claim.of for chapter in plan.chapters for claim in chapter.claims}
    assert all(len(scale.seeds[: plan.contenders[name].seeds]) > 1 for name in claimed)
    assert len(plan.chapters) == 4


# ----------------------------------------------------------------------------------------------------- whole story


@pytest.mark.slow
def test_a_story_is_told_on_one_page_and_trains_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutations: runs are trained anew; figures of no seed; text is not escaped."""
    path = write(tmp_path)
    printed = succeeds("story", path, "--size", "tiny", "--runs-dir", tmp_path)
    assert re.search(r"undecided: A wide code loses less \(distortion: difference \S+ \[-inf, inf\] nats\)", printed)
    assert re.search(r"holds: It generates something", printed)
    assert "epoch 1: " in (tmp_path / "story-tiny.log").read_text(encoding="utf-8")
    assert {found.name for found in tmp_path.glob("story-tiny-*-*")} == {
        "story-tiny-wide-0", "story-tiny-wide-1", "story-tiny-narrow-0",
    }  # fmt: skip
    page = (tmp_path / "story-tiny.html").read_text(encoding="utf-8")
    assert "A &lt;small&gt; story" in page
    assert '<strong class="good">holds</strong>' in page
    assert page.count("data:image/png;base64,") == 2  # samples and the curve
    assert not re.search(r'(src|href)=(?!"data:)', page)
    assert "distortion, nats" in (tmp_path / "story-tiny.md").read_text(encoding="utf-8")
    monkeypatch.setattr(running, "fit", lambda *_, **__: pytest.fail("trained"))
    assert succeeds("story", path, "--size", "tiny", "--runs-dir", tmp_path) == printed
    changed = write(tmp_path, ("latent_dim=2", "latent_dim=3"))
    reason = refusal("story", changed, "--size", "tiny", "--runs-dir", tmp_path)
    assert "story-tiny-narrow-0 is of another experiment: vae.latent_dim = 2, not 3" in reason


@pytest.mark.slow
def test_a_story_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutation: what has no evaluation is trained from the start, or refused."""
    path = write(tmp_path, ("seeds = [0, 1]", "seeds = [0]"), ('curve = ["wide", "narrow"]\n', ""))
    with monkeypatch.context() as patch:
        patch.setattr("pyrovae.programs.vae.judge", stopped)
        refusal("story", path, "--size", "tiny", "--runs-dir", tmp_path)
    trained = (tmp_path / "story-tiny-wide-0" / "checkpoint.pt").read_bytes()
    monkeypatch.setattr("pyrovae.training.engines.Eager.move_on", lambda *_: pytest.fail("a step was taken again"))
    with pytest.raises(pytest.fail.Exception):  # of the next contender, whose training has not begun
        succeeds("story", path, "--size", "tiny", "--runs-dir", tmp_path)
    assert (tmp_path / "story-tiny-wide-0" / "evaluation.json").exists()
    assert (tmp_path / "story-tiny-wide-0" / "checkpoint.pt").read_bytes() == trained


def stopped(*_: object) -> None:
    raise PyrovaeError("stopped", hint="go on")
