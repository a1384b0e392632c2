"""Azure ML's contract of a scoring server: `/score` and what it says of a call.

The contract is that of azureml-inference-server-http 1.5 (`server/routes.py`), where it is right: malformed input is
400 here, and 500 there.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from modelport.runtime.errors import MissingExtraError, ScriptError, printable, shortened
from modelport.runtime.scripts import Call, as_text, decoded

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


def chosen(route: Route, head: Head) -> tuple[str | None, str | None]:
    """Return the name and the version of the model that the path or the header names: `NAME` or `NAME:VERSION`."""
    if route.model is not None:
        return route.model, route.version
    name, _, version = (head.header(DEPLOYMENT) or "").partition(":")
    return name or None, version or None


def score(plane: DataPlane, route: Route, head: Head, content: bytes) -> Response:
    """Answer `/score`; raises what `DataPlane.run` raises.

    A GET is scored by the parameters of its query, as one record. What a script returns is sent as JSON, a response
    (of Flask, such as `AMLResponse`) as it is.
    """
    if head.method == "OPTIONS":
        return Response(200, JSON, b"")
    model, version = chosen(route, head)
    if head.method == "GET":
        content = as_text(head.parameters()).encode()
    call = _call(head, content) if plane.scorer(model, version).has_script else None
    begun = perf_counter()
    value = plane.run(content, call, model, version)
    spent = ("x-ms-run-fn-exec-ms", f"{(perf_counter() - begun) * 1e3:.3f}")
    response = _response_of(value)
    failed = (_FAILED, str(response.status >= _SERVER_FAULT))
    return response._replace(headers=(*response.headers, failed, spent))


def mark(response: Response) -> Response:
    """Return the response to a request that failed, marked as Azure ML marks it: whether the script is to blame."""
    return response._replace(headers=(*response.headers, (_FAILED, str(response.status >= _SERVER_FAULT))))


def _call(head: Head, content: bytes) -> Call:
    return Call(decoded(content), as_mapping(head.headers), lambda: _flask_request(head, content))


def _response_of(value: Any) -> Response:
    if all(hasattr(value, name) for name in ("status_code", "headers", "get_data")):
        headers = tuple((str(name).lower(), str(text)) for name, text in value.headers.items())
        left_out = ("content-length", "connection", "transfer-encoding", _FAILED)
        kept = tuple(pair for pair in headers if pair[0] not in left_out)
        return Response(int(value.status_code), kept, value.get_data())
    try:
        return Response(200, JSON, msgspec.json.encode({} if value is None else value, enc_hook=_plain))
    except (TypeError, ValueError, NotImplementedError, OverflowError, RecursionError) as error:
        reason = printable(shortened(str(error), 200))
        raise ScriptError(f"script: expected `run()` to return what JSON can hold, got {reason}") from error


def _plain(value: Any) -> Any:
    """Return NumPy's arrays and numbers, and data frames, as Python's own values."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if hasattr(value, "to_dict"):
        return value.to_dict()
    raise TypeError(f"a value of type {type(value).__name__}")


def _flask_request(head: Head, content: bytes) -> Any:
    """Return the request as scripts with `@rawhttp` take it."""
    try:
        from flask import Request  # noqa: PLC0415  only such scripts need Flask
        from werkzeug.test import EnvironBuilder  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError(
            "script: expected Flask for `@rawhttp`, got none", hint="pip install modelport[flask]"
        ) from error
    builder = EnvironBuilder(
        method=head.method, path=head.path, query_string=head.query, headers=list(head.headers.items()), data=content
    )
    return Request(builder.get_environ())
