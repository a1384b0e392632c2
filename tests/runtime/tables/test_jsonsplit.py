"""A JSON array is split into the elements that a decoder of the whole text finds, however its bytes arrive."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.runtime.errors import InvalidInputError
from modelport.runtime.tables.jsonsplit import split_array

if TYPE_CHECKING:
    from collections.abc import Iterator

values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


def chunks(text: bytes, size: int) -> Iterator[bytes]:
    return (text[start : start + size] for start in range(0, len(text), size))


@given(st.lists(values), st.integers(1, 9), st.sampled_from([None, 2]), st.booleans())
def test_the_elements_are_those_of_the_whole_text(rows: list[Any], size: int, indent: int | None, ascii_: bool) -> None:
    text = json.dumps(rows, indent=indent, ensure_ascii=ascii_).encode("utf-8", "surrogatepass")
    found = [json.loads(element.decode("utf-8", "surrogatepass")) for element in split_array(chunks(text, size))]
    assert found == rows


@given(st.text('[]{},:"\\ 1a\n', max_size=30), st.integers(1, 5))
def test_what_splits_into_json_is_json_and_no_other_text_is(text: str, size: int) -> None:
    try:
        expected: object = json.loads(f"[{text}")
    except ValueError:
        expected = None
    try:
        found: object = [json.loads(element) for element in split_array(chunks(f"[{text}".encode(), size))]
    except (ValueError, InvalidInputError):
        found = None
    assert found == expected


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_brackets_commas_and_quotes_inside_strings_count_for_nothing(size: int) -> None:
    text = rb'[ "]}\\", {"a,\"[": "\\\""} , [1, [2]] ]'
    assert list(split_array(chunks(text, size))) == [rb'"]}\\"', rb'{"a,\"[": "\\\""}', b"[1, [2]]"]


@pytest.mark.parametrize(
    ("text", "elements"),
    [(b"[]", []), (b"[ \n ]\n", []), (b"[1,]", [b"1", b""]), (b"[,1]", [b"", b"1"]), (b"[1,,2]", [b"1", b"", b"2"])],
)
def test_an_element_that_is_missing_is_left_for_the_decoder(text: bytes, elements: list[bytes]) -> None:
    assert list(split_array([text])) == elements


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[1, 2", "JSON: expected `]` at the end of the list, got the end of the input"),
        (b'["a', "JSON: expected `]` at the end of the list, got the end of the input"),
        (b"[1] [2]", "JSON: expected the end of the input after the list, got more"),
        (b"[1}", "JSON: expected `]` at the end of the list, got `}`"),
    ],
)
@pytest.mark.parametrize("size", [1, 100])
def test_what_is_no_list_is_refused(text: bytes, message: str, size: int) -> None:
    with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$"):
        list(split_array(chunks(text, size)))


def test_a_row_that_never_ends_does_not_fill_the_memory() -> None:
    endless = (b'["' if start == 0 else b"a" for start in range(10_000))
    with pytest.raises(InvalidInputError, match=r"(?m)^JSON: expected rows of at most 8 bytes, got a longer one$"):
        list(split_array(endless, limit=8))
    assert next(endless) == b"a"
