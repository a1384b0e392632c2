"""The ASGI application answers as the server does, wherever it is mounted and however a body comes."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import slow_models
import tiny_models

from modelport.runtime import load
from modelport.runtime.dataplane import Pace
from modelport.runtime.errors import InvalidInputError
from modelport.runtime.server.asgi import AsgiApp

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

INFER = "/v2/models/linear/infer"
ROW = [1.0, 2.5, 3.0, 4.0]
BODY = json.dumps({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": ROW}]}).encode()
GONE = {"type": "http.disconnect"}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.linear(tmp_path_factory.mktemp("packages") / "linear")


@pytest.fixture
def app(package: Path) -> AsgiApp:
    return AsgiApp(package)


class Exchange:
    """One request and its answer as an ASGI server has them; `messages` come one after the other, then nothing."""

    def __init__(self, method: str, path: str, *messages: dict[str, Any], **scope: Any) -> None:
        headers = scope.pop("headers", {})
        self.scope = {"type": "http", "http_version": "1.1", "method": method, "path": path, "query_string": b""}
        self.scope |= {"headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]} | scope
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for message in messages:
            self._messages.put_nowait(message)
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        return await self._messages.get()

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def leave(self) -> None:
        self._messages.put_nowait(GONE)

    async def through(self, app: AsgiApp) -> Exchange:
        await app(self.scope, self.receive, self.send)
        return self

    @property
    def unread(self) -> int:
        return self._messages.qsize()

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode("latin-1") for name, value in self.sent[0]["headers"]}

    @property
    def content(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])

    @property
    def json(self) -> Any:
        return json.loads(self.content)


def post(*pieces: bytes, path: str = INFER, **scope: Any) -> Exchange:
    """Return a request whose body comes in `pieces`, and which says how long it is."""
    length = {"content-length": str(sum(map(len, pieces)))}
    return Exchange("POST", path, *body(pieces), **{"headers": length, **scope})


def body(pieces: Iterable[bytes]) -> list[dict[str, Any]]:
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    return [*messages[:-1], {**messages[-1], "more_body": False}]


def answer(app: AsgiApp, exchange: Exchange) -> Exchange:
    return asyncio.run(exchange.through(app))


def failures(app: AsgiApp) -> dict[str, float]:
    """Return how many requests failed, by the class of their error."""
    (family,) = [family for family in app.site._metrics.collect() if family.name == "modelport_request_failure"]  # type: ignore[union-attr]
    return {sample.labels["reason"]: sample.value for sample in family.samples if sample.name.endswith("_total")}


@pytest.mark.parametrize(
    ("path", "root"),
    [("/v2", ""), ("/models/v2", "/models"), ("/v2", "/models"), ("/models/v2", "/models/"), ("/v2/v2", "/v2")],
)
def test_it_answers_below_the_place_where_it_is_mounted(app: AsgiApp, path: str, root: str) -> None:
    assert answer(app, Exchange("GET", path, root_path=root)).json["name"] == "modelport"


@pytest.mark.parametrize("path", ["/models", "/models/"])
def test_the_place_itself_is_its_home(app: AsgiApp, path: str) -> None:
    assert answer(app, Exchange("GET", path, root_path="/models")).content == b"Healthy"


def test_a_path_that_only_begins_as_the_place_is_another(app: AsgiApp) -> None:
    assert answer(app, Exchange("GET", "/models2/v2", root_path="/models")).status == 404


def test_the_answer_is_whole_and_says_how_long_it_is(app: AsgiApp, package: Path) -> None:
    exchange = answer(app, post(BODY))
    assert [message["type"] for message in exchange.sent] == ["http.response.start", "http.response.body"]
    assert (exchange.status, exchange.headers["content-length"]) == (200, str(len(exchange.content)))
    expected = load(package).score({"x": np.array([ROW], np.float32)})["y"]
    assert np.array(exchange.json["outputs"][0]["data"], np.float32).tobytes() == expected.tobytes()


@pytest.mark.parametrize("headers", [{"content-length": str(len(BODY))}, {"transfer-encoding": "chunked"}])
def test_a_body_in_many_pieces_is_one_body(app: AsgiApp, headers: dict[str, str]) -> None:
    pieces = [b"", *(bytes([byte]) for byte in BODY), b""]
    assert answer(app, post(*pieces, headers=headers)).content == answer(app, post(BODY)).content


def test_pieces_beyond_the_limit_are_refused_and_not_read_to_their_end(package: Path) -> None:
    exchange = post(*[b" " * 10] * 100, headers={"transfer-encoding": "chunked"})
    refused = answer(AsgiApp(package, max_body_bytes=25), exchange)
    assert (refused.status, refused.json) == (413, {"error": "body: expected at most 25 bytes, got more"})
    assert exchange.unread > 90


def test_a_get_needs_no_message(app: AsgiApp) -> None:
    assert answer(app, Exchange("GET", "/v2/health/ready")).status == 200


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"content-length": "100"}, "body: expected 100 bytes, got fewer"),
        (
            {"transfer-encoding": "chunked"},
            "body: expected chunks up to the last one, got broken or missing ones",
        ),
    ],
)
def test_a_client_that_leaves_half_way_is_counted_as_its_own_fault(
    app: AsgiApp, caplog: pytest.LogCaptureFixture, headers: dict[str, str], message: str
) -> None:
    half = {"type": "http.request", "body": BODY[:50], "more_body": True}
    exchange = answer(app, Exchange("POST", INFER, half, GONE, headers=headers))
    assert (exchange.status, exchange.json) == (400, {"error": message})
    assert failures(app) == {"InvalidInputError": 1}
    assert caplog.records == []


def hold(app: AsgiApp, monkeypatch: pytest.MonkeyPatch, go_on: threading.Event) -> threading.Event:
    """Have the data plane wait until `go_on` before it scores; return what says that it has begun to wait."""
    infer, begun = app.site.plane.infer, threading.Event()

    def held(request: Any) -> Any:
        begun.set()
        go_on.wait(60)
        return infer(request)

    monkeypatch.setattr(app.site.plane, "infer", held)
    return begun


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_client_that_leaves_while_it_waits_is_not_scored(
    app: AsgiApp, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    go_on = threading.Event()
    begun = hold(app, monkeypatch, go_on)
    monkeypatch.setattr(Pace, "is_quick", lambda *_: False)

    async def story() -> None:
        try:
            first = asyncio.create_task(post(BODY).through(app))
            await asyncio.to_thread(begun.wait, 60)
            leaving = post(BODY) if method == "POST" else Exchange("GET", "/score", *body([b""]))
            leaving.leave()
            await asyncio.wait_for(leaving.through(app), 60)
        finally:
            go_on.set()
        assert (await first).status == 200

    asyncio.run(story())
    assert failures(app) == {"DisconnectedError": 1}


def test_what_receive_raises_is_raised_for_those_around_the_application(app: AsgiApp) -> None:
    class TooMuchError(Exception):
        pass

    async def receive() -> dict[str, Any]:
        raise TooMuchError

    exchange = post(BODY)
    exchange.receive = receive  # type: ignore[method-assign]
    with pytest.raises(TooMuchError):
        answer(app, exchange)
    assert exchange.sent == []


@pytest.mark.parametrize("version", ["2", "3"])
def test_from_http_2_on_a_body_needs_no_length_and_no_answer_closes_its_connection(package: Path, version: str) -> None:
    app = AsgiApp(package, max_body_bytes=len(BODY))
    assert answer(app, post(BODY, http_version=version, headers={})).status == 200
    for exchange in (
        post(BODY, b" ", http_version=version, headers={}),
        post(BODY, b" ", http_version=version),
    ):
        refused = answer(app, exchange)
        assert refused.status == 413
        assert "connection" not in refused.headers
    assert answer(app, post(BODY, b" ")).headers["connection"] == "close"


def test_in_http_1_a_body_needs_a_length(app: AsgiApp) -> None:
    refused = answer(app, post(BODY, headers={}))
    assert refused.json == {"error": "body: expected a `Content-Length` or chunks, got neither"}
    assert refused.status == 411


def test_the_answer_to_head_has_the_length_of_what_it_leaves_out(app: AsgiApp) -> None:
    whole, head = (answer(app, Exchange(method, "/v2/health/ready")) for method in ("GET", "HEAD"))
    assert (head.status, head.content) == (200, b"")
    assert head.headers["content-length"] == whole.headers["content-length"] == str(len(whole.content))


def test_an_answer_without_content_says_no_length(package: Path) -> None:
    app = AsgiApp(package, cors_origins="https://a.example")
    asking = {"origin": "https://a.example", "access-control-request-method": "POST"}
    allowed = answer(app, Exchange("OPTIONS", INFER, headers=asking))
    assert (allowed.status, allowed.headers["access-control-allow-origin"]) == (204, "https://a.example")
    assert "content-length" not in allowed.headers


def test_with_keys_one_is_needed(package: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("correct-horse\n")
    app = AsgiApp(package, keys_file=tmp_path / "keys")
    refused = answer(app, post(BODY))
    assert (refused.status, refused.headers["www-authenticate"]) == (401, 'Bearer realm="modelport"')
    length = {"content-length": str(len(BODY))}
    assert answer(app, post(BODY, headers={**length, "authorization": "Bearer correct-horse"})).status == 200


def test_an_error_of_ours_is_an_id_to_the_client_and_a_trace_in_the_log(
    app: AsgiApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Any) -> None:
        raise RuntimeError("/srv/secret")

    monkeypatch.setattr(app.site.plane, "infer", fail)
    exchange = answer(app, post(BODY, headers={"content-length": str(len(BODY)), "x-request-id": "7"}))
    assert exchange.status == 500
    assert exchange.json == {"error": "server: expected to answer, got an internal error; the log has it as 7"}
    assert "/srv/secret" in caplog.text


def test_a_model_that_never_ends_is_answered_with_504(tmp_path: Path) -> None:
    app = AsgiApp(slow_models.counting(tmp_path / "counting"), scoring_timeout=0.1)
    for _ in ("where it arrived", "in the thread of what is slow"):
        endless = json.dumps(slow_models.request(slow_models.FOREVER)).encode()
        assert answer(app, post(endless, path=slow_models.INFER)).status == 504
        quick = json.dumps(slow_models.request(3)).encode()
        assert answer(app, post(quick, path=slow_models.INFER)).status == 200


def test_its_life_is_its_servers_matter(app: AsgiApp) -> None:
    life = Exchange("", "", {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}, type="lifespan")
    assert answer(app, life).sent == [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]


def test_a_websocket_is_refused(app: AsgiApp) -> None:
    asked = Exchange("GET", INFER, {"type": "websocket.connect"}, type="websocket")
    assert answer(app, asked).sent == [{"type": "websocket.close", "code": 1000}]


def test_what_asgi_may_come_to_know_is_refused(app: AsgiApp) -> None:
    with pytest.raises(InvalidInputError, match=r"^scope: expected http, lifespan or websocket, got `webtransport`$"):
        answer(app, Exchange("GET", INFER, type="webtransport"))
