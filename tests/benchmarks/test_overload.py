"""What an overloaded server did is told as it was."""

from __future__ import annotations

import numpy as np
import pytest

from modelport.benchmarks.open_loop import LOST, Sent
from modelport.benchmarks.overload import Figures, Round, figures_of, verdict


def figures(load: float, **changes: float) -> Figures:
    made = Figures(load, 300.0, 95.0, 0.6, 0.1, 0.12, 0.005, 0, 0.0)
    return made._replace(**changes)  # type: ignore[arg-type]


def test_only_what_came_after_the_warm_up_counts() -> None:
    scheduled = np.arange(12) * 0.25
    statuses = np.array([500] * 4 + [200, 429] * 4)
    latencies = np.where(statuses == 200, 0.01, 0.002)
    sent = Sent(scheduled, np.full(12, 0.001), latencies, statuses)
    found = figures_of(sent, 3.0, warm=1.0)
    assert found == Figures(3.0, 8 / 1.75, 4 / 1.75, 0.5, 0.01, 0.01, 0.002, 0, 0.001)


def test_whatever_is_neither_answered_nor_refused_is_lost() -> None:
    statuses = np.array([200, 429, 500, LOST])
    sent = Sent(np.arange(4.0), np.zeros(4), np.array([0.1, 0.1, 0.1, np.nan]), statuses)
    assert figures_of(sent, 1.0, warm=0.0).lost == 2


def test_where_nobody_was_refused_there_is_no_wait_of_the_refused() -> None:
    sent = Sent(np.arange(4.0), np.zeros(4), np.full(4, 0.1), np.full(4, 200))
    assert figures_of(sent, 0.5, warm=0.0).refused_p99 == 0.0


def test_the_peak_is_the_best_of_all_loads() -> None:
    assert Round(90.0, [figures(1.0, goodput=99.0), figures(3.0)]).peak == 99.0
    assert Round(101.0, [figures(1.0, goodput=99.0), figures(3.0)]).peak == 101.0


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({}, []),
        ({"goodput": 89.0}, ["goodput at 3x: expected at least 90% of the peak, got 89.0%"]),
        ({"p99": 0.1501}, ["p99 of what was accepted: expected at most 150 ms, got 150.1"]),
        ({"lost": 2}, ["requests: expected each to be answered with 200 or 429, got 2 that were not"]),
    ],
)
def test_a_server_fails_by_what_it_does_not_hold(changes: dict[str, float], failed: list[str]) -> None:
    assert verdict([Round(100.0, [figures(1.0), figures(3.0, **changes)])]) == failed


def test_the_medians_of_the_rounds_count() -> None:
    good, bad = Round(100.0, [figures(3.0)]), Round(100.0, [figures(3.0, goodput=50.0, p99=1.0)])
    assert verdict([bad, good, good]) == []
    assert len(verdict([bad, good, bad])) == 2


def test_what_is_lost_in_any_round_counts() -> None:
    good = Round(100.0, [figures(3.0)])
    assert len(verdict([good, Round(100.0, [figures(0.5, lost=1), figures(3.0)])])) == 1
