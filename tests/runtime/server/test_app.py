"""The application answers every request, and none makes the others wait for long."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
import tiny_models
from rsgi import Headers

from modelport.runtime import load
from modelport.runtime.dataplane import DataPlane, ModelSlot, Pace
from modelport.runtime.dataplane.pace import SMALL
from modelport.runtime.server.app import App
from modelport.runtime.server.site import Site
from modelport.runtime.server.traffic import Traffic
from modelport.runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from modelport.runtime import Scorer

INFER = "/v2/models/linear/infer"
BODY = json.dumps({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}).encode()
LARGE = BODY + b" " * SMALL


class Request:
    """A request as RSGI gives it: scope and exchange in one."""

    def __init__(self, method: str, path: str, content: bytes = b"", **headers: str) -> None:
        self.method = method
        self.path = path
        self.query_string = ""
        self.client = "127.0.0.1:1"
        self.headers = Headers({"content-length": str(len(content)), **headers})
        self._content = content
        self.status = 0
        self.answer: dict[str, Any] = {}
        self.answer_headers: dict[str, str] = {}

    async def __call__(self) -> bytes:
        return self._content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content

    async def client_disconnect(self) -> None:
        await asyncio.Event().wait()

    def response_bytes(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.status, self.answer, self.answer_headers = status, json.loads(content), dict(headers)


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    return load(tiny_models.linear(tmp_path_factory.mktemp("packages") / "linear"))


class Setup:
    """An application and its parts."""

    def __init__(self, scorer: Scorer) -> None:
        self.plane = DataPlane(ModelSlot(scorer))
        self.traffic = Traffic()
        self.app = App(Site(self.plane), Pace(), self.traffic, Settings(package=("x",), max_body_bytes=1 << 20))

    async def answer(self, request: Request) -> Request:
        await self.app.__rsgi__(request, request)
        return request


@pytest.fixture
def setup(scorer: Scorer) -> Setup:
    return Setup(scorer)


def watch(setup: Setup, monkeypatch: pytest.MonkeyPatch, before: Any) -> None:
    """Call `before` whenever the data plane is about to score."""
    infer = setup.plane.infer

    def watched(request: Any) -> Any:
        before()
        return infer(request)

    monkeypatch.setattr(setup.plane, "infer", watched)


def test_a_large_request_does_not_make_health_wait(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    watch(setup, monkeypatch, lambda: go_on.wait(30))

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
    watch(setup, monkeypatch, lambda: threads.append(threading.get_ident()))
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

    watch(setup, monkeypatch, fail)
    failed = asyncio.run(setup.answer(Request("POST", INFER, BODY)))
    assert failed.status == 500
    assert "secret" not in failed.answer["error"]
    assert setup.plane.observer.read().failed == {"RuntimeError": 1}
