"""What a plain HTTP client does, and the Open Inference Protocol spoken by one, as a person would write it down."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .cases import Cases, Tensor
from .checks import RefusedError
from .operations import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .operations import Request

_OK = 200
_FAULTS = 400


class Reply(NamedTuple):
    """A response; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


class Ask(Protocol):
    """Sends one request to a path of the server."""

    def __call__(
        self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Return the response, whatever its status."""


class PlainClient:
    """Speaks the protocol in JSON by `ask`."""

    tells_id = True
    tells_version = True

    def __init__(self, ask: Ask, cases: Cases) -> None:
        self._ask = ask
        self._cases = cases

    def live(self) -> bool:
        """Return whether the server lives."""
        return self._ask("GET", "/v2/health/live").status == _OK

    def ready(self) -> bool:
        """Return whether the server is ready."""
        return self._ask("GET", "/v2/health/ready").status == _OK

    def server(self) -> dict[str, Any]:
        """Return the server's metadata."""
        return self._got("/v2")

    def model_ready(self, model: str, version: str | None = None) -> bool:
        """Return whether a model is ready."""
        return self._ask("GET", f"{_path(model, version)}/ready").status == _OK

    def model(self, model: str, version: str | None = None) -> dict[str, Any]:
        """Return a model's metadata."""
        return self._got(_path(model, version))

    def infer(self, request: Request) -> Answer:
        """Send a request."""
        asked: dict[str, Any] = {"inputs": [tensor.described() for tensor in request.inputs]}
        if request.id is not None:
            asked["id"] = request.id
        if request.outputs is not None:
            asked["outputs"] = [{"name": name} for name in request.outputs]
        body = json.dumps(asked).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {request.key or self._cases.keys[0]}"}
        if request.gzip:
            body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
        reply = self._ask("POST", f"{_path(request.model, request.version)}/infer", body=body, headers=headers)
        return answer_of(_checked(reply))

    def _got(self, path: str) -> dict[str, Any]:
        said: dict[str, Any] = _checked(self._ask("GET", path, headers=self._cases.authorization))
        return said


def answer_of(said: Mapping[str, Any]) -> Answer:
    """Return the answer that a body of the protocol is."""
    outputs = [Tensor(each["name"], each["datatype"], each["shape"], each["data"]) for each in said["outputs"]]
    return Answer(outputs, said["model_name"], said.get("model_version"), said.get("id"))


def _checked(reply: Reply) -> Any:
    if reply.status >= _FAULTS:
        raise RefusedError(reply.json["error"], reply.status)
    return reply.json


def _path(model: str, version: str | None) -> str:
    return f"/v2/models/{model}" + (f"/versions/{version}" if version else "")
