"""Sides are measured in turn, and told by the best of their rounds."""

from __future__ import annotations

import pytest

from modelport.benchmarks.http_load import Measured
from modelport.benchmarks.rounds import Round, alternate, best, called, loaded, show


def test_all_sides_take_their_turn_in_every_round_and_the_first_round_is_not_kept() -> None:
    asked: list[str] = []

    def measure(side: str) -> int:
        asked.append(side)
        return len(asked)

    assert alternate({"one": "a", "other": "b"}, measure, rounds=2) == {"one": [3, 5], "other": [4, 6]}
    assert asked == ["a", "b"] * 3


def test_the_best_median_and_the_best_rate_may_be_of_different_rounds() -> None:
    assert best([Round(2.0, 10.0), Round(1.0, 5.0)]) == Round(1.0, 10.0)


def test_a_load_comes_to_its_median_in_microseconds_and_its_rate() -> None:
    found = loaded(Measured([0.001, 0.003, 0.002], 0.5))
    assert found.median == pytest.approx(2000.0)
    assert found.per_second == 6.0


def test_a_call_is_made_as_often_as_is_said() -> None:
    calls: list[None] = []
    assert called(lambda: calls.append(None), 7).median > 0
    assert len(calls) == 7


def test_a_block_shows_the_ratio_to_its_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    show("title", {"one": [Round(10.0, 1000.0)], "other": [Round(25.0, 400.0), Round(30.0, 500.0)]})
    assert capsys.readouterr().out == (
        "\ntitle                                  p50, us     calls/s    ratio\n"
        "  one                                     10.0       1,000    1.00x\n"
        "  other                                   25.0         500    2.50x\n"
    )
