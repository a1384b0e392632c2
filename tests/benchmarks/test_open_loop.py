"""The open-loop generator sends by its schedule, whatever the server does."""

from __future__ import annotations

import answering
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.benchmarks import http_load, open_loop


def plan_for(server: answering.Server, path: str = "/", **changes: float) -> open_loop.Plan:
    request = http_load.request_bytes(path, b"{}")
    plan = open_loop.Plan("127.0.0.1", server.server_port, request, rate=200.0, seconds=0.5, connections=8)
    return plan._replace(**changes)  # type: ignore[arg-type]


@given(st.floats(1, 1000), st.floats(0.1, 10), st.integers(0, 9))
def test_arrivals_are_in_order_within_their_time_and_the_same_for_a_seed(
    rate: float, seconds: float, seed: int
) -> None:
    moments = open_loop.arrivals(rate, seconds, seed)
    assert np.all(np.diff(moments) >= 0)
    assert np.all((moments >= 0) & (moments <= seconds))
    assert np.array_equal(moments, open_loop.arrivals(rate, seconds, seed))


def test_arrivals_come_at_the_rate_and_are_as_irregular_as_poissons() -> None:
    moments = open_loop.arrivals(1000.0, 100.0, 0)
    gaps = np.diff(moments)
    assert len(moments) == pytest.approx(100_000, rel=0.02)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.02)


@pytest.mark.parametrize("closes", [False, True])
def test_every_request_of_the_schedule_is_sent_once_and_its_answer_noted(closes: bool) -> None:
    with answering.answering(closes=closes) as server:
        plan = plan_for(server)
        sent = open_loop.send(plan)
        assert len(server.bodies) == len(sent.scheduled)
    assert np.array_equal(sent.scheduled, open_loop.arrivals(plan.rate, plan.seconds, plan.seed))
    assert set(sent.statuses) == {200}
    assert np.all(sent.late >= 0)
    assert np.all(sent.latencies >= sent.late)


def test_refusals_are_noted_as_such() -> None:
    with answering.answering() as server:
        assert set(open_loop.send(plan_for(server, "/429")).statuses) == {429}


def test_a_slow_server_does_not_slow_the_schedule_and_the_wait_counts_from_it() -> None:
    with answering.answering(seconds=0.2) as server:
        one = open_loop.send(plan_for(server, rate=50.0, connections=1))
        many = open_loop.send(plan_for(server, rate=50.0, connections=64))
    assert np.all(np.diff(one.latencies) > 0)  # each waits for all before it
    assert one.late.max() > one.latencies.max() - 0.4
    assert np.all(many.latencies >= 0.2)
    assert np.median(many.latencies) < np.median(one.latencies)


def test_requests_that_get_no_answer_are_lost_and_the_others_are_not() -> None:
    with answering.answering() as server:
        sent = open_loop.send(plan_for(server, "/hang-up"))
    assert set(sent.statuses) == {open_loop.LOST}
    assert np.all(np.isnan(sent.latencies))
    assert not np.any(np.isnan(sent.late))


def test_a_process_of_its_own_sends_the_same() -> None:
    with answering.answering() as server:
        plan = plan_for(server, rate=50.0)
        sent = open_loop.send_beside(plan)
        assert len(server.bodies) == len(sent.scheduled)
    assert set(sent.statuses) == {200}
