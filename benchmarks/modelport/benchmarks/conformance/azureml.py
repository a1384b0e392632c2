"""What a client of Azure ML's contract can ask of a scoring server, and what must come of it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from .checks import holds, results, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .asking import Ask, Reply
    from .cases import Cases
    from .checks import Result

    Operation = Callable[[Ask, Cases], None]

CONTRACT: Final = "Azure ML's contract"
_JSON: Final = {"Content-Type": "application/json"}
_MADE: Final = re.compile(r"[0-9a-f]{32}")
_SECONDS: Final = re.compile(r"\d+\.\d{3}")


def _health(ask: Ask, _cases: Cases) -> None:
    reply = ask("GET", "/")
    same("status and body", (reply.status, reply.body), (200, b"Healthy"))


def _scores(name: str) -> Callable[[Ask, Cases], None]:
    """Return the operation that sends a document to the model's own path and compares the answer."""

    def operation(ask: Ask, cases: Cases) -> None:
        document = cases.documents[name]
        _same(_post(ask, cases, f"/models/{document.model}/score", document.body), document.answer)

    return operation


def _deployment(ask: Ask, cases: Cases) -> None:
    for document in cases.documents.values():
        header = {"azureml-model-deployment": document.model}
        _same(_post(ask, cases, "/score", document.body, header), document.answer)


def _deployment_version(ask: Ask, cases: Cases) -> None:
    document = cases.documents["rows"]
    header = {"azureml-model-deployment": f"{document.model}:{cases.version}"}
    _same(_post(ask, cases, "/score", document.body, header), document.answer)


def _deployment_missing(ask: Ask, cases: Cases) -> None:
    for header, status in (({}, 400), ({"azureml-model-deployment": "unknown"}, 404)):
        reply = _post(ask, cases, "/score", cases.documents["rows"].body, header)
        same("status", reply.status, status)
        holds(f"message: expected the models in it, got {reply.body!r}", condition="`iris`" in reply.json["message"])


def _query(ask: Ask, cases: Cases) -> None:
    """Have the script answer with what it was given."""
    reply = ask("GET", "/models/scripted/score?a=1&b=x", headers=cases.authorization)
    _same(reply, {"a": 1, "b": "x"})


def _options(ask: Ask, cases: Cases) -> None:
    reply = ask("OPTIONS", "/score", headers=cases.authorization)
    same("status and body", (reply.status, reply.body), (200, b""))


def _script_fails(ask: Ask, cases: Cases) -> None:
    reply = _post(ask, cases, "/models/scripted/score", {"fail": True})
    same("status", reply.status, 500)
    same("x-ms-run-function-failed", reply.headers.get("x-ms-run-function-failed"), "True")
    holds(f"message: expected no word of the script's, got {reply.body!r}", condition=b"secret" not in reply.body)


def _headers(ask: Ask, cases: Cases) -> None:
    reply = _post(ask, cases, "/models/iris/score", cases.documents["rows"].body)
    made = reply.headers.get("x-request-id", "")
    holds(f"x-request-id: expected one that was made, got {made!r}", condition=_MADE.fullmatch(made))
    same("x-ms-request-id", reply.headers.get("x-ms-request-id"), made)
    same("x-ms-run-function-failed", reply.headers.get("x-ms-run-function-failed"), "False")
    spent = reply.headers.get("x-ms-run-fn-exec-ms", "")
    holds(f"x-ms-run-fn-exec-ms: expected milliseconds, got {spent!r}", condition=_SECONDS.fullmatch(spent))
    holds("x-ms-server-version: expected one, got none", condition=reply.headers.get("x-ms-server-version"))


def _ids(ask: Ask, cases: Cases) -> None:
    sent = {"x-request-id": "mine-1", "x-ms-client-request-id": "client-1"}
    reply = _post(ask, cases, "/models/iris/score", cases.documents["rows"].body, sent)
    for name, expected in {**sent, "x-ms-request-id": "client-1"}.items():
        same(name, reply.headers.get(name), expected)


def _long_id(ask: Ask, cases: Cases) -> None:
    reply = _post(ask, cases, "/models/iris/score", cases.documents["rows"].body, {"x-request-id": "a" * 101})
    same("status", reply.status, 431)


def _swagger_2(ask: Ask, cases: Cases) -> None:
    for path in ("/models/iris/swagger.json", "/models/iris/swagger.json?version=2"):
        said = ask("GET", path, headers=cases.authorization).json
        same("version", said["swagger"], "2.0")
        holds("paths: expected one of `score`", condition=any(name.endswith("/score") for name in said["paths"]))


def _swagger_3(ask: Ask, cases: Cases) -> None:
    said = ask("GET", "/models/iris/swagger.json?version=3", headers=cases.authorization).json
    same("version", said["openapi"], "3.0.3")
    holds("paths: expected one of `score`", condition=any(name.endswith("/score") for name in said["paths"]))


def _malformed(ask: Ask, cases: Cases) -> None:
    reply = ask("POST", "/models/iris/score", body=b"{", headers={**_JSON, **cases.authorization})
    same("status", reply.status, 400)
    same("fields", list(reply.json), ["message"])
    same("x-ms-run-function-failed", reply.headers.get("x-ms-run-function-failed"), "False")


def _misfit(ask: Ask, cases: Cases) -> None:
    reply = _post(ask, cases, "/models/iris/score", {"data": [[1, 2, 3]]})
    same("status", reply.status, 400)
    holds(f"message: expected the shape in it, got {reply.body!r}", condition="4" in reply.json["message"])


def _no_key(ask: Ask, cases: Cases) -> None:
    content = json.dumps(cases.documents["rows"].body).encode()
    for headers in ({}, {"Authorization": "Bearer another-key-1234567890"}):
        for method, path in (("POST", "/models/iris/score"), ("GET", "/swagger.json"), ("GET", "/v2/models/iris")):
            body = content if method == "POST" else None
            reply = ask(method, path, body=body, headers={**_JSON, **headers})
            same(f"status of {method} {path}", reply.status, 401)


def _second_key(ask: Ask, cases: Cases) -> None:
    document = cases.documents["rows"]
    header = {"Authorization": f"Bearer {cases.keys[1]}"}
    _same(_post(ask, cases, "/models/iris/score", document.body, header), document.answer)


def _post(ask: Ask, cases: Cases, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Reply:
    content = json.dumps(body).encode()
    return ask("POST", path, body=content, headers={**_JSON, **cases.authorization, **(headers or {})})


def _same(reply: Reply, expected: Any) -> None:
    same("status", reply.status, 200)
    same("answer", reply.json, expected)


def run(name: str, ask: Ask, cases: Cases, more: Mapping[str, Operation] | None = None) -> Iterator[Result]:
    """Run every operation, and those that the client of that name has beside them."""
    return results(CONTRACT, name, {**(more or {}), **OPERATIONS}, ask, cases)


#: Every operation by its name.
OPERATIONS: Final[dict[str, Operation]] = {
    "GET /": _health,
    "POST /score, rows": _scores("rows"),
    "POST /score, records": _scores("records"),
    "POST /score, a split table": _scores("split"),
    "POST /score, an entry script": _scores("scripted"),
    "GET /score": _query,
    "OPTIONS /score": _options,
    "azureml-model-deployment: NAME": _deployment,
    "azureml-model-deployment: NAME:VERSION": _deployment_version,
    "azureml-model-deployment missing or unknown": _deployment_missing,
    "headers of an answer": _headers,
    "ids that were sent": _ids,
    "an id above 100 characters": _long_id,
    "swagger 2": _swagger_2,
    "swagger 3": _swagger_3,
    "refused: no JSON": _malformed,
    "refused: what does not fit": _misfit,
    "refused: a script that fails": _script_fails,
    "refused: no key, another key": _no_key,
    "the second key": _second_key,
}
