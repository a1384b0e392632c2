"""A request's body: read whole up to the limit, or else forgotten."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, Protocol

from granian.rsgi import ProtocolClosed, ProtocolError

from modelport.runtime.errors import InvalidInputError, shortened

from .errors import BodyTooLargeError, LengthRequiredError, UnsupportedEncodingError
from .request import header

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from .request import Headers

_LINGER: Final = 2.0


class Source(Protocol):
    """What RSGI gives to read a body from: called, it gives all of it; iterated, piece by piece."""

    def __call__(self) -> Awaitable[bytes]:  # noqa: D102  the class says it
        ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...


class Body:
    """The body of one request. `unread` says whether the client may still be sending it."""

    def __init__(self, headers: Headers, source: Source) -> None:
        self._headers = headers
        self._source = source
        self._length = header(headers, "content-length")
        self._transfer = header(headers, "transfer-encoding")
        self.unread = self._transfer is not None or self._length not in (None, "0")

    async def read(self, limit: int) -> bytes:
        """Return the body.

        Raises `BodyTooLargeError` as soon as it is known to have more than `limit` bytes, `LengthRequiredError` where
        there is neither a length nor chunks, `UnsupportedEncodingError` for a compressed one, `InvalidInputError` where
        the client ends before the body does.
        """
        encoding = header(self._headers, "content-encoding")
        if encoding is not None and encoding.lower() != "identity":
            raise UnsupportedEncodingError(f"body: expected it uncompressed, got encoding `{shortened(encoding, 40)}`")
        content = await (self._chunks(limit) if self._length is None else self._measured(self._length, limit))
        self.unread = False
        return content

    async def discard(self) -> None:
        """Read and forget what the client still sends, for a while, so that it lives to see its answer.

        A connection that is closed with unread bytes is reset, and the answer with it.
        """
        with contextlib.suppress(TimeoutError, ProtocolError, ProtocolClosed):  # nothing left that could be read
            async with asyncio.timeout(_LINGER):
                async for piece in self._source:
                    if not piece:
                        break

    async def _measured(self, length: str, limit: int) -> bytes:
        # The server has checked that `length` is one number, and holds the client to it.
        if int(length) > limit:
            raise BodyTooLargeError(f"body: expected at most {limit} bytes, got {shortened(length, 40)}")
        try:
            return await self._source()
        except (ProtocolError, ProtocolClosed) as error:
            raise InvalidInputError(f"body: expected {length} bytes, got fewer") from error

    async def _chunks(self, limit: int) -> bytes:
        if self._transfer is None:
            self.unread = True  # HTTP knows of none, but something may follow
            raise LengthRequiredError("body: expected a `Content-Length` or chunks, got neither")
        if self._transfer.lower() != "chunked":
            got = shortened(self._transfer, 40)
            raise UnsupportedEncodingError(f"body: expected plain chunks, got encoding `{got}`")
        pieces: list[bytes] = []
        size = ends = 0
        async for piece in self._source:
            size += len(piece)
            ends += not piece
            if size > limit:
                raise BodyTooLargeError(f"body: expected at most {limit} bytes, got more")
            pieces.append(piece)
        if ends > 1:  # Granian says the end once, and a second time where it was none (trailers are not known here)
            raise InvalidInputError("body: expected chunks up to the last one, got broken or missing ones")
        return b"".join(pieces)
