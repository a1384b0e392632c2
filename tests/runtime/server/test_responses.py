"""One table says which status an error has, and what is our fault stays in the log."""

from __future__ import annotations

import json
import logging

import pytest

from modelport.runtime import errors
from modelport.runtime.server.errors import (
    BodyTooLargeError,
    HeaderTooLargeError,
    LengthRequiredError,
    MethodNotAllowedError,
    UnauthorizedError,
    UnsupportedEncodingError,
)
from modelport.runtime.server.responses import failed, ok


class NarrowError(errors.InvalidInputError):
    """A kind of invalid input that the table does not name."""


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidInputError("a"), 400),
        (NarrowError("a"), 400),
        (UnauthorizedError("a"), 401),
        (errors.UnknownNameError("a"), 404),
        (MethodNotAllowedError("a", allowed=("GET", "HEAD")), 405),
        (LengthRequiredError("a"), 411),
        (BodyTooLargeError("a"), 413),
        (UnsupportedEncodingError("a"), 415),
        (HeaderTooLargeError("a"), 431),
        (errors.NotReadyError("a"), 503),
    ],
)
def test_an_error_of_the_clients_has_its_status_and_says_what_it_is(error: Exception, status: int) -> None:
    response = failed(error, "7")
    assert response.status == status
    assert ("content-type", "application/json") in response.headers
    assert json.loads(response.body) == {"error": "a"}


@pytest.mark.parametrize(
    ("error", "header"),
    [
        (MethodNotAllowedError("a", allowed=("GET", "HEAD")), ("allow", "GET, HEAD")),
        (UnauthorizedError("a"), ("www-authenticate", 'Bearer realm="modelport"')),
        (UnsupportedEncodingError("a"), ("accept-encoding", "gzip, identity")),
    ],
)
def test_a_status_comes_with_the_header_that_http_wants(error: Exception, header: tuple[str, str]) -> None:
    assert header in failed(error, "7").headers


def test_a_hint_follows_in_brackets() -> None:
    error = errors.InvalidInputError("a", hint="b")
    assert json.loads(failed(error, "7").body) == {"error": "a (b)"}


@pytest.mark.parametrize(
    "error", [ValueError("/srv/secret"), errors.ScoringError("/srv/secret"), errors.ModelportError("/srv")]
)
def test_an_error_of_ours_is_an_id_to_the_client_and_a_trace_in_the_log(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        response = failed(error, "7")
    assert response.status == 500
    text = json.loads(response.body)["error"]
    assert text == "server: expected to answer, got an internal error; the log has it as 7"
    (record,) = caplog.records
    assert record.getMessage() == "request 7 failed"
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_a_script_that_fails_is_told_from_the_server() -> None:
    text = json.loads(failed(errors.ScriptError("/srv/secret"), "7", field="message").body)
    assert text == {"message": "script: expected to answer, got an internal error; the log has it as 7"}


def test_a_value_is_answered_as_json() -> None:
    assert ok({"live": True}) == (200, (("content-type", "application/json"),), b'{"live":true}')
