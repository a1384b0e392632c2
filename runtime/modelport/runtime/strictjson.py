"""JSON as we accept it: no duplicate keys, no deep nesting, no literals outside RFC 8259."""

from __future__ import annotations

import json
import re
from typing import Any, Final, TypeVar, overload

import msgspec

from .errors import InvalidInputError, named, printable, shortened

MAX_DEPTH: Final = 64

# A key with its colon and the string or flat array that is its value; another string; another flat array; a bracket; a
# string that never ends. Numbers and literals between them are passed over, as what stands in a flat array is. Without
# the last alternative, text of unfinished strings would cost quadratic time.
_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_FLAT: Final = rb'\[[^\[\]{}"]*+\]'
_SPACE: Final = rb"[ \t\r\n]*+"
_TOKEN: Final = re.compile(
    rb"(%b)(?:%b(:)(?:%b(?:%b|%b))?+)?+|%b|[\[\]{}]|\"" % (_STRING, _SPACE, _SPACE, _STRING, _FLAT, _FLAT), re.DOTALL
)
_SHORT: Final = 1 << 13
_OPEN: Final = {b"{": True, b"[": False}
_CLOSE: Final = (b"}", b"]")
_KEY: Final = 2  # the group of the colon

T = TypeVar("T")


def check_structure(text: bytes, *, max_depth: int = MAX_DEPTH) -> None:
    """Raise `InvalidInputError` on duplicate keys, nesting deeper than `max_depth`, or text that is not UTF-8.

    One pass without recursion, before any decoder sees the text. Syntax errors are left to the decoder.
    """
    if _is_plainly_fine(_decoded(text), text, max_depth):
        return
    keys: list[set[str] | None] = []
    for token in _TOKEN.finditer(text):
        if token.lastindex is None:
            bracket = token[0]
            if bracket in _OPEN:
                keys.append(set() if _OPEN[bracket] else None)
            elif bracket in _CLOSE:
                if keys:
                    keys.pop()
                continue
            elif bracket == b'"':
                return  # the decoder says where the string should have ended
        elif token.lastindex == _KEY and keys and (seen := keys[-1]) is not None:
            _note_key(token, seen)
        flat = token[0].endswith(b"]")
        if len(keys) + flat > max_depth:
            at = text.rindex(b"[", 0, token.end()) if flat else token.start()
            raise InvalidInputError(f"JSON: expected at most {max_depth} levels, got more at byte {at}")


@overload
def decode(text: bytes, type_: type[T], *, max_depth: int = MAX_DEPTH) -> T: ...
@overload
def decode(text: bytes, type_: Any = Any, *, max_depth: int = MAX_DEPTH) -> Any: ...
def decode(text: bytes, type_: Any = Any, *, max_depth: int = MAX_DEPTH) -> Any:
    """Decode `text` into `type_` (any type that msgspec knows).

    Raises `InvalidInputError` naming the path of the value that does not fit, or the byte where the syntax ends.
    """
    check_structure(text, max_depth=max_depth)
    try:
        return msgspec.json.decode(text, type=type_)
    except msgspec.DecodeError as error:  # a value that does not fit its type is one too
        reason = printable(shortened(str(error).removeprefix("JSON is malformed: "), 500))
        if reason == "Input data was truncated":
            reason = _end_of(text)
        raise InvalidInputError(f"JSON: {reason[:1].lower()}{reason[1:]}") from error


def canonical(value: Any) -> bytes:
    """Encode `value` as the one JSON text that it has here: sorted keys, no spaces, UTF-8, a final newline."""
    return msgspec.json.encode(value, order="sorted") + b"\n"


def _is_plainly_fine(string: str, text: bytes, max_depth: int) -> bool:
    """Return whether a short text is seen at once to have nothing wrong; false says nothing."""
    if len(text) > _SHORT or text.count(b"[") + text.count(b"{") > max_depth:
        return False
    try:
        json.loads(string, object_pairs_hook=_each_once)
    except ValueError:
        return False
    return True


def _each_once(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice")


def _decoded(text: bytes) -> str:
    try:
        string = text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"JSON: expected UTF-8, got an invalid byte at {error.start}") from error
    if text.startswith(b"\xef\xbb\xbf"):
        raise InvalidInputError("JSON: expected a value at byte 0, got a byte order mark")
    return string


def _end_of(text: bytes) -> str:
    """Return why the decoder came to the end too soon: there is none, or half a surrogate pair shortly before it."""
    try:
        json.loads(text)
    except ValueError:
        return f"unexpected end (byte {len(text)})"
    return "unexpected end of escaped utf-16 surrogate pair"


def _note_key(token: re.Match[bytes], seen: set[str]) -> None:
    key = _unescaped(token[1][1:-1])
    if key in seen:
        raise InvalidInputError(f"JSON: expected each key once, got {named(key)} twice at byte {token.start()}")
    seen.add(key)


def _unescaped(key: bytes) -> str:
    text = key.decode()
    if "\\" not in text:
        return text
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text  # no JSON, as the decoder will say
