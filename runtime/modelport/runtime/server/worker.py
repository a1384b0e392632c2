"""A worker: a process of its own that loads the models, proves them with their golden samples, and serves them.

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
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.net import SocketHolder
from granian.server.embed import Server

from modelport.runtime.dataplane import DataPlane, ModelSlot, Pace
from modelport.runtime.errors import ModelportError

from . import connections, control, listener, logs
from .app import App
from .embedding import site_of
from .loading import load_models
from .metrics import Metrics
from .traffic import Traffic

if TYPE_CHECKING:
    from modelport.runtime.scorer import Scorer
    from modelport.runtime.settings import Settings

    from .loading import LoadedModels

#: Exit statuses: stopped with nothing unanswered; could not start; gave up on requests at the end of `drain_timeout`.
DRAINED, REFUSED, CUT_OFF = 0, 1, 3

#: Seconds without a new request after which a draining worker takes it that none is on its way.
_QUIET: Final = 0.1

_log = logging.getLogger(f"{__package__}.worker")


class Worker:
    """Serves the loaded models on a socket until it is told to stop."""

    def __init__(self, settings: Settings, models: LoadedModels, door: socket.socket, end: socket.socket) -> None:
        """Get ready to serve; raises `InvalidSettingError` if the keys cannot be had."""
        self._settings = settings
        self._door = door
        self._end = end
        self._port = door.getsockname()[1]
        self._slots = tuple(ModelSlot(scorer) for scorer in models.scorers)
        self._metrics = Metrics(self._models)
        self._plane = DataPlane(*self._slots, observer=self._metrics)
        self._pace = Pace(models.floor)
        self._traffic = Traffic()
        self._prepared: LoadedModels | None = None
        self._preparing: asyncio.Task[None] | None = None
        site = site_of(self._plane, settings, self._metrics)
        self._app = App(site, self._pace, self._traffic, settings, metrics=self._metrics)

    def _models(self) -> tuple[Scorer, ...]:
        return self._plane.scorers()

    async def serve(self) -> int:
        """Serve until the supervisor says so or is gone; return the exit status."""
        server = _Server(self._app, self._door, self._settings)
        _watch_runs(self._plane, self._settings.scoring_timeout)
        serving = asyncio.create_task(server.serve())
        while (order := await self._hear()) is not None and not isinstance(order, control.Drain):
            self._obey(order)
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

    async def _hear(self) -> control.Order | None:
        """Wait for an order; None when the supervisor is gone."""
        self._end.settimeout(0)
        try:
            message = await asyncio.get_running_loop().sock_recv(self._end, control.LONGEST)
        except ConnectionResetError:
            return None
        return msgspec.json.decode(message, type=control.Order) if message else None

    def _obey(self, order: control.Order) -> None:
        match order:
            case control.Prepare():
                self._forget_prepared()
                self._preparing = asyncio.create_task(self._prepare(order.digests))
            case control.Commit():
                if self._prepared is not None:
                    self._serve_prepared(self._prepared)
            case control.Abandon():
                self._forget_prepared()
            case control.RollBack():
                for slot in self._slots:
                    slot.roll_back()
                self._pace.forget(0.0)

    def _forget_prepared(self) -> None:
        self._prepared = None
        if self._preparing is not None:
            self._preparing.cancel()  # its thread goes on to the end, and nobody asks for what it has

    async def _prepare(self, digests: tuple[str, ...]) -> None:
        """Load the packages in a thread, while the models from before go on answering."""
        loop = asyncio.get_running_loop()
        try:
            self._prepared = await loop.run_in_executor(None, load_models, self._settings, digests)
        except ModelportError as error:
            control.say(self._end, control.Failed.of(error))
        except Exception as error:  # noqa: BLE001  whatever a package is, what serves now goes on
            _log.debug("not loaded", exc_info=error)
            control.say(self._end, control.Failed.of(ModelportError(f"packages: expected to load, got {error}")))
        else:
            control.say(self._end, self._prepared.words())

    def _serve_prepared(self, models: LoadedModels) -> None:
        for slot, scorer in zip(self._slots, models.scorers, strict=True):
            slot.swap(scorer, keep=True)
        self._prepared = None
        self._pace.forget(models.floor)
        _settle_memory()

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

    def __init__(self, app: App, door: socket.socket, settings: Settings) -> None:
        super().__init__(
            app,
            interface=Interfaces.RSGI,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=round(settings.header_timeout * 1000), keep_alive=True),
            websockets=False,
            runtime_threads=1,
            blocking_threads=1,
            backlog=listener.BACKLOG,
            backpressure=settings.max_connections,
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


def _watch_runs(plane: DataPlane, seconds: float) -> None:
    """Stop runs of the engines that take longer than `seconds`, from a thread of its own: the loop may wait for one."""

    def watch() -> None:
        while True:
            time.sleep(min(1.0, seconds / 4))
            plane.stop_runs(seconds)

    threading.Thread(target=watch, name="watching", daemon=True).start()


def _settle_memory() -> None:
    """Collect what is gone; what is loaded stays, so the collector need not look at it again."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def main(arguments: list[str]) -> int:
    """Be a worker: `arguments` are the numbers of the inherited descriptors, the listening socket and the control."""
    door, end = (socket.socket(fileno=int(number)) for number in arguments)
    job: Any = control.hear(end, control.Job)
    if job is None:
        return REFUSED
    logs.configure(job.settings.log_format, job.settings.log_level)
    try:
        models = load_models(job.settings, job.digests)
        worker = Worker(job.settings, models, door, end)
    except ModelportError as error:
        control.say(end, control.Failed.of(error))
        if error.__cause__ is not None:
            _log.debug("not loaded", exc_info=error)
        return REFUSED
    _settle_memory()
    control.say(end, models.words())
    return DRAINED if job.trial else asyncio.run(worker.serve())


if __name__ == "__main__":
    status = main(sys.argv[1:])
    logging.shutdown()
    # Not `sys.exit`: threads of Granian may still be on their way out, and of the engine deep in a request that nobody
    # waits for any more. An interpreter that ends around them crashes, or waits.
    os._exit(status)
