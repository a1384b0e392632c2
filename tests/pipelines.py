"""Sends requests that were made before as bytes over one connection, and reads what comes back: `import pipelines`."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from servers import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d) [ -~]*")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([^\0\r\n]*)")
_LENGTH = re.compile(r"\d+")
_WITHOUT_CONTENT = (204, 304)
_FIRST_THAT_COUNTS = 200
_SILENCE = 0.02
_PIECE = 1 << 16


class BrokenAnswerError(Exception):
    """What came back is not what HTTP calls an answer."""


class Pipeline:
    """A connection that is kept alive; nothing it waits for may take longer than `patience` seconds."""

    def __init__(self, host: str, port: int, *, patience: float = 60) -> None:
        self._patience = patience
        self._connection = socket.create_connection((host, port), timeout=patience)
        self._received = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are; a server that has closed the connection is noticed when its answer is read."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._connection.sendall(data)

    def answer(self, *, to_head: bool = False) -> Answer | None:
        """Return the next answer, None where the server has closed the connection before its first byte.

        Raises `BrokenAnswerError` for what is none.
        """
        while True:
            if not self._received and not self._receive():
                return None
            while (end := self._received.find(b"\r\n\r\n")) < 0:
                self._receive_more()
            status, headers = _head(bytes(self._received[:end]))
            del self._received[: end + 4]
            if status >= _FIRST_THAT_COUNTS:
                break
        length = 0 if to_head or status in _WITHOUT_CONTENT else _length(headers)
        while len(self._received) < length:
            self._receive_more()
        content = bytes(self._received[:length])
        del self._received[:length]
        return Answer(status, headers, content)

    def rest(self) -> Iterator[Answer]:
        """Yield the answers until the server closes the connection; if it stays silent, this end closes its half."""
        self._connection.settimeout(_SILENCE)
        try:
            while self._receive():
                pass
        except TimeoutError:
            self._connection.settimeout(self._patience)
            self._end()
            while self._receive():
                pass
        while self._received and (answer := self.answer()) is not None:
            yield answer

    def _end(self) -> None:
        with suppress(OSError):  # the server was quicker
            self._connection.shutdown(socket.SHUT_WR)

    def _receive_more(self) -> None:
        if not self._receive():
            raise BrokenAnswerError(f"expected a whole answer, got a part of one: {bytes(self._received[:200])!r}")

    def _receive(self) -> bool:
        """Return whether something came; nothing comes any more once the connection is closed."""
        try:
            piece = self._connection.recv(_PIECE)
        except ConnectionResetError:
            return False
        self._received += piece
        return bool(piece)


def _head(text: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = text.split(b"\r\n")
    found = _STATUS.fullmatch(first)
    fields = [_FIELD.fullmatch(line) for line in lines]
    if found is None or None in fields:
        raise BrokenAnswerError(f"expected the head of an answer, got {text[:500]!r}")
    headers: dict[str, str] = {}
    for field in filter(None, fields):
        name, value = field[1].decode().lower(), field[2].decode("latin-1")
        if name in headers and name != "vary":
            raise BrokenAnswerError(f"expected each header once, got `{name}` twice: {text[:500]!r}")
        headers[name] = value
    return int(found[1]), headers


def _length(headers: dict[str, str]) -> int:
    length = headers.get("content-length", "")
    if not _LENGTH.fullmatch(length) or "transfer-encoding" in headers:
        raise BrokenAnswerError(f"expected an answer with its length, got {headers}")
    return int(length)
