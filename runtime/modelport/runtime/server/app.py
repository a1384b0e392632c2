"""The RSGI application: takes a request apart, has it answered, hands the answer over.

RSGI: https://github.com/emmett-framework/granian/blob/master/docs/spec/RSGI.md
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from .body import Body, Source
from .responses import Response, failed
from .v2 import endpoints, routes

if TYPE_CHECKING:
    from modelport.runtime.dataplane import DataPlane, Pace

    from .body import Headers
    from .traffic import Traffic


class Scope(Protocol):
    """The head of a request."""

    @property
    def method(self) -> str:
        """The method, such as `GET`."""

    @property
    def path(self) -> str:
        """The path, its percent escapes decoded."""

    @property
    def headers(self) -> Headers:
        """The headers."""


class Exchange(Source, Protocol):
    """The rest of a request, and the way back to the client."""

    def response_bytes(self, status: int, headers: list[tuple[str, str]], content: bytes, /) -> None:
        """Send the whole answer."""


class App:
    """Answers HTTP requests for `plane`, at most `max_body_bytes` long."""

    def __init__(self, plane: DataPlane, pace: Pace, traffic: Traffic, *, max_body_bytes: int) -> None:
        self._plane = plane
        self._pace = pace
        self._traffic = traffic
        self._limit = max_body_bytes
        # One thread: more would compete for the core that a worker is meant to have.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scoring")

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        """Answer one request, whatever happens."""
        self._traffic.begin()
        body = Body(scope.headers, exchange)
        try:
            response = await self._answer(scope, body)
        except Exception as error:  # noqa: BLE001  the one place where every error becomes an answer
            response = failed(error)
        headers = list(response.headers)
        if self._plane.draining or body.unread:
            headers.append(("connection", "close"))
        exchange.response_bytes(response.status, headers, response.body)
        self._traffic.answer()
        if body.unread:
            await body.discard()

    async def _answer(self, scope: Scope, body: Body) -> Response:
        route = routes.find(scope.method, scope.path)
        if route.endpoint != "infer":
            return endpoints.look(self._plane, route)
        try:
            return await self._score(route, scope.headers, body)
        except Exception as error:
            self._plane.counters.fail(error)
            raise

    async def _score(self, route: routes.Route, headers: Headers, body: Body) -> Response:
        content = await body.read(self._limit)
        if self._pace.is_quick(len(content)):
            return self._infer(route, headers, content)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._infer, route, headers, content)

    def _infer(self, route: routes.Route, headers: Headers, content: bytes) -> Response:
        begun = perf_counter()
        try:
            return endpoints.infer(self._plane, route, headers, content)
        finally:
            self._pace.observe(len(content), perf_counter() - begun)
