"""A worker: a process of its own that loads the models, proves them with their golden samples, and serves them.

It is started by the supervisor, which leads it: SIGINT and SIGTERM are blocked here, the word to stop comes over the
control socket, and so does the news that the supervisor is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import os
import socket
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.net import SocketHolder
from granian.server.embed import Server

from modelport.runtime.dataplane import UNKNOWN, DataPlane, ModelSlot, Pace
from modelport.runtime.errors import InvalidSettingError, ModelportError

from . import connections, control, descriptors, listener, logs
from .app import App
from .deadlines import watch_runs
from .delivery import watch_delivery
from .embedding import site_of
from .encryption import LOOK, Encryption
from .loading import load_models
from .metrics import Metrics, count_as
from .rereading import reread
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

    def __init__(self, job: control.Job, models: LoadedModels, door: socket.socket, end: socket.socket) -> None:
        """Get ready to serve; raises `InvalidSettingError` if the keys cannot be had."""
        settings = self._settings = job.settings
        self._share = job.share
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
        self._ending: set[asyncio.Task[None]] = set()  # servers with another certificate than the present one
        site = site_of(self._plane, settings, self._metrics)
        self._app = App(site, self._pace, self._traffic, settings, metrics=self._metrics)

    def _models(self) -> tuple[Scorer, ...]:
        return self._plane.scorers()

    async def serve(self) -> int:
        """Serve until the supervisor says so or is gone; return the exit status."""
        self._server = self._start()
        watch_runs(self._plane, self._settings.scoring_timeout)
        watch_delivery(self._port, self._settings.answer_timeout)
        descriptors.watch_files()
        self._rereading = self._reread()
        self._renewing = self._renew()
        while (order := await self._hear()) is not None and not isinstance(order, control.Drain):
            self._obey(order)
        if self._renewing is not None:
            self._renewing.cancel()
        self._plane.drain()
        await asyncio.sleep(self._settings.drain_delay)
        try:
            async with asyncio.timeout(self._settings.drain_timeout):
                await self._settle()
                await asyncio.gather(self._server.end(), *self._ending)
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

    def _start(self) -> _Server:
        server = _Server(self._app, self._door, self._settings)
        server.begin()
        return server

    def _renew(self) -> asyncio.Task[None] | None:
        encryption = Encryption.of(self._settings)
        return None if encryption is None else asyncio.create_task(self._renew_when_changed(encryption))

    async def _renew_when_changed(self, encryption: Encryption) -> None:
        """Serve new connections with the certificate and key as they are now, whenever they have changed."""
        seen = encryption.stamp()
        while True:
            await asyncio.sleep(LOOK)
            if (stamp := encryption.stamp()) == seen:
                continue
            seen = stamp
            try:
                encryption.check()
            except InvalidSettingError as error:
                _log.error("%s; what was used before stays", error.message)
                continue
            before, self._server = self._server, self._start()
            _log.info("certificate `%s`: read again", encryption.certificate)
            self._ending.add(ending := asyncio.create_task(before.end()))
            ending.add_done_callback(self._ending.discard)

    def _reread(self) -> asyncio.Task[None] | None:
        settings = self._settings
        if settings.script is None or not settings.reload:
            return None
        return asyncio.create_task(reread(self._slots[0], settings.script))

    def close(self) -> None:
        """Do what is left to be done once no request is."""
        self._app.close()

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
                self._pace.forget(UNKNOWN)

    def _forget_prepared(self) -> None:
        self._prepared = None
        if self._preparing is not None:
            self._preparing.cancel()  # its thread goes on to the end, and nobody asks for what it has

    async def _prepare(self, digests: tuple[str, ...]) -> None:
        """Load the packages in a thread, while the models from before go on answering."""
        loop = asyncio.get_running_loop()
        try:
            # No thread of the event loop's own executor: at its end it waits for those, however long they load.
            thread = ThreadPoolExecutor(1, thread_name_prefix="loading")
            self._prepared = await loop.run_in_executor(thread, load_models, self._settings, digests, self._share)
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
        encryption = Encryption.of(settings)
        super().__init__(
            app,
            interface=Interfaces.RSGI,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=round(settings.header_timeout * 1000), keep_alive=True),
            websockets=False,
            runtime_threads=1,
            blocking_threads=1,
            backlog=listener.BACKLOG,
            backpressure=descriptors.most(settings.max_connections),
            log_level=LogLevels.error,
            log_dictconfig={"loggers": {"_granian": {"handlers": [], "propagate": True}}},
            log_access=False,
            ssl_cert=None if encryption is None else encryption.certificate,
            ssl_key=None if encryption is None else encryption.key,
            ssl_protocol_min=SSLProtocols.tls12,
        )
        self._door = door
        self._serving: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Accept connections from now on."""
        self._serving = asyncio.create_task(self.serve())

    async def end(self) -> None:
        """Accept no more, finish what was begun, and close all connections."""
        self.stop()
        if self._serving is not None:
            await self._serving

    def _init_shared_socket(self) -> None:
        # `socket.dup` would make the socket block, for all workers: one that loses the race for a connection then waits
        # in `accept` for the next, and so do its requests.
        self._shd = SocketHolder(os.dup(self._door.fileno()), uds=False, backlog=listener.BACKLOG)
        self._ssp = None


def _settle_memory() -> None:
    """Collect what is gone; what is loaded stays, so the collector need not look at it again."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:  # the GNU library's: after a forest of
        trim(0)  # trees was loaded half of the memory is free and not given back


def _use_for_temporary_files(directory: Path) -> None:
    """Have this process put temporary files into `directory`, which the supervisor removes however it ends."""
    with contextlib.suppress(OSError):
        directory.mkdir()
        tempfile.tempdir = str(directory)


def main(arguments: list[str]) -> int:
    """Be a worker: `arguments` are the numbers of the inherited descriptors, the listening socket and the control."""
    door, end = (socket.socket(fileno=int(number)) for number in arguments)
    job: Any = control.hear(end, control.Job)
    if job is None:
        return REFUSED
    logs.configure(job.settings.log_format, job.settings.log_level)
    if job.files:
        _use_for_temporary_files(Path(job.files) / str(os.getpid()))
    count_as(os.getpid())
    try:
        models = load_models(job.settings, job.digests, job.share)
        worker = Worker(job, models, door, end)
    except ModelportError as error:
        control.say(end, control.Failed.of(error))
        if error.__cause__ is not None:
            _log.debug("not loaded", exc_info=error)
        return REFUSED
    _settle_memory()
    control.say(end, models.words())
    del models  # the worker has them, and lets them go when others have taken their place
    if job.trial or control.hear(end, control.Serve) is None:
        return DRAINED
    status = asyncio.run(worker.serve())
    worker.close()
    return status


if __name__ == "__main__":
    status = main(sys.argv[1:])
    logging.shutdown()
    # Not `sys.exit`: threads of Granian may still be on their way out, and of the engine deep in a request that nobody
    # waits for any more. An interpreter that ends around them crashes, or waits.
    os._exit(status)
