"""Compressed bodies: gzip (RFC 1952), never inflated beyond the limit."""

from __future__ import annotations

import zlib
from typing import Final

from modelport.runtime.errors import InvalidInputError

from .errors import BodyTooLargeError

_GZIP: Final = 16 + zlib.MAX_WBITS


def inflate(content: bytes, limit: int) -> bytes:
    """Return what `content` holds, a gzip stream of one or more members.

    Raises `BodyTooLargeError` as soon as it is known to have more than `limit` bytes, `InvalidInputError` where it is
    damaged or ends too soon.
    """
    parts: list[bytes] = []
    size = 0
    while content:
        member = zlib.decompressobj(_GZIP)
        try:
            part = member.decompress(content, limit - size + 1)
        except zlib.error as error:
            raise InvalidInputError("body: expected gzip, got something else or a damaged stream") from error
        size += len(part)
        if size > limit:
            raise BodyTooLargeError(f"body: expected at most {limit} bytes once inflated, got more")
        if not member.eof:
            raise InvalidInputError("body: expected a whole gzip stream, got a part of one")
        parts.append(part)
        content = member.unused_data
    return b"".join(parts)
