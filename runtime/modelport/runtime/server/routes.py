"""The paths of the server, and what each of them answers."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from modelport.runtime.errors import UnknownNameError, named

from .errors import MethodNotAllowedError

Endpoint = Literal[
    "home", "server", "live", "ready", "model", "model ready", "infer", "score", "swagger", "docs", "console", "metrics"
]


class Route(NamedTuple):
    """Where a path leads: the endpoint, and the model that it names."""

    endpoint: Endpoint
    model: str | None = None
    version: str | None = None


#: Endpoints that score: they have a body, wait for their turn, and are counted.
SCORING: Final[frozenset[Endpoint]] = frozenset(("infer", "score"))
#: Endpoints that tell nothing of the models: they need no key.
OPEN: Final[frozenset[Endpoint]] = frozenset(("home", "live", "ready", "model ready", "docs", "console", "metrics"))

_READ: Final = ("GET", "HEAD")
_METHODS: Final[dict[Endpoint, tuple[str, ...]]] = {"infer": ("POST",), "score": ("GET", "POST", "OPTIONS")}
_FIXED: Final[dict[str, Endpoint]] = {
    "": "home",
    "/v2": "server",
    "/v2/health/live": "live",
    "/v2/health/ready": "ready",
    "/score": "score",
    "/swagger.json": "swagger",
    "/docs": "docs",
    "/console": "console",
    "/metrics": "metrics",
}
_VERSIONED: Final = r"/models/([^/]+)(?:/versions/([^/]+))?"
_V2: Final = re.compile(rf"/v2{_VERSIONED}(?:/(ready|infer))?")
_AZUREML: Final = re.compile(rf"{_VERSIONED}/(score|swagger\.json)")
_ACTIONS: Final[dict[str | None, Endpoint]] = {
    None: "model",
    "ready": "model ready",
    "infer": "infer",
    "score": "score",
    "swagger.json": "swagger",
}


def find(method: str, path: str) -> Route:
    """Return where `path` leads; one slash at its end is passed over.

    Raises `UnknownNameError` for a path that the server does not have, `MethodNotAllowedError` for another method.
    """
    route = _find(path)
    allowed = _METHODS.get(route.endpoint, _READ)
    if method not in allowed:
        raise MethodNotAllowedError(
            f"path {named(path)}: expected {' or '.join(allowed)}, got {named(method)}", allowed=allowed
        )
    return route


def is_azureml(path: str) -> bool:
    """Return whether `path` is one of Azure ML's, where errors are told as its own server tells them."""
    plain = path.removesuffix("/")
    return plain in ("/score", "/swagger.json") or _AZUREML.fullmatch(plain) is not None


def _find(path: str) -> Route:
    plain = path.removesuffix("/")
    if path and (endpoint := _FIXED.get(plain)) is not None:
        return Route(endpoint)
    if (match := _V2.fullmatch(plain) or _AZUREML.fullmatch(plain)) is not None:
        model, version, action = match.groups()
        return Route(_ACTIONS[action], model, version)
    raise UnknownNameError(f"path: expected one that the server has, got {named(path)}", hint="`/docs` shows them all")
