"""Loads packages anew while those from before go on serving: tried in a process of its own, then all or nothing."""

from __future__ import annotations

import logging
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

from . import control

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from modelport.runtime.errors import ModelportError
    from modelport.runtime.settings import Settings

    from .children import Child

    Digests = tuple[str, ...]

_DIGEST: Final = "manifest.sha256"

_log = logging.getLogger(__name__)


class Reload:
    """One reload: a trial, then every worker prepares, then every worker commits.

    Nothing of what serves changes before every worker has said that it is prepared; the first that is not ends it.
    """

    def __init__(self, trial: Child, current: Digests, timeout: float) -> None:
        self.trial: Child | None = trial
        self.due = monotonic() + timeout
        self._timeout = timeout
        self._current = current
        self._models: tuple[control.Model, ...] = ()
        self._waiting: set[int] = set()

    @property
    def digests(self) -> Digests:
        """The digests of what is loaded, once the trial has said so."""
        return tuple(model.digest for model in self._models)

    def tried(self, loaded: control.Loaded, workers: Iterable[Child]) -> bool:
        """Take the word of the trial and have `workers` prepare; return whether there is anything new."""
        self._models = loaded.models
        if self.digests == self._current:
            _log.info("reload: nothing has changed, %s", self.summary)
            return False
        self.due = monotonic() + self._timeout
        for worker in workers:
            worker.say(control.Prepare(self.digests))
            self._waiting.add(worker.number)
        return True

    def prepared(self, worker: Child) -> bool:
        """Note that a worker is prepared, or gone; return whether all are."""
        self._waiting.discard(worker.number)
        return bool(self._models) and not self._waiting

    @property
    def summary(self) -> str:
        """What is loaded, as the log calls it."""
        return ", ".join(model.summary for model in self._models)


def refused(error: ModelportError) -> None:
    """Say why a reload came to nothing."""
    hint = f" ({error.hint})" if error.hint else ""
    _log.error("reload: expected packages that can be served, got: %s%s; what served before goes on", error, hint)


class Watch:
    """Looks from time to time whether a package has changed."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = monotonic) -> None:
        self._paths = [Path(path) for path in settings.package]
        self._seconds = settings.watch
        self._clock = clock
        self._seen = self._look()
        self.due: float | None = clock() + self._seconds if self._seconds else None

    def changed(self) -> bool:
        """Return whether there is something else than at the last look, if it is time for another."""
        if self.due is None or self._clock() < self.due:
            return False
        self.due = self._clock() + self._seconds
        before, self._seen = self._seen, self._look()
        return self._seen != before

    def _look(self) -> tuple[object, ...]:
        return tuple(_stamp(path) for path in self._paths)


def _stamp(path: Path) -> object:
    """Return what tells one package from another: the digest it gives, and size and time of what it consists of.

    With these, a package that is still being copied is tried again until it is whole.
    """
    try:
        if path.is_dir():
            digest = (path / _DIGEST).read_bytes()[:256]
            return digest, sorted((str(file), _times(file)) for file in path.rglob("*"))
        return _times(path)
    except OSError:
        return None


def _times(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino
