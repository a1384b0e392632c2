"""Reads a request's body, never more of it than the limit."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, Protocol

from modelport.runtime.errors import shortened

from .errors import BodyTooLargeError, LengthRequiredError, UnsupportedEncodingError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

_LINGER: Final = 2.0


class Headers(Protocol):
    """A request's headers, by lower-case name."""

    def get(self, name: str, /) -> str | None:
        """Return the first header called `name`."""


class Source(Protocol):
    """What RSGI gives to read a body from: called, it gives all of it; iterated, piece by piece."""

    def __call__(self) -> Awaitable[bytes]:  # noqa: D102  the class says it
        ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...


async def read(headers: Headers, source: Source, limit: int) -> bytes:
    """Return the body.

    Raises `BodyTooLargeError` as soon as it is known to have more than `limit` bytes, `LengthRequiredError` where
    there is neither a length nor chunks, `UnsupportedEncodingError` for a compressed one.
    """
    encoding = headers.get("content-encoding")
    if encoding is not None and encoding.lower() != "identity":
        raise UnsupportedEncodingError(f"body: expected it uncompressed, got encoding `{shortened(encoding, 40)}`")
    length = headers.get("content-length")
    if length is not None:  # the server has checked that it is one number, and holds the client to it
        if int(length) > limit:
            raise BodyTooLargeError(f"body: expected at most {limit} bytes, got {shortened(length, 40)}")
        return await source()
    transfer = headers.get("transfer-encoding")
    if transfer is None:
        raise LengthRequiredError("body: expected a `Content-Length` or chunks, got neither")
    if transfer.lower() != "chunked":
        raise UnsupportedEncodingError(f"body: expected plain chunks, got encoding `{shortened(transfer, 40)}`")
    return await _chunks(source, limit)


async def discard(source: Source) -> None:
    """Read and forget what the client still sends, for a while, so that it lives to see its answer.

    A connection that is closed with unread bytes is reset, and the answer with it.
    """
    with contextlib.suppress(TimeoutError, RuntimeError):  # RuntimeError: nothing left that could be read
        async with asyncio.timeout(_LINGER):
            async for piece in source:
                if not piece:
                    break


async def _chunks(source: Source, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in source:
        size += len(piece)
        if size > limit:
            raise BodyTooLargeError(f"body: expected at most {limit} bytes, got more")
        pieces.append(piece)
    return b"".join(pieces)
