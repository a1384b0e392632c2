"""A load generator for one fixed HTTP request over several connections, cheap enough not to be what is measured.

Closed loop: each connection sends its next request when the last was answered. It compares two servers; it says
nothing about latency under an arrival rate.
"""

from __future__ import annotations

import selectors
import socket
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHUNK: Final = 1 << 16
_CONNECT_SECONDS: Final = 60.0


class Measured(NamedTuple):
    """Seconds of each request, and of all together."""

    latencies: list[float]
    seconds: float

    @property
    def per_second(self) -> float:
        """Requests answered a second."""
        return len(self.latencies) / self.seconds


class Reply(NamedTuple):
    """An answer: its status, whether it says that the connection ends with it, and its body."""

    status: int
    closes: bool
    body: bytes


class Connection:
    """A connection that stays open as long as the server lets it, and is opened anew where it does not.

    Raises `ConnectionError` on anything but status 200.
    """

    def __init__(self, host: str, port: int, request: bytes, selector: selectors.BaseSelector) -> None:
        self._place = host, port
        self._request = request
        self._selector = selector
        self._socket: socket.socket | None = None
        self._buffer = b""
        self._sent = 0.0
        self._open()

    def send(self) -> None:
        """Send the request."""
        self._sent = time.perf_counter()
        (self._socket or self._open()).sendall(self._request)

    def receive(self) -> float | None:
        """Take what has come; return the request's seconds once the answer is whole."""
        data = self._socket.recv(_CHUNK) if self._socket is not None else b""
        if not data:
            raise ConnectionError("expected an answer, got the end of the connection")
        self._buffer += data
        if (reply := read_reply(self._buffer)) is None:
            return None
        seconds = time.perf_counter() - self._sent
        if reply.status != HTTPStatus.OK:
            raise ConnectionError(f"expected status 200, got {self._buffer[:500]!r}")
        self._buffer = b""
        if reply.closes:
            self.close()
        return seconds

    def close(self) -> None:
        """Close the connection, if it is open."""
        if self._socket is not None:
            self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None

    def _open(self) -> socket.socket:
        self._socket = connected(*self._place)
        self._selector.register(self._socket, selectors.EVENT_READ, self)
        return self._socket


def request_bytes(path: str, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """Return a POST of JSON as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", "host: bench", "content-type: application/json", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join((*lines, "", "")).encode() + body


def read_reply(data: bytes) -> Reply | None:
    """Return the answer that `data` is, None while it is not whole."""
    head, gap, body = data.partition(b"\r\n\r\n")
    if not gap:
        return None
    first, *lines = head.split(b"\r\n")
    length, closes = 0, False
    for line in lines:
        name, _, value = line.partition(b":")
        match name.strip().lower():
            case b"content-length":
                length = int(value)
            case b"connection":
                closes = value.strip().lower() == b"close"
    return Reply(int(first.split(b" ", 2)[1]), closes, body) if len(body) >= length else None


def ask(host: str, port: int, request: bytes) -> Reply:
    """Send one request on a connection of its own; raises `ConnectionError` where no whole answer comes."""
    data = b""
    with connected(host, port) as connection:
        connection.sendall(request)
        while (reply := read_reply(data)) is None:
            if not (piece := connection.recv(_CHUNK)):
                raise ConnectionError(f"expected an answer, got {data!r}")
            data += piece
    return reply


def load(host: str, port: int, request: bytes, *, connections: int, requests: int) -> Measured:
    """Send `requests` requests over `connections` connections and measure each, opening what the server closes."""
    latencies: list[float] = []
    with selectors.DefaultSelector() as selector:
        opened = [Connection(host, port, request, selector) for _ in range(connections)]
        began = time.perf_counter()
        try:
            for connection in opened:
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
            took = time.perf_counter() - began
        finally:
            for connection in opened:
                connection.close()
    return Measured(latencies, took)


def connected(host: str, port: int) -> socket.socket:
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
