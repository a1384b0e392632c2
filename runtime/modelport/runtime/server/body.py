"""A request's body: read whole up to the limit, or else forgotten."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, Protocol

from granian.rsgi import ProtocolClosed, ProtocolError

from modelport.runtime.errors import InvalidInputError, named, shortened

from .errors import BodyTooLargeError, LengthRequiredError, UnsupportedEncodingError
from .inflating import inflate
from .request import header

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from .request import Headers

_LINGER: Final = 2.0
_LONGEST_LENGTH: Final = 18
_ENCODINGS: Final = ("identity", "gzip", "x-gzip")


class Source(Protocol):
    """What RSGI gives to read a body from: called, it gives all of it; iterated, piece by piece."""

    def __call__(self) -> Awaitable[bytes]:  # noqa: D102  the class says it
        ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...


class Declared:
    """What a request's headers say of its body: how long it is, or that it comes in chunks."""

    def __init__(self, headers: Headers) -> None:
        encoding = header(headers, "content-encoding")
        self._encoding = "identity" if encoding is None else encoding
        self.length = header(headers, "content-length")
        self.transfer = header(headers, "transfer-encoding")

    @property
    def compressed(self) -> bool:
        """Whether the body is compressed."""
        return self._encoding.lower() != "identity"

    def decoded(self, content: bytes, limit: int) -> bytes:
        """Return the body that came as `content`, inflated if it is compressed; raises what `inflate` raises."""
        return inflate(content, limit) if self.compressed else content

    def check(self, limit: int) -> None:
        """Raise an error unless the body is one that can be read.

        That is `UnsupportedEncodingError` for one compressed otherwise than by gzip, `BodyTooLargeError` for one above
        `limit` bytes, `LengthRequiredError` where there is neither a length nor chunks, and `InvalidInputError` for a
        length that is none.
        """
        if self._encoding.lower() not in _ENCODINGS:
            got = shortened(self._encoding, 40)
            raise UnsupportedEncodingError(f"body: expected it as gzip or uncompressed, got encoding `{got}`")
        if self.length is not None:
            if not (self.length.isascii() and self.length.isdigit()):
                raise InvalidInputError(f"body: expected a length in bytes, got {named(self.length)}")
            if len(self.length) > _LONGEST_LENGTH or int(self.length) > limit:
                raise BodyTooLargeError(f"body: expected at most {limit} bytes, got {shortened(self.length, 40)}")
        elif self.transfer is None:
            raise LengthRequiredError("body: expected a `Content-Length` or chunks, got neither")
        elif self.transfer.lower() != "chunked":
            got = shortened(self.transfer, 40)
            raise UnsupportedEncodingError(f"body: expected plain chunks, got encoding `{got}`")


class Body:
    """The body of one request. `unread` says whether the client may still be sending it."""

    def __init__(self, headers: Headers, source: Source) -> None:
        self._declared = Declared(headers)
        self._source = source
        self.unread = self._declared.transfer is not None or self._declared.length not in (None, "0")

    async def read(self, limit: int) -> bytes:
        """Return the body.

        Raises what `Declared.check` and `Declared.decoded` raise, `BodyTooLargeError` as soon as it is known to have
        more than `limit` bytes, and `InvalidInputError` where the client ends before the body does.
        """
        try:
            self._declared.check(limit)
        except LengthRequiredError:
            self.unread = True  # HTTP knows of no body, but something may follow
            raise
        length = self._declared.length
        content = await (self._chunks(limit) if length is None else self._measured(length))
        self.unread = False
        if not self._declared.compressed:
            return content
        return await asyncio.to_thread(self._declared.decoded, content, limit)  # a small body may be a large one

    async def discard(self) -> None:
        """Read and forget what the client still sends, for a while, so that it lives to see its answer.

        A connection that is closed with unread bytes is reset, and the answer with it.
        """
        with contextlib.suppress(TimeoutError, ProtocolError, ProtocolClosed):  # nothing left that could be read
            async with asyncio.timeout(_LINGER):
                async for piece in self._source:
                    if not piece:
                        break

    async def _measured(self, length: str) -> bytes:
        # The server holds the client to the length.
        try:
            return await self._source()
        except (ProtocolError, ProtocolClosed) as error:
            raise InvalidInputError(f"body: expected {length} bytes, got fewer") from error

    async def _chunks(self, limit: int) -> bytes:
        pieces: list[bytes] = []
        size = ends = 0
        broken = "body: expected chunks up to the last one, got broken or missing ones"
        try:
            async for piece in self._source:
                size += len(piece)
                ends += not piece
                if size > limit:
                    raise BodyTooLargeError(f"body: expected at most {limit} bytes, got more")
                pieces.append(piece)
        except (ProtocolError, ProtocolClosed) as error:
            raise InvalidInputError(broken) from error
        if ends > 1:  # Granian says the end once, and a second time where it was none (trailers are not known here)
            raise InvalidInputError(broken)
        return b"".join(pieces)
