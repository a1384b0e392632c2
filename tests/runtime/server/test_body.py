"""A body is read up to its limit, and not beyond."""

from __future__ import annotations

import asyncio
import gzip
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rsgi import Headers

from modelport.runtime.errors import InvalidInputError
from modelport.runtime.server import body
from modelport.runtime.server.body import Body
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
    return asyncio.run(Body(Headers(headers), source).read(limit))


@pytest.mark.parametrize("headers", [{"content-length": "10"}, CHUNKED, {**CHUNKED, "content-encoding": "Identity"}])
def test_a_body_of_the_limit_is_read(headers: dict[str, str]) -> None:
    assert read(headers, Pieces(b"01234", b"56789", b"")) == b"0123456789"


def test_a_body_that_says_that_it_is_longer_is_refused_unread() -> None:
    source = Pieces(b"0" * 11)
    with pytest.raises(BodyTooLargeError, match=r"(?m)^body: expected at most 10 bytes, got 11$"):
        read({"content-length": "11"}, source)
    assert source.read == 0


def test_a_body_in_chunks_is_refused_once_it_is_longer() -> None:
    source = Pieces(b"0" * 8, b"0" * 8, b"0" * 8)
    with pytest.raises(BodyTooLargeError, match=r"(?m)^body: expected at most 10 bytes, got more$"):
        read(CHUNKED, source)
    assert source.read == 2


def test_a_body_of_unknown_length_is_refused() -> None:
    with pytest.raises(LengthRequiredError, match=r"(?m)^body: expected a `Content-Length` or chunks, got neither$"):
        read({}, Pieces())


@given(st.lists(st.binary(), max_size=3), st.integers(0, 2))
def test_gzip_is_inflated_up_to_the_limit_and_not_beyond(members: list[bytes], over: int) -> None:
    content, whole = b"".join(map(gzip.compress, members)), b"".join(members)
    headers = {"content-length": str(len(content)), "content-encoding": "gzip"}
    limit = max(len(content), len(whole))
    assert read(headers, Pieces(content), limit) == whole
    if len(whole) > len(content) + over:
        message = f"body: expected at most {len(whole) - 1} bytes once inflated, got more"
        with pytest.raises(BodyTooLargeError, match=f"(?m)^{re.escape(message)}$"):
            read(headers, Pieces(content), len(whole) - 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"abc", "body: expected gzip, got something else or a damaged stream"),
        (gzip.compress(b"abc")[:-1], "body: expected a whole gzip stream, got a part of one"),
        (gzip.compress(b"abc") + b"abc", "body: expected gzip, got something else or a damaged stream"),
    ],
)
def test_gzip_that_is_none_is_refused(content: bytes, message: str) -> None:
    headers = {"content-length": str(len(content)), "content-encoding": "gzip"}
    with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$"):
        read(headers, Pieces(content), 1000)


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "nonsense", ""])
def test_a_compressed_body_is_refused(encoding: str) -> None:
    message = f"body: expected it as gzip or uncompressed, got encoding `{encoding}`"
    with pytest.raises(UnsupportedEncodingError, match=f"(?m)^{re.escape(message)}$"):
        read({"content-length": "3", "content-encoding": encoding}, Pieces(b"abc"))


def test_chunks_of_a_compressed_body_are_refused() -> None:
    message = "body: expected plain chunks, got encoding `gzip, chunked`"
    with pytest.raises(UnsupportedEncodingError, match=f"(?m)^{re.escape(message)}$"):
        read({"transfer-encoding": "gzip, chunked"}, Pieces(b"abc"))


def test_what_is_left_of_a_refused_body_is_forgotten_up_to_its_end() -> None:
    source = Pieces(b"0", b"0", b"", b"0")
    asyncio.run(Body(Headers(CHUNKED), source).discard())
    assert source.read == 3


@pytest.mark.parametrize(
    ("headers", "unread"),
    [({}, False), ({"content-length": "0"}, False), ({"content-length": "3"}, True), (CHUNKED, True)],
)
def test_a_body_that_is_announced_is_unread_until_it_is_read(headers: dict[str, str], *, unread: bool) -> None:
    announced = Body(Headers(headers), Pieces(b"abc"))
    assert announced.unread == unread
    if unread:
        assert asyncio.run(announced.read(3)) == b"abc"
        assert not announced.unread


@pytest.mark.parametrize("headers", [{}, {"content-length": "3"}, CHUNKED, {**CHUNKED, "content-encoding": "br"}])
def test_a_refused_body_stays_unread(headers: dict[str, str]) -> None:
    refused = Body(Headers(headers), Pieces(b"abc"))
    with pytest.raises(InvalidInputError):
        asyncio.run(refused.read(2))
    assert refused.unread


def test_a_client_that_never_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(Pieces):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for piece in super().__aiter__():
                yield piece
            await asyncio.Event().wait()

    monkeypatch.setattr(body, "_LINGER", 0.0)
    source = Endless(b"0", b"0")

    async def discard_in_time() -> bool:
        discarding = asyncio.create_task(Body(Headers(CHUNKED), source).discard())
        done, _ = await asyncio.wait({discarding}, timeout=30)
        return discarding in done

    assert asyncio.run(discard_in_time())
    assert source.read == 2
