"""Azure ML's own server and ours, side by side, with the same scripts: where they differ, a table says how and why.

The other one is azureml-inference-server-http, as its version in locks/azureml.txt.
"""

from __future__ import annotations

import json
import re
import socket
from typing import TYPE_CHECKING, Any, NamedTuple

import azureml_server
import pytest
import scripted
import servers
import tiny_models

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from servers import Address, Answer

_MADE = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LONG = "a" * 101

PLAIN = """
import json
from azureml_inference_server_http.api.aml_response import AMLResponse
from flask import Response

def init():
    pass

def run(data, request_headers):
    try:
        asked = json.loads(data)
    except ValueError:
        return data
    match asked:
        case {"say": code}:
            return eval(code)
        case {"raise": code}:
            raise eval(code)
        case {"headers": names}:
            return {name: request_headers[name] for name in names}
        case {"respond": arguments}:
            return Response(**arguments)
        case {"aml": arguments}:
            return AMLResponse(*arguments)
    return asked
"""

RAW = """
from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse

def init():
    pass

@rawhttp
def run(request):
    if request.args.get("bytes"):
        return AMLResponse(request.get_data(), 201, {"Content-Type": "image/jpeg", "x-a": "1,2"})
    return {
        "method": request.method,
        "path": request.path,
        "query": request.query_string.decode(),
        "args": request.args.to_dict(flat=False),
        "data": request.get_data().decode("latin-1"),
        "type": request.content_type,
        "length": request.content_length or 0,
        "headers": {name: request.headers.get(name) for name in ("X-A", "User-Agent", "Content-Type")},
        "form": request.form.to_dict(),
        "cookies": request.cookies.to_dict(),
        "json": request.get_json(silent=True),
        "has port": ":" in request.host,
    }
"""

SCHEMA = """
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

def init():
    pass

@input_schema("data", StandardPythonParameterType([1.5]))
@input_schema("factor", StandardPythonParameterType(2))
@output_schema(StandardPythonParameterType([3.0]))
def run(data, factor=2):
    return [value * factor for value in data]
"""


class Asked(NamedTuple):
    """A request."""

    path: str = "/score"
    body: Any = None
    method: str | None = None
    headers: Mapping[str, str] = {}


class Differs(NamedTuple):
    """What a field of the answer is there and here, and why."""

    theirs: Any
    ours: Any
    why: str


class Both(NamedTuple):
    """The two servers."""

    theirs: Address
    ours: Address

    def differences(self, asked: Asked) -> dict[str, tuple[Any, Any]]:
        """Return every field in which the answers differ: theirs, ours."""
        given = {"content-type": "application/json", **asked.headers}
        told = [_told(each.ask(asked.path, asked.body, method=asked.method, headers=given)) for each in self]
        return {name: (told[0][name], told[1][name]) for name in told[0] if told[0][name] != told[1][name]}


def _told(answer: Answer) -> dict[str, Any]:
    """Return what an answer tells a client, as far as it is the same for the same request."""
    headers = answer.headers
    request, legacy = headers.get("x-request-id"), headers.get("x-ms-request-id")
    return {
        "status": answer.status,
        "type": headers.get("content-type"),
        "body": _body(answer),
        "failed": headers.get("x-ms-run-function-failed"),
        "timed": re.fullmatch(r"\d+\.\d{3}", headers.get("x-ms-run-fn-exec-ms", "")) is not None,
        "request": "made" if _MADE.fullmatch(request or "") else request,
        "legacy": "the same" if legacy == request else legacy,
        "client": headers.get("x-ms-client-request-id"),
        "more": {name: headers[name] for name in ("x-a", "location", "set-cookie", "traceid") if name in headers},
    }


def _body(answer: Answer) -> Any:
    """Return the body; of a failure it matters that there is a message, of a description which one it is."""
    if answer.headers.get("content-type") != "application/json" or not answer.content:
        return "a page" if answer.content.startswith(b"<html>") else answer.content
    value = json.loads(answer.content, parse_constant=lambda name: f"no JSON: {name}")
    if answer.status >= 400 and list(value) == ["message"]:
        return "a message"
    if isinstance(value, dict) and (version := value.get("swagger") or value.get("openapi")):
        return f"a description {version}"
    return value


def _serving(make: Callable[[str], Any], script: str) -> Iterator[Both]:
    """Serve `script` with both."""
    home = make("scripts")
    (home / "score.py").write_text(script)
    (home / "libraries").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(azureml_server.give_libraries(home / "libraries")))
        package = scripted.put(tiny_models.linear(home / "linear"), script)
        with servers.serving(package) as ours, azureml_server.serving(home / "score.py") as theirs:
            yield Both(theirs, ours)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    yield from _serving(tmp_path_factory.mktemp, PLAIN)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    yield from _serving(tmp_path_factory.mktemp, RAW)


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    yield from _serving(tmp_path_factory.mktemp, SCHEMA)


def respond(*body: Any, **arguments: Any) -> Asked:
    return Asked(body={"respond": {"response": body[0] if body else "text", **arguments}})


def say(code: str) -> Asked:
    return Asked(body={"say": code})


SAME = {
    "a query": Asked("/score?a=1&b=[1,2]&c=a&c=b&d=null&e=&f&g=1.5&h=%22x%22&i=%7B%22j%22:1%7D&k=a+b&l=nan&m=%C3%BC"),
    "no query": Asked("/score"),
    "a string": Asked(body="Zürich"),
    "a number": Asked(body=0.1),
    "a small number": Asked(body=1e-7),
    "a large number": Asked(body=2**70),
    "true": Asked(body=True),
    "null, which becomes an empty object": Asked(body=b"null"),
    "nothing, which becomes an empty object": say("None"),
    "a list": Asked(body=[1, 2.5, "x", None, [True, {}]]),
    "an object": Asked(body={"a": {"b": [{"c": None}]}}),
    "a tuple": say("(1, (2, 3))"),
    "an empty string": say("''"),
    "keys of all kinds": say("{None: 1, True: 2, 3: 4, 1.5: 5}"),
    "classes derived from Python's own": say("[type('S', (str,), {})('x'), type('I', (int,), {})(4)]"),
    "half of a character": say("'\\ud800'"),
    "text that is no JSON": Asked(body=b"{"),
    "no body": Asked(body=b""),
    "bytes that are no text": Asked(body=b"\xff"),
    "an error": Asked(body={"raise": "ValueError('secret')"}),
    "HEAD": Asked(method="HEAD"),
    "a response": respond("text"),
    "a response of bytes": respond("text", content_type="application/octet-stream"),
    "a response with headers": respond(status=201, headers={"X-A": "1", "Location": "/x", "Set-Cookie": "a=1"}),
    "a response without a body": respond("", status=204),
    "a response that says that the client is at fault": respond(status=404),
    "a response that says that the script failed": respond(status=502),
    "a response that says otherwise": respond(status=503, headers={"x-ms-run-function-failed": "no"}),
    "a response with an id": respond(headers={"x-request-id": "mine"}),
    "an AMLResponse": Asked(body={"aml": ["text", 200, {"X-A": "1"}]}),
    "an AMLResponse of JSON": Asked(body={"aml": [{"a": [1]}, 200, {}, True]}),
    "an AMLResponse without a message": Asked(body={"aml": [None, 200]}),
    "an AMLResponse of another type": Asked(body={"aml": ["<p>", 200, {"Content-Type": "text/xml"}]}),
    "an AMLResponse that failed": Asked(body={"aml": ["text", 400, {}, False, True]}),
    "an AMLResponse that failed badly": Asked(body={"aml": ["text", 500]}),
    "headers": Asked(body={"headers": ["X-A", "Content-Type", "Content-Length"]}, headers={"x-a": "b c"}),
    "an id": Asked(body=1, headers={"x-request-id": "r"}),
    "an id of the client": Asked(body=1, headers={"x-ms-client-request-id": "c"}),
    "an id of the client as it used to be": Asked(body=1, headers={"x-ms-request-id": "old"}),
    "both ids of the client": Asked(body=1, headers={"x-ms-request-id": "old", "x-ms-client-request-id": "c"}),
    "all ids": Asked(body=1, headers={"x-request-id": "r", "x-ms-request-id": "old", "x-ms-client-request-id": "c"}),
    "an id of 100 characters": Asked(body=1, headers={"x-request-id": LONG[:-1]}),
    "ids where the script fails": Asked(body={"raise": "KeyError()"}, headers={"x-request-id": "r"}),
    "a description": Asked("/swagger.json"),
    "a description of version 2": Asked("/swagger.json?version=2"),
    "a description of version 3": Asked("/swagger.json?version=3"),
    "a description of version 3.0": Asked("/swagger.json?version=3.0"),
    "a description of version 4": Asked("/swagger.json?version=4"),
}

TYPE = Differs("text/html; charset=utf-8", "text/plain; charset=utf-8", "it is plain text")
MADE = Differs(None, "made", "every answer has an id")
ERROR = "outside of Azure ML's paths an error is the `error` of a JSON object, as the V2 protocol has it"
UNFAILED = Differs("False", None, "what no script was to answer cannot have failed in one")
TIMED = Differs(theirs=False, ours=True, why="likewise")
UNTIMED = Differs(theirs=True, ours=False, why="likewise")
LOST = Differs("False", "True", "a script that returns what cannot be sent is to blame")
DIFFERENT: dict[str, tuple[Asked, dict[str, Differs]]] = {
    "health": (Asked("/"), {"type": TYPE}),
    "OPTIONS": (
        Asked(method="OPTIONS"),
        {"type": Differs(TYPE.theirs, "application/json", "of nothing, either will do")},
    ),
    "OPTIONS of another path": (
        Asked("/swagger.json", method="OPTIONS"),
        {
            "status": Differs(200, 405, "without CORS there is nothing to say"),
            "type": Differs(TYPE.theirs, "application/json", "an error is JSON"),
            "body": Differs(b"", "a message", "an error has a message"),
            "failed": Differs(None, "False", "an error says whose it is"),
        },
    ),
    "a method that there is not": (Asked(method="PUT", body=b"{}"), {"request": MADE}),
    "a method that a description does not have": (Asked("/swagger.json", body=b"{}"), {"request": MADE}),
    "a method that health does not have": (
        Asked("/", body=b"{}"),
        {
            "body": Differs("a message", {"error": "path `/`: expected GET or HEAD, got `POST`"}, ERROR),
            "failed": UNFAILED,
            "request": MADE,
        },
    ),
    "a path that there is not": (
        Asked("/nothing"),
        {
            "body": Differs(
                "a message",
                {"error": "path: expected one that the server has, got `/nothing` (`/docs` shows them all)"},
                ERROR,
            ),
            "failed": UNFAILED,
            "request": MADE,
        },
    ),
    "a slash at the end": (
        Asked("/score/", body=1),
        {
            "status": Differs(404, 200, "a slash at the end is passed over"),
            "body": Differs("a message", 1, "likewise"),
            "timed": TIMED,
            "request": MADE,
        },
    ),
    "an id that is too long": (Asked(body=1, headers={"x-request-id": LONG}), {"request": MADE}),
    "an id of the client that is too long": (
        Asked(body=1, headers={"x-request-id": "r", "x-ms-client-request-id": LONG}),
        {
            "request": Differs("r", "made", "of ids of which one cannot be, none is taken over"),
            "legacy": Differs(None, "the same", "likewise"),
        },
    ),
    "an id that would garble a log": (
        Asked(body=1, headers={"x-request-id": "a b"}),
        {
            "status": Differs(200, 400, "an id goes into logs, where words are apart by spaces"),
            "body": Differs(1, "a message", "likewise"),
            "timed": UNTIMED,
            "request": Differs("a b", "made", "likewise"),
        },
    ),
    "the id of a trace of Office": (
        Asked(body=1, headers={"traceid": "7"}),
        {"more": Differs({"traceid": "7"}, {}, "a trace is told by `traceparent`")},
    ),
    "a description of version 3.1": (
        Asked("/swagger.json?version=3.1"),
        {
            "status": Differs(200, 404, "OpenAPI 3.0 is the latest that there is"),
            "body": Differs("a description 3.1.0", "a message", "likewise"),
        },
    ),
    "what JSON has no word for": (
        say("[float('nan'), float('inf')]"),
        {"body": Differs(["no JSON: NaN", "no JSON: Infinity"], [None, None], "theirs is no JSON")},
    ),
    "what JSON has no list for": (
        say("{1}"),
        {
            "status": Differs(500, 200, "sets, dates, arrays and frames of NumPy and pandas can be sent"),
            "body": Differs("a message", [1], "likewise"),
            "timed": TIMED,
        },
    ),
    "what cannot be sent": (say("object()"), {"failed": LOST}),
    "a list that holds itself": (say("(lambda a: a.append(a) or a)([])"), {"failed": LOST}),
    "a script that exits": (
        Asked(body={"raise": "SystemExit(3)"}),
        {
            "type": Differs("text/html", "application/json", "the process goes on"),
            "body": Differs("a page", "a message", "likewise"),
            "failed": Differs(None, "True", "likewise"),
            "request": MADE,
        },
    ),
    "a form": (
        Asked(body=b"a=1", headers={"content-type": "application/x-www-form-urlencoded"}),
        {"body": Differs("", "a=1", "whatever it is called, the body is the text")},
    ),
    "bytes in a query that are no text": (
        Asked("/score?a=%FF"),
        {"body": Differs({"a": "%FF"}, {"a": "\ufffd"}, "what is no text is shown as such")},
    ),
    "a status that HTTP does not have": (
        respond(status=600),
        {
            "status": Differs(600, 500, "it cannot be sent by every server"),
            "type": Differs(TYPE.theirs, "application/json", "likewise"),
            "body": Differs(b"text", "a message", "likewise"),
            "timed": UNTIMED,
        },
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_a_client_cannot_tell_the_servers_apart_by(plain: Both, name: str) -> None:
    assert plain.differences(SAME[name]) == {}


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_client_can_tell_the_servers_apart_as_the_table_says_by(plain: Both, name: str) -> None:
    asked, expected = DIFFERENT[name]
    assert plain.differences(asked) == {field: (each.theirs, each.ours) for field, each in expected.items()}


def test_each_says_which_server_it_is(plain: Both) -> None:
    said = [each.ask("/score", 1).headers["x-ms-server-version"] for each in plain]
    assert [re.fullmatch(r"(\w+)/[\d.]+", version)[1] for version in said] == ["azmlinfsrv", "modelport"]


def _exchange(address: Address, request: bytes) -> bytes:
    with socket.create_connection((address.host, address.port), timeout=60) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_header_that_comes_twice_reaches_a_script_as_one(plain: Both) -> None:
    body = b'{"headers": ["X-A"]}'
    head = b"POST /score HTTP/1.1\r\nhost: t\r\nconnection: close\r\nx-a: 1\r\nX-A: 2\r\ncontent-length: %d\r\n\r\n"
    for each in plain:
        answer = _exchange(each, head % len(body) + body)
        assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"X-A": "1,2"}


def test_a_header_that_a_script_sends_twice_reaches_the_client_twice(plain: Both) -> None:
    body = json.dumps({"aml": ["text", 200, {"set-cookie": "a=1,b=2"}]}).encode()
    head = b"POST /score HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    for each in plain:
        answer = _exchange(each, head + body).lower()
        assert re.findall(rb"set-cookie: (.*)\r\n", answer) == [b"a=1", b"b=2"]


def test_ours_keeps_the_connection(plain: Both) -> None:
    theirs, ours = (each.ask("/score", 1).headers.get("connection") for each in plain)
    assert (theirs, ours) == ("close", None)


def test_the_words_of_an_error_are_our_own(plain: Both) -> None:
    answer = plain.ours.ask("/score", b"\xff")
    assert answer.json == {"message": "body: expected UTF-8, got an invalid byte at 0"}
    answer = plain.ours.ask("/score", {"raise": "ValueError('secret')"}, headers={"x-request-id": "r"})
    assert answer.json == {"message": "script: expected to answer, got an internal error; the log has it as r"}
    answer = plain.ours.ask("/score", 1, headers={"x-request-id": LONG})
    assert answer.json == {"message": "header `x-request-id`: expected at most 100 characters, got 101"}
    answer = plain.ours.ask("/swagger.json?version=4")
    assert answer.json == {"message": "description: expected version 2 or 3, got `4`"}
    answer = plain.ours.ask("/score", 1, method="DELETE")
    assert answer.json == {"message": "path `/score`: expected GET or POST or OPTIONS, got `DELETE`"}


RAW_CASES = {
    "text": Asked(body=b"text", headers={"x-a": "1", "cookie": "c=1; d=2", "user-agent": "a b"}),
    "JSON": Asked(body={"a": [1]}),
    "bytes": Asked(body=bytes(range(256)), headers={"content-type": "image/jpeg"}),
    "bytes back": Asked("/score?bytes=1", body=bytes(range(256)), headers={"content-type": "image/jpeg"}),
    "no body": Asked(body=b""),
    "a form": Asked(body=b"a=1&b=%20", headers={"content-type": "application/x-www-form-urlencoded"}),
    "a query": Asked("/score?a=1&b=%C3%BC+x&a=2", body=b"x"),
    "GET": Asked("/score?a=1&b=[2]"),
    "PUT": Asked(method="PUT", body=b"x"),
}


@pytest.mark.parametrize("name", RAW_CASES)
def test_a_script_that_takes_the_whole_request_cannot_tell_the_servers_apart_by(raw: Both, name: str) -> None:
    expected = {"request": (None, "made")} if name == "PUT" else {}
    assert raw.differences(RAW_CASES[name]) == expected


def test_options_reach_a_script_that_takes_the_whole_request_there_and_not_here(raw: Both) -> None:
    """Browsers ask by them whether a page may ask, and what a script scores is nothing to that."""
    theirs, ours = (each.ask("/score", method="OPTIONS") for each in raw)
    assert (theirs.status, theirs.json["method"]) == (200, "OPTIONS")
    assert (ours.status, ours.content) == (200, b"")


SCHEMA_CASES = {
    "all arguments": Asked(body={"data": [1.5, 2], "factor": 3}),
    "a default": Asked(body={"data": [1.5]}),
    "an argument too many": Asked(body={"data": [1.5], "other": 1}),
    "an argument too few": Asked(body={"factor": 3}),
    "a query": Asked("/score?data=[1,2]&factor=4"),
    "a query with too few": Asked("/score?factor=4"),
    "a list": Asked(body=[1]),
    "text that is no JSON": Asked(body=b"{"),
    "no body": Asked(body=b""),
    "an argument of another type": Asked(body={"data": [1.5], "factor": {}}),
}


@pytest.mark.parametrize("name", SCHEMA_CASES)
def test_a_script_with_a_schema_cannot_tell_the_servers_apart_by(schema: Both, name: str) -> None:
    assert schema.differences(SCHEMA_CASES[name]) == {}


SCHEMA_DIFFERENT: dict[str, tuple[Asked, dict[str, Differs]]] = {
    "another type of content": (
        Asked(body={"data": [1]}, headers={"content-type": "text/plain"}),
        {
            "status": Differs(415, 200, "whatever it is called, the body is JSON or it is not"),
            "body": Differs("a message", [2], "likewise"),
            "timed": TIMED,
        },
    ),
    "no number": (
        Asked(body=b'{"data": [NaN]}'),
        {
            "status": Differs(200, 400, "JSON has no word for it"),
            "body": Differs(["no JSON: NaN"], "a message", "likewise"),
            "timed": UNTIMED,
        },
    ),
    "an argument twice": (
        Asked(body=b'{"data": [1], "data": [2]}'),
        {
            "status": Differs(200, 400, "nobody knows which one is meant"),
            "body": Differs([4], "a message", "likewise"),
            "timed": UNTIMED,
        },
    ),
}


@pytest.mark.parametrize("name", SCHEMA_DIFFERENT)
def test_a_script_with_a_schema_can_tell_the_servers_apart_as_the_table_says_by(schema: Both, name: str) -> None:
    asked, expected = SCHEMA_DIFFERENT[name]
    assert schema.differences(asked) == {field: (each.theirs, each.ours) for field, each in expected.items()}
