"""JSON is read as RFC 8259 says, once, and no deeper than anyone means."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from modelport.runtime.errors import InvalidInputError
from modelport.runtime.strictjson import MAX_DEPTH, canonical, check_structure, decode

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


# What makes a text too long to be seen through at once.
LONG = " " * 10_000


class DuplicateError(Exception):
    pass


def reference(text: str, max_depth: int) -> Any:
    """Decode with the standard library, whose hooks show every object: slow and obviously right."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) < len(pairs):
            raise DuplicateError
        return dict(pairs)

    def refuse(literal: str) -> None:
        raise ValueError(literal)

    value = json.loads(text, object_pairs_hook=once, parse_constant=refuse)
    if depth(value) > max_depth:
        raise DuplicateError
    return value


def check_against_reference(text: str, max_depth: int) -> None:
    for padded in (text, text + LONG):
        try:
            expected = reference(padded, max_depth)
        except (DuplicateError, ValueError):
            with pytest.raises(InvalidInputError):
                decode(padded.encode(), max_depth=max_depth)
        else:
            assert decode(padded.encode(), max_depth=max_depth) == expected


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


@given(VALUES, st.booleans())
def test_every_value_is_read_as_it_was_written(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert decode(text.encode()) == json.loads(text)


# Text that is nearly JSON: the very characters that decide, in any order.
NEARLY = st.lists(
    st.sampled_from([*'{}[]:,"\\ \n', '"a"', '"\\u0061"', '"b":', '"a":', "1", "null", "NaN", '\\"', "é"]), max_size=24
)


@settings(max_examples=1000)
@given(NEARLY.map("".join), st.integers(1, 4))
@example('{"a":1,"\\u0061":2}', 4)
@example('{"a":{"a":{"a":1}}}', 3)
@example('{"a":"a","b":["a","a",{"a":"a"}]}', 4)
@example('["\\\\",{"\\"":1,"\\"":2}]', 4)
def test_it_accepts_just_what_the_reference_accepts(text: str, max_depth: int) -> None:
    check_against_reference(text, max_depth)


TRICKY = st.text(st.sampled_from('[]{}":,\\a'), max_size=3).map(json.dumps)
TEXTS = st.recursive(
    TRICKY | st.sampled_from(["0", "-1.5e3", "true"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(TRICKY, inner), max_size=3).map(
            lambda pairs: "{" + ",".join(f"{key} : {value}" for key, value in pairs) + "}"
        )
    ),
    max_leaves=20,
)


@settings(max_examples=500)
@given(TEXTS, st.integers(1, 6))
def test_brackets_colons_and_quotes_in_strings_change_nothing(text: str, max_depth: int) -> None:
    check_against_reference(text, max_depth)


KEYS = st.text(st.sampled_from('a\\"é/\u2028😀\x7f'), max_size=3)


@given(
    st.lists(KEYS, min_size=2, max_size=6),
    st.lists(st.sampled_from(["plain", "ascii", "escaped"]), min_size=6, max_size=6),
)
def test_a_key_twice_is_found_however_it_is_escaped(keys: list[str], styles: list[str]) -> None:
    def written(key: str, style: str) -> str:
        if style == "escaped":
            units = key.encode("utf-16-be")
            return '"' + "".join(f"\\u{units[i]:02x}{units[i + 1]:02X}" for i in range(0, len(units), 2)) + '"'
        return json.dumps(key, ensure_ascii=style == "ascii")

    text = "{" + ",".join(f"{written(key, style)}:1" for key, style in zip(keys, styles, strict=False)) + "}"
    for padded in (text, text + LONG):
        if len(set(keys)) == len(keys):
            assert set(decode(padded.encode())) == set(keys)
        else:
            message = r"(?m)^JSON: expected each key once, got `.*` twice at byte \d+$"
            with pytest.raises(InvalidInputError, match=message):
                decode(padded.encode())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "unexpected end (byte 0)"),
        (b"NaN", "invalid character (byte 0)"),
        (b"[Infinity]", "invalid character (byte 1)"),
        (b"[-Infinity]", "invalid character (byte 2)"),
        (b"[1e400]", "number out of range - at `$[0]`"),
        (b"[-1e400]", "number out of range - at `$[0]`"),
        (b"[01]", "invalid number (byte 2)"),
        (b"[1,]", "trailing comma in array (byte 3)"),
        (b"[1] x", "trailing characters (byte 5)"),
        (b"{'a':1}", "object keys must be strings (byte 1)"),
        (b'"\\ud800"', "unexpected end of escaped utf-16 surrogate pair"),
        (b'{"\\ud800":1}', "unexpected end of escaped utf-16 surrogate pair"),
        (b'"\\ude00\\ud83d"', "invalid utf-16 surrogate pair (byte 7)"),
        (b'"\x01"', "invalid character (byte 1)"),
        (b'"\xed\xa0\x80"', "expected UTF-8, got an invalid byte at 1"),
        (b'"\xc0\xaf"', "expected UTF-8, got an invalid byte at 1"),
        (b"\xff\xfe[\0]\0", "expected UTF-8, got an invalid byte at 0"),
        (b"\xef\xbb\xbf[]", "expected a value at byte 0, got a byte order mark"),
        (b"[[[[1]]]]", "expected at most 3 levels, got more at byte 3"),
        (b'{"a":1,"a":2}', "expected each key once, got `a` twice at byte 7"),
        (b'{"a\\u001b":1,"a\\u001B":2}', "expected each key once, got `a\\x1b` twice at byte 13"),
        (b'{"a":1, "b" :2, "a"\n:3}', "expected each key once, got `a` twice at byte 16"),
        (b'{"a\\x":1}', "invalid escape character in string (byte 5)"),
        (b'["unfinished', "unexpected end (byte 12)"),
    ],
)
def test_what_is_no_json_is_named_with_its_place(text: bytes, message: str) -> None:
    with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(f'JSON: {message}')}$"):
        decode(text, max_depth=3)


@pytest.mark.parametrize(
    "text", [b"1e-400", b"[1,2] \n", b'"\\ud83d\\ude00"', b'"\\/"', b'"\x7f"', b"-0", b"18446744073709551616"]
)
def test_what_is_json_is_read(text: bytes) -> None:
    assert decode(text) == json.loads(text)


def test_nesting_up_to_the_limit_is_read() -> None:
    text = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert decode(text) == json.loads(text)
    with pytest.raises(InvalidInputError, match=f"expected at most {MAX_DEPTH} levels"):
        decode(b"[" + text + b"]")


@pytest.mark.parametrize("unit", [b"[", b'{"a":', b'[{"":', b"[1,"])
def test_a_depth_bomb_is_refused_without_recursion(unit: bytes) -> None:
    with pytest.raises(InvalidInputError, match=f"expected at most {MAX_DEPTH} levels"):
        decode(unit * 1_000_000)


def test_brackets_in_strings_hide_no_depth() -> None:
    """They would balance the real ones, if brackets were only counted."""
    for size in (MAX_DEPTH + 1, 800, 100_000):
        with pytest.raises(InvalidInputError, match=f"expected at most {MAX_DEPTH} levels"):
            decode(b'["]",' * size + b"1" + b',"["]' * size)


@pytest.mark.parametrize("unit", [b'\\"', b'"\\', b"\\", b'"', b'"a":', b'"a', b'{"a":"\\"'])
def test_text_of_unfinished_strings_costs_no_more_than_its_length(unit: bytes) -> None:
    """Quadratic time would keep this test for hours."""
    with pytest.raises(InvalidInputError):
        decode(unit * 500_000)


def test_a_hundred_thousand_keys_are_read() -> None:
    text = b"{" + b",".join(b'"%d":0' % number for number in range(100_000)) + b"}"
    check_structure(text)


class Point(msgspec.Struct, forbid_unknown_fields=True):
    x: int
    y: float = 0.0


def test_a_type_is_checked_and_the_value_named_by_its_path() -> None:
    assert decode(b'{"x":1}', Point) == Point(1)
    for text, message in {
        b'{"x":"1"}': "JSON: expected `int`, got `str` - at `$.x`",
        b'{"x":1.0}': "JSON: expected `int`, got `float` - at `$.x`",
        b'{"x":true}': "JSON: expected `int`, got `bool` - at `$.x`",
        b'{"x":1,"z\\n":2}': "JSON: object contains unknown field `z\\n`",
        b'{"y":1}': "JSON: object missing required field `x`",
    }.items():
        with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$"):
            decode(text, Point)


def test_a_long_name_that_is_not_known_does_not_fill_the_message() -> None:
    with pytest.raises(InvalidInputError) as caught:
        decode(b'{"x":1,"%s":2}' % (b"z" * 1_000_000), Point)
    assert len(caught.value.message) < 600


@given(VALUES)
def test_one_value_has_one_canonical_text(value: Any) -> None:
    text = canonical(value)
    assert text.endswith(b"\n")
    assert canonical(json.loads(text)) == text
    assume(isinstance(value, dict))
    backwards = dict(reversed(value.items()))
    assert canonical(backwards) == text


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_in_our_words(text: bytes) -> None:
    try:
        decode(text)
    except InvalidInputError as error:
        assert error.message.isprintable()  # noqa: PT017  it may also be read
