"""Responses, and the one table that says which status an error has."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from modelport.runtime.errors import (
    DeadlineExceededError,
    InvalidInputError,
    ModelportError,
    NotReadyError,
    ScriptError,
    UnknownNameError,
    UnscorableInputError,
)

from .errors import (
    BodyTooLargeError,
    HeaderTooLargeError,
    LengthRequiredError,
    MethodNotAllowedError,
    OverloadedError,
    SlowRequestError,
    UnauthorizedError,
    UnsupportedEncodingError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    Headers = tuple[tuple[str, str], ...]

_log = logging.getLogger(__name__)

JSON: Final = (("content-type", "application/json"),)
BINARY: Final = (("content-type", "application/octet-stream"),)

# The nearest class of an error's own line of descent counts. What is not here is our fault: 500.
_STATUS: Final[dict[type[Exception], int]] = {
    InvalidInputError: 400,
    UnauthorizedError: 401,
    UnknownNameError: 404,
    MethodNotAllowedError: 405,
    SlowRequestError: 408,
    LengthRequiredError: 411,
    BodyTooLargeError: 413,
    UnsupportedEncodingError: 415,
    UnscorableInputError: 422,
    OverloadedError: 429,
    HeaderTooLargeError: 431,
    NotReadyError: 503,
    DeadlineExceededError: 504,
}


class Response(NamedTuple):
    """What goes back to the client."""

    status: int
    headers: Headers
    body: bytes


def ok(value: Any) -> Response:
    """Return `value` as JSON."""
    return Response(200, JSON, msgspec.json.encode(value))


def failed(error: Exception, request: str, *, field: str = "error") -> Response:
    """Return what the client is told of `error`, as the `field` of a JSON object.

    Of an error that is our fault, or a script's, that is only the id of the `request`, under which the log has the
    rest; and so it is of what the engine says of an input, which may hold paths.
    """
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)
    if isinstance(error, UnscorableInputError):
        _log.warning("request %s: %s", request, error.message)
        text = f"model: expected an input that it can score, got one that it cannot; the log has it as {request}"
    elif status == 500 or not isinstance(error, ModelportError):  # noqa: PLR2004
        _log.error("request %s failed", request, exc_info=error)
        at_fault = "script" if isinstance(error, ScriptError) else "server"
        text = f"{at_fault}: expected to answer, got an internal error; the log has it as {request}"
    else:
        text = error.message if error.hint is None else f"{error.message} ({error.hint})"
    return Response(status, (*JSON, *_headers(error)), msgspec.json.encode({field: text}))


def _headers(error: Exception) -> Sequence[tuple[str, str]]:
    """Return what HTTP wants to be said with a status."""
    if isinstance(error, MethodNotAllowedError):
        return (("allow", ", ".join(error.allowed)),)
    if isinstance(error, OverloadedError):
        return (("retry-after", str(error.retry_after)),)
    if isinstance(error, UnauthorizedError):
        return (("www-authenticate", 'Bearer realm="modelport"'),)
    if isinstance(error, UnsupportedEncodingError):
        return (("accept-encoding", "gzip, identity"),)
    return ()
