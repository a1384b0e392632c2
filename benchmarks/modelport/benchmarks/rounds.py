"""Sides of a comparison measured in turn, round by round, so that what disturbs one disturbs the others too.

A side's figures are the best of its rounds: the median of its calls, and how many calls it answers a second; what
counts is the ratio of the medians to the first side.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from modelport.benchmarks.http_load import Measured

ROUNDS: Final = 7
_T = TypeVar("_T")


class Round(NamedTuple):
    """One round of one side: the median microseconds of a call, and calls a second."""

    median: float
    per_second: float


Rounds = dict[str, list[Round]]


def alternate(sides: Mapping[str, Any], measure: Callable[[Any], _T], rounds: int = ROUNDS) -> dict[str, list[_T]]:
    """Measure all sides in turn, round by round; one more round before them warms up."""
    found: dict[str, list[_T]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            value = measure(side)
            if number:
                found[name].append(value)
    return found


def called(call: Callable[[], Any], times: int) -> Round:
    """Call so many times, and measure each."""
    each = np.empty(times)
    began = time.perf_counter()
    for number in range(times):
        start = time.perf_counter()
        call()
        each[number] = time.perf_counter() - start
    return Round(float(np.median(each)) * 1e6, times / (time.perf_counter() - began))


def loaded(done: Measured) -> Round:
    """Return what a load over HTTP comes to."""
    return Round(float(np.median(done.latencies)) * 1e6, done.per_second)


def best(rounds: list[Round]) -> Round:
    """Return the least median and the highest rate."""
    return Round(min(each.median for each in rounds), max(each.per_second for each in rounds))


def show(title: str, rounds: Rounds) -> None:
    """Print a block of the table."""
    print(f"\n{title:<34}{'p50, us':>12}{'calls/s':>12}{'ratio':>9}")
    figures = {name: best(values) for name, values in rounds.items()}
    first = next(iter(figures.values()))
    for name, (median, rate) in figures.items():
        print(f"  {name:<32}{median:>12,.1f}{rate:>12,.0f}{median / first.median:>8.2f}x")
