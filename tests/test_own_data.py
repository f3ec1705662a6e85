"""Laws of the user's own data: supports, missing values, standardisation, files that stay on disk, tables, folders."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pyrovae.data import DATA, Dataset, Split, make_dataset
from pyrovae.data.apply import read_rows
from pyrovae.data.binarize import stream
from pyrovae.data.permutation import Permutation, Tail
from pyrovae.data.units import Units, fit_units
from pyrovae.errors import PyrovaeError


def refusal(action: Callable[[], object]) -> PyrovaeError:
    """Returns the refusal, which must be one line and come with a hint of one line."""
    with pytest.raises(PyrovaeError) as caught:
        action()
    assert caught.value.hint
    assert "\n" not in str(caught.value) + caught.value.hint
    return caught.value


def grey(n: int = 40, max_level: int = 255, shape: tuple[int, ...] = (1, 3, 2)) -> Tensor:
    x = torch.randint(0, max_level + 1, (n, *shape), generator=stream(0, "grey"), dtype=torch.uint8)
    x.flatten(1)[:, 0] = max_level  # white occurs
    return x


def real(n: int = 60, columns: int = 4) -> Tensor:
    scale = 10.0 ** torch.arange(columns)
    return torch.randn(n, columns, generator=stream(0, "real"), dtype=torch.float64) * scale + scale


def holes(x: Tensor, share: float = 0.2) -> Tensor:
    gone = torch.rand(x.shape, generator=stream(0, "holes")) < share
    gone.flatten(1)[:, 0] = False  # of no row everything is missing
    return x.masked_fill(gone, torch.nan)


# ---------------------------------------------------------------------------------------------------- supports

NAMED: dict[str, tuple[Any, dict[str, Any], tuple[Any, ...]]] = {
    # values, options -> dtype as stored, max_level, support, levels, the largest value that the programs read
    "bits": (torch.eye(6).byte(), {}, (torch.uint8, 1, "binary", 2, 1.0)),
    "named bits": (torch.eye(6), {"support": "binary"}, (torch.uint8, 1, "binary", 2, 1.0)),
    "bytes": (grey(), {}, (torch.uint8, 255, "levels", 256, 1.0)),
    "sixteen": (grey(max_level=16), {"max_level": 16}, (torch.uint8, 16, "levels", 17, 1.0)),
    "drawn": (grey(), {"binarize": "dynamic"}, (torch.uint8, 255, "binary", 2, 1.0)),
    "drawn bits": (grey(), {"binarize": "static", "support": "binary"}, (torch.uint8, 255, "binary", 2, 1.0)),
    "dark": (torch.eye(6).byte(), {"support": "levels"}, (torch.uint8, 255, "levels", 256, 1 / 255)),
    "float levels": (grey().double(), {"support": "levels"}, (torch.uint8, 255, "levels", 256, 1.0)),
    "unit": (grey(max_level=3) / 3, {}, (torch.float32, None, "unit", None, 1.0)),
    "unit bytes": (grey(), {"support": "unit"}, (torch.uint8, 255, "unit", None, 1.0)),
    "counts": (grey(), {"support": "count"}, (torch.float32, None, "count", None, 255.0)),
    "large counts": (np.array([[70_000, 3]] * 9), {"support": "count"}, (torch.float32, None, "count", None, 70_000.0)),
    "float counts": (grey().double(), {"support": "count"}, (torch.float32, None, "count", None, 255.0)),
    "integers": (np.array([[-7, 900]] * 9), {"support": "real"}, (torch.float32, None, "real", None, 900.0)),
    "real": (real(), {}, (torch.float32, None, "real", None, None)),
    "named real": (grey() / 255, {"support": "real"}, (torch.float32, None, "real", None, 1.0)),
}


@pytest.mark.parametrize("case", NAMED)
def test_support_is_read_from_the_values_or_named(case: str) -> None:
    x, options, (dtype, max_level, support, levels, largest) = NAMED[case]
    data = make_dataset("toy", x, validation=2, test=2, **options)
    assert (data.train.x.dtype, data.max_level, data.support, data.levels) == (dtype, max_level, support, levels)
    read = torch.cat([data.held_out(split)[0] for split in ("train", "validation", "test")])
    assert read.dtype == torch.float32
    assert largest is None or read.max() == np.float32(largest)


def test_support_is_judged_before_the_split() -> None:
    x = torch.full((40, 3), 0.5)
    for row in range(0, 40, 7):
        spoiled = x.clone()
        spoiled[row, 1] = 1.5
        assert make_dataset("toy", spoiled).support == "real"
        assert make_dataset("toy", x, test=(spoiled, None)).support == "real"


BAD_SUPPORT: dict[str, tuple[dict[str, Any], float, str]] = {
    "binary": ({"support": "binary"}, 2.0, "sample 5 has value 2.0, not 0 or 1 (data.support = 'binary')"),
    "unit": ({"support": "unit"}, -0.5, "sample 5 has value -0.5, outside [0, 1]"),
    "level between": ({"support": "levels"}, 1.5, "sample 5 has value 1.5, not a level"),
    "level below": ({"support": "levels"}, -1.0, "sample 5 has value -1.0, not a level"),
    "level above": ({"support": "levels", "max_level": 16}, 17.0, "sample 5 has level 17, above max_level 16"),
    "half a count": ({"support": "count"}, 2.5, "sample 5 has value 2.5, not a whole number"),
    "negative count": ({"support": "count"}, -1.0, "sample 5 has value -1.0, not a whole number"),
    "large count": ({"support": "count"}, 2.0**24 + 2, "sample 5 has value 16777218.0, not a whole number 0..16777216"),
    "infinite count": ({"support": "count"}, math.inf, "sample 5 has value inf, not a whole number"),
    "missing": ({"support": "unit"}, math.nan, "sample 5 has 1 non-finite pixel"),
    "infinite": ({"missing": True}, -math.inf, "sample 5 has 1 non-finite pixel"),
    "white of counts": ({"support": "count", "max_level": 9}, 1.0, "data.max_level has no meaning"),
    "unknown": ({"support": "counts"}, 1.0, "unknown support 'counts'"),
    "drawn levels": ({"support": "levels", "binarize": "static"}, 1.0, "data.binarize = 'static' makes zeros and ones"),
    "standard counts": ({"support": "count", "standardise": True}, 1.0, "data.support = 'count' contradicts"),
    "standard bits": ({"binarize": "static", "standardise": True}, 1.0, "data.binarize = 'static' contradicts"),
}


@pytest.mark.parametrize("case", BAD_SUPPORT)
def test_values_that_are_not_what_they_are_said_to_be_are_named(case: str) -> None:
    options, value, message = BAD_SUPPORT[case]
    x = torch.eye(3, dtype=torch.float64).repeat(4, 1)
    x[5, 1] = value
    assert message in str(refusal(lambda: make_dataset("toy", x, **options)))


# ---------------------------------------------------------------------------------------------- missing values


def test_missing_values_stay_missing() -> None:
    x = holes(torch.rand(40, 6, generator=stream(0, "unit")))
    data = make_dataset("toy", x, missing=True)
    assert data.missing
    assert data.support == "unit"
    order = [data.batch(torch.arange(len(data.train)))[0], data.held_out("validation")[0], data.held_out("test")[0]]
    assert sum(part.isnan().sum() for part in order) == x.isnan().sum()
    assert torch.equal(torch.cat(order).nan_to_num(-1).sort(0).values, x.nan_to_num(-1).sort(0).values)
    assert "% of the training values" in data.summary()


@pytest.mark.parametrize(
    ("x", "support", "levels"),
    [
        (torch.eye(9), "binary", 2),
        (torch.rand(40, 6), "unit", None),
        (real(), "real", None),
    ],
)
def test_support_is_that_of_what_is_there(x: Tensor, support: str, levels: int | None) -> None:
    data = make_dataset("toy", holes(x), missing=True)
    assert (data.support, data.levels) == (support, levels)
    assert data.batch(torch.arange(3))[0].dtype == torch.float32


def test_levels_and_counts_may_be_missing() -> None:
    x = holes(grey().double().flatten(1))
    levels = make_dataset("toy", x, missing=True, support="levels")
    counts = make_dataset("toy", x, missing=True, support="count")
    assert levels.levels == 256
    torch.testing.assert_close(counts.held_out("test")[0] / 255, levels.held_out("test")[0], equal_nan=True)


@pytest.mark.parametrize("binarize", ["dynamic", "static", "threshold"])
def test_what_is_missing_is_not_drawn(binarize: Any) -> None:
    x = holes(torch.rand(40, 6, generator=stream(0, "unit")))
    whole = make_dataset("toy", x.nan_to_num(0.5), binarize=binarize)
    data = make_dataset("toy", x, missing=True, binarize=binarize)
    for split in ("train", "validation", "test"):
        drawn, full = data.held_out(split)[0], whole.held_out(split)[0]
        seen = ~drawn.isnan()
        assert 0 < seen.sum() < seen.numel()
        assert torch.equal(drawn[seen], full[seen])
    batch = data.batch(torch.arange(20))[0]
    assert torch.equal(batch.isnan(), data.held_out("train")[0][:20].isnan())
    assert set(batch[~batch.isnan()].tolist()) == {0.0, 1.0}


def test_nan_is_an_error_that_names_the_option() -> None:
    error = refusal(lambda: make_dataset("toy", holes(real())))
    assert "non-finite" in str(error)
    assert "data.missing = true" in error.hint


def test_a_row_of_nothing_is_named() -> None:
    x = real()
    x[17] = torch.nan
    assert "sample 17 is NaN throughout" in str(refusal(lambda: make_dataset("toy", x, missing=True)))
    test = (x[:20], None)
    assert "toy (test): sample 17" in str(refusal(lambda: make_dataset("toy", real(), missing=True, test=test)))


# --------------------------------------------------------------------------------------------- standardisation


def standard(x: Tensor, **options: Any) -> Dataset:
    return make_dataset("toy", x, standardise=True, validation=10, test=10, **options)


def worst_moment(x: Tensor) -> float:
    """The largest distance of a column's mean from 0, or of its standard deviation from 1, in float64."""
    x = x.double()
    mean = x.nanmean(0)
    return max(mean.abs().max().item(), ((x - mean).square().nanmean(0).sqrt() - 1).abs().max().item())


@pytest.mark.parametrize("absent", [False, True])
def test_train_has_mean_0_and_deviation_1_and_no_other_split_has(*, absent: bool) -> None:
    x = holes(real()) if absent else real()
    data = standard(x, missing=absent)
    assert data.support == "real"
    assert worst_moment(data.train.x) < 1e-6
    assert worst_moment(data.test.x) > 0.01
    on_all_rows = fit_units("toy", x)
    assert worst_moment(on_all_rows.to_model(x)) < 1e-6
    raw = make_dataset("toy", x, support="real", missing=absent, validation=10, test=10)
    assert worst_moment(on_all_rows.to_model(raw.train.x)) > 1e-3, "the test above would not see units of all rows"


def test_all_splits_are_in_the_units_of_train() -> None:
    x = real()
    data, raw = standard(x), make_dataset("toy", x, validation=10, test=10)
    assert data.units is not None
    for split, source in zip(data, raw, strict=True):
        torch.testing.assert_close(split.x, data.units.to_model(source.x), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(data.units.to_user(split.x), source.x, rtol=1e-5, atol=1e-5)


def test_a_constant_column_becomes_0() -> None:
    x = real()
    x[:, 1] = 0.1  # the mean of many 0.1 is not 0.1
    data = standard(x)
    assert data.units is not None
    assert data.units.scale[1] == 1
    assert not any(split.x[:, 1].any() for split in data)


def test_what_float32_cannot_tell_apart_is_standardised_first() -> None:
    x = torch.randn(60, 1, generator=stream(0, "dates"), dtype=torch.float64) + 1.7e9
    assert worst_moment(standard(x).train.x) < 1e-6
    assert standard(x.float()).train.x.unique().numel() < 5, "the test above would not see rounding"


def test_units_survive_json() -> None:
    units = Units(
        torch.randn(3, dtype=torch.float64), torch.rand(3, dtype=torch.float64), ("a", "b", "c"), "kind", ("d",)
    )
    back = Units.from_dict(json.loads(json.dumps(units.to_dict())))
    assert torch.equal(back.loc, units.loc)
    assert torch.equal(back.scale, units.scale)
    assert (back.columns, back.label, back.left_out) == (units.columns, "kind", ("d",))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_units_keep_type_gradient_and_leading_shape(dtype: torch.dtype) -> None:
    units = fit_units("toy", real())
    x = torch.randn(5, 7, 4, dtype=dtype, requires_grad=True)
    back = units.to_model(units.to_user(x))
    assert back.dtype == dtype
    torch.testing.assert_close(back, x, rtol=1e-4, atol=1e-4)
    assert torch.autograd.grad(units.to_user(x).sum(), x)[0][0, 0].tolist() == pytest.approx(units.scale.tolist())


def test_a_column_without_values_is_named() -> None:
    x = real()
    x[:, 2] = torch.nan
    assert "element (2,) has no value" in str(refusal(lambda: standard(x, missing=True)))
    named = tuple("abcd")
    assert "column 'c' has no value" in str(refusal(lambda: standard(x, missing=True, columns=named)))


# -------------------------------------------------------------------------------------- files that stay on disk


def npy(folder: Path, x: Any, name: str = "x.npy") -> str:
    np.save(folder / name, np.asarray(x))
    return str(folder / name)


MAPPABLE: dict[str, tuple[Any, dict[str, Any]]] = {
    "grey": (grey().numpy(), {}),
    "drawn": (grey().numpy(), {"binarize": "dynamic"}),
    "bits": (grey(max_level=1).numpy(), {}),
    "float bits": (grey(max_level=1).float().numpy(), {}),
    "unit": ((grey() / 255).numpy(), {}),
    "real": (real().float().numpy(), {}),
    "holes": (holes(real().float()).numpy(), {"missing": True}),
    "counts": (grey().float().numpy(), {"support": "count"}),
    "byte counts": (grey().numpy(), {"support": "count"}),
}


def computed(rows: int, seed: int = 0) -> Tensor:
    """The order by which rows that stay in a file are split."""
    return Permutation(rows, stream(seed, "split").initial_seed())[torch.arange(rows)]


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("case", MAPPABLE)
def test_a_mapped_file_reads_as_one_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, *, labelled: bool
) -> None:
    x, options = MAPPABLE[case]
    options = {**options, "path": npy(tmp_path, x)}
    if labelled:
        options["labels"] = npy(tmp_path, np.arange(len(x), dtype=np.uint8) % 3, "y.npy")
    mapped = DATA["array"](memory_map=True, **options)
    assert mapped.train.rows is not None
    monkeypatch.setattr(torch, "randperm", lambda n, generator: computed(n))
    held = DATA["array"](**options)
    assert mapped.classes == held.classes == (("0", "1", "2") if labelled else ())
    assert (mapped.support, mapped.levels, len(mapped.train)) == (held.support, held.levels, len(held.train))
    assert mapped.event_shape == held.event_shape
    for index in (torch.arange(5), torch.tensor([3, 3, 0])):
        batches = []
        for data in (held, mapped):
            torch.manual_seed(0)
            batches.append(data.batch(index))
        alike(*batches)
    for split in ("train", "validation", "test"):
        alike(held.held_out(split), mapped.held_out(split))
    if held.train.x.dtype == mapped.train.x.dtype:
        ours, theirs = mapped.hashes(), held.hashes()
        assert ours.pop("train") != theirs.pop("train"), "read in the order of the file, and then by its order"
        assert ours == theirs
        other = ("support", "hashes")
        without = [
            [line for line in data.summary().splitlines() if line.split()[0] not in other] for data in (held, mapped)
        ]
        assert without[0] == without[1]
    assert "memory-mapped" in mapped.summary()


def alike(ours: tuple[Tensor, Tensor | None], theirs: tuple[Tensor, Tensor | None]) -> None:
    torch.testing.assert_close(ours, theirs, equal_nan=True, rtol=0, atol=0)


def test_a_mapped_split_has_every_row_once_and_other_rows_for_another_seed(tmp_path: Path) -> None:
    path = npy(tmp_path, np.arange(120, dtype=np.float32).reshape(60, 2) + 0.5)
    splits = [DATA["array"](path=path, memory_map=True, seed=seed) for seed in (0, 0, 1)]
    rows = [[int(x) // 2 for split in data for x in split.whole().x[:, 0]] for data in splits]
    assert sorted(rows[0]) == list(range(60))
    assert rows[0] == rows[1] != rows[2]
    assert rows[0][-6:] == [50, 39, 54, 2, 44, 38], "on every platform and in every release"
    assert len({data.hashes()["train"] for data in splits}) == 2
    more = DATA["array"](path=path, memory_map=True, validation=20)
    assert torch.equal(more.test.x, splits[0].test.x)


def test_a_mapped_split_is_read_forwards_where_all_of_it_is_read(tmp_path: Path) -> None:
    data = DATA["array"](path=npy(tmp_path, grey()), memory_map=True, labels=npy(tmp_path, np.arange(40) % 7, "y.npy"))
    rows = data.train.rows
    assert rows is not None
    taken = rows[torch.arange(len(rows))]
    assert torch.equal(torch.cat(list(data.train.pieces())), grey()[taken.sort().values])
    assert torch.equal(torch.cat(list(data.train.label_pieces())), taken.sort().values % 7)


def test_the_hash_of_a_mapped_split_tells_rows_labels_and_order() -> None:
    x, y = grey(), torch.arange(40)
    split = Split(x, y, Tail(Permutation(40, 0), 4))
    changed = x.clone()
    changed[split.rows[torch.tensor([0])]] += 1  # type: ignore[index]
    left_out = x.clone()
    left_out[Permutation(40, 0)[torch.arange(4)]] += 1
    others = [(x, y, Tail(Permutation(40, 1), 4)), (x, y + 1, split.rows), (changed, y, split.rows)]
    assert len({split.hash(), *(Split(*other).hash() for other in others)}) == 4
    assert Split(left_out, y, split.rows).hash() == split.hash()


def test_looking_piece_by_piece_sees_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"path": npy(tmp_path, real().float()), "labels": npy(tmp_path, np.arange(60) % 11, "y.npy")}
    before = [DATA["array"](memory_map=mapped, **options) for mapped in (False, True)]
    expected = [data.summary() for data in before]
    for module in ("checks", "split"):
        monkeypatch.setattr(f"pyrovae.data.{module}.PIECE", 10)
    assert [DATA["array"](memory_map=mapped, **options).summary() for mapped in (False, True)] == expected
    x = real()
    x[37, 2] = torch.inf
    assert "sample 37 has 1 non-finite" in str(refusal(lambda: make_dataset("toy", x)))


def test_a_mapped_split_stays_where_it_is(tmp_path: Path) -> None:
    data = DATA["array"](path=npy(tmp_path, grey()), memory_map=True)
    moved = data.to("meta")
    assert moved.train.x.data_ptr() == data.train.x.data_ptr()
    assert moved.validation.x.is_meta
    assert len(moved.train.whole()) == len(data.train) == 32
    assert data.train.whole().rows is None


def test_labels_follow_rows_that_stay() -> None:
    split = Split(torch.arange(12).reshape(6, 2), torch.arange(6, dtype=torch.uint8), Tail(Permutation(6, 0), 2))
    for taken in (split.take(torch.tensor([2, 0, 2])), split.whole()):
        assert taken.y is not None
        assert taken.y.dtype == torch.int64
        assert (taken.x[:, 0] // 2).tolist() == taken.y.tolist()


UNMAPPABLE: dict[str, tuple[Any, dict[str, Any], str, str]] = {
    "float64": (real().numpy(), {}, "holds float64", "'float32'"),
    "int64": (grey().numpy().astype(np.int64), {}, "holds int64", "'uint8'"),
    "big-endian": (grey().numpy().astype(">f4"), {}, "holds >f4", "'float32'"),
    "Fortran": (np.asfortranarray(grey().numpy()), {}, "in Fortran order", "'uint8'"),
    "standardised": (
        real().float().numpy(),
        {"standardise": True},
        "data.standardise would copy",
        "memory_map = false",
    ),
    "static": (grey().numpy(), {"binarize": "static"}, "data.binarize = 'static' would copy", "memory_map = false"),
    "nan": (holes(real().float()).numpy(), {}, "data set x.npy: sample 2 has", "data.missing = true"),
    "above": (grey().numpy(), {"max_level": 9}, "above max_level 9", "255"),
}


@pytest.mark.parametrize("case", UNMAPPABLE)
def test_what_cannot_be_mapped_is_refused(tmp_path: Path, case: str) -> None:
    x, options, message, hint = UNMAPPABLE[case]
    path = npy(tmp_path, x)
    error = refusal(lambda: DATA["array"](path=path, memory_map=True, **options))
    assert message in str(error)
    assert hint in error.hint


def test_the_hint_converts_a_file_that_cannot_be_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for x in (real().numpy(), np.asfortranarray(grey().numpy())):
        npy(tmp_path, x)
        exec(refusal(lambda: DATA["array"](path="x.npy", memory_map=True)).hint, {"numpy": np})
        assert np.array_equal(np.load("new.npy"), x.astype(np.load("new.npy").dtype))
        splits = [*DATA["array"](path="new.npy", memory_map=True)], [*DATA["array"](path="x.npy")]
        ours, theirs = (torch.cat([split.whole().x.flatten(1) for split in data]).unique(dim=0) for data in splits)
        assert torch.equal(ours, theirs)


def test_archives_and_damaged_files_are_not_mapped(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=grey().numpy())
    path = str(tmp_path / "x.npz")
    assert "archive, which cannot" in str(refusal(lambda: DATA["array"](path=path, memory_map=True)))
    whole = Path(npy(tmp_path, grey())).read_bytes()
    for length in range(0, len(whole) - 1, 7):
        (tmp_path / "cut.npy").write_bytes(whole[:length])
        assert "cut.npy" in str(refusal(lambda: DATA["array"](path=str(tmp_path / "cut.npy"), memory_map=True)))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    path = str(tmp_path / "objects.npy")
    assert "holds Python objects" in str(refusal(lambda: DATA["array"](path=path, memory_map=True)))


def test_labels_lie_in_a_file_of_their_own(tmp_path: Path) -> None:
    x, y = npy(tmp_path, grey()), np.arange(40) % 3
    np.savez(tmp_path / "xy.npz", x=grey().numpy(), y=y)
    expected = DATA["array"](path=str(tmp_path / "xy.npz")).hashes()
    for dtype in (np.uint8, np.int64, ">i2", bool):
        npy(tmp_path, y.astype(dtype), "y.npy")
        same = dtype is not bool  # which has two classes
        assert (DATA["array"](path=x, labels="y.npy").hashes() == expected) is same, "looked for beside x"
    (tmp_path / "elsewhere").mkdir()
    there = npy(tmp_path / "elsewhere", y, "z.npy")
    assert DATA["array"](path=x, labels=there).hashes() == expected
    assert DATA["array"](tmp_path / "elsewhere", path=x, labels="z.npy").hashes() == expected


BAD_LABELS: dict[str, tuple[Any, dict[str, Any], str, str]] = {
    "few": (np.zeros(39, np.uint8), {}, "x.npy: 40 images but 39 labels", "one integer label"),
    "matrix": (np.zeros((40, 1), np.uint8), {}, "labels of shape (40, 1)", "one integer label"),
    "floats": (np.zeros(40), {}, "labels are float64", "astype"),
    "words": (np.full(40, "a"), {}, "labels are <U1", "numbers words"),
    "negative": (np.arange(40) - 1, {}, "sample 0 has label -1", "renumbers"),
    "gap": (np.arange(40) * 2, {}, "labels reach 78 but none is 1", "renumbers"),
    "no class": (np.arange(40) % 3, {"classes": ("a", "b")}, "sample 2 has label 2, not one of 0..1", "renumbers"),
    "objects": (np.array([{}] * 40), {}, "refusing to load y.npy: it holds Python objects", "plain numbers"),
}


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("case", BAD_LABELS)
def test_bad_labels_are_named(tmp_path: Path, case: str, *, mapped: bool) -> None:
    y, options, message, hint = BAD_LABELS[case]
    npy(tmp_path, y, "y.npy")
    path = npy(tmp_path, grey())
    error = refusal(lambda: DATA["array"](path=path, labels="y.npy", memory_map=mapped, **options))
    assert message in str(error)
    assert hint in error.hint


def test_files_that_are_no_labels_are_named(tmp_path: Path) -> None:
    path = npy(tmp_path, grey())
    error = refusal(lambda: DATA["array"](path=path, labels="y.npy"))
    assert "no data file y.npy" in str(error)
    assert "data.labels is looked for" in error.hint
    np.savez(tmp_path / "xy.npz", x=grey().numpy(), y=np.arange(40))
    error = refusal(lambda: DATA["array"](path=path, labels="xy.npz"))
    assert "xy.npz is an archive" in str(error)
    assert "data.labels takes a .npy file" in error.hint
    assert "has labels y of its own" in str(
        refusal(lambda: DATA["array"](path=str(tmp_path / "xy.npz"), labels="y.npy"))
    )
    npy(tmp_path, np.arange(40, dtype=np.int32) % 3, "y.npy")
    error = refusal(lambda: DATA["array"](path=path, labels="y.npy", memory_map=True))
    assert "y.npy holds int32: only uint8 and int64 in C order are memory-mapped" in str(error)
    assert "'int64'" in error.hint


MEASURE = """
import sys, torch
from pyrovae.data import DATA
def anonymous():
    return int(next(line for line in open("/proc/self/status") if line.startswith("RssAnon")).split()[1]) / 1024
for path, mapped in zip(sys.argv[1:], (True, True, True, False)):
    data = None
    data = DATA["array"](path=path, memory_map=mapped, validation=50, test=50)
    data.hashes(), data.summary()
    for start in range(0, len(data.train), 2000):
        data.batch(torch.arange(start, min(start + 100, len(data.train))))
    print(anonymous())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_a_mapped_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    paths = [
        npy(tmp_path, rng.integers(0, 256, (rows, 4096), dtype=np.uint8), f"{rows}.npy") for rows in (2500, 25_000)
    ]
    command = [sys.executable, "-c", MEASURE, paths[0], *paths, paths[1]]  # the first one warms up
    alone = os.environ | {"OMP_NUM_THREADS": "1"}  # each thread's arena would count
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=alone)
    _, small, large, copied = map(float, done.stdout.split())
    # The file is 92 MB larger; allocators keep some tens of MB to themselves.
    assert large - small < 40
    assert copied - large > 50, "the test above would not see copies"


def test_a_file_larger_than_memory_is_mapped(tmp_path: Path) -> None:
    with (tmp_path / "large.npy").open("wb") as opened:  # sparse: it takes no room on the disk
        np.lib.format.write_array_header_1_0(opened, {"descr": "|u1", "fortran_order": False, "shape": (2**20, 2**20)})
        opened.truncate(opened.tell() + 2**40)
    from pyrovae.data.arrays import _map

    x = _map(tmp_path / "large.npy")
    assert x.nbytes == 2**40
    assert not x[-1].any()


# ------------------------------------------------------------------------------------------------------ tables

PEOPLE = "height,kind,weight\n" + "".join(f"{170 + row},{'ab'[row % 2]},{60 + row % 7}.5\n" for row in range(30))


def table(folder: Path, text: str | bytes, **options: Any) -> Dataset:
    path = folder / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return DATA["csv"](path=str(path), **options)


def test_a_table_is_read_standardised_with_labels(tmp_path: Path) -> None:
    data = table(tmp_path, PEOPLE, label="kind")
    assert (data.event_shape, data.support, data.classes) == ((2,), "real", ("a", "b"))
    assert data.units is not None
    assert (data.units.columns, data.units.label, data.units.left_out) == (("height", "weight"), "kind", ())
    assert worst_moment(data.train.x) < 1e-6
    for split in data:
        height, weight = data.units.to_user(split.x.double()).round(decimals=3).unbind(1)
        assert split.y is not None
        assert torch.equal((height - 170).long() % 2, split.y)
        assert torch.equal((height - 170) % 7 + 60.5, weight)


def test_columns_are_chosen_and_ordered(tmp_path: Path) -> None:
    data = table(tmp_path, PEOPLE, columns=["weight"], standardise=False)
    assert data.units is not None
    assert (data.units.columns, data.units.left_out) == (("weight",), ("height", "kind"))
    assert not data.classes
    turned = table(tmp_path, PEOPLE, columns=["weight", "height"], standardise=False)
    assert turned.train.x[:, 1].min() >= 170


@pytest.mark.parametrize(
    "text",
    [
        PEOPLE.replace(",", ";"),
        PEOPLE.replace(",", "\t"),
        PEOPLE.replace("\n", "\r\n"),
        PEOPLE.replace("\n", "\n\n"),
        PEOPLE.rstrip("\n"),
        PEOPLE.replace("height", ' "height"').replace(",a,", ', "a" ,').replace(' "', '"').replace('" ', '"'),
        "\ufeff" + PEOPLE,
    ],
    ids=["semicolon", "tab", "windows", "blank lines", "no end", "quoted", "BOM"],
)
def test_tables_are_written_in_many_ways(tmp_path: Path, text: str) -> None:
    assert table(tmp_path, text, label="kind").hashes() == table(tmp_path, PEOPLE, label="kind").hashes()


def test_cells_may_be_missing(tmp_path: Path) -> None:
    text = PEOPLE.replace("170,", ",").replace("171,", "NA,").replace("172,", "n/a,").replace("173,", "nan,")
    data = table(tmp_path, text, label="kind", missing=True)
    assert sum(int(split.x.isnan().sum()) for split in data) == 4
    assert worst_moment(data.train.x) < 1e-6
    counts = table(tmp_path, text.replace(".5", ""), label="kind", missing=True, standardise=False, support="count")
    assert counts.support == "count"


def test_classes_that_are_numbers_are_ordered_as_numbers(tmp_path: Path) -> None:
    text = "x,y\n" + "".join(f"{row / 7},{row % 12}\n" for row in range(36))
    assert table(tmp_path, text, label="y").classes == tuple(map(str, range(12)))


BAD_TABLES: dict[str, tuple[str | bytes, dict[str, Any], str, str]] = {
    "empty": ("", {}, "t.csv is empty", "names the columns"),
    "no rows": ("a,b\n", {}, "has a header and no rows", "follows"),
    "no header": ("1,2\n3,4\n", {}, "has no header: line 1 is 1, 2", "names the columns"),
    "no name": (",a\n1,2\n", {}, "column 1 has no name", "index=False"),
    "twice": ("a,b,a\n1,2,3\n", {}, "has two columns 'a'", "different names"),
    "ragged": ("a,b\n1,2\n3\n", {}, "line 3 has 1 cells, the header 2", "quote"),
    "decimal comma": ("a,b\n1,2,5\n", {}, "line 2 has 3 cells, the header 2", "data.delimiter"),
    "text": ("a,b,c\n1,2,3\n1,red,3\n", {}, "column 'b' is not numeric: line 3 says 'red'", '["a", "c"] leaves it out'),
    "texts": ("a,b,c\nx,2,3\n1,y,3\n", {}, "column 'a' is not numeric: line 2 says 'x'; column 'b'", '["c"]'),
    "infinite": ("a,b\n1,inf\n", {}, "column 'b' is not numeric: line 2 says 'inf'", '["a"]'),
    "underscore": ("a,b\n1,1_000\n", {}, "line 2 says '1_000'", '["a"]'),
    "missing": ("a,b\n1,2\n3,NA\n", {}, "line 3, column 'b' is empty", "data.missing = true"),
    "row of nothing": ("a,b\n1,2\n,\n", {"missing": True}, "line 3 is empty throughout", "drop"),
    "no label": ("a,b\n1,2\n3,\n", {"label": "b", "missing": True}, "line 3 has no label in column 'b'", "drop"),
    "label unknown": ("aa,b\n1,2\n", {"label": "a"}, "has no column 'a'", "did you mean 'aa'?"),
    "column unknown": ("aa,b\n1,2\n", {"columns": ["bb"]}, "has no column 'bb'", "did you mean 'b'?"),
    "column twice": ("a,b\n1,2\n", {"columns": ["b", "b"]}, "names twice 'b'", "once"),
    "label as x": ("a,b\n1,2\n", {"columns": ["b"], "label": "b"}, "column 'b' is both the label and x", "another"),
    "label alone": ("a\n1\n", {"label": "a"}, "no column is left to be x", "another"),
    "latin1": ("a,b\n1,\xe9\n".encode("latin1"), {}, "t.csv is not UTF-8", "iconv"),
    "utf16": ("a,b\n1,2\n".encode("utf16"), {}, "t.csv is not UTF-8", "iconv"),
    "quote": ('a,b\n1,"2\n', {}, "line 2 is no line of a table", "quoted"),
    "long": ("a,b\n1," + "2" * 200_000, {}, "line 2 is no line of a table", "quoted"),
    "line of a note": ('a,"b\nc",d\n1,2,3\n1,2,x\n', {}, "line 4 says 'x'", "leaves it out"),
    "counts": (PEOPLE, {"columns": ["weight"], "support": "count"}, "data.support = 'count' contradicts", "= false"),
    "few": ("a,b\n1,2\n", {}, "1 rows are too few", "hold out fewer"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_tables_are_named(tmp_path: Path, case: str) -> None:
    text, options, message, hint = BAD_TABLES[case]
    error = refusal(lambda: table(tmp_path, text, **options))
    assert message in str(error)
    assert "t.csv" in str(error) or "column twice" in case
    assert hint in error.hint


def test_the_hint_about_columns_works(tmp_path: Path) -> None:
    text = PEOPLE.replace("weight", "town").replace(".5", " km")
    hint = refusal(lambda: table(tmp_path, text)).hint
    columns = json.loads(hint.partition("data.columns = ")[2].partition(" leaves")[0])
    assert table(tmp_path, text, columns=columns).event_shape == (1,)


# ----------------------------------------------------------------------------------------------------- folders


def picture(path: Path, pixels: Any, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path, **options)
    return path


def pictures(folder: Path, n: int = 12, shape: tuple[int, ...] = (5, 4, 3), kinds: tuple[str, ...] = ("",)) -> Any:
    drawn = np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8)
    for row, pixels in enumerate(drawn):
        picture(folder / kinds[row * len(kinds) // n] / f"{row:02}.png", pixels)
    return drawn


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    drawn = pictures(tmp_path / "p")
    (tmp_path / "p" / "README.txt").write_text("passed over")
    (tmp_path / "p" / ".hidden").mkdir()
    data = DATA["folder"](tmp_path, path="p")
    expected = make_dataset("p", drawn.transpose(0, 3, 1, 2), max_level=255)
    assert (data.event_shape, data.support, data.levels, data.classes) == ((3, 5, 4), "levels", 256, ())
    assert data.hashes() == expected.hashes()


def test_sub_folders_are_classes(tmp_path: Path) -> None:
    drawn = pictures(tmp_path, shape=(5, 4), kinds=("10", "9"))
    data = DATA["folder"](path=str(tmp_path), binarize="threshold")
    assert (data.event_shape, data.support, data.classes) == ((1, 5, 4), "binary", ("9", "10"))
    expected = make_dataset("p", drawn[:, None], torch.arange(12) < 6, max_level=255, binarize="threshold")
    for ours, theirs in zip(data, expected, strict=True):
        rows = {tuple(x.flatten().tolist()): int(y) for x, y in zip(theirs.x, theirs.y, strict=True)}  # type: ignore[arg-type]
        known = [rows.get(tuple(x.flatten().tolist())) for x in ours.x]
        assert ours.y is not None
        assert all(label in (None, y) for label, y in zip(known, ours.y.tolist(), strict=True))


def read_one(path: Path, **options: Any) -> Any:
    from pyrovae.data.folder import read_images

    return read_images([path], **options)[0]


def test_images_are_cut_around_the_centre_and_resized(tmp_path: Path) -> None:
    wide = np.zeros((8, 24), dtype=np.uint8)
    wide[:, 8:16] = 200  # the centre square
    path = picture(tmp_path / "wide.png", wide)
    assert (read_one(path, size=[4, 4]) == 200).all(), "nothing of what is cut off is mixed in"
    assert read_one(path, size=[4, 12]).shape == (1, 4, 12)
    assert np.array_equal(read_one(path)[0], wide), "an image of the right size is not touched"
    checkers = np.indices((64, 64)).sum(0) % 2 * 255
    small = read_one(picture(tmp_path / "checkers.png", checkers), size=[8, 8])[0, 1:-1, 1:-1]
    assert (abs(small.astype(int) - 127) <= 2).all(), "antialiased: without a filter these are 0 or 255"


def test_orientation_transparency_and_palettes_are_understood(tmp_path: Path) -> None:
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    turned = picture(tmp_path / "turned.png", pixels, exif=exif.tobytes())
    assert np.array_equal(read_one(turned)[0], np.rot90(pixels, -1))
    clear = np.zeros((2, 3, 4), dtype=np.uint8)
    clear[0, 0] = (10, 20, 30, 255)
    seen = read_one(picture(tmp_path / "clear.png", clear))
    assert seen[:, 0, 0].tolist() == [10, 20, 30]
    assert (seen[:, 1] == 255).all()
    faint = np.stack([pixels, np.full_like(pixels, 255)], -1)
    assert np.array_equal(read_one(picture(tmp_path / "faint.png", faint))[0], pixels)
    palette = Image.fromarray(pixels).convert("P")
    palette.save(tmp_path / "palette.png")
    assert np.array_equal(read_one(tmp_path / "palette.png", channels="grey")[0], pixels)
    assert read_one(picture(tmp_path / "grey.png", pixels), channels="colour").shape == (3, 2, 3)


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "bmp", "webp", "PNG"])
def test_the_named_formats_are_read(tmp_path: Path, suffix: str) -> None:
    flat = np.full((6, 5, 3), 77, dtype=np.uint8)
    seen = read_one(picture(tmp_path / f"flat.{suffix}", flat), channels="grey")
    assert (abs(seen.astype(int) - 77) <= 2).all()


def spoil(folder: Path, name: str, content: bytes) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)


def bomb(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 15)


PNG_END = 40

BAD_FOLDERS: dict[str, tuple[Callable[[Path, pytest.MonkeyPatch], object], dict[str, Any], str]] = {
    "broken": (lambda p, _: spoil(p, "zz.png", b"no image"), {}, "image zz.png cannot be read (cannot identify image"),
    "cut": (lambda p, _: spoil(p, "00.png", (p / "00.png").read_bytes()[:-PNG_END]), {}, "image 00.png cannot be read"),
    "empty": (lambda p, _: spoil(p, "zz.jpg", b""), {}, "image zz.jpg cannot be read"),
    "bomb": (bomb, {}, "image 00.png is refused: it would fill more memory than 15 pixels"),
    "other size": (lambda p, _: picture(p / "zz.png", np.zeros((9, 3))), {}, "image zz.png is 9 x 3, 00.png is 5 x 4"),
    "deep": (lambda p, _: Image.new("I;16", (4, 5)).save(p / "zz.png"), {}, "zz.png has pixels of more than 8 bits"),
    "gif": (lambda p, _: Image.new("L", (4, 5)).save(p / "zz.gif"), {}, "image zz.gif cannot be read here"),
    "mixed": (
        lambda p, _: picture(p / "a" / "0.png", np.zeros((5, 4))),
        {},
        "holds both images (00.png) and folders (a)",
    ),
    "sizes": (lambda p, _: None, {"size": [8]}, "data.size has 1 numbers: [8]"),
}


@pytest.mark.parametrize("case", BAD_FOLDERS)
def test_bad_images_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    pictures(tmp_path)
    action, options, message = BAD_FOLDERS[case]
    action(tmp_path, monkeypatch)
    assert message in str(refusal(lambda: DATA["folder"](path=str(tmp_path), **options)))


def test_the_hint_about_size_works(tmp_path: Path) -> None:
    pictures(tmp_path)
    picture(tmp_path / "zz.png", np.zeros((9, 3)))
    hint = refusal(lambda: DATA["folder"](path=str(tmp_path))).hint
    size = json.loads(hint.partition("data.size = ")[2].partition(" brings")[0])
    assert DATA["folder"](path=str(tmp_path), size=size, channels="grey").event_shape == (1, 5, 3)


def test_bad_folders_are_named(tmp_path: Path) -> None:
    assert "no data folder" in str(refusal(lambda: DATA["folder"](tmp_path, path="none")))
    assert "holds no images" in str(refusal(lambda: DATA["folder"](path=str(tmp_path))))
    pictures(tmp_path, kinds=("a", "b"))
    (tmp_path / "c").mkdir()
    assert "folder c of a class holds no images" in str(refusal(lambda: DATA["folder"](path=str(tmp_path))))
    (tmp_path / "a" / "deeper").mkdir()
    assert "folder a of a class holds a folder, deeper" in str(refusal(lambda: DATA["folder"](path=str(tmp_path))))


# ----------------------------------------------------------------------------- files read for a trained model


def like(data: Dataset) -> dict[str, Any]:
    """What a run says of its data, as it comes back from JSON."""
    described = {
        "support": data.support,
        "max_level": data.max_level,
        "binarize": data.binarize,
        "event_shape": data.event_shape,
        "classes": data.classes,
        "units": None if data.units is None else data.units.to_dict(),
        "missing": data.missing,
        "seed": data.seed,
    }
    return json.loads(json.dumps(described))


@pytest.mark.parametrize("case", [case for case in NAMED if "drawn" not in case])
def test_a_file_reads_as_the_data_of_the_run_did(tmp_path: Path, case: str) -> None:
    x, options, _ = NAMED[case]
    data = make_dataset("toy", x, test=(x, None), validation=2, **options)
    described = like(data)
    read, y = read_rows(npy(tmp_path, x), described)
    assert y is None
    assert read.dtype == torch.float32
    assert torch.equal(read, data.held_out("test")[0])
    if data.support != "levels" or data.held_out("test")[0].max() == 1:  # 1 / 255 is no level of a dark file
        again, _ = read_rows(npy(tmp_path, read), described)
        assert torch.equal(again, read), "what the programs read can be given back to them"
    one, _ = read_rows(npy(tmp_path, x[0]), described)
    assert torch.equal(one, read[:1])


def test_missing_and_standardised_rows_read_as_those_of_the_run(tmp_path: Path) -> None:
    x = holes(real())
    data = make_dataset("toy", x, test=(x, None), missing=True, standardise=True)
    read, _ = read_rows(npy(tmp_path, x), like(data))
    torch.testing.assert_close(read, data.test.x, equal_nan=True, rtol=0, atol=0)
    described = like(data) | {"missing": False}
    assert "non-finite" in str(refusal(lambda: read_rows(tmp_path / "x.npy", described)))


@pytest.mark.parametrize("binarize", ["dynamic", "static", "threshold"])
@pytest.mark.parametrize("kind", ["bytes", "sixteen", "floats"])
def test_grey_files_are_binarised_by_the_rule_of_the_run(tmp_path: Path, binarize: Any, kind: str) -> None:
    x = {"bytes": grey(400), "sixteen": grey(400, 16), "floats": grey(400) / 255}[kind]
    white = {"bytes": 255, "sixteen": 16, "floats": None}[kind]
    data = make_dataset("toy", x, binarize=binarize, max_level=white)
    path = npy(tmp_path, x)
    read, _ = read_rows(path, like(data))
    assert set(read.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(read_rows(path, like(data))[0], read)
    share = x.float() / (white or 1)
    if binarize == "threshold":
        assert torch.equal(read, (share > 0.5).float())
    else:
        assert not torch.equal(read_rows(path, like(replace(data, seed=1)))[0], read)
        error = (share * (1 - share)).sum().sqrt() / share.numel()
        assert abs(read.mean() - share.mean()) < 4 * error
    bits = data.held_out("test")[0]
    assert torch.equal(read_rows(npy(tmp_path, bits), like(data))[0], bits), "zeros and ones are drawn already"


def test_rows_of_a_table_are_matched_by_name(tmp_path: Path) -> None:
    data = table(tmp_path, PEOPLE, label="kind")
    x, y = read_rows(tmp_path / "t.csv", like(data))
    assert torch.equal(x.sort(0).values, torch.cat([split.x for split in data]).sort(0).values)
    assert y is not None
    assert y.tolist() == [0, 1] * 15
    lines = [line.split(",") for line in PEOPLE.split()]
    (tmp_path / "turned.csv").write_text("\n".join(";".join(line[::-1]) for line in lines))
    assert torch.equal(read_rows(tmp_path / "turned.csv", like(data))[0], x)
    (tmp_path / "bare.csv").write_text("\n".join(",".join([line[0], line[2]]) for line in lines))
    bare, no_labels = read_rows(tmp_path / "bare.csv", like(data))
    assert torch.equal(bare, x)
    assert no_labels is None
    weights = table(tmp_path, PEOPLE, columns=["weight"])
    assert read_rows(tmp_path / "t.csv", like(weights))[0].shape == (30, 1), "a run's own file, columns left out"


def test_rows_of_a_folder_and_of_an_image(tmp_path: Path) -> None:
    drawn = pictures(tmp_path, shape=(5, 4), kinds=("a", "b"))
    data = DATA["folder"](path=str(tmp_path))
    x, y = read_rows(tmp_path, like(data))
    assert torch.equal(x, torch.from_numpy(drawn)[:, None].float() / 255)
    assert y is not None
    assert y.tolist() == [0] * 6 + [1] * 6
    one, none = read_rows(tmp_path / "b" / "07.png", like(data))
    assert torch.equal(one, x[7:8])
    assert none is None


def test_labels_of_a_file_are_numbers_or_names(tmp_path: Path) -> None:
    data = make_dataset("toy", grey(), torch.arange(40) % 3, classes=("cat", "dog", "eel"))
    np.savez(tmp_path / "xy.npz", x=grey().numpy(), y=np.arange(40) % 3)
    _, y = read_rows(tmp_path / "xy.npz", like(data))
    assert y is not None
    assert y.tolist() == [row % 3 for row in range(40)]
    pictures(tmp_path / "p", shape=(3, 2), kinds=("dog", "2"))
    _, y = read_rows(tmp_path / "p", like(data))
    assert y is not None
    assert y.tolist() == [1] * 6 + [2] * 6 or y.tolist() == [2] * 6 + [1] * 6


def bytes_like(**changes: Any) -> dict[str, Any]:
    return like(make_dataset("toy", grey(), torch.arange(40) % 3, classes=("cat", "dog", "eel"))) | changes


FLOATS = like(make_dataset("toy", grey(max_level=3) / 3))
BITS = like(make_dataset("toy", grey(max_level=1)))
COUNTS = like(make_dataset("toy", grey(), support="count"))

BAD_ROWS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "shape": (grey(shape=(6,)), bytes_like(), "x.npy holds rows of shape (6,), the model reads (1, 3, 2)"),
    "above white": (grey(), bytes_like(max_level=16), "sample 0 has level 255, above max_level 16"),
    "large": (grey().int() * 2, bytes_like(), "not within 0..255"),
    "between levels": (grey() / 254, bytes_like(), "no grey level k / 255"),
    "below black": (-grey().float(), bytes_like(), "sample 0 has value -255.0, not a level"),
    "bytes for floats": (grey(), FLOATS, "x.npy holds whole numbers, the model's own data were floats in [0, 1]"),
    "floats above 1": (grey().float(), FLOATS, "sample 0 has value 255.0, outside [0, 1]"),
    "grey for bits": (grey(), BITS, "sample 0 has value 255, not 0 or 1"),
    "half a count": (grey() / 2, COUNTS, "sample 0 has value 127.5, not a whole number"),
    "nan": (holes(grey() / 255), bytes_like(), "non-finite"),
    "text": (np.full((2, 1, 3, 2), "a"), bytes_like(), "are <U1, not numbers"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_rows_that_do_not_fit_the_model_are_named(tmp_path: Path, case: str) -> None:
    x, described, message = BAD_ROWS[case]
    error = str(refusal(lambda: read_rows(npy(tmp_path, x), described)))
    assert message in error
    assert "x.npy" in error


def test_files_that_do_not_fit_the_model_are_named(tmp_path: Path) -> None:
    data = table(tmp_path, PEOPLE, label="kind")
    for text, message in (
        (PEOPLE.replace("weight", "wait"), "t.csv lacks column 'weight'"),
        (PEOPLE.replace("kind", "sort"), "t.csv has column 'sort', which the model does not know"),
        (PEOPLE.replace(",b,", ",c,"), "t.csv: sample 1 has label 'c', which is no class of the model"),
        ("", "t.csv is empty"),
    ):
        (tmp_path / "t.csv").write_text(text)
        assert message in str(refusal(lambda: read_rows(tmp_path / "t.csv", like(data))))
    picture(tmp_path / "p.png", np.zeros((5, 4)))
    assert "p.png holds images, which cannot have the shape (2,)" in str(
        refusal(lambda: read_rows(tmp_path / "p.png", like(data)))
    )
    assert "no data file" in str(refusal(lambda: read_rows(tmp_path / "none.npy", like(data))))
    np.savez(tmp_path / "xy.npz", x=grey().numpy(), y=np.arange(40))
    assert "xy.npz: sample 3 has label 3" in str(refusal(lambda: read_rows(tmp_path / "xy.npz", bytes_like())))
    pictures(tmp_path / "q", shape=(3, 2), kinds=("cat", "ant"))
    assert "label 'ant'" in str(refusal(lambda: read_rows(tmp_path / "q", bytes_like())))
