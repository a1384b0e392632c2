"""The application answers every request, and none makes the others wait for long."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING

import pytest
import tiny_models
from rsgi import Request, Setup

from modelport.runtime import load
from modelport.runtime.dataplane.pace import SMALL

if TYPE_CHECKING:
    from modelport.runtime import Scorer

INFER = "/v2/models/linear/infer"
BODY = json.dumps({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}).encode()
LARGE = BODY + b" " * SMALL


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    return load(tiny_models.linear(tmp_path_factory.mktemp("packages") / "linear"))


@pytest.fixture
def setup(scorer: Scorer) -> Setup:
    return Setup(scorer, max_body_bytes=1 << 20)


def test_a_large_request_does_not_make_health_wait(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    setup.watch(monkeypatch, lambda: go_on.wait(30))

    async def story() -> tuple[Request, Request]:
        scoring = asyncio.create_task(setup.answer(Request("POST", INFER, LARGE)))
        health = await setup.answer(Request("GET", "/v2/health/live"))
        assert not scoring.done()
        go_on.set()
        return health, await scoring

    health, scored = asyncio.run(story())
    assert (health.status, scored.status) == (200, 200)


def test_a_quick_request_is_answered_where_it_arrives(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    setup.watch(monkeypatch, lambda: threads.append(threading.get_ident()))
    assert asyncio.run(setup.answer(Request("POST", INFER, BODY))).status == 200
    assert asyncio.run(setup.answer(Request("POST", INFER, LARGE))).status == 200
    assert threads[0] == threading.get_ident() != threads[1]


def test_what_fails_is_counted_by_its_reason_wherever_it_fails(setup: Setup) -> None:
    for request in (
        Request("POST", INFER, b"{"),
        Request("POST", INFER, b" " * (1 << 21)),
        Request("POST", INFER, BODY.replace(b"FP32", b"FP64")),
        Request("POST", "/v2/models/other/infer", BODY),
        Request("GET", INFER),
    ):
        asyncio.run(setup.answer(request))
    asyncio.run(setup.answer(Request("POST", INFER, BODY)))
    counts = setup.plane.observer.read()
    assert counts.failed == {"InvalidInputError": 2, "BodyTooLargeError": 1, "UnknownNameError": 1}
    assert (counts.succeeded, counts.rows) == (1, 1)
    assert (setup.traffic.begun, setup.traffic.answered) == (6, 6)


def test_while_it_drains_every_answer_closes_its_connection(setup: Setup) -> None:
    assert "connection" not in asyncio.run(setup.answer(Request("POST", INFER, BODY))).answer_headers
    setup.plane.drain()
    for request in (Request("POST", INFER, BODY), Request("GET", "/v2/health/ready"), Request("GET", "/")):
        assert asyncio.run(setup.answer(request)).answer_headers["connection"] == "close"


def test_what_nobody_thought_of_is_answered_with_an_id(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("/srv/secret")

    setup.watch(monkeypatch, fail)
    failed = asyncio.run(setup.answer(Request("POST", INFER, BODY)))
    assert failed.status == 500
    assert "secret" not in failed.answer["error"]
    assert setup.plane.observer.read().failed == {"RuntimeError": 1}


QUICK = 0.004


class Crowd(Request):
    """A request of several that come at once: its body is there a moment after its head."""

    async def __call__(self) -> bytes:
        await asyncio.sleep(0)
        return await super().__call__()


def test_between_quick_requests_that_wait_others_are_heard(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = Setup(scorer, floor=QUICK)
    happened: list[str] = []
    others: list[asyncio.Task[None]] = []

    async def ask_for_health() -> None:
        happened.append(f"health {(await setup.answer(Request('GET', '/v2/health/live'))).status}")

    def score() -> None:
        happened.append("scored")
        if not others:
            others.append(asyncio.get_running_loop().create_task(ask_for_health()))

    async def story() -> list[Request]:
        return await asyncio.gather(*(setup.answer(Crowd("POST", INFER, BODY)) for _ in range(10)))

    setup.watch(monkeypatch, score)
    assert {request.status for request in asyncio.run(story())} == {200}
    assert happened.count("scored") == 10
    assert happened.index("health 200") < 5


def test_quick_requests_that_wait_are_scored_in_the_order_in_which_they_came(
    scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = Setup(scorer, floor=QUICK)
    came = [str(number) for number in range(10)]
    scored: list[str] = []
    infer = setup.plane.infer
    monkeypatch.setattr(setup.plane, "infer", lambda request: scored.append(request.id) or infer(request))
    given = json.loads(BODY)

    async def story() -> None:
        requests = [Crowd("POST", INFER, json.dumps({**given, "id": name}).encode()) for name in came]
        await asyncio.gather(*map(setup.answer, requests))

    asyncio.run(story())
    assert scored == came


def test_a_quick_request_that_is_given_up_while_it_waits_leaves_the_others_their_turn(scorer: Scorer) -> None:
    setup = Setup(scorer, floor=QUICK)

    async def story() -> list[Request]:
        tasks = [asyncio.create_task(setup.answer(Crowd("POST", INFER, BODY))) for _ in range(10)]
        await asyncio.sleep(0)  # they have begun
        await asyncio.sleep(0)  # they wait
        assert setup.app._admission.waiting == len(tasks)
        for task in tasks[4:7]:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in done[4:7]] == [asyncio.CancelledError] * 3
        return [each for each in done if isinstance(each, Request)]

    assert [request.status for request in asyncio.run(story())] == [200] * 7
    assert (setup.app._admission.waiting, setup.app._admission._backlog) == (0, 0.0)
