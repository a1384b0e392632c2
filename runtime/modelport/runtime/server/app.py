"""The RSGI application: takes a request apart, has it answered, hands the answer over.

RSGI: https://github.com/emmett-framework/granian/blob/master/docs/spec/RSGI.md
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from modelport.runtime.dataplane import BUDGET
from modelport.runtime.errors import DeadlineExceededError

from . import accesslog
from .admission import Admission
from .body import Body, Source
from .errors import DisconnectedError, SlowRequestError
from .request import Head

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from modelport.runtime.dataplane import Pace
    from modelport.runtime.settings import Settings

    from .metrics import Metrics
    from .request import Headers
    from .responses import Response
    from .site import Site, Visit
    from .tracing import Tracing
    from .traffic import Traffic


#: Seconds that a run gets to end after it was told to, before nobody waits for it any more.
_GRACE: Final = 2.0


class Scope(Protocol):
    """The head of a request."""

    @property
    def client(self) -> str:
        """The address of the client, with its port."""

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

    def client_disconnect(self) -> Awaitable[None]:
        """Return what is done when the client is gone."""

    def response_bytes(self, status: int, headers: list[tuple[str, str]], content: bytes, /) -> None:
        """Send the whole answer."""


class App:
    """Answers HTTP requests for `site` within the limits of `settings`."""

    def __init__(
        self, site: Site, pace: Pace, traffic: Traffic, settings: Settings, *, metrics: Metrics | None = None
    ) -> None:
        self._site = site
        self._pace = pace
        self._traffic = traffic
        self._settings = settings
        self._metrics = metrics
        self._admission = Admission(settings.max_pending, settings.max_queue_wait)
        self._turns = asyncio.Lock()
        self._thread = _one_thread()
        self._tracing = _tracing() if settings.tracing else None

    def close(self) -> None:
        """Send what is left to be sent."""
        if self._tracing is not None:
            self._tracing.close()

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        """Answer one request, whatever happens."""
        begun = perf_counter()
        self._traffic.begin()
        body = Body(scope.headers, exchange)
        visit = self._site.visit(Head(scope.method, scope.path, scope.query_string, scope.headers, begun))
        turn = Turn()
        response = await (self._scored(visit, body, exchange, turn) if visit.scores else _read(visit))
        headers = list(response.headers)
        if self._site.plane.draining or body.unread:
            headers.append(("connection", "close"))
        exchange.response_bytes(response.status, headers, response.body)
        self._traffic.answer()
        seconds, queued = perf_counter() - begun, turn.waited or 0.0
        if self._settings.access_log:
            accesslog.note(visit, response, client=scope.client, seconds=seconds, queued=queued)
        if self._tracing is not None:
            self._tracing.note(visit, response, seconds=seconds, queued=queued)
        if body.unread:
            await body.discard()

    async def _scored(self, visit: Visit, body: Body, exchange: Exchange, turn: Turn) -> Response:
        """Return the response to a request that is to be scored, and have metrics told of it."""
        if self._metrics is None:
            return await self._answer(visit, body, exchange, turn)
        served = visit.served
        self._metrics.began(served)
        try:
            return await self._answer(visit, body, exchange, turn)
        finally:
            seconds = perf_counter() - visit.head.arrived
            self._metrics.ended(served, seconds=seconds, queued=turn.waited or 0.0)

    async def _answer(self, visit: Visit, body: Body, exchange: Exchange, turn: Turn) -> Response:
        try:
            content = await self._content(visit, body)
            with self._admission.admit(self._pace.expected(len(content), visit.model)) as before:
                turn.wait()
                if visit.runs_script or not self._pace.is_quick(len(content), visit.model):
                    response = await self._in_thread(visit, content, exchange, turn)
                else:
                    response = await self._in_turn(visit, content, turn, before)
                self._admission.learn(before, turn.waited or 0.0)
                return response
        except Exception as error:  # noqa: BLE001  the visit knows what each becomes
            return visit.refuse(error)

    async def _content(self, visit: Visit, body: Body) -> bytes:
        if visit.head.method != "POST":
            return b""
        seconds = self._settings.body_timeout
        try:
            async with asyncio.timeout(seconds):
                return await body.read(self._settings.max_body_bytes)
        except TimeoutError as error:
            raise SlowRequestError(f"body: expected it within {seconds:g} s, got only a part of it") from error

    async def _in_turn(self, visit: Visit, content: bytes, turn: Turn, before: float) -> Response:
        """Score where the request has arrived, once those before it are; others take their places meanwhile.

        Behind more than a moment's work one is scored at a time, and who comes is admitted or sent away in between.
        """
        if before > BUDGET:
            async with self._turns:
                await asyncio.sleep(0)
                return self._score(visit, content, turn)
        if self._traffic.open > 1:
            await asyncio.sleep(0)
        return self._score(visit, content, turn)

    async def _in_thread(self, visit: Visit, content: bytes, exchange: Exchange, turn: Turn) -> Response:
        """Score where the event loop does not wait; give up when the client is gone, or the time is."""
        most = self._settings.scoring_timeout + _GRACE
        gone = asyncio.ensure_future(exchange.client_disconnect())
        job = self._thread.submit(self._score, visit, content, turn)
        try:
            while True:
                events: list[asyncio.Future[Any]] = [asyncio.wrap_future(job)]
                if not gone.done():
                    events.append(gone)
                await asyncio.wait(events, timeout=most - turn.spent, return_when=asyncio.FIRST_COMPLETED)
                if gone.done() and job.cancel():
                    raise DisconnectedError("client: expected it to wait for its answer, got a closed connection")
                if job.cancelled():  # the thread that it waited for was given up
                    job = self._thread.submit(self._score, visit, content, turn)
                elif job.done():
                    return job.result()
                elif turn.spent >= most:
                    self._give_up_thread()
                    seconds = self._settings.scoring_timeout
                    raise DeadlineExceededError(f"model: expected an answer within {seconds:g} s, got none")
        finally:
            gone.cancel()
            job.cancel()

    def _give_up_thread(self) -> None:
        """Score in another thread from now on: what runs in this one does not end, and others need not wait for it."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._thread = _one_thread()

    def _score(self, visit: Visit, content: bytes, turn: Turn) -> Response:
        turn.begin()
        response = visit.answer(content)
        self._pace.observe(len(content), turn.spent, visit.model)
        return response


class Turn:
    """When a request took its place in the queue, and when it was its turn."""

    __slots__ = ("_began", "_came", "waited")

    def __init__(self) -> None:
        self._came = self._began = 0.0
        #: The seconds that it waited, None before its turn.
        self.waited: float | None = None

    def wait(self) -> None:
        """Note that it waits from now on."""
        self._came = perf_counter()

    def begin(self) -> None:
        """Note that it is its turn."""
        self._began = perf_counter()
        self.waited = self._began - self._came

    @property
    def spent(self) -> float:
        """The seconds since its turn came, 0 before."""
        return perf_counter() - self._began if self.waited is not None else 0.0


async def _read(visit: Visit) -> Response:
    return visit.answer()


def _tracing() -> Tracing:
    from .tracing import Tracing  # noqa: PLC0415  nobody else needs OpenTelemetry

    return Tracing()


def _one_thread() -> ThreadPoolExecutor:
    """Return what scores off the event loop: more threads would compete for the core that a worker is meant to have."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="scoring")
