"""The load generator against a server with answers that are known."""

from __future__ import annotations

import answering
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.benchmarks import http_load


@pytest.mark.parametrize(("connections", "requests"), [(1, 1), (1, 20), (4, 50), (8, 8)])
@pytest.mark.parametrize("closes", [False, True], ids=["connections stay open", "each answer ends its connection"])
def test_every_request_is_sent_once_and_measured(connections: int, requests: int, closes: bool) -> None:
    body = b"x" * 100_000  # longer than one read of the socket
    request = http_load.request_bytes("/", body)
    with answering.answering(closes=closes) as server:
        done = http_load.load("127.0.0.1", server.server_port, request, connections=connections, requests=requests)
        assert server.bodies == [body] * requests
        assert server.connections == (requests if closes else connections)
    assert len(done.latencies) == requests
    assert all(0 < latency <= done.seconds for latency in done.latencies)
    assert done.per_second == requests / done.seconds


def test_an_answer_that_is_no_success_is_an_error() -> None:
    request = http_load.request_bytes("/400", b"")
    with (
        answering.answering() as server,
        pytest.raises(ConnectionError, match=r"(?m)^expected status 200, got b'HTTP/1\.1 400 "),
    ):
        http_load.load("127.0.0.1", server.server_port, request, connections=1, requests=1)


def test_a_connection_that_ends_without_an_answer_is_an_error() -> None:
    request = http_load.request_bytes("/hang-up", b"")
    with answering.answering() as server:
        with pytest.raises(ConnectionError, match=r"^expected an answer, got the end of the connection$"):
            http_load.load("127.0.0.1", server.server_port, request, connections=1, requests=1)
        with pytest.raises(ConnectionError, match=r"^expected an answer, got b''$"):
            http_load.ask("127.0.0.1", server.server_port, request)


def test_a_single_question_gets_the_whole_answer() -> None:
    body = b"y" * 200_000
    with answering.answering() as server:
        reply = http_load.ask("127.0.0.1", server.server_port, http_load.request_bytes("/429", body))
    assert reply == http_load.Reply(429, closes=False, body=body)


@given(st.binary(max_size=50), st.integers(0, 200), st.booleans())
def test_an_answer_is_one_once_it_is_whole(body: bytes, cut: int, closes: bool) -> None:
    head = (
        f"HTTP/1.1 503 Busy\r\nConnection: {'close' if closes else 'keep-alive'}\r\nCONTENT-LENGTH: {len(body)}\r\n\r\n"
    )
    data = head.encode() + body
    expected = http_load.Reply(503, closes, body) if cut >= len(data) else None
    assert http_load.read_reply(data[:cut]) == expected


def test_headers_of_the_caller_go_over_the_wire() -> None:
    assert http_load.request_bytes("/p", b"{}", {"authorization": "Bearer k"}) == (
        b"POST /p HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: 2\r\n"
        b"authorization: Bearer k\r\n\r\n{}"
    )
