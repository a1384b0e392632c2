"""A request is sent again where that may help, as late as the server asks, and no longer than there is time."""

from __future__ import annotations

import email.utils
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from modelport.runtime.client import Model, OverloadedError, ServerError, UnreachableError, transport
from modelport.runtime.errors import InvalidSettingError, NotReadyError

if TYPE_CHECKING:
    from collections.abc import Iterator

METADATA = (
    200,
    {},
    b'{"inputs":[{"name":"x","datatype":"FP32","shape":[-1,1]}],"outputs":[{"name":"y","datatype":"FP32","shape":[-1,1]}]}',
)
ANSWER = (200, {}, b'{"outputs":[{"name":"y","datatype":"FP32","shape":[1,1],"data":[2.5]}]}')
HANG_UP = None
Turn = tuple[int, dict[str, str], bytes] | None


@contextmanager
def scripted(*turns: Turn) -> Iterator[tuple[str, list[Any]]]:
    """Serve the turns one request after the other; give the model's address and the requests' headers so far."""
    left = list(turns)
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            asked.append(dict(self.headers))
            turn = left.pop(0)
            if turn is None:
                self.close_connection = True
                return
            status, headers, body = turn
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815  the name that http.server calls

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v2/models/m", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, in no time."""
    made: list[float] = []
    monkeypatch.setattr(transport, "sleep", made.append)
    return made


def answer(url: str, **options: Any) -> Any:
    with Model(url, **options) as model:
        return model.score([[1.0]])["y"].tolist()


@pytest.mark.parametrize("status", [429, 503])
def test_the_pause_is_the_one_that_the_server_asks_for(pauses: list[float], status: int) -> None:
    with scripted(METADATA, (status, {"Retry-After": "7"}, b"{}"), ANSWER) as (url, _):
        assert answer(url) == [[2.5]]
    assert pauses == [7.0]


def test_the_pause_may_be_given_as_a_date(pauses: list[float]) -> None:
    date = email.utils.formatdate(time.time() + 20, usegmt=True)
    with scripted(METADATA, (503, {"Retry-After": date}, b"{}"), ANSWER) as (url, _):
        assert answer(url) == [[2.5]]
    (pause,) = pauses
    assert 10 < pause <= 20


def test_without_a_word_pauses_grow(pauses: list[float]) -> None:
    with scripted(METADATA, *[(503, {"Retry-After": "soon"}, b"{}")] * 4, ANSWER) as (url, _):
        assert answer(url) == [[2.5]]
    assert [0.05 * 2**n <= pause <= 0.1 * 2**n for n, pause in enumerate(pauses)] == [True] * 4


def test_a_connection_that_broke_off_is_opened_again(pauses: list[float]) -> None:
    with scripted(METADATA, HANG_UP, ANSWER) as (url, asked):
        assert answer(url) == [[2.5]]
    assert pauses == [0.0]
    assert len(asked) == 3


def test_a_server_that_is_still_busy_after_all_attempts_is_said_to_be(pauses: list[float]) -> None:
    busy = (429, {}, b'{"error":"server: expected fewer requests, got too many"}')
    with scripted(METADATA, *[busy] * 3) as (url, _), pytest.raises(OverloadedError, match=r"^server: expected fewer"):
        answer(url, attempts=3)
    assert len(pauses) == 2
    with scripted((503, {}, b'{"error":"model: expected one"}')) as (url, _), pytest.raises(NotReadyError):
        answer(url, attempts=1)


def test_no_pause_is_begun_that_would_not_end_in_time(pauses: list[float]) -> None:
    with scripted((503, {"Retry-After": "3600"}, b"{}")) as (url, _), pytest.raises(NotReadyError, match=r"^\{\}$"):
        answer(url, timeout=30)
    assert pauses == []


def test_a_server_that_is_not_there_is_said_to_be(pauses: list[float]) -> None:
    with scripted() as (url, _):
        pass
    message = r"^server http://127\.0\.0\.1:\d+: expected an answer, got \[Errno 111\] Connection refused$"
    with pytest.raises(UnreachableError, match=message):
        answer(url, attempts=2)
    assert len(pauses) == 1


def test_headers_are_sent_with_every_request() -> None:
    with scripted(METADATA, ANSWER) as (url, asked):
        answer(url, headers={"Authorization": "Bearer key"})
    assert [headers["Authorization"] for headers in asked] == ["Bearer key"] * 2


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((500, {}, b'{"error":"broken"}'), "server: expected an answer, got HTTP 500: broken"),
        ((502, {}, b"<html>\x1b"), r"server: expected an answer, got HTTP 502: <html>\\x1b"),
        ((200, {}, b"<html>"), r"server: expected an answer of the protocol, got .*"),
        ((200, {}, b"[]"), r"server: expected an answer of the protocol, got .*"),
        (
            (200, {}, b'{"outputs":[{"name":"y","datatype":"FP32","shape":[2,1],"data":[1]}]}'),
            r"server: expected the protocol's tensors, got .*",
        ),
        (
            (200, {}, b'{"outputs":[{"name":"y","datatype":"FP7","shape":[1,1],"data":[1]}]}'),
            r"server: expected the protocol's tensors, got .*",
        ),
        (
            (
                200,
                {},
                b'{"outputs":[{"name":"y","datatype":"FP32","shape":[1,1],"parameters":{"binary_data_size":4}}]}',
            ),
            r"server: expected the protocol's tensors, got .*",
        ),
        (
            (200, {"Inference-Header-Content-Length": "-3"}, b"{}"),
            r"server: expected a number as `inference-header-content-length`, got '-3'",
        ),
    ],
)
def test_what_is_no_answer_is_the_servers_fault(reply: Turn, message: str) -> None:
    with scripted(METADATA, reply) as (url, _), pytest.raises(ServerError, match=f"(?s)^{message}$"):
        answer(url)


@pytest.mark.parametrize("options", [{"timeout": 0}, {"attempts": 0}])
def test_settings_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidSettingError, match=r"^timeout, attempts: expected more than 0, got "):
        Model("http://localhost/v2/models/m", **options)
