"""The supervisor: starts the workers, replaces those that die, and stops them without losing a request.

It loads no model and no heavy library itself. Workers are fresh processes, so nothing of whoever called this (a command
line, a test) is in them, and no engine meets a fork.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import signal
import socket
import subprocess
import sys
from time import monotonic
from typing import TYPE_CHECKING, Final

from . import control, listener, logs
from .errors import WorkerFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelport.runtime.errors import ModelportError
    from modelport.runtime.settings import Settings

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
#: Seconds that workers get beyond `drain_delay` and `drain_timeout` to end by themselves.
_GRACE: Final = 5.0
#: Seconds in which further signals mean the first one: a wrapper may pass on what its whole process group has got.
_SAME_STOP: Final = 0.5
#: Seconds until a worker that failed to start is tried again, doubled with every failure up to the last.
_RETRY, _RETRY_MOST = 1.0, 30.0

_log = logging.getLogger(__name__)


class _Child:
    """A worker's process, and this end of the conversation with it."""

    def __init__(self, number: int, job: control.Job, door: socket.socket) -> None:
        self.number = number
        self.ready = False
        self.end, other = control.pair()
        descriptors = (door.fileno(), other.fileno())
        command = [sys.executable, "-P", "-m", f"{__package__}.worker", *map(str, descriptors)]
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # inherited, and never lifted there: this leads
        try:
            self.process = subprocess.Popen(command, pass_fds=descriptors, stdin=subprocess.DEVNULL)  # noqa: S603
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            other.close()
        control.say(self.end, job)

    def reap(self) -> int:
        """Wait for the process, whose end has closed, and return its status."""
        self.end.close()
        return self.process.wait()


class Supervisor:
    """Runs the workers of one server on the bound socket `door`."""

    def __init__(self, settings: Settings, door: socket.socket) -> None:
        self._settings = settings
        self._door = door
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, _Child] = {}
        self._digest: str | None = None
        self._announced = False
        self._due: dict[int, float] = {}  # when a worker that is gone is started again
        self._pauses: dict[int, float] = {}  # how long it waits if it fails once more
        self._stop: float | None = None  # when it was first told to
        self._stop_now = False
        self._draining = False
        self._clean = True

    def run(self) -> int:
        """Serve until SIGINT or SIGTERM; return 0 when every request was answered, else 2.

        A second signal ends it at once. Raises the error that keeps a worker from starting while none serves.
        """
        with _wakeup() as wake:
            self._selector.register(wake, selectors.EVENT_READ)
            try:
                self._start(1)
                while self._stop is None:
                    self._turn(min(self._due.values(), default=None))
                    for number in [number for number, due in self._due.items() if due <= monotonic()]:
                        self._start(number)
                return self._drain()
            finally:
                for child in self._children.values():
                    child.process.kill()
                    child.reap()
                self._selector.close()

    def _start(self, number: int) -> None:
        self._due.pop(number, None)
        child = _Child(number, control.Job(settings=self._settings, digest=self._digest), self._door)
        self._children[number] = child
        self._selector.register(child.end, selectors.EVENT_READ, child)

    def _turn(self, until: float | None) -> None:
        """Wait for something to happen, at most until the moment `until`, and see to it."""
        timeout = None if until is None else max(0.0, until - monotonic())
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                key.fileobj.recv(64)  # type: ignore[union-attr]
                self._on_signal()
            else:
                self._listen_to(key.data)

    def _on_signal(self) -> None:
        now = monotonic()
        if self._stop is None:
            self._stop = now
        elif now - self._stop > _SAME_STOP:
            self._stop_now = True

    def _listen_to(self, child: _Child) -> None:
        word = control.hear(child.end, control.Loaded | control.Failed)
        if word is None:
            self._on_gone(child)
        elif self._draining:
            return  # it is being stopped, whatever it says
        elif isinstance(word, control.Loaded):
            self._on_loaded(child, word)
        else:
            self._on_failed(child, word.error())

    def _on_loaded(self, child: _Child, loaded: control.Loaded) -> None:
        child.ready = True
        self._pauses.pop(child.number, None)
        if self._digest is None:  # the first of all: the others must find the same package
            self._digest = loaded.digest
            for number in range(2, self._settings.workers + 1):
                self._start(number)
        if not self._announced and all(child.ready for child in self._children.values()):
            self._announced = True
            self._door.listen(listener.BACKLOG)
            _log.info(
                "modelport serving %s %s %s at %s (proof %s)",
                loaded.name,
                loaded.version,
                loaded.digest,
                listener.url(self._door),
                loaded.proof,
            )

    def _on_failed(self, child: _Child, error: ModelportError) -> None:
        if not self._announced or not self._others_serve(child):
            raise error
        _log.error("worker %d: expected to start again, got: %s", child.number, error.message)

    def _on_gone(self, child: _Child) -> None:
        self._selector.unregister(child.end)
        del self._children[child.number]
        status = child.reap()
        if self._stop is not None:
            self._clean = self._clean and (status == 0 or not child.ready)
            return
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        if not child.ready and not (self._announced and self._others_serve(child)):
            raise WorkerFailedError(f"worker {child.number}: expected to serve, got {how}")
        pause = 0.0
        if not child.ready:
            pause = self._pauses.get(child.number, _RETRY)
            self._pauses[child.number] = min(2 * pause, _RETRY_MOST)
        self._due[child.number] = monotonic() + pause
        _log.error("worker %d: expected to serve, got %s; starting it again in %g s", child.number, how, pause)

    def _others_serve(self, child: _Child) -> bool:
        return any(other.ready for other in self._children.values() if other is not child)

    def _drain(self) -> int:
        """Have the workers finish what they have begun, and wait for them."""
        self._turn(monotonic())  # a worker that has just said that it serves is one that serves
        self._draining = True
        settings = self._settings
        deadline = monotonic() + settings.drain_delay + settings.drain_timeout + _GRACE
        _log.info("modelport stopping: at most %g s", settings.drain_delay + settings.drain_timeout)
        for child in self._children.values():
            if child.ready:
                control.say(child.end, control.Drain())
            else:
                child.process.kill()
        self._door.close()
        while self._children and not self._stop_now and monotonic() < deadline:
            self._turn(deadline)
        clean = self._clean and not self._children
        _log.info("modelport stopped" if clean else "modelport stopped: requests were left unanswered")
        return 0 if clean else 2


def serve(settings: Settings) -> int:
    """Serve the package that `settings` name until SIGINT or SIGTERM, and return the exit status of the process.

    Configures logging and handles signals, so this is what a process is for; call it in the main thread. Raises a
    `ModelportError` if the address cannot be had or the package not be served.
    """
    logs.configure(settings.log_format, settings.log_level)
    with listener.bind(settings.host, settings.port) as door:
        return Supervisor(settings, door).run()


@contextlib.contextmanager
def _wakeup() -> Iterator[socket.socket]:
    """Give a socket from which a byte can be read for every SIGINT or SIGTERM."""
    reader, writer = socket.socketpair()
    writer.settimeout(0)
    with reader, writer:
        before = signal.set_wakeup_fd(writer.fileno())
        handlers = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
        try:
            yield reader
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(before)
