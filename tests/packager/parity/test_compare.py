"""Two answers agree where they should: labels exactly with ties apart, numbers within a tolerance."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from modelport.packager.parity.compare import bounded, compare, histogram, summary, tolerance_for
from modelport.runtime.package import Tolerance

LARGEST = float(np.finfo(np.float64).max)
SPECIAL = [0.0, -0.0, 1.0, -1.0, math.nan, math.inf, -math.inf]
MARGINS = [0.0, 9e-7, 1.1e-6, 0.5, math.inf]
TOLERANCE = Tolerance(1e-5, 1e-5)
shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6)
anything = hnp.arrays(np.float64, shapes)
tame = st.floats(-1e6, 1e6, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-12)


def numbers(expected: Any, got: Any, tolerance: Tolerance = TOLERANCE) -> Any:
    return compare(np.asarray(expected), np.asarray(got), tolerance, None, numbers=True)


def labels(expected: Any, got: Any, behind: Any = None) -> Any:
    margins = None if behind is None else np.asarray(behind, np.float64)
    return compare(np.asarray(expected), np.asarray(got), Tolerance(0.0, 0.0), margins, numbers=False)


def slowly(expected: float, got: float, tolerance: Tolerance) -> tuple[float, bool]:
    """Return difference and whether it is wrong, in plain Python."""
    if expected == got or (math.isnan(expected) and math.isnan(got)):
        return 0.0, False
    if not (math.isfinite(expected) and math.isfinite(got)):
        return math.inf, True
    difference = abs(got - expected)
    return difference, difference > tolerance.absolute + tolerance.relative * abs(expected)


@given(anything)
def test_numbers_agree_with_themselves_be_they_nan_or_infinite(array: Any) -> None:
    found = numbers(array, array.copy(), Tolerance(0.0, 0.0))
    assert not found.wrong.any()
    assert not found.tied.any()
    assert found.difference.tolist() == found.relative.tolist() == [0.0] * len(array)


@given(tame, st.floats(1.001, 1e6), st.sampled_from([-1, 1]), st.integers(0, 4), st.integers(0, 2))
def test_a_difference_above_the_tolerance_counts_in_its_row_alone(
    value: float, times: float, sign: int, row: int, column: int
) -> None:
    expected = np.full((5, 3), value)
    got = expected.copy()
    got[row, column] += sign * times * (TOLERANCE.absolute + TOLERANCE.relative * abs(value))
    assert np.flatnonzero(numbers(expected, got).wrong).tolist() == [row]


@given(tame, st.floats(0, 0.999), st.sampled_from([-1, 1]))
def test_a_difference_below_the_tolerance_does_not_count(value: float, times: float, sign: int) -> None:
    got = value + sign * times * (TOLERANCE.absolute + TOLERANCE.relative * abs(value))
    assert not numbers([[value]], [[got]]).wrong.any()


@pytest.mark.parametrize(("expected", "got"), list(itertools.product(SPECIAL, SPECIAL)))
def test_nan_and_infinity_agree_only_with_themselves(expected: float, got: float) -> None:
    found = numbers([[expected]], [[got]])
    same = expected == got or (math.isnan(expected) and math.isnan(got))
    assert found.wrong.tolist() == [not same]
    if not (math.isfinite(expected) and math.isfinite(got)):
        assert found.difference.tolist() == [0.0 if same else math.inf]


@given(st.data(), st.floats(0, 10), st.floats(0, 1))
def test_a_row_counts_as_plain_python_counts_it(data: st.DataObject, absolute: float, relative: float) -> None:
    expected = data.draw(hnp.arrays(np.float64, shapes, elements=tame | st.sampled_from(SPECIAL)))
    got = data.draw(hnp.arrays(np.float64, expected.shape, elements=tame | st.sampled_from(SPECIAL)))
    tolerance = Tolerance(absolute, relative)
    found = numbers(expected, got, tolerance)
    for row in range(len(expected)):
        each = [slowly(e, g, tolerance) for e, g in zip(expected[row].tolist(), got[row].tolist(), strict=True)]
        assert found.difference[row] == max(difference for difference, _ in each)
        assert found.wrong[row] == any(wrong for _, wrong in each)


def test_float32_is_compared_with_every_digit_of_the_original() -> None:
    tolerance = Tolerance(1e-9, 0.0)
    assert numbers([[0.1]], np.array([[0.1]], np.float32), tolerance).wrong.tolist() == [True]


def test_an_output_without_columns_agrees() -> None:
    found = numbers(np.zeros((3, 0)), np.zeros((3, 0), np.float32))
    assert (found.difference.tolist(), found.wrong.tolist()) == ([0.0] * 3, [False] * 3)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from(MARGINS)), min_size=1))
def test_a_differing_label_is_wrong_unless_its_score_is_within_a_millionth(rows: list[tuple[int, int, float]]) -> None:
    expected, got, behind = zip(*rows, strict=True)
    found = labels(expected, got, behind)
    assert found.tied.tolist() == [e != g and b < 1e-6 for e, g, b in rows]
    assert found.wrong.tolist() == [e != g and b > 1e-6 for e, g, b in rows]
    assert found.difference.tolist() == [float(e != g) for e, g, _ in rows]


def test_without_scores_no_differing_label_is_a_tie() -> None:
    found = labels(np.array(["a", "b"], object), np.array(["a", "c"], object))
    assert (found.wrong.tolist(), found.tied.tolist()) == ([False, True], [False, False])


def test_probabilities_may_be_off_by_1e_5_whatever_their_values() -> None:
    assert tolerance_for("probabilities", np.array([[0.5, 0.5], [0.0, 1.0]])) == Tolerance(1e-5, 0.0)


@pytest.mark.parametrize("array", [np.array([1, 2]), np.array(["a", "b"], object), np.array([True])])
def test_labels_have_no_tolerance(array: Any) -> None:
    assert tolerance_for("label", array) == Tolerance(0.0, 0.0)


@given(hnp.arrays(np.float64, st.integers(2, 20), elements=tame), st.lists(st.sampled_from(SPECIAL[4:])))
def test_other_numbers_may_be_off_by_1e_5_of_their_deviation_and_value(array: Any, more: list[float]) -> None:
    found = tolerance_for("prediction", np.append(array, more).reshape(-1, 1))
    assert found.relative == 1e-5
    if np.ptp(array) > 1e-3:
        assert found.absolute == pytest.approx(1e-5 * np.std(array))


def test_of_a_constant_output_the_value_stands_for_the_deviation() -> None:
    assert tolerance_for("prediction", np.full((3, 1), -4.0)) == Tolerance(4e-5, 1e-5)
    assert tolerance_for("prediction", np.full((3, 1), np.nan)) == Tolerance(0.0, 1e-5)


@given(hnp.arrays(np.float64, st.integers(0, 60), elements=st.floats(min_value=0)))
def test_every_difference_lies_between_the_edges_of_its_count(difference: Any) -> None:
    found = histogram(difference)
    assert found.zero + sum(found.counts) == len(difference)
    ends = (0.0, *found.edges, math.inf)
    for low, high, count in zip(ends[:-1], ends[1:], found.counts, strict=True):
        inside = [
            each for each in difference.tolist() if each > 0 and low <= each and (each < high or high == math.inf)
        ]
        assert count == len(inside)


def test_the_edges_of_the_histogram_are_powers_of_ten() -> None:
    edges = histogram(np.zeros(1)).edges
    assert np.log10(edges) == pytest.approx(np.arange(round(np.log10(edges[0])), round(np.log10(edges[-1])) + 1))


@given(hnp.arrays(np.float64, st.integers(1, 3000), elements=tame, fill=st.just(0.0)))
def test_at_most_a_thousandth_of_the_rows_is_above_the_percentile(got: Any) -> None:
    found = summary("y", numbers(np.zeros((len(got), 1)), got.reshape(-1, 1)), TOLERANCE, numbers=True)
    difference = np.abs(got)
    assert found.max_absolute == difference.max()
    assert found.p999_absolute in difference
    assert np.count_nonzero(difference > found.p999_absolute) <= len(got) / 1000
    assert found.histogram == histogram(difference)


def test_numbers_are_summed_up_with_the_tolerance_that_they_were_judged_by() -> None:
    expected = np.array([[1.0, 100.0], [2.0, 200.0], [3.0, 300.0]])
    got = expected + np.array([[0.0, 0.0], [0.5, 0.0], [1e-7, 0.0]])
    found = summary("y", numbers(expected, got), TOLERANCE, numbers=True)
    assert (found.kind, found.rows, found.over_tolerance) == ("number", 3, 1)
    assert (found.absolute_tolerance, found.relative_tolerance) == (1e-5, 1e-5)
    assert (found.max_absolute, found.max_relative) == (0.5, 0.25)


def test_next_to_nothing_beside_zero_is_no_relative_difference() -> None:
    found = summary("y", numbers([[0.0], [2.0]], [[1e-30], [2.5]]), TOLERANCE, numbers=True)
    assert found.max_relative == 0.25


def test_labels_are_summed_up_as_mismatches_and_ties() -> None:
    found = summary("label", labels([0, 0, 1, 1], [1, 0, 0, 1], [0.2, 0, 0, 0]), Tolerance(0.0, 0.0), numbers=False)
    assert (found.kind, found.rows, found.mismatches, found.ties, found.histogram) == ("label", 4, 1, 1, None)


def test_an_infinite_difference_is_a_number_that_json_holds() -> None:
    found = summary("y", numbers([[1.0]], [[np.nan]]), TOLERANCE, numbers=True)
    assert found.max_absolute == found.p999_absolute == bounded(math.inf) == LARGEST
    assert (found.over_tolerance, sum(found.histogram.counts)) == (1, 1)


@pytest.mark.parametrize("expected", [np.nan, np.inf])
def test_a_number_where_the_original_has_none_is_off_by_the_largest_that_json_holds(expected: float) -> None:
    tolerance = Tolerance(1e-5, 0)
    found = summary(
        "y", compare(np.array([[expected]]), np.array([[1.0]]), tolerance, None, numbers=True), tolerance, numbers=True
    )
    largest = float(np.finfo(np.float64).max)
    assert (found.over_tolerance, found.max_absolute, found.max_relative) == (1, largest, largest)


def test_the_tolerance_of_very_large_numbers_is_finite() -> None:
    assert tolerance_for("y", np.array([1e200, 3e200])).absolute == pytest.approx(1e195)


def test_differences_beyond_float64_are_compared_in_silence() -> None:
    tolerance = Tolerance(1e-5, 0)
    assert compare(np.array([[5e-324]]), np.array([[-5e-06]]), tolerance, None, numbers=True).wrong.tolist() == [False]
    assert compare(np.array([[1.7e308]]), np.array([[-1.7e308]]), tolerance, None, numbers=True).wrong.tolist() == [
        True
    ]
