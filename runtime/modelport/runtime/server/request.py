"""What every transport knows of a request: its head, and the ids under which it is known."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol
from urllib.parse import parse_qs

from modelport.runtime.errors import InvalidInputError

from .errors import HeaderTooLargeError

if TYPE_CHECKING:
    from collections.abc import Mapping

# The limit of azureml-inference-server-http (`server/routes.py`), and what goes into logs and headers unharmed.
_LONGEST_ID: Final = 100
_ID: Final = re.compile(r"[!-~]+")
_MOST_PARAMETERS: Final = 1000
# https://www.w3.org/TR/trace-context-2/#traceparent-header; a later version may have more fields.
_TRACEPARENT: Final = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)


class Headers(Protocol):
    """A request's headers, by lower-case name."""

    def get_all(self, name: str, /) -> list[str]:
        """Return every header called `name`."""

    def __contains__(self, name: str, /) -> bool:
        """Return whether there is any header called `name`, also one whose bytes are no ASCII."""

    def items(self) -> list[tuple[str, str]]:
        """Return all headers that are text."""


class Head(NamedTuple):
    """The head of a request. `path` has its percent escapes decoded, `query` has not.

    `arrived` is the moment by `time.perf_counter`, 0 where nobody knows.
    """

    method: str
    path: str
    query: str
    headers: Headers
    arrived: float = 0.0

    def header(self, name: str) -> str | None:
        """Return the value of the header called `name`, None without."""
        return header(self.headers, name)

    def parameters(self) -> dict[str, list[str]]:
        """Return the parameters of the query; raises `InvalidInputError` if there are too many."""
        try:
            return parse_qs(self.query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
        except ValueError as error:
            raise InvalidInputError(f"query: expected at most {_MOST_PARAMETERS} parameters, got more") from error


class Trace(NamedTuple):
    """The place of a request in a distributed trace (W3C Trace Context): ids in hexadecimal, ours as `span`."""

    trace: str
    parent: str
    span: str
    flags: str

    @property
    def traceparent(self) -> str:
        """The header that tells others of our span."""
        return f"00-{self.trace}-{self.span}-{self.flags}"


class Ids(NamedTuple):
    """How a request is known: the id that logs have, the headers that repeat it to the client, the trace if any."""

    request: str
    headers: tuple[tuple[str, str], ...]
    trace: Trace | None


def header(headers: Headers, name: str) -> str | None:
    """Return the value of the header called `name`, the values of several joined as HTTP joins them (RFC 9110, 5.3).

    One that is no ASCII is shown as `?`: it is there, and says nothing that we know.
    """
    values = headers.get_all(name)
    if not values:
        return "?" if name in headers else None
    return values[0] if len(values) == 1 else ", ".join(values)


def ids(headers: Headers) -> Ids:
    """Return the ids of a request, as azureml-inference-server-http gives them, and its trace.

    `x-request-id` is taken over or made; `x-ms-client-request-id` comes back; `x-ms-request-id` is either of the two.
    Raises `HeaderTooLargeError` for one above 100 characters, `InvalidInputError` for one that is no plain text.
    """
    request = _id(headers, "x-request-id") or os.urandom(16).hex()
    client = _id(headers, "x-ms-client-request-id")
    legacy = _id(headers, "x-ms-request-id")
    said = [("x-request-id", request), ("x-ms-request-id", legacy or client or request)]
    if known := client or legacy:
        said.append(("x-ms-client-request-id", known))
    if (trace := _trace(headers)) is not None:
        said.append(("traceparent", trace.traceparent))
    return Ids(request, tuple(said), trace)


def fresh_ids() -> Ids:
    """Return the ids of a request that gave none that can be used."""
    request = os.urandom(16).hex()
    return Ids(request, (("x-request-id", request), ("x-ms-request-id", request)), None)


def as_mapping(headers: Headers) -> Mapping[str, str]:
    """Return the headers as a script gets them: each name once, written as HTTP's own documents write it."""
    found: dict[str, str] = {}
    for name, value in headers.items():
        title = "-".join(part.capitalize() for part in name.split("-"))
        found[title] = f"{found[title]},{value}" if title in found else value
    return found


def _id(headers: Headers, name: str) -> str:
    value = header(headers, name) or ""
    if len(value) > _LONGEST_ID:
        raise HeaderTooLargeError(f"header `{name}`: expected at most {_LONGEST_ID} characters, got {len(value)}")
    if value and not _ID.fullmatch(value):
        raise InvalidInputError(f"header `{name}`: expected printable ASCII without spaces, got something else")
    return value


def _trace(headers: Headers) -> Trace | None:
    """Return the trace that the request belongs to; one that cannot be read counts as none, as the standard says."""
    found = _TRACEPARENT.fullmatch(header(headers, "traceparent") or "")
    if found is None or (found[1] == "00" and found[5]):
        return None
    return Trace(found[2], found[3], os.urandom(8).hex(), found[4])
