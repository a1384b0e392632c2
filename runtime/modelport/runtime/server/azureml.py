"""Azure ML's contract of a scoring server: `/score` and what it says of a call.

The contract is that of azureml-inference-server-http 1.5 (`server/routes.py`), where it is right: malformed input is
400 here, and 500 there.
"""

from __future__ import annotations

import json
import re
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from modelport.runtime.errors import ScriptError, printable, shortened
from modelport.runtime.extras import needed_by
from modelport.runtime.scripts import Call, as_text

from .request import as_mapping
from .responses import JSON, Response

if TYPE_CHECKING:
    from modelport.runtime.dataplane import DataPlane

    from .request import Head
    from .routes import Route

DEPLOYMENT: Final = "azureml-model-deployment"
HEALTHY: Final = Response(200, (("content-type", "text/plain; charset=utf-8"),), b"Healthy")
_FAILED: Final = "x-ms-run-function-failed"
_SERVER_FAULT: Final = 500
_STATUSES: Final = range(200, 600)
# RFC 9110, 5.1 and 5.5: a token as the name, and visible characters of Latin-1 as the value.
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*")


def chosen(plane: DataPlane, route: Route, head: Head) -> tuple[str | None, str | None]:
    """Return the name and the version of the model that the path or the header names: `NAME` or `NAME:VERSION`.

    Where there is one model the header chooses nothing: clients of Azure ML name a deployment by it.
    """
    if route.model is not None or len(plane.slots) == 1:
        return route.model, route.version
    name, _, version = (head.header(DEPLOYMENT) or "").partition(":")
    return name or None, version or None


def score(plane: DataPlane, route: Route, head: Head, content: bytes) -> Response:
    """Answer `/score`; raises what `DataPlane.run` raises.

    A GET is scored by the parameters of its query, as one record. What a script returns is sent as JSON, a response
    (of Flask, such as `AMLResponse`) as it is.
    """
    if head.method == "OPTIONS":
        return mark(Response(200, JSON, b""))
    model, version = chosen(plane, route, head)
    text = as_text(head.parameters()).encode() if head.method == "GET" else content
    call = Call(text, as_mapping(head.headers), lambda: _flask_request(head, content))  # the graph needs none of it
    begun = perf_counter()
    value = plane.run(text, call, model, version)
    spent = ("x-ms-run-fn-exec-ms", f"{(perf_counter() - begun) * 1e3:.3f}")
    response = _response_of(value)
    return response._replace(headers=(*response.headers, spent))


def mark(response: Response) -> Response:
    """Return a response that no script made, marked as Azure ML marks it: whether a script is to blame."""
    return response._replace(headers=(*response.headers, (_FAILED, str(response.status >= _SERVER_FAULT))))


def _response_of(value: Any) -> Response:
    if all(hasattr(value, name) for name in ("status_code", "headers", "get_data")):
        return _passed_on(value)
    return Response(200, (*JSON, (_FAILED, "False")), _encoded({} if value is None else value))


def _passed_on(value: Any) -> Response:
    """Return the response that a script made; of one that says that it failed, that is said in Azure ML's way too."""
    try:
        value.direct_passthrough = False  # a file is read, too
        status, content = int(value.status_code), value.get_data()
        headers = [(str(name).lower(), str(text)) for name, text in value.headers.items()]
    except Exception as error:
        raise ScriptError(f"script: expected `run()` to return a whole response, got {_reason(error)}") from error
    if status not in _STATUSES:
        raise ScriptError(f"script: expected `run()` to return a response of status 200 to 599, got {status}")
    odd = next((name for name, text in headers if not _HEADER.fullmatch(f"{name}: {text}")), None)
    if odd is not None:
        raise ScriptError(f"script: expected `run()` to return headers that HTTP can carry, got another `{odd!a}`")
    if status >= _SERVER_FAULT:
        headers = [pair for pair in headers if pair[0] != _FAILED] + [(_FAILED, "True")]
    left_out = ("content-length", "connection", "transfer-encoding")
    return Response(status, tuple(pair for pair in headers if pair[0] not in left_out), content)


def _encoded(value: Any) -> bytes:
    """Return what a script returned as JSON; raises `ScriptError` if it cannot be."""
    try:
        return msgspec.json.encode(value, enc_hook=_plain)
    except (TypeError, ValueError, NotImplementedError, OverflowError, RecursionError):
        pass
    try:  # it knows more: keys that are no strings, what is derived from strings and numbers, halves of characters
        return json.dumps(value, default=_plain, allow_nan=False).encode()
    except Exception as error:
        raise ScriptError(f"script: expected `run()` to return what JSON can hold, got {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return printable(shortened(str(error), 200)) or type(error).__name__


def _plain(value: Any) -> Any:
    """Return NumPy's arrays and numbers, and data frames, as Python's own values."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if hasattr(value, "to_dict"):
        return value.to_dict()
    raise TypeError(f"a value of type {type(value).__name__}")


def _flask_request(head: Head, content: bytes) -> Any:
    """Return the request as scripts with `@rawhttp` take it."""
    with needed_by("`@rawhttp`"):  # no other script needs Flask
        from flask import Request  # noqa: PLC0415
        from werkzeug.test import EnvironBuilder  # noqa: PLC0415
    builder = EnvironBuilder(
        method=head.method, path=head.path, query_string=head.query, headers=list(head.headers.items()), data=content
    )
    return Request(builder.get_environ())
