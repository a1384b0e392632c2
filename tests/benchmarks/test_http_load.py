"""The load generator against a server with answers that are known."""

from __future__ import annotations

import http.server
import threading
from typing import TYPE_CHECKING

import pytest

from modelport.benchmarks import http_load

if TYPE_CHECKING:
    from collections.abc import Iterator


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers a POST with its own body, and 400 to an empty one."""

    protocol_version = "HTTP/1.1"
    bodies: list[bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        type(self).bodies.append(body)
        self.send_response(200 if body else 400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def echo() -> Iterator[http.server.ThreadingHTTPServer]:
    Echo.bodies = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("connections", "requests"), [(1, 1), (1, 20), (4, 50), (8, 8)])
def test_every_request_is_sent_once_and_measured(
    echo: http.server.ThreadingHTTPServer, connections: int, requests: int
) -> None:
    body = b"x" * 100_000  # longer than one read of the socket
    request = http_load.request_bytes("/", body)
    done = http_load.load("127.0.0.1", echo.server_port, request, connections=connections, requests=requests)
    assert Echo.bodies == [body] * requests
    assert len(done.latencies) == requests
    assert all(0 < latency <= done.seconds for latency in done.latencies)
    assert done.per_second == requests / done.seconds


def test_an_answer_that_is_no_success_is_an_error(echo: http.server.ThreadingHTTPServer) -> None:
    request = http_load.request_bytes("/", b"")
    with pytest.raises(ConnectionError, match=r"(?m)^expected status 200, got b'HTTP/1\.1 400 "):
        http_load.load("127.0.0.1", echo.server_port, request, connections=1, requests=1)
