"""The protocol's paths and what each of them answers."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from modelport.runtime.errors import UnknownNameError, named
from modelport.runtime.server.errors import MethodNotAllowedError

Endpoint = Literal["server", "live", "ready", "model", "model ready", "infer"]


class Route(NamedTuple):
    """Where a path leads: the endpoint, and the model that it names."""

    endpoint: Endpoint
    model: str = ""
    version: str | None = None


_READ: Final = ("GET", "HEAD")
_METHODS: Final[dict[Endpoint, tuple[str, ...]]] = {
    "server": _READ,
    "live": _READ,
    "ready": _READ,
    "model": _READ,
    "model ready": _READ,
    "infer": ("POST",),
}

_FIXED: Final[dict[str, Endpoint]] = {"/v2": "server", "/v2/health/live": "live", "/v2/health/ready": "ready"}
_MODEL: Final = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?(?:/(ready|infer))?")
_ACTIONS: Final[dict[str | None, Endpoint]] = {None: "model", "ready": "model ready", "infer": "infer"}


def find(method: str, path: str) -> Route:
    """Return where `path` leads; one slash at its end is passed over.

    Raises `UnknownNameError` for a path that the protocol does not have, `MethodNotAllowedError` for another method.
    """
    route = _find(path)
    if method not in _METHODS[route.endpoint]:
        raise MethodNotAllowedError(
            f"path {named(path)}: expected {' or '.join(_METHODS[route.endpoint])}, got {named(method)}",
            allowed=_METHODS[route.endpoint],
        )
    return route


def _find(path: str) -> Route:
    plain = path.removesuffix("/")
    if (endpoint := _FIXED.get(plain)) is not None:
        return Route(endpoint)
    if (match := _MODEL.fullmatch(plain)) is not None:
        model, version, action = match.groups()
        return Route(_ACTIONS[action], model, version)
    raise UnknownNameError(f"path: expected one of the Open Inference Protocol V2, got {named(path)}")
