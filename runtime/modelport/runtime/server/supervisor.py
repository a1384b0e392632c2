"""The supervisor: starts the workers, replaces those that die, reloads them, and stops them without losing a request.

It loads no model and no heavy library itself. Workers are fresh processes, so nothing of whoever called this (a command
line, a test) is in them, and no engine meets a fork.
"""

from __future__ import annotations

import contextlib
import logging
import math
import selectors
import signal
import socket
from time import monotonic
from typing import TYPE_CHECKING, Final

from modelport.runtime.errors import ModelportError

from . import control, descriptors, listener, logs, reloading
from .children import SIGNALS, Child
from .encryption import Encryption
from .errors import WorkerFailedError
from .shared import SharedDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelport.runtime.settings import Settings

#: Seconds that workers get beyond `drain_delay` and `drain_timeout` to end by themselves.
_GRACE: Final = 5.0
#: Seconds in which further signals mean the first one: a wrapper may pass on what its whole process group has got.
_SAME_STOP: Final = 0.5
#: Seconds until a worker that failed to start is tried again, doubled with every failure up to the last.
_RETRY, _RETRY_MOST = 1.0, 30.0
#: The number of the process that tries a reload.
_TRIAL: Final = 0

_log = logging.getLogger(__name__)


class Supervisor:
    """Runs the workers of one server on the bound socket `door`."""

    def __init__(self, settings: Settings, door: socket.socket, shared: SharedDirectory) -> None:
        self._settings = settings
        self._shared = shared
        self._door = door
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, Child] = {}
        self._digests: tuple[str, ...] = ()
        self._before: tuple[str, ...] = ()  # those that can be rolled back to
        self._announced = False
        self._due: dict[int, float] = {}  # when a worker that is gone is started again
        self._pauses: dict[int, float] = {}  # how long it waits if it fails once more
        self._reload: reloading.Reload | None = None
        self._wanted = False  # asked to reload, and not begun yet
        self._watch = reloading.Watch(settings)
        self._stop: float | None = None  # when it was first told to
        self._stop_now = False
        self._draining = False
        self._clean = True

    def run(self) -> int:
        """Serve until SIGINT or SIGTERM; return 0 when every request was answered, else 2.

        A second signal ends it at once. SIGHUP reloads, SIGUSR2 rolls back. Raises the error that keeps a worker from
        starting while none serves.
        """
        with _wakeup() as wake:
            self._selector.register(wake, selectors.EVENT_READ)
            try:
                self._start(1)
                while self._stop is None:
                    self._turn(self._next_moment())
                    self._end_overdue()
                    self._wanted = self._watch.changed() or self._wanted
                    self._begin_reload()
                    self._start_due()
                return self._drain()
            finally:
                for child in self._children.values():
                    child.process.kill()
                    child.reap()
                self._selector.close()

    def _start(self, number: int, *, trial: bool = False) -> Child:
        self._due.pop(number, None)
        digests = () if trial else self._digests
        share = self._shared.weights if self._settings.workers > 1 else ""
        job = control.Job(settings=self._settings, digests=digests, share=share, files=self._shared.files, trial=trial)
        child = Child(number, job, self._door, self._shared.environment)
        self._children[number] = child
        self._selector.register(child.end, selectors.EVENT_READ, child)
        return child

    def _start_due(self) -> None:
        """Start the workers whose time has come; during a reload it is not clear yet with what."""
        if self._reload is None:
            for number in [number for number, due in self._due.items() if due <= monotonic()]:
                self._start(number)

    def _next_moment(self) -> float | None:
        """Return when there will be something to do though nothing happens, None for never."""
        moments = [child.due for child in self._children.values() if not child.ready and child.due < math.inf]
        if self._reload is None:
            moments += self._due.values()
            moments += () if self._watch.due is None else (self._watch.due,)
        else:
            moments.append(self._reload.due)
        return min(moments, default=None)

    def _turn(self, until: float | None) -> None:
        """Wait for something to happen, at most until the moment `until`, and see to it."""
        timeout = None if until is None else max(0.0, until - monotonic())
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                for number in key.fileobj.recv(64):  # type: ignore[union-attr]
                    self._on_signal(number)
            else:
                self._listen_to(key.data)

    def _on_signal(self, number: int) -> None:
        now = monotonic()
        if number == signal.SIGHUP:
            self._wanted = True
        elif number == signal.SIGUSR2:
            self._roll_back()
        elif self._stop is None:
            self._stop = now
        elif now - self._stop > _SAME_STOP:
            self._stop_now = True

    def _end_overdue(self) -> None:
        """Kill what has not loaded in time; that it is gone is then noticed as for any other."""
        now, seconds = monotonic(), self._settings.start_timeout
        for child in self._children.values():
            if child.ready or child.due > now:
                continue
            child.process.kill()
            child.due = math.inf
            if child.number == _TRIAL:
                self._end_reload(WorkerFailedError(f"packages: expected to load within {seconds:g} s, got no word"))
            else:
                _log.error("worker %d: expected to load within %g s, got no word", child.number, seconds)
        if self._reload is not None and self._reload.due <= now and self._reload.trial is None:
            self._end_reload(ModelportError(f"workers: expected to load within {seconds:g} s, got no word"))

    def _listen_to(self, child: Child) -> None:
        word = control.hear(child.end, control.Loaded | control.Failed)
        if word is None:
            self._on_gone(child)
        elif self._draining or child.outdated:
            return  # it is being stopped, whatever it says
        elif child.number == _TRIAL:
            self._on_tried(child, word)
        elif child.ready:
            self._on_prepared(child, word)
        elif isinstance(word, control.Loaded):
            self._on_loaded(child, word)
        else:
            self._on_failed(child, word.error())

    def _on_loaded(self, child: Child, loaded: control.Loaded) -> None:
        child.ready = True
        child.say(control.Serve())
        self._pauses.pop(child.number, None)
        if not self._digests:  # the first of all: the others must find the same packages
            self._digests = tuple(model.digest for model in loaded.models)
            for number in range(2, self._settings.workers + 1):
                self._start(number)
        if not self._announced and all(child.ready for child in self._children.values()):
            self._announced = True
            self._door.listen(listener.BACKLOG)
            for model in loaded.models:
                url = listener.url(self._door, encrypted=self._settings.tls_cert is not None)
                _log.info("modelport serving %s at %s (proof %s)", model.summary, url, model.proof)

    def _on_failed(self, child: Child, error: ModelportError) -> None:
        if not self._can_do_without(child):
            raise error
        _log.error("worker %d: expected to start again, got: %s", child.number, error.message)

    def _on_gone(self, child: Child) -> None:
        self._selector.unregister(child.end)
        del self._children[child.number]
        status = child.reap()
        self._shared.bury(child.process.pid)
        if self._stop is not None:
            self._clean = self._clean and (status == 0 or not child.ready or child.number == _TRIAL)
            return
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        if child.number == _TRIAL:
            self._on_trial_gone(child, how)
            return
        if not child.ready and not self._can_do_without(child):
            raise WorkerFailedError(f"worker {child.number}: expected to serve, got {how}")
        pause = 0.0
        if not child.ready and not child.outdated:
            pause = self._pauses.get(child.number, _RETRY)
            self._pauses[child.number] = min(2 * pause, _RETRY_MOST)
        self._due[child.number] = monotonic() + pause
        _log.error("worker %d: expected to serve, got %s; starting it again in %g s", child.number, how, pause)
        if self._reload is not None and self._reload.prepared(child):
            self._commit(self._reload)

    def _can_do_without(self, child: Child) -> bool:
        """Return whether a worker that is lost can be started again: others serve, or what serves is being changed."""
        others = any(other.ready for other in self._workers() if other is not child)
        return self._announced and (others or child.outdated or self._reload is not None)

    def _workers(self) -> list[Child]:
        return [child for child in self._children.values() if child.number != _TRIAL]

    def _begin_reload(self) -> None:
        """Try the packages as they are now, if that is wanted, all serve, and no reload from before is under way."""
        if self._wanted and self._announced and self._reload is None and _TRIAL not in self._children:
            self._wanted = False
            trial = self._start(_TRIAL, trial=True)
            self._reload = reloading.Reload(trial, self._digests, self._settings.start_timeout)

    def _on_tried(self, child: Child, word: control.Loaded | control.Failed) -> None:
        child.ready = True  # it has said its word, and ends
        if self._reload is None:
            return
        self._reload.trial = None
        if isinstance(word, control.Failed):
            self._end_reload(word.error())
            return
        workers = [worker for worker in self._workers() if worker.ready]
        if not self._reload.tried(word, workers):
            self._end_reload()
            return
        for worker in self._workers():
            if not worker.ready:  # it loads what served until now; it is started again with what will
                worker.outdated = True
                worker.process.kill()
        if not workers:  # all are gone: those that are started next will have the new packages
            self._commit(self._reload)

    def _on_trial_gone(self, child: Child, how: str) -> None:
        if not child.ready and self._reload is not None:
            self._end_reload(WorkerFailedError(f"packages: expected to load, got {how}"))

    def _on_prepared(self, child: Child, word: control.Loaded | control.Failed) -> None:
        if self._reload is None:
            return
        if isinstance(word, control.Failed):
            self._end_reload(word.error())
        elif self._reload.prepared(child):
            self._commit(self._reload)

    def _commit(self, reload: reloading.Reload) -> None:
        self._before, self._digests = self._digests, reload.digests
        for worker in self._workers():
            worker.say(control.Commit())
            worker.before = self._before
        _log.info("reload: modelport serving %s", reload.summary)
        self._end_reload()

    def _end_reload(self, error: ModelportError | None = None) -> None:
        self._reload = None
        if error is not None:
            reloading.refused(error)
            for worker in self._workers():
                worker.say(control.Abandon())

    def _roll_back(self) -> None:
        """Have the workers serve what served before the last reload; asked again, what came after it."""
        if (obstacle := self._obstacle_to_roll_back()) is not None:
            _log.error("roll back: expected packages from before in every worker, got %s", obstacle)
            return
        self._before, self._digests = self._digests, self._before
        for worker in self._workers():
            worker.say(control.RollBack())
            worker.before = self._before
        _log.info("rolled back: modelport serving %s", ", ".join(self._digests))

    def _obstacle_to_roll_back(self) -> str | None:
        if not self._before:
            return "none"
        if self._reload is not None:
            return "a reload"
        for number in range(1, self._settings.workers + 1):
            worker = self._children.get(number)
            if worker is None or worker.before != self._before:
                return f"worker {number}, which was started since"
        return None

    def _drain(self) -> int:
        """Have the workers finish what they have begun, and wait for them."""
        self._turn(monotonic())  # a worker that has just said that it serves is one that serves
        self._draining = True
        settings = self._settings
        deadline = monotonic() + settings.drain_delay + settings.drain_timeout + _GRACE
        _log.info("modelport stopping: at most %g s", settings.drain_delay + settings.drain_timeout)
        for child in self._children.values():
            if child.ready:
                child.say(control.Drain())
            else:
                child.process.kill()
        self._door.close()
        while self._children and not self._stop_now and monotonic() < deadline:
            self._turn(deadline)
        clean = self._clean and not self._children
        _log.info("modelport stopped" if clean else "modelport stopped: requests were left unanswered")
        return 0 if clean else 2


def serve(settings: Settings) -> int:
    """Serve the packages that `settings` name until SIGINT or SIGTERM, and return the exit status of the process.

    Configures logging and handles signals, so this is what a process is for; call it in the main thread. Raises a
    `ModelportError` if the address cannot be had or a package not be served.
    """
    logs.configure(settings.log_format, settings.log_level)
    descriptors.allow(settings.max_connections)
    if (encryption := Encryption.of(settings)) is not None:
        encryption.check()
    with listener.bind(settings.host, settings.port) as door, SharedDirectory() as shared:
        return Supervisor(settings, door, shared).run()


@contextlib.contextmanager
def _wakeup() -> Iterator[socket.socket]:
    """Give a socket from which the number of every signal for the supervisor can be read, a byte each."""
    reader, writer = socket.socketpair()
    writer.settimeout(0)
    with reader, writer:
        before = signal.set_wakeup_fd(writer.fileno())
        handlers = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
        try:
            yield reader
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(before)
