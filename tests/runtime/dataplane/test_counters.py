"""What the data plane does is counted, and the count can be read as a value."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from modelport.runtime.dataplane import Counters, Counts, Served
from modelport.runtime.errors import InvalidInputError, NotReadyError

MODEL = Served("linear", "1")


def test_a_new_counter_has_counted_nothing() -> None:
    assert Counters().read() == Counts(succeeded=0, failed={}, rows=0, infer_ns=0, score_ns=0)


def test_failures_are_counted_by_the_class_of_their_error() -> None:
    counters = Counters()
    for error in (InvalidInputError("a"), NotReadyError("b"), InvalidInputError("c")):
        counters.fail(MODEL, error)
    assert counters.read().failed == {"InvalidInputError": 2, "NotReadyError": 1}


def test_what_was_read_does_not_change_afterwards() -> None:
    counters = Counters()
    counters.fail(MODEL, InvalidInputError("a"))
    before = counters.read()
    counters.fail(MODEL, InvalidInputError("b"))
    assert before.failed == {"InvalidInputError": 1}


def test_threads_lose_no_count() -> None:
    counters = Counters()

    def count(_: int) -> None:
        for _ in range(500):
            counters.succeed(MODEL, rows=3, infer_ns=20, score_ns=10)
            counters.fail(MODEL, InvalidInputError("a"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(8)))
    assert counters.read() == Counts(
        succeeded=4_000, failed={"InvalidInputError": 4_000}, rows=12_000, infer_ns=80_000, score_ns=40_000
    )
