"""A worker: a process of its own that loads the model, proves it with its golden samples, and serves it.

It is started by the supervisor, which leads it: SIGINT and SIGTERM are blocked here, the word to stop comes over the
control socket, and so does the news that the supervisor is gone.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.net import SocketHolder
from granian.server.embed import Server

from modelport.runtime import golden
from modelport.runtime.dataplane import DataPlane, ModelSlot, Pace
from modelport.runtime.errors import ModelportError
from modelport.runtime.scorer import load

from . import connections, control, listener, logs
from .app import App
from .traffic import Traffic

if TYPE_CHECKING:
    from modelport.runtime.scorer import Scorer
    from modelport.runtime.settings import Settings

#: Exit statuses: stopped with nothing unanswered; could not start; gave up on requests at the end of `drain_timeout`.
DRAINED, REFUSED, CUT_OFF = 0, 1, 3

#: Seconds without a new request after which a draining worker takes it that none is on its way.
_QUIET: Final = 0.1

_log = logging.getLogger(f"{__package__}.worker")


class Worker:
    """Serves one loaded model on a socket until it is told to stop."""

    def __init__(self, settings: Settings, scorer: Scorer, door: socket.socket, floor: float) -> None:
        self._settings = settings
        self._door = door
        self._port = door.getsockname()[1]
        self._plane = DataPlane(ModelSlot(scorer))
        self._traffic = Traffic()
        self._app = App(self._plane, Pace(floor), self._traffic, max_body_bytes=settings.max_body_bytes)

    async def serve(self, end: socket.socket) -> int:
        """Serve until the other side of `end` says so or is gone; return the exit status."""
        server = _Server(self._app, self._door)
        serving = asyncio.create_task(server.serve())
        await _message(end)
        self._plane.drain()
        await asyncio.sleep(self._settings.drain_delay)
        try:
            async with asyncio.timeout(self._settings.drain_timeout):
                await self._settle()
                server.stop()
                await serving
        except TimeoutError:
            _log.error(
                "gave up after %g s: %d requests begun, %d answered, %d more about to begin",
                self._settings.drain_timeout,
                self._traffic.begun,
                self._traffic.answered,
                self._arriving,
            )
            return CUT_OFF
        _log.info("drained: %d requests begun, %d answered", self._traffic.begun, self._traffic.answered)
        return DRAINED

    async def _settle(self) -> None:
        """Wait until those who were on their way in have come in: new connections, and requests on open ones.

        The server itself waits for requests that it has begun, and for the first one of a connection; a later one of
        which only a few bytes have come it would forget.
        """
        listener.close_door(self._door)
        self._door.close()  # the server's own descriptor is the last: with it the address closes
        await asyncio.sleep(_QUIET)
        while self._traffic.quiet < _QUIET or self._arriving:  # noqa: ASYNC110  the hot path pays for no event
            await asyncio.sleep(_QUIET / 2)

    @property
    def _arriving(self) -> int:
        """The connections in use on which another request has begun to arrive, and is not yet known as begun."""
        return max(0, connections.in_use_again(self._port) - (self._traffic.begun - self._traffic.answered))


class _Server(Server):  # type: ignore[misc]  # granian is untyped here
    """Granian, on the socket that the workers share instead of one of its own."""

    def __init__(self, app: App, door: socket.socket) -> None:
        super().__init__(
            app,
            interface=Interfaces.RSGI,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=30_000, keep_alive=True),
            websockets=False,
            runtime_threads=1,
            blocking_threads=1,
            backlog=listener.BACKLOG,
            backpressure=listener.BACKLOG,
            log_level=LogLevels.error,
            log_dictconfig={"loggers": {"_granian": {"handlers": [], "propagate": True}}},
            log_access=False,
        )
        self._door = door

    def _init_shared_socket(self) -> None:
        # `socket.dup` would make the socket block, for all workers: one that loses the race for a connection then waits
        # in `accept` for the next, and so do its requests.
        self._shd = SocketHolder(os.dup(self._door.fileno()), uds=False, backlog=listener.BACKLOG)
        self._ssp = None


async def _message(end: socket.socket) -> None:
    """Wait until something comes over `end`, or its other side is gone."""
    end.settimeout(0)
    await asyncio.get_running_loop().sock_recv(end, 1)


def _load(settings: Settings, digest: str | None) -> tuple[Scorer, float]:
    """Return the model, proven, and the seconds that one call of it takes."""
    scorer = load(
        settings.package, digest=digest or settings.digest, engine=settings.engine, providers=settings.providers
    )
    golden.require(scorer)
    sample = scorer.samples.inputs[0]
    begun = perf_counter()
    scorer.runner.run(sample)
    return scorer, perf_counter() - begun


def main(arguments: list[str]) -> int:
    """Be a worker: `arguments` are the numbers of the inherited descriptors, the listening socket and the control."""
    door, end = (socket.socket(fileno=int(number)) for number in arguments)
    job: Any = control.hear(end, control.Job)
    if job is None:
        return REFUSED
    logs.configure(job.settings.log_format, job.settings.log_level)
    try:
        scorer, floor = _load(job.settings, job.digest)
    except ModelportError as error:
        control.say(end, control.Failed.of(error))
        return REFUSED
    gc.collect()
    gc.freeze()  # what is loaded stays: the collector need not look at it again
    worker = Worker(job.settings, scorer, door, floor)
    manifest = scorer.manifest
    control.say(
        end,
        control.Loaded(
            name=manifest.name, version=manifest.version, digest=scorer.digest, proof=manifest.proof.summary
        ),
    )
    return asyncio.run(worker.serve(end))


if __name__ == "__main__":
    status = main(sys.argv[1:])
    logging.shutdown()
    # Not `sys.exit`: threads of Granian may still be on their way out, and of the engine deep in a request that nobody
    # waits for any more. An interpreter that ends around them crashes, or waits.
    os._exit(status)
