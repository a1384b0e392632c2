"""What the engine does to the bits is seen: batches of other sizes, more threads, the same call twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tiny_models
from hypothesis import given
from hypothesis import strategies as st

from modelport.packager.parity import stability
from modelport.runtime import load
from modelport.runtime.package import Execution
from modelport.runtime.scorer import CHUNK_ROWS, GraphRunner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Arrays = dict[str, Any]


def runner(package: Path) -> Callable[[Arrays], Arrays]:
    """Return a package's graph in ONNX Runtime, never padded."""
    scorer = load(package)
    return GraphRunner(scorer.engine, scorer.signature, Execution()).run


def x(rows: int) -> Arrays:
    return {"x": np.random.default_rng(rows).normal(size=(rows, 2)).astype(np.float32)}


def row_by_row(inputs: Arrays) -> Arrays:
    """Answer each row for itself."""
    return {"y": inputs["x"] * 2, "label": (inputs["x"][:, 0] > 0).astype(np.int64)}


def by_size(*sizes: int, step: float = 0.5) -> Callable[[Arrays], Arrays]:
    """Return a function that answers `step` more in batches of these sizes."""
    return lambda inputs: {"y": np.zeros((len(inputs["x"]), 1)) + step * (len(inputs["x"]) in sizes)}


@given(st.integers(1, 5000))
def test_rows_to_check_are_spread_over_all_with_the_first_and_the_last(count: int) -> None:
    index = stability.some_rows(count, with_rows=True)
    assert {0, count - 1} <= set(index.tolist()) <= set(range(count))
    assert 16 <= len(index) <= 1000 or len(index) == count
    if count >= 16:
        assert len(set(index.tolist())) == len(index) == min(count, 1000)
        assert np.ptp(np.diff(index)) <= 1


def test_a_few_rows_are_repeated_to_fill_batches_and_whole_calls_are_not() -> None:
    assert stability.some_rows(3, with_rows=True).tolist() == [0, 1, 2] * 5 + [0]
    assert stability.some_rows(3, with_rows=False).tolist() == [0, 1, 2]


@given(st.integers(1, 300))
def test_rows_that_are_answered_for_themselves_are_identical_in_every_batch(rows: int) -> None:
    found = stability.check_batches(row_by_row, x(rows))
    assert (found.identical, found.identical_padded, found.max_absolute) == (True, True, 0.0)
    assert (found.sizes, found.rows) == ((1, 2, 5, CHUNK_ROWS), min(rows, 240))


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_batch_size_that_changes_bits_is_seen_and_padding_cures_the_single_row_only(size: int) -> None:
    found = stability.check_batches(by_size(size), x(100))
    assert (found.identical, found.identical_padded, found.max_absolute) == (False, size == 1, 0.5)


def test_padding_is_no_cure_where_two_rows_change_bits_too() -> None:
    assert not stability.check_batches(by_size(1, 2), x(100)).identical_padded


def test_a_difference_in_the_last_row_alone_is_seen() -> None:
    inputs = x(100)
    last = inputs["x"][-1]

    def run(given: Arrays) -> Arrays:
        alone = len(given["x"]) == 1 and np.array_equal(given["x"][0], last)
        return {"y": given["x"] + np.float32(alone)}

    found = stability.check_batches(run, inputs)
    assert (found.identical, found.identical_padded) == (False, True)
    assert found.max_absolute == pytest.approx(1.0)


def test_the_sign_of_zero_and_the_text_of_a_label_are_bits() -> None:
    def zero(inputs: Arrays) -> Arrays:
        return {"y": np.full(len(inputs["x"]), -0.0 if len(inputs["x"]) == 2 else 0.0)}

    def text(inputs: Arrays) -> Arrays:
        return {"y": np.full(len(inputs["x"]), "b" if len(inputs["x"]) == 2 else "a", object)}

    for run in (zero, text):
        found = stability.check_batches(run, x(20))
        assert (found.identical, found.max_absolute) == (False, 0.0)


@given(st.lists(st.tuples(*[st.sampled_from([0.0, 1.5, np.nan, np.inf])] * 2), min_size=1, max_size=20))
def test_rows_that_other_threads_change_are_counted_and_nan_is_itself(pairs: list[tuple[float, float]]) -> None:
    one, more = ([{"y": np.array(side)}] for side in zip(*pairs, strict=True))
    inputs = {"x": np.zeros((len(pairs), 1))}
    found = stability.check_threads(lambda _: one[0], lambda _: more[0], inputs, 2)
    assert (found.threads, found.rows) == (2, len(pairs))
    assert found.changed == sum(str(left) != str(right) for left, right in pairs)


def test_a_row_that_changes_in_two_outputs_is_counted_once_with_the_largest_difference() -> None:
    one = {"label": np.array([0, 1, 1]), "y": np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])}
    more = {"label": np.array([1, 0, 1]), "y": np.array([[0.0, 1.0], [2.25, 3.5], [4.0, 5.125]])}
    found = stability.check_threads(lambda _: one, lambda _: more, {"x": np.zeros((3, 1))}, 2)
    assert (found.changed, found.max_absolute) == (3, 0.5)


def test_outputs_of_random_nodes_change_from_call_to_call(tmp_path: Path) -> None:
    assert stability.changing_outputs(runner(tiny_models.noisy(tmp_path / "p")), x(4)) == {"y"}


def test_outputs_of_other_graphs_do_not_change(tmp_path: Path) -> None:
    inputs = {"x": np.ones((4, 4), np.float32)}
    assert stability.changing_outputs(runner(tiny_models.linear(tmp_path / "p")), inputs) == frozenset()


def test_an_output_that_changes_at_the_third_call_only_is_changing() -> None:
    calls = iter(range(3))
    assert stability.changing_outputs(lambda _: {"a": np.zeros(2), "b": np.array([next(calls) // 2])}, {}) == {"b"}


def test_a_model_of_rows_is_padded_just_where_that_makes_a_single_row_identical() -> None:
    def checked(run: Callable[[Arrays], Arrays]) -> tuple[bool | None, bool]:
        found = stability.check(run, run, run, x(50), more_threads=2, with_rows=True)
        return found.rows_identical, found.pad

    assert checked(row_by_row) == (True, False)
    assert checked(by_size(1)) == (True, True)
    assert checked(by_size(5)) == (False, False)


def test_a_model_without_rows_is_not_cut_into_batches() -> None:
    found = stability.check(by_size(1), by_size(1), by_size(), x(1), more_threads=2, with_rows=False)
    assert (found.batches, found.rows_identical, found.pad) == (None, None, False)
    assert (found.threads.changed, found.threads.max_absolute) == (1, 0.5)
