"""Quick requests are told from slow ones by what was measured."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from modelport.runtime.dataplane import Pace
from modelport.runtime.dataplane.pace import BUDGET, SMALL

SIZES = st.integers(0, 1 << 40)


def test_before_anything_is_known_the_small_are_taken_for_quick() -> None:
    pace = Pace()
    assert pace.is_quick(SMALL)
    assert not pace.is_quick(SMALL + 1)


def test_a_model_that_is_known_to_be_slow_has_no_quick_requests() -> None:
    assert not Pace(floor=2 * BUDGET).is_quick(1)


@given(SIZES, st.floats(0, BUDGET))
def test_a_large_request_that_was_quick_is_taken_for_quick(size: int, seconds: float) -> None:
    pace = Pace(floor=2 * BUDGET)
    pace.observe(size, seconds)
    assert pace.is_quick(size)


@given(SIZES, st.floats(BUDGET, 100, exclude_min=True))
def test_a_size_that_took_long_is_slow_until_it_is_seen_to_be_quick(size: int, seconds: float) -> None:
    pace = Pace()
    pace.observe(size, seconds)
    assert not pace.is_quick(size)
    while not pace.is_quick(size):
        pace.observe(size, 0.0)


@given(SIZES, st.floats(0, BUDGET / 2))
def test_one_request_that_had_to_wait_makes_no_model_slow(size: int, seconds: float) -> None:
    pace = Pace()
    pace.observe(size, seconds)
    pace.observe(size, 3 * BUDGET)
    assert pace.is_quick(size)


def test_other_sizes_are_not_touched() -> None:
    pace = Pace()
    pace.observe(1_000_000, 1.0)
    assert pace.is_quick(1_000)
