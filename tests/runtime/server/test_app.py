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
