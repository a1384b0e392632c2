"""JSON as we accept it: no duplicate keys, no deep nesting, no literals outside RFC 8259."""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

import msgspec

from .errors import InvalidInputError

MAX_DEPTH = 64

# A whole string with the colon that makes it a key, or a bracket. Numbers between brackets are skipped by the regex engine.
_TOKEN = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"([ \t\r\n]*:)?|[\[\]{}]', re.DOTALL)
_OPEN = {b"{": True, b"[": False}

T = TypeVar("T")


def check_structure(text: bytes, *, max_depth: int = MAX_DEPTH) -> None:
    """Raise `InvalidInputError` on duplicate keys, nesting deeper than `max_depth`, or text that is not UTF-8.

    One pass without recursion, before any decoder sees the text. Syntax errors are left to the decoder.
    """
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"JSON: expected UTF-8, got an invalid byte at {error.start}") from error
    if text.startswith(b"\xef\xbb\xbf"):
        raise InvalidInputError("JSON: expected a value at byte 0, got a byte order mark")
    keys: list[set[bytes] | None] = []
    for token in _TOKEN.finditer(text):
        if token.lastindex is None:
            bracket = token.group()
            if bracket in _OPEN:
                keys.append(set() if _OPEN[bracket] else None)
                if len(keys) > max_depth:
                    raise InvalidInputError(
                        f"JSON: expected at most {max_depth} levels, got more at byte {token.start()}"
                    )
            elif keys:
                keys.pop()
        elif token.lastindex == 2 and keys and (seen := keys[-1]) is not None:  # noqa: PLR2004  group 2 is the colon
            key = _unescaped(token.group(1))
            if key in seen:
                name = key.decode("utf-8", "replace")
                raise InvalidInputError(f"JSON: expected each key once, got `{name}` twice at byte {token.start()}")
            seen.add(key)


def decode(text: bytes, type_: type[T] | Any = Any, *, max_depth: int = MAX_DEPTH) -> T:
    """Decode `text` into `type_` (any type that msgspec knows).

    Raises `InvalidInputError` naming the path of the value that does not fit, or the byte where the syntax ends.
    """
    check_structure(text, max_depth=max_depth)
    try:
        return msgspec.json.decode(text, type=type_)  # type: ignore[no-any-return]
    except msgspec.ValidationError as error:
        raise InvalidInputError(f"JSON: {_lower(str(error))}") from error
    except msgspec.DecodeError as error:
        raise InvalidInputError(f"JSON: {_lower(str(error))}") from error


def canonical(value: Any) -> bytes:
    """Encode `value` as the one JSON text that it has here: sorted keys, no spaces, UTF-8, a final newline."""
    return msgspec.json.encode(value, order="sorted") + b"\n"


def _unescaped(key: bytes) -> bytes:
    if b"\\" not in key:
        return key
    try:
        return str(json.loads(b'"' + key + b'"')).encode("utf-8", "surrogatepass")
    except ValueError:
        return key


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
