"""A load generator for one fixed HTTP request over several connections, cheap enough not to be what is measured.

Closed loop: each connection sends its next request when the last was answered. It compares two servers; it says
nothing about latency under an arrival rate.
"""

from __future__ import annotations

import selectors
import socket
import time
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from typing import Self

_CHUNK: Final = 1 << 16
_CONNECT_SECONDS: Final = 20.0


class Measured(NamedTuple):
    """Seconds of each request, and of all together."""

    latencies: list[float]
    seconds: float

    @property
    def per_second(self) -> float:
        """Requests answered a second."""
        return len(self.latencies) / self.seconds


class Connection:
    """One keep-alive connection; raises `ConnectionError` on anything but status 200."""

    def __init__(self, host: str, port: int, request: bytes) -> None:
        self._request = request
        self.socket = _connected(host, port)
        self._buffer = b""
        self._sent = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self) -> None:
        """Send the request."""
        self._sent = time.perf_counter()
        self.socket.sendall(self._request)

    def receive(self) -> float | None:
        """Take what has come; return the request's seconds once the answer is whole."""
        data = self.socket.recv(_CHUNK)
        if not data:
            raise ConnectionError("expected an answer, got the end of the connection")
        self._buffer += data
        head, gap, body = self._buffer.partition(b"\r\n\r\n")
        if not gap or len(body) < _length(head):
            return None
        if not head.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(f"expected status 200, got {self._buffer[:500]!r}")
        self._buffer = b""
        return time.perf_counter() - self._sent


def request_bytes(path: str, body: bytes) -> bytes:
    """Return a POST of JSON as it goes over the wire."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def load(host: str, port: int, request: bytes, *, connections: int, requests: int) -> Measured:
    """Send `requests` requests over `connections` connections and measure each."""
    selector = selectors.DefaultSelector()
    opened = [Connection(host, port, request) for _ in range(connections)]
    latencies: list[float] = []
    began = time.perf_counter()
    try:
        for connection in opened:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send()
        left = requests - connections
        while len(latencies) < requests:
            for key, _ in selector.select():
                if (seconds := key.data.receive()) is None:
                    continue
                latencies.append(seconds)
                if left > 0:
                    left -= 1
                    key.data.send()
    finally:
        selector.close()
        for connection in opened:
            connection.socket.close()
    return Measured(latencies, time.perf_counter() - began)


def _connected(host: str, port: int) -> socket.socket:
    """Return a connection; a server that is just starting is waited for."""
    deadline = time.monotonic() + _CONNECT_SECONDS
    while True:
        try:
            found = socket.create_connection((host, port))
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return found


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0
