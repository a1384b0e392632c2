"""Lets pages of other origins ask (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .responses import Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .request import Head

    Extra = Sequence[tuple[str, str]]

_READABLE: Final = (
    *("inference-header-content-length", "retry-after", "traceparent", "x-request-id", "x-ms-request-id"),
    *("x-ms-client-request-id", "x-ms-run-fn-exec-ms", "x-ms-run-function-failed", "x-ms-server-version"),
)
_EXPOSED: Final = ("access-control-expose-headers", ", ".join(_READABLE))
_SECONDS: Final = 600


class Cors:
    """Allows the origins in `origins`; `*` allows all. No cookies are allowed: a key is a header."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origins)

    def headers(self, head: Head) -> Extra:
        """Return the headers of an answer to a request of that head."""
        origin = head.header("origin")
        if "*" in self._origins:
            return (("access-control-allow-origin", "*"), _EXPOSED) if origin else ()
        if origin not in self._origins or origin is None:
            return (("vary", "origin"),)
        return (("access-control-allow-origin", origin), ("vary", "origin"), _EXPOSED)

    def preflight(self, head: Head) -> Response | None:
        """Return the answer to a preflight request, None for any other."""
        if head.method != "OPTIONS" or head.header("access-control-request-method") is None:
            return None
        allowed = self.headers(head)
        if not any(name == "access-control-allow-origin" for name, _ in allowed):
            return Response(204, tuple(allowed), b"")
        asked = head.header("access-control-request-headers")
        more = [("access-control-allow-methods", "GET, POST"), ("access-control-max-age", str(_SECONDS))]
        if asked:
            more.append(("access-control-allow-headers", asked))
        return Response(204, (*allowed, *more), b"")
