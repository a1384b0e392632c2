"""A body is read up to its limit, and not beyond."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest

from modelport.runtime.server import body
from modelport.runtime.server.errors import BodyTooLargeError, LengthRequiredError, UnsupportedEncodingError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Pieces:
    """A request's body in pieces, as RSGI gives it. `read` counts those that were taken."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces
        self.read = 0

    async def __call__(self) -> bytes:
        self.read = len(self._pieces)
        return b"".join(self._pieces)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            self.read += 1
            yield piece


CHUNKED = {"transfer-encoding": "chunked"}


def read(headers: dict[str, str], source: Pieces, limit: int = 10) -> bytes:
    return asyncio.run(body.read(headers, source, limit))


@pytest.mark.parametrize("headers", [{"content-length": "10"}, CHUNKED, {**CHUNKED, "content-encoding": "Identity"}])
def test_a_body_of_the_limit_is_read(headers: dict[str, str]) -> None:
    assert read(headers, Pieces(b"01234", b"", b"56789")) == b"0123456789"


def test_a_body_that_says_that_it_is_longer_is_refused_unread() -> None:
    source = Pieces(b"0" * 11)
    with pytest.raises(BodyTooLargeError, match=r"^body: expected at most 10 bytes, got 11$"):
        read({"content-length": "11"}, source)
    assert source.read == 0


def test_a_body_in_chunks_is_refused_once_it_is_longer() -> None:
    source = Pieces(b"0" * 8, b"0" * 8, b"0" * 8)
    with pytest.raises(BodyTooLargeError, match=r"^body: expected at most 10 bytes, got more$"):
        read(CHUNKED, source)
    assert source.read == 2


def test_a_body_of_unknown_length_is_refused() -> None:
    with pytest.raises(LengthRequiredError, match=r"^body: expected a `Content-Length` or chunks, got neither$"):
        read({}, Pieces())


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "br", "nonsense", ""])
def test_a_compressed_body_is_refused(encoding: str) -> None:
    message = f"body: expected it uncompressed, got encoding `{encoding}`"
    with pytest.raises(UnsupportedEncodingError, match=f"^{re.escape(message)}$"):
        read({"content-length": "3", "content-encoding": encoding}, Pieces(b"abc"))


def test_chunks_of_a_compressed_body_are_refused() -> None:
    message = "body: expected plain chunks, got encoding `gzip, chunked`"
    with pytest.raises(UnsupportedEncodingError, match=f"^{re.escape(message)}$"):
        read({"transfer-encoding": "gzip, chunked"}, Pieces(b"abc"))


def test_what_is_left_of_a_refused_body_is_forgotten_up_to_its_end() -> None:
    source = Pieces(b"0", b"0", b"", b"0")
    asyncio.run(body.discard(source))
    assert source.read == 3


def test_a_client_that_never_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(Pieces):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"0"
            await asyncio.Event().wait()

    monkeypatch.setattr(body, "_LINGER", 0.0)
    asyncio.run(body.discard(Endless()))
