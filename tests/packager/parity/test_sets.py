"""Rows made from a sample stay within what it shows, are rounded where they should be, and are always the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from modelport.packager import rows as rows_of
from modelport.packager.parity import sets

TEXT = ["", "Bern", "Genève", "La Chaux-de-Fonds", None]
RANDOM, ONE, TWO, ZEROS = "random in the seen range", "rounded to 1 decimal", "rounded to 2 decimals", "exact zeros"

BEYOND = 10**9


@st.composite
def samples(draw: st.DrawFn) -> dict[str, Any]:
    """Draw rows of two float columns, an integer, a boolean and a text one."""
    rows = draw(st.integers(1, 12))
    floats = st.floats(-1e4, 1e4) | st.just(np.nan)
    return {
        "X": draw(hnp.arrays(np.float64, (rows, 2), elements=floats)),
        "count": draw(hnp.arrays(np.int64, (rows, 1), elements=st.integers(-(2**62), 2**62))),
        "member": draw(hnp.arrays(np.bool_, (rows, 1))),
        "city": draw(hnp.arrays(np.object_, (rows, 1), elements=st.sampled_from(TEXT))),
    }


def fixed() -> dict[str, Any]:
    rng = np.random.default_rng(2)
    return {
        "X": rng.normal(size=(40, 3)),
        "count": rng.integers(0, 9, (40, 1)),
        "city": rng.choice(np.array(TEXT, object), (40, 1)),
    }


def seen(values: Any) -> set[object]:
    """Return the values of a column, every NaN as one."""
    return {"NaN" if value != value else value for value in values.tolist()}  # noqa: PLR0124  NaN is not itself


def cells(rows: dict[str, Any]) -> list[tuple[str, int]]:
    return [(name, column) for name, array in rows.items() for column in range(array.shape[1])]


def differing(rows: dict[str, Any], row: int, sample: dict[str, Any]) -> list[set[tuple[str, int]]]:
    """Return in which cells a row differs from each row of the sample."""
    own = {c: seen(rows[c[0]][row : row + 1, c[1]]) for c in cells(rows)}
    return [
        {c for c, value in own.items() if value != seen(sample[c[0]][at : at + 1, c[1]])}
        for at in range(rows_of.count(sample))
    ]


@settings(max_examples=40)
@given(samples())
def test_drawn_rows_stay_in_the_seen_range_and_in_seen_categories(sample: dict[str, Any]) -> None:
    drawn = dict(sets.drawn_sets(sample, ()))
    for name, column in cells(sample):
        own, values = sample[name][:, column], drawn[RANDOM][name][:, column]
        assert values.dtype == own.dtype
        if own.dtype.kind not in "fi":
            assert seen(values) <= seen(own)
        elif np.isnan(own.astype(np.float64)).all():
            assert np.isnan(values).all()
        else:
            assert np.nanmin(own) <= values.min() <= values.max() <= np.nanmax(own)


@settings(max_examples=40)
@given(samples())
def test_shuffled_columns_hold_what_their_own_column_held(sample: dict[str, Any]) -> None:
    drawn = dict(sets.drawn_sets(sample, ()))["columns shuffled"]
    for name, column in cells(sample):
        assert drawn[name].dtype == sample[name].dtype
        assert seen(drawn[name][:, column]) <= seen(sample[name][:, column])


@settings(max_examples=40)
@given(samples())
def test_rounded_rows_have_so_many_decimals_and_are_next_to_those_drawn(sample: dict[str, Any]) -> None:
    drawn = dict(sets.drawn_sets(sample, ()))
    for name, decimals in ((ONE, 1), (TWO, 2)):
        for values, before in zip(drawn[name]["X"].ravel().tolist(), drawn[RANDOM]["X"].ravel().tolist(), strict=True):
            assert np.isnan(before) or values == float(f"{values:.{decimals}f}")
            assert np.isnan(before) or abs(values - before) <= 0.5001 * 10**-decimals
        for untouched in ("count", "member", "city"):
            assert drawn[name][untouched].tolist() == drawn[RANDOM][untouched].tolist()


@settings(max_examples=20)
@given(samples())
def test_columns_that_are_looked_up_hold_only_seen_values_in_every_set(sample: dict[str, Any]) -> None:
    looked_up = {("X", 1), ("count", 0)}
    for _, rows in sets.drawn_sets(sample, looked_up):
        for name, column in looked_up:
            assert seen(rows[name][:, column]) <= seen(sample[name][:, column])


def test_rows_drawn_at_random_fill_the_range_and_are_not_those_of_the_sample() -> None:
    sample = {"X": np.array([[-3.0], [5.0]]), "count": np.array([[10], [13]])}
    drawn = dict(sets.drawn_sets(sample, ()))[RANDOM]
    assert len(np.unique(drawn["X"])) > sets.DRAWN_ROWS * 0.99
    assert drawn["X"].min() < -2.9
    assert drawn["X"].max() > 4.9
    assert np.unique(drawn["count"]).tolist() == [10, 11, 12, 13]


def test_a_range_that_is_too_wide_for_a_float_is_drawn_from_all_the_same() -> None:
    largest = np.finfo(np.float64).max
    drawn = dict(sets.drawn_sets({"X": np.array([[-largest], [largest]])}, ()))
    for rows in drawn.values():
        assert np.isfinite(rows["X"]).all()
    assert (np.abs(drawn[RANDOM]["X"]) < largest / 2).mean() == pytest.approx(0.5, abs=0.05)


def test_zeros_are_set_where_zero_lies_in_the_seen_range_and_nowhere_else() -> None:
    sample = {"X": np.array([[-1.0, 1.0, -2.0, np.nan], [2.0, 3.0, -0.5, np.nan]]), "count": np.array([[-1], [1]])}
    zeros = dict(sets.drawn_sets(sample, ()))[ZEROS]
    assert 0.3 < (zeros["X"][:, 0] == 0).mean() < 0.7
    assert not (zeros["X"][:, 1:] == 0).any()
    looked_up = dict(sets.drawn_sets(sample, {("X", 0)}))[ZEROS]
    assert not (looked_up["X"] == 0).any()


@pytest.mark.parametrize(
    ("kept", "names"),
    [
        (["city"], ["columns shuffled"]),
        (["count"], ["columns shuffled", RANDOM]),
        (["X", "city"], ["columns shuffled", RANDOM, ONE, TWO, ZEROS]),
    ],
)
def test_only_what_a_sample_of_its_kinds_can_show_is_drawn(kept: list[str], names: list[str]) -> None:
    sample = {name: array for name, array in fixed().items() if name in kept}
    assert [name for name, _ in sets.drawn_sets(sample, ())] == names


@settings(max_examples=20)
@given(samples())
def test_missing_rows_are_rows_of_the_sample_with_only_those_cells_missing(sample: dict[str, Any]) -> None:
    may_miss = [("X", 1), ("city", 0)]
    made = sets.missing_set(sample, may_miss)
    assert rows_of.count(made) == sets.SOME_ROWS
    for row in range(40):
        gone = {c for c in may_miss if seen(made[c[0]][row : row + 1, c[1]]) & {"NaN", None}}
        assert may_miss[row % 2] in gone
        assert any(others <= gone for others in differing(made, row, sample))


def test_each_of_many_columns_is_missing_alone_in_some_row() -> None:
    sample = {"X": np.ones((3, 700))}
    gone = np.isnan(sets.missing_set(sample, cells(sample))["X"])
    assert gone[gone.sum(axis=1) == 1].any(axis=0).mean() > 0.5
    assert gone.any(axis=0).all()
    assert (gone.sum(axis=1) > 1).any()
    assert not np.isnan(sample["X"]).any()


@settings(max_examples=20)
@given(samples())
def test_unknown_rows_have_one_value_each_that_the_sample_does_not_hold(sample: dict[str, Any]) -> None:
    unknown = [("count", 0), ("city", 0)]
    before = [array.copy() for array in sample.values()]
    made = sets.unknown_set(sample, unknown, {("count", 0): BEYOND})
    for row in range(60):
        name, column = unknown[row % 2]
        assert not {made[name][row, column]} & seen(sample[name][:, column])
        assert name == "city" or made[name][row, column] == BEYOND
        assert {(name, column)} in differing(made, row, sample)
    for array, kept in zip(sample.values(), before, strict=True):
        np.testing.assert_array_equal(array, kept)


def test_unknown_text_is_empty_accented_hyphenated_and_of_other_case() -> None:
    made = sets.unknown_set({"city": np.array([["New York"]], object)}, [("city", 0)], {})
    found = set(made["city"].ravel().tolist())
    assert {"", "NEW YORK", "New-York", "New_York", "nEW yORK", "Néw York"} <= found


def test_a_sample_is_thinned_evenly_and_keeps_its_ends() -> None:
    thinned = sets.sample_set({"X": np.arange(1000.0).reshape(-1, 1)}, 100)["X"].ravel()
    assert (len(thinned), thinned[0], thinned[-1]) == (100, 0.0, 999.0)
    assert set(np.diff(thinned)) <= {10.0, 11.0}


def test_a_sample_whose_answers_belong_to_it_stays_whole() -> None:
    sample = {"X": np.zeros((30_000, 1))}
    assert sets.sample_set(sample, None) is sample


@pytest.mark.parametrize(("width", "rows"), [(20_000, 1_000), (50_000, 500)])
def test_a_very_wide_sample_is_thinned_further_but_not_below_five_hundred_rows(width: int, rows: int) -> None:
    sample = {"X": np.broadcast_to(np.True_, (2_000, width))}
    assert rows_of.count(sets.sample_set(sample, 20_000)) == rows


PROGRAM = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
import importlib.util
spec = importlib.util.spec_from_file_location("these", sys.argv[2])
these = importlib.util.module_from_spec(spec)
spec.loader.exec_module(these)
sets, sample = these.sets, these.fixed()
made = dict(sets.drawn_sets(sample, frozenset({("count", 0), ("city", 0), ("X", 2)})))
made["missing"] = sets.missing_set(sample, [("X", 0), ("city", 0)])
made["unknown"] = sets.unknown_set(sample, [("count", 0), ("city", 0)], {("count", 0): 10**9})
for name, rows in made.items():
    values = repr([(key, array.dtype, array.tolist()) for key, array in rows.items()])
    print(name, hashlib.sha256(values.encode()).hexdigest())
"""


def test_one_sample_gives_the_same_rows_in_every_process() -> None:
    printed = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM, Path(__file__).parents[2], __file__],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(printed) == 1
    assert len(printed.pop().splitlines()) == 7
