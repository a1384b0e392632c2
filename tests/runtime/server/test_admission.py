"""Who cannot be served in time is sent away at once, and told when to come back; the others are served."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import exposition
import numpy as np
import pytest
import servers
import slow_models
import tiny_models
from gates import Gate
from hypothesis import given, settings
from hypothesis import strategies as st
from rsgi import Request, Setup

from modelport.runtime import load
from modelport.runtime.client import Model
from modelport.runtime.dataplane import UNKNOWN
from modelport.runtime.server.admission import Admission
from modelport.runtime.server.errors import OverloadedError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from servers import Answer

    from modelport.runtime import Scorer

INFER = "/v2/models/linear/infer"
BODY = json.dumps({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}).encode()
SECONDS = st.floats(0, 100)


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    return load(tiny_models.linear(tmp_path_factory.mktemp("packages") / "linear"))


@given(SECONDS, SECONDS)
def test_whoever_comes_when_nobody_waits_is_admitted_however_long_it_takes(limit: float, expected: float) -> None:
    admission = Admission(1, limit)
    with admission.admit(expected):
        assert admission.waiting == 1
    with admission.admit(expected):
        assert admission.waiting == 1


def test_one_more_than_may_wait_is_refused_until_a_place_is_free() -> None:
    admission = Admission(2, 100.0)
    with admission.admit(1.5):
        with admission.admit(1.0):
            message = "^server: expected at most 2 requests to wait, got one more$"
            with pytest.raises(OverloadedError, match=message) as refused:
                admission.admit(1.0)
            assert refused.value.retry_after == 3
        with admission.admit(1.0):
            pass


def test_one_that_would_wait_too_long_is_refused_until_there_is_less_to_do() -> None:
    admission = Admission(100, 2.0)
    with admission.admit(1.5):
        with admission.admit(2.25):
            message = "^server: expected to begin within 2 s, got 3.75 s of work before it$"
            with pytest.raises(OverloadedError, match=message) as refused:
                admission.admit(0.0)
            assert refused.value.retry_after == 2
        with admission.admit(0.0):
            pass


def test_where_nobody_may_wait_the_second_is_refused() -> None:
    admission = Admission(100, 0.0)
    with (
        admission.admit(0.001),
        pytest.raises(OverloadedError, match=r"^server: expected to begin within 0 s, got 0\.001 s of work before it$"),
    ):
        admission.admit(0.001)


@given(st.lists(SECONDS, max_size=30), st.integers(1, 10), SECONDS)
def test_none_is_admitted_behind_more_than_the_limit_and_the_refused_come_back_when_there_is_less(
    requests: list[float], most: int, limit: float
) -> None:
    admission = Admission(most, limit)
    backlog: list[float] = []
    with contextlib.ExitStack() as places:
        for expected in requests:
            try:
                place = admission.admit(expected)
            except OverloadedError as error:
                assert len(backlog) == most or sum(backlog) > limit
                assert error.retry_after >= 1  # noqa: PT017
                assert sum(backlog) - error.retry_after <= limit + 1e-6  # noqa: PT017
            else:
                assert len(backlog) < most
                assert not backlog or sum(backlog) <= limit + 1e-6
                places.enter_context(place)
                backlog.append(expected)
    assert (admission.waiting, admission._backlog) == (0, 0.0)


@given(st.lists(st.tuples(SECONDS, st.integers(0, 99)), min_size=1, max_size=30))
def test_in_whatever_order_requests_end_nothing_of_them_is_left(requests: list[tuple[float, int]]) -> None:
    admission = Admission(100, 1e9)
    places = [(moment, admission.admit(expected)) for expected, moment in requests]
    for _, place in places:
        place.__enter__()
    ordered = sorted(places, key=lambda pair: pair[0])
    for left, (_, place) in zip(reversed(range(len(ordered))), ordered, strict=True):
        place.__exit__(None, None, None)
        assert admission.waiting == left
        assert admission._backlog >= 0.0
    assert admission._backlog == 0.0


def test_where_waits_are_longer_than_estimated_fewer_may_wait_until_nobody_does() -> None:
    admission = Admission(100, 1.0)
    with admission.admit(0.6):
        for _ in range(100):
            admission.learn(0.5, 1.0)
        message = r"^server: expected to begin within 1 s, got 1\.2 s of work before it$"
        with pytest.raises(OverloadedError, match=message) as refused:
            admission.admit(0.1)
        assert refused.value.retry_after == 1
    with admission.admit(0.6), admission.admit(0.1):
        pass


@given(st.lists(st.tuples(SECONDS, SECONDS), max_size=50), st.floats(0.01, 10))
def test_whatever_the_waits_were_an_estimate_is_never_shortened_nor_stretched_without_end(
    waits: list[tuple[float, float]], limit: float
) -> None:
    admission = Admission(100, limit)
    for before, waited in waits:
        admission.learn(before, waited)
    assert 1.0 <= admission._stretch <= 10.0


def test_a_long_stretch_is_unlearnt_from_those_who_are_still_admitted() -> None:
    admission = Admission(100, 1.0)
    with admission.admit(0.1):
        for _ in range(100):
            admission.learn(0.1, 100.0)
        with pytest.raises(OverloadedError), admission.admit(0.01), admission.admit(0.1):
            pass
        for _ in range(100):
            admission.learn(0.1, 0.1)
        with admission.admit(0.8), admission.admit(0.1):
            pass


class Held:
    """An application that has begun to score one request and goes on when it is told to; all others wait behind it."""

    def __init__(self, scorer: Scorer, monkeypatch: pytest.MonkeyPatch, **limits: float) -> None:
        self.setup = Setup(scorer, floor=UNKNOWN, max_body_bytes=1 << 16, **limits)
        self._begun, self.go_on = threading.Event(), threading.Event()
        self.setup.watch(monkeypatch, self._hold)
        self.first: asyncio.Task[Request] | None = None

    def _hold(self) -> None:
        self._begun.set()
        self.go_on.wait(60)

    async def begin(self) -> None:
        self.first = asyncio.create_task(self.setup.answer(Request("POST", INFER, BODY)))
        await asyncio.to_thread(self._begun.wait, 60)

    def run(self, story: Coroutine[Any, Any, None]) -> None:
        try:
            asyncio.run(story)
        finally:
            self.go_on.set()

    @property
    def waiting(self) -> int:
        return self.setup.app._admission.waiting

    async def queue(self, request: Request) -> asyncio.Task[Request]:
        """Have a request wait, or be refused."""
        task = asyncio.create_task(self.setup.answer(request))
        before = self.waiting
        while not task.done() and self.waiting == before:  # noqa: ASYNC110  the queue has no event
            await asyncio.sleep(0)
        return task


def test_behind_a_full_queue_come_429_and_the_answers_of_health_and_then_all_who_waited_are_served(
    scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(scorer, monkeypatch, max_pending=3)

    async def story() -> None:
        await held.begin()
        waiting = [await held.queue(Request("POST", INFER, BODY)) for _ in range(2)]
        refused = await held.setup.answer(Request("POST", INFER, BODY))
        assert refused.status == 429
        assert refused.answer == {"error": "server: expected at most 3 requests to wait, got one more"}
        assert refused.answer_headers["retry-after"] == "1"
        assert (await held.setup.answer(Request("GET", "/v2/health/ready"))).status == 200
        held.go_on.set()
        assert held.first is not None
        assert [request.status for request in await asyncio.gather(held.first, *waiting)] == [200, 200, 200]

    held.run(story())
    counts = held.setup.plane.observer.read()
    assert (counts.succeeded, counts.failed) == (3, {"OverloadedError": 1})


FATES = ("served", "malformed", "too large", "unknown", "leaves", "cancelled")


def request_of(fate: str) -> Request:
    path = "/v2/models/other/infer" if fate == "unknown" else INFER
    return Request("POST", path, {"malformed": b"{", "too large": b" " * (1 << 17)}.get(fate, BODY))


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(FATES), st.integers(0, 99)), max_size=8))
def test_whatever_becomes_of_those_who_wait_in_the_end_nobody_waits_and_nothing_is_to_be_done(
    scorer: Scorer, moments: list[tuple[str, int]]
) -> None:
    fates = [fate for fate, _ in moments]

    async def story(held: Held) -> None:
        await held.begin()
        queued = []
        for fate in fates:
            request = request_of(fate)
            queued.append((fate, request, await held.queue(request)))
        for _, (fate, request, task) in sorted(zip(moments, queued, strict=True), key=lambda pair: pair[0][1]):
            if fate == "leaves":
                request.leave()
                await task
            elif fate == "cancelled":
                task.cancel()
                await asyncio.wait([task])
        held.go_on.set()
        assert held.first is not None
        await asyncio.gather(held.first, *(task for fate, _, task in queued if fate != "cancelled"))
        statuses = [(fate, request.status) for fate, request, _ in queued]
        answers = {"served": 200, "malformed": 400, "too large": 413, "unknown": 404, "cancelled": 0}
        assert all(status == answers[fate] for fate, status in statuses if fate != "leaves")

    with pytest.MonkeyPatch.context() as monkeypatch:
        held = Held(scorer, monkeypatch)
        held.run(story(held))
    admission = held.setup.app._admission
    assert (admission.waiting, admission._backlog) == (0, 0.0)
    counts = held.setup.plane.observer.read()
    assert counts.succeeded == 1 + fates.count("served")
    assert counts.failed.get("DisconnectedError", 0) == fates.count("leaves")


def test_a_request_whose_client_leaves_while_it_is_scored_holds_its_place_until_it_ends(
    scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(scorer, monkeypatch)

    async def story() -> None:
        leaving = Request("POST", INFER, BODY)
        task = asyncio.create_task(held.setup.answer(leaving))
        await asyncio.to_thread(held._begun.wait, 60)
        leaving.leave()
        behind = await held.queue(Request("POST", INFER, BODY))
        assert held.waiting == 2
        held.go_on.set()
        assert [request.status for request in await asyncio.gather(task, behind)] == [200, 200]

    held.run(story())
    assert (held.setup.traffic.begun, held.setup.traffic.answered) == (2, 2)


def test_a_server_with_a_full_queue_refuses_says_that_it_lives_and_serves_all_who_wait(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    package = gate.put_into(tmp_path / "linear")
    with servers.serving(package, max_pending=2, max_queue_wait=60) as server, ThreadPoolExecutor(2) as clients:
        with gate.closed():
            first = clients.submit(server.ask, "/score", b"first")
            gate.wait_for_call("first")
            second = clients.submit(server.ask, "/score", b"second")
            exposition.wait_for(server, 2, "modelport_pending_requests")
            refused = server.ask("/score", b"third")
            assert refused.status == 429
            assert refused.json == {"message": "server: expected at most 2 requests to wait, got one more"}
            assert re.fullmatch("[1-9][0-9]*", refused.headers["retry-after"])
            assert server.ask("/v2/health/ready").status == 200
        assert [answer.result().json for answer in (first, second)] == ["first", "second"]
        assert gate.calls == ["first", "second"]


def test_of_a_crowd_some_are_served_and_the_others_know_when_to_come_back_and_who_does_is_served(
    tmp_path: Path,
) -> None:
    steps, crowd = 100_000, 16
    with servers.serving(slow_models.counting(tmp_path / "counting"), max_queue_wait=0.3) as server:
        assert server.ask(slow_models.INFER, slow_models.request(steps)).status == 200  # now it knows what one takes
        together = threading.Barrier(crowd)

        def ask(_: int) -> Answer:
            together.wait(60)
            return server.ask(slow_models.INFER, slow_models.request(steps))

        def score(_: int) -> int:
            with Model(f"http://{server.url}/v2/models/counting", attempts=100, timeout=100) as model:
                return int(model.score({"n": np.array([[steps]])})["y"][0, 0])

        with ThreadPoolExecutor(crowd) as clients:
            answers = list(clients.map(ask, range(crowd)))
            served = [answer for answer in answers if answer.status == 200]
            refused = [answer for answer in answers if answer.status == 429]
            assert len(served) + len(refused) == crowd
            assert all(answer.json["outputs"][0]["data"] == [steps] for answer in served)
            assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
            message = r"server: expected to begin within 0\.3 s, got \S+ s of work before it"
            assert all(re.fullmatch(message, answer.json["error"]) for answer in refused)
            assert 1 <= len(served) < crowd
            assert list(clients.map(score, range(6))) == [steps] * 6
        found = exposition.scrape(server)
        assert found.sum("modelport_request_success_total") == 1 + len(served) + 6
        assert found.sum("modelport_pending_requests") == 0
