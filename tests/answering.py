"""A server with answers that are known, for tests of what loads servers: `import answering`."""

from __future__ import annotations

import http.server
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Server(http.server.ThreadingHTTPServer):
    """Answers a POST with its own body: with 200, or the status that the path names after `seconds`.

    With `closes` every answer ends its connection. `bodies` are those that came, `connections` how many were opened.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, *, closes: bool = False, seconds: float = 0.0) -> None:
        self.bodies: list[bytes] = []
        self.connections = 0
        self.closes = closes
        self.seconds = seconds
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.bodies.append(body)
        time.sleep(self.server.seconds)
        if self.path == "/hang-up":
            self.close_connection = True
            return
        self.send_response(int(self.path[1:] or 200))
        self.send_header("Content-Length", str(len(body)))
        if self.server.closes:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def answering(*, closes: bool = False, seconds: float = 0.0) -> Iterator[Server]:
    """Run a server while the block runs."""
    server = Server(closes=closes, seconds=seconds)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
