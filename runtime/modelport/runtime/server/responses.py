"""Responses, and the one table that says which status an error has."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from modelport.runtime.errors import (
    InvalidInputError,
    ModelportError,
    NotReadyError,
    UnknownNameError,
    UnscorableInputError,
)

from .errors import BodyTooLargeError, LengthRequiredError, MethodNotAllowedError, UnsupportedEncodingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    Headers = tuple[tuple[str, str], ...]

_log = logging.getLogger(__name__)

JSON: Final = (("content-type", "application/json"),)
BINARY: Final = (("content-type", "application/octet-stream"),)

# The nearest class of an error's own line of descent counts. What is not here is our fault: 500.
_STATUS: Final[dict[type[Exception], int]] = {
    InvalidInputError: 400,
    UnknownNameError: 404,
    MethodNotAllowedError: 405,
    LengthRequiredError: 411,
    BodyTooLargeError: 413,
    UnsupportedEncodingError: 415,
    UnscorableInputError: 422,
    NotReadyError: 503,
}


class Response(NamedTuple):
    """What goes back to the client."""

    status: int
    headers: Headers
    body: bytes


def ok(value: Any) -> Response:
    """Return `value` as JSON."""
    return Response(200, JSON, msgspec.json.encode(value))


def failed(error: Exception) -> Response:
    """Return what the client is told of `error`.

    Of an error that is our fault that is an id only, under which the log has the rest.
    """
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)
    if isinstance(error, UnscorableInputError):  # what the engine says of it may hold paths
        number = uuid.uuid4().hex
        _log.warning("request %s: %s", number, error.message)
        return _error(
            status,
            f"model: expected an input that it can score, got one that it cannot; the log has it as {number}",
            (),
        )
    if status == 500 or not isinstance(error, ModelportError):  # noqa: PLR2004
        number = uuid.uuid4().hex
        _log.error("request %s failed", number, exc_info=error)
        return _error(500, f"server: expected to answer, got an internal error; the log has it as {number}", ())
    text = error.message if error.hint is None else f"{error.message} ({error.hint})"
    return _error(status, text, _headers(error))


def _headers(error: ModelportError) -> Sequence[tuple[str, str]]:
    """Return what HTTP wants to be said with a status."""
    if isinstance(error, MethodNotAllowedError):
        return (("allow", ", ".join(error.allowed)),)
    if isinstance(error, UnsupportedEncodingError):
        return (("accept-encoding", "identity"),)
    return ()


def _error(status: int, text: str, headers: Sequence[tuple[str, str]]) -> Response:
    return Response(status, (*JSON, *headers), msgspec.json.encode({"error": text}))
