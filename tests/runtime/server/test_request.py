"""A request's head is understood as HTTP and the trace context standard have it, and never breaks an answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from rsgi import Headers

from modelport.runtime.errors import InvalidInputError, ModelportError
from modelport.runtime.server.errors import HeaderTooLargeError
from modelport.runtime.server.request import Head, as_mapping, fresh_ids, header, ids

if TYPE_CHECKING:
    from collections.abc import Mapping

ID = re.compile(r"[0-9a-f]{32}")
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
hexadecimal = st.sampled_from("0123456789abcdef")


class Several(dict[str, list[str]]):
    """Headers of which one may come several times."""

    def get_all(self, name: str) -> list[str]:
        return self.get(name, [])

    def items(self) -> Any:
        return [(name, value) for name, values in super().items() for value in values]


class Unreadable(Headers):
    """Headers of which Granian gives no text, as their bytes are none."""

    def get_all(self, name: str) -> list[str]:  # noqa: ARG002
        return []


def refused(message: str, error: type[ModelportError] = InvalidInputError) -> Any:
    return pytest.raises(error, match=f"(?m)^{re.escape(message)}$")


def said(**headers: str) -> Mapping[str, str]:
    """Return the headers that an answer to a request with these has."""
    return dict(ids(Headers({name.replace("_", "-"): value for name, value in headers.items()})).headers)


def test_a_request_without_ids_gets_one() -> None:
    found = ids(Headers())
    assert ID.fullmatch(found.request)
    assert found.headers == (("x-request-id", found.request), ("x-ms-request-id", found.request))
    assert found.trace is None
    assert ids(Headers()).request != found.request


def test_fresh_ids_are_those_of_a_request_without_ids() -> None:
    found = fresh_ids()
    assert ID.fullmatch(found.request)
    assert found.headers == (("x-request-id", found.request), ("x-ms-request-id", found.request))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"x_request_id": "r"}, {"x-request-id": "r", "x-ms-request-id": "r"}),
        (
            {"x_request_id": "r", "x_ms_client_request_id": "c"},
            {"x-request-id": "r", "x-ms-request-id": "c", "x-ms-client-request-id": "c"},
        ),
        (
            {"x_request_id": "r", "x_ms_request_id": "old"},
            {"x-request-id": "r", "x-ms-request-id": "old", "x-ms-client-request-id": "old"},
        ),
        (
            {"x_request_id": "r", "x_ms_request_id": "old", "x_ms_client_request_id": "c"},
            {"x-request-id": "r", "x-ms-request-id": "old", "x-ms-client-request-id": "c"},
        ),
        ({"x_request_id": "a" * 100}, {"x-request-id": "a" * 100, "x-ms-request-id": "a" * 100}),
    ],
)
def test_ids_come_back(given: dict[str, str], expected: dict[str, str]) -> None:
    assert said(**given) == expected


def test_an_empty_id_counts_as_none() -> None:
    assert ID.fullmatch(said(x_request_id="")["x-request-id"])


@pytest.mark.parametrize("name", ["x-request-id", "x-ms-request-id", "x-ms-client-request-id"])
def test_an_id_that_is_too_long_or_no_plain_text_is_refused(name: str) -> None:
    with refused(f"header `{name}`: expected at most 100 characters, got 101", HeaderTooLargeError):
        ids(Headers({name: "a" * 101}))
    for value in ("a b", "ä", "a\tb", "\x7f"):
        with refused(f"header `{name}`: expected printable ASCII without spaces, got something else"):
            ids(Headers({name: value}))


@given(st.dictionaries(st.sampled_from(["x-request-id", "x-ms-request-id", "traceparent"]), st.text()))
def test_whatever_ids_and_traces_are_they_are_refused_or_can_go_into_headers(given: dict[str, str]) -> None:
    try:
        found = ids(Headers(given))
    except InvalidInputError as error:
        assert re.match("header `x-(ms-)?request-id`: expected ", error.message)  # noqa: PT017
        return
    assert all(re.fullmatch("[!-~]{1,100}", value) for _, value in found.headers)


def test_a_trace_is_continued_with_a_span_of_our_own() -> None:
    headers = Headers({"traceparent": f"00-{TRACE}-{PARENT}-01"})
    first, second = ids(headers), ids(headers)
    assert first.trace is not None
    assert second.trace is not None
    assert (first.trace.trace, first.trace.parent, first.trace.flags) == (TRACE, PARENT, "01")
    assert re.fullmatch("[0-9a-f]{16}", first.trace.span)
    assert len({first.trace.span, second.trace.span, PARENT}) == 3
    assert dict(first.headers)["traceparent"] == f"00-{TRACE}-{first.trace.span}-01"


@given(
    st.text(hexadecimal, min_size=32, max_size=32),
    st.text(hexadecimal, min_size=16, max_size=16),
    st.text(hexadecimal, min_size=2, max_size=2),
)
def test_every_valid_trace_is_kept(trace: str, parent: str, flags: str) -> None:
    assume(trace.strip("0"))
    assume(parent.strip("0"))
    found = ids(Headers({"traceparent": f"00-{trace}-{parent}-{flags}"})).trace
    assert found is not None
    assert (found.trace, found.parent, found.flags) == (trace, parent, flags)


def test_a_trace_of_a_later_version_is_kept_with_what_is_known_of_it() -> None:
    for end in ("", "-more", "-"):
        found = ids(Headers({"traceparent": f"cc-{TRACE}-{PARENT}-01{end}"})).trace
        assert found is not None
        assert found.traceparent == f"00-{TRACE}-{found.span}-01"


@pytest.mark.parametrize(
    "given",
    [
        *("", "00", f"ff-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01-more", f"00-{TRACE}-{PARENT}-01-"),
        *(f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{PARENT}-01"),
        *(f"00-{TRACE}-{PARENT}", f"00-{TRACE[1:]}-{PARENT}-01", f" 00-{TRACE}-{PARENT}-01", f"00_{TRACE}-{PARENT}-01"),
        *(f"00-{TRACE}-{PARENT}-01\n", f"00-{TRACE}-{PARENT}-0x", f"cc-{TRACE}-{PARENT}-01more", "?"),
    ],
)
def test_a_trace_that_cannot_be_read_counts_as_none(given: str) -> None:
    assert ids(Headers({"traceparent": given})).trace is None


def test_two_traces_count_as_none() -> None:
    both = Several({"traceparent": [f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"]})
    assert ids(both).trace is None


def test_headers_of_one_name_are_joined_as_http_joins_them() -> None:
    headers = Several({"accept": ["a", "b, c"], "host": ["h"]})
    assert header(headers, "accept") == "a, b, c"
    assert header(headers, "host") == "h"
    assert header(headers, "other") is None


def test_a_header_that_is_no_text_is_there_and_says_nothing() -> None:
    assert header(Unreadable({"x-request-id": "\xff"}), "x-request-id") == "?"


def test_scripts_get_headers_with_the_names_that_azure_ml_gives_them() -> None:
    headers = Several({"content-type": ["application/json"], "x-a": ["1", "2"], "te": ["t"]})
    assert as_mapping(headers) == {"Content-Type": "application/json", "X-A": "1,2", "Te": "t"}


def test_parameters_are_taken_apart() -> None:
    head = Head("GET", "/score", "a=1&b=%5B1%2C%202%5D&c=x&c=y+z&d=&e&f=%C3%A9", Headers())
    assert head.parameters() == {"a": ["1"], "b": ["[1, 2]"], "c": ["x", "y z"], "d": [""], "e": [""], "f": ["é"]}


def test_too_many_parameters_are_refused() -> None:
    assert len(Head("GET", "/", "&".join(f"p{n}=1" for n in range(1000)), Headers()).parameters()) == 1000
    with refused("query: expected at most 1000 parameters, got more"):
        Head("GET", "/", "a&" * 1001, Headers()).parameters()


@given(st.text())
def test_no_query_is_more_than_refused(query: str) -> None:
    found = Head("GET", "/", query, Headers()).parameters()
    assert all(isinstance(value, str) for values in found.values() for value in values)
