"""Nothing and nobody keeps a server waiting for ever: no model, no script, no client."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import exposition
import numpy as np
import pytest
import servers
import slow_models
import tiny_models
import transports
from gates import Gate
from rsgi import Request, Setup

from modelport.runtime import load
from modelport.runtime.dataplane import UNKNOWN, DataPlane, ModelSlot
from modelport.runtime.errors import DeadlineExceededError
from modelport.runtime.server.deadlines import watch_runs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers import Server

    from modelport.runtime import Scorer

LINEAR = "/v2/models/linear/infer"
GOOD = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
BODY = json.dumps(GOOD).encode()
STOPPED = r"model: expected an answer in time, got none after \S+ s"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    package = slow_models.counting(tmp_path_factory.mktemp("packages") / "counting")
    with servers.serving(package, scoring_timeout=1, body_timeout=2, header_timeout=2) as server:
        yield server


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    return load(tiny_models.linear(tmp_path_factory.mktemp("packages") / "linear"))


def count(server: Server, steps: int) -> Any:
    """Have the server count, and return its answer."""
    return server.ask(slow_models.INFER, slow_models.request(steps))


def test_a_model_that_never_ends_is_stopped_and_answered_with_504_wherever_it_runs(server: Server) -> None:
    workers = server.workers()
    for _ in ("where it arrived", "in the thread of what is slow"):
        answer = count(server, slow_models.FOREVER)
        assert answer.status == 504
        assert re.fullmatch(STOPPED, answer.json["error"])
        assert count(server, 3).json["outputs"][0]["data"] == [3]
    assert server.workers() == workers


def test_while_a_model_never_ends_health_answers_and_who_waits_is_served(server: Server) -> None:
    assert count(server, slow_models.FOREVER).status == 504  # now it is known to be slow
    with ThreadPoolExecutor(2) as clients:
        endless = clients.submit(count, server, slow_models.FOREVER)
        waiting = clients.submit(count, server, 5)
        assert server.ask("/v2/health/ready").status == 200
        assert (endless.result().status, waiting.result().status) == (504, 200)


def test_a_script_that_never_ends_is_answered_with_504_and_those_behind_it_are_served_by_another_thread(
    tmp_path: Path,
) -> None:
    gate = Gate(tmp_path)
    package = gate.put_into(tmp_path / "linear")
    with servers.serving(package, scoring_timeout=0.1) as server, ThreadPoolExecutor(4) as clients:
        assert server.ask("/score", b"at first").json == "at first"  # now so much text is known to be quick
        workers = server.workers()
        endless = clients.submit(server.ask, "/score", b"for ever")
        gate.wait_for_call("for ever")
        waiting = [clients.submit(server.ask, "/score", text) for text in (b"a", b"b")]
        answer = endless.result()
        assert answer.status == 504
        assert answer.json == {"message": "model: expected an answer within 0.1 s, got none"}
        assert [each.result().json for each in waiting] == ["a", "b"]
        assert server.ask("/score", b"for ever").status == 504
        assert server.ask("/score", b"c").json == "c"
        assert sorted(gate.calls) == ["a", "at first", "b", "c", "for ever", "for ever"]
        assert server.workers() == workers
        assert exposition.scrape(server).by("reason", "modelport_request_failure_total") == {"DeadlineExceededError": 2}


def run_for_ever(scorer: Scorer, clients: ThreadPoolExecutor) -> Future[Any]:
    """Have a model count for ever in another thread."""
    running = clients.submit(scorer.score, {"n": np.array([[slow_models.FOREVER]])})
    servers.wait_until(lambda: scorer.engine._running, "a run that has begun")  # type: ignore[attr-defined]
    return running


def test_the_runs_that_take_too_long_are_stopped_and_no_others_whether_their_model_still_serves_or_was_replaced(
    tmp_path: Path,
) -> None:
    first, second = (load(slow_models.counting(tmp_path / version, version)) for version in ("1", "2"))
    slot = ModelSlot(first)
    plane = DataPlane(slot)
    with ThreadPoolExecutor(2) as clients:
        old = run_for_ever(first, clients)
        slot.swap(second, keep=True)
        new = run_for_ever(second, clients)
        plane.stop_runs(3600)
        assert not old.done()
        assert not new.done()
        plane.stop_runs(0)
        for run in (old, new):
            with pytest.raises(DeadlineExceededError, match=f"^{STOPPED}$"):
                run.result(60)
    assert second.score({"n": np.array([[7]])})["y"] == [[7]]


def test_runs_of_a_plane_that_is_gone_are_watched_no_more(scorer: Scorer) -> None:
    plane = DataPlane(ModelSlot(scorer))
    before = set(threading.enumerate())
    watch_runs(plane, 0.01)
    (watching,) = set(threading.enumerate()) - before
    assert watching.daemon
    del plane
    watching.join(60)
    assert not watching.is_alive()


def test_what_waited_longer_than_its_timeout_is_answered_with_504_and_not_scored(
    scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = Setup(scorer, floor=UNKNOWN)
    begun, go_on = threading.Event(), threading.Event()
    setup.watch(monkeypatch, lambda: (begun.set(), go_on.wait(60)))

    def request(timeout: int) -> Request:
        return Request("POST", LINEAR, json.dumps({**GOOD, "parameters": {"timeout": timeout}}).encode())

    async def story() -> list[Request]:
        tasks = [asyncio.create_task(setup.answer(Request("POST", LINEAR, BODY)))]
        await asyncio.to_thread(begun.wait, 60)
        tasks += [asyncio.create_task(setup.answer(request(timeout))) for timeout in (1, 60_000_000, 0)]
        go_on.set()
        return await asyncio.gather(*tasks)

    first, late, patient, endless = asyncio.run(story())
    assert [request.status for request in (first, late, patient, endless)] == [200, 504, 200, 200]
    message = r"request: expected its turn within 1 microseconds, as its `timeout` says, got \d+"
    assert re.fullmatch(message, late.answer["error"])
    counts = setup.plane.observer.read()
    assert (counts.succeeded, counts.failed) == (3, {"DeadlineExceededError": 1})


@pytest.mark.parametrize(
    ("timeout", "shown"),
    [("-1", "-1"), ("1.5", "1.5"), ('"1"', '"1"'), ("true", "true"), ("[1]", "[1]"), ("{}", "{}")],
)
def test_a_timeout_that_is_none_is_refused(scorer: Scorer, timeout: str, shown: str) -> None:
    text = f'{BODY.decode()[:-1]}, "parameters": {{"timeout": {timeout}}}}}'
    answer = asyncio.run(Setup(scorer).answer(Request("POST", LINEAR, text.encode())))
    assert answer.status == 400
    message = f"parameter `timeout`: expected microseconds as an integer from 0 up, got {shown}"
    assert answer.answer == {"error": message}


@pytest.mark.parametrize("timeout", ["null", "0", str(2**63), str(10**30)])
def test_a_timeout_of_null_or_0_or_beyond_all_patience_never_comes(scorer: Scorer, timeout: str) -> None:
    text = f'{BODY.decode()[:-1]}, "parameters": {{"timeout": {timeout}}}}}'
    assert asyncio.run(Setup(scorer).answer(Request("POST", LINEAR, text.encode()))).status == 200


@contextmanager
def sending(server: Server, data: bytes) -> Iterator[socket.socket]:
    """Give a connection over which `data` was sent."""
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        connection.sendall(data)
        yield connection


def received(connection: socket.socket) -> bytes:
    """Return all that comes until the server closes the connection."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def head(path: str, *fields: str) -> bytes:
    return "\r\n".join((f"POST {path} HTTP/1.1", "host: t", *fields, "", "")).encode()


def test_bodies_that_do_not_come_are_answered_with_408_and_their_connections_closed(server: Server) -> None:
    begun = [
        head(slow_models.INFER, "content-length: 100") + b'{"inputs"',
        head(slow_models.INFER, "transfer-encoding: chunked") + b"3\r\n{  \r\n",
        head(slow_models.INFER, "transfer-encoding: chunked"),
        head("/score", "content-length: 100"),
    ]
    with ExitStack() as connections:
        for connection in [connections.enter_context(sending(server, data)) for data in begun]:
            answer = received(connection)
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"connection: close\r\n" in answer
            assert answer.endswith(b'":"body: expected it within 2 s, got only a part of it"}')
    assert server.ask("/v2/health/ready").status == 200


def test_connections_over_which_no_head_comes_are_closed(server: Server) -> None:
    begun = [b"", b"POST /sco", b"POST /score HTTP/1.1\r\nhost: t\r\ncontent-le"]
    with ExitStack() as connections:
        for connection in [connections.enter_context(sending(server, data)) for data in begun]:
            assert received(connection) == b""
    assert server.ask("/v2/health/ready").status == 200


@pytest.mark.parametrize("transport", [transports.OWN, "ASGI"])
def test_a_client_that_leaves_while_it_waits_is_not_scored(tmp_path: Path, transport: str) -> None:
    gate = Gate(tmp_path)
    package = gate.put_into(tmp_path / "linear")
    with transports.serving(transport, package) as server, ThreadPoolExecutor(2) as clients:
        with gate.closed():
            first = clients.submit(server.ask, "/score", b"first")
            gate.wait_for_call("first")
            with sending(server, head("/score", "content-length: 6") + b"leaves"):
                exposition.wait_for(server, 2, "modelport_pending_requests")
            exposition.wait_for(server, 1, "modelport_request_failure_total", reason="DisconnectedError")
            exposition.wait_for(server, 1, "modelport_pending_requests")
            last = clients.submit(server.ask, "/score", b"last")
        assert (first.result().json, last.result().json) == ("first", "last")
        assert gate.calls == ["first", "last"]


def test_a_client_that_leaves_while_it_is_scored_keeps_nobody_waiting_and_is_accounted_for(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    with servers.serving(gate.put_into(tmp_path / "linear")) as server, ThreadPoolExecutor(1) as clients:
        with gate.closed():
            with sending(server, head("/score", "content-length: 6") + b"leaves"):
                gate.wait_for_call("leaves")
            last = clients.submit(server.ask, "/score", b"last")
            exposition.wait_for(server, 2, "modelport_pending_requests")
        assert last.result().json == "last"
        assert server.stop() == 0
        begun, answered = server.counts()
        assert begun == answered


def test_connections_beyond_the_most_wait_and_break_none_of_those_that_are_open(tmp_path: Path) -> None:
    package = tiny_models.linear(tmp_path / "linear")
    with servers.serving(package, max_connections=3, header_timeout=60) as server:
        asking = b"GET /v2/health/live HTTP/1.1\r\nhost: t\r\n\r\n"
        opened = [socket.create_connection((server.host, server.port), timeout=60) for _ in range(3)]
        for _ in range(2):
            for connection in opened:
                connection.sendall(asking)
                assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        with sending(server, asking) as late:
            for connection in opened:
                connection.sendall(asking)
                assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            late.settimeout(0)
            with pytest.raises(BlockingIOError):
                late.recv(1)
            late.settimeout(60)
            opened.pop().close()
            assert late.recv(65536).startswith(b"HTTP/1.1 200 ")
        for connection in opened:
            connection.close()
