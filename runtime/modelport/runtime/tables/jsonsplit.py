"""Splits a JSON array into its elements while it is read, without holding more than one of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from modelport.runtime.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: The longest element of an array, or line of a file, that is read.
MAX_ELEMENT: Final = 64 << 20

# What ends or nests an element, and strings, in which neither does. A string that is not whole yet matches up to the
# end of the text, without its group.
_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:(")|\\?\Z)'
_IN_ARRAY: Final = re.compile(rb"[\[\]{},]|" + _STRING, re.DOTALL)
_IN_ELEMENT: Final = re.compile(rb"[\[\]{}]|" + _STRING, re.DOTALL)
_SPACE: Final = b" \t\r\n"


def split_array(chunks: Iterable[bytes], *, limit: int = MAX_ELEMENT) -> Iterator[bytes]:
    """Yield the text of each element of the array that `chunks` come to, its first byte being `[`.

    The elements are found by brackets, commas and strings alone; whether each is JSON is left to the decoder. Raises
    `InvalidInputError` if the array does not end, if more than blanks follow it, or on an element above `limit` bytes.
    """
    splitter = _Splitter(limit)
    for chunk in chunks:
        yield from splitter.feed(chunk)
    splitter.finish()


class _Splitter:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._text = b""
        self._at = 0  # how far the text was looked through
        self._depth = 0
        self._first = True
        self._ended = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the elements that `chunk` completes."""
        self._text += chunk
        start = 0
        while not self._ended and (found := self._next_mark()) is not None:
            position, mark = found
            if mark in b"[{":
                self._depth += 1
                start = position + 1 if self._depth == 1 else start
            elif mark == b"," or self._depth == 1:
                element = self._text[start:position].strip(_SPACE)
                start = position + 1
                if element or mark == b"," or not self._first:
                    yield element
                self._end(mark)
            else:
                self._depth -= 1
        self._keep_from(start)

    def _end(self, mark: bytes) -> None:
        if mark == b"}":
            raise InvalidInputError("JSON: expected `]` at the end of the list, got `}`")
        self._first, self._ended = False, mark == b"]"

    def finish(self) -> None:
        """Raise unless the array ended with the text."""
        if not self._ended:
            raise InvalidInputError("JSON: expected `]` at the end of the list, got the end of the input")

    def _next_mark(self) -> tuple[int, bytes] | None:
        """Return the next bracket or comma that counts, with its position; None if there is none so far."""
        pattern = _IN_ARRAY if self._depth == 1 else _IN_ELEMENT
        while (found := pattern.search(self._text, self._at)) is not None:
            mark = found.group()
            if mark[:1] == b'"' and found.group(1) is None:
                self._at = found.start()
                return None
            self._at = found.end()
            if mark[:1] != b'"':
                return found.start(), mark
        self._at = len(self._text)
        return None

    def _keep_from(self, start: int) -> None:
        self._text = self._text[start:]
        self._at -= start
        if self._ended and self._text.strip(_SPACE):
            raise InvalidInputError("JSON: expected the end of the input after the list, got more")
        if len(self._text) > self._limit:
            raise InvalidInputError(f"JSON: expected rows of at most {self._limit} bytes, got a longer one")
