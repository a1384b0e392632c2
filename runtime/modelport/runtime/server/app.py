"""The RSGI application: takes a request apart, has it answered, hands the answer over.

RSGI: https://github.com/emmett-framework/granian/blob/master/docs/spec/RSGI.md
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from .body import Body, Source
from .request import Head

if TYPE_CHECKING:
    from modelport.runtime.dataplane import Pace

    from .request import Headers
    from .responses import Response
    from .site import Site, Visit
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
    def query_string(self) -> str:
        """What stands behind the question mark, its percent escapes not decoded."""

    @property
    def headers(self) -> Headers:
        """The headers."""


class Exchange(Source, Protocol):
    """The rest of a request, and the way back to the client."""

    def response_bytes(self, status: int, headers: list[tuple[str, str]], content: bytes, /) -> None:
        """Send the whole answer."""


class App:
    """Answers HTTP requests for `site`, at most `max_body_bytes` long."""

    def __init__(self, site: Site, pace: Pace, traffic: Traffic, *, max_body_bytes: int) -> None:
        self._site = site
        self._pace = pace
        self._traffic = traffic
        self._limit = max_body_bytes
        # One thread: more would compete for the core that a worker is meant to have.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scoring")

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        """Answer one request, whatever happens."""
        self._traffic.begin()
        body = Body(scope.headers, exchange)
        visit = self._site.visit(Head(scope.method, scope.path, scope.query_string, scope.headers))
        response = await self._answer(visit, body)
        headers = list(response.headers)
        if self._site.plane.draining or body.unread:
            headers.append(("connection", "close"))
        exchange.response_bytes(response.status, headers, response.body)
        self._traffic.answer()
        if body.unread:
            await body.discard()

    async def _answer(self, visit: Visit, body: Body) -> Response:
        if not visit.scores:
            return visit.answer()
        try:
            content = await body.read(self._limit) if visit.head.method == "POST" else b""
        except Exception as error:  # noqa: BLE001  the visit knows what each becomes
            return visit.refuse(error)
        if self._pace.is_quick(len(content), visit.model):
            return self._score(visit, content)
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._score, visit, content)

    def _score(self, visit: Visit, content: bytes) -> Response:
        begun = perf_counter()
        response = visit.answer(content)
        self._pace.observe(len(content), perf_counter() - begun, visit.model)
        return response
