"""What the data plane has done so far, as numbers: what metrics are exported from."""

from __future__ import annotations

from threading import Lock
from typing import NamedTuple, Protocol

import msgspec


class Served(NamedTuple):
    """Which model a request was for. Both are empty where a request names none that is there."""

    model: str
    version: str


class Observer(Protocol):
    """Is told of every request that ended; may be told from several threads. Times are in nanoseconds.

    `infer_ns` is what a request spent inside the data plane, `score_ns` of it in the scorer. A request of a model
    without rows counts as one row, and so does one that an entry script answered: nobody knows how many it had.
    """

    def succeed(self, served: Served, *, rows: int, infer_ns: int, score_ns: int) -> None:
        """Note an answered request."""

    def fail(self, served: Served, error: Exception) -> None:
        """Note a request that ended with `error`."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The counters at one moment. They only grow.

    `failed` counts requests by the class of their error. Times are sums over the successful requests.
    """

    succeeded: int
    failed: dict[str, int]
    rows: int
    infer_ns: int
    score_ns: int


class Counters:
    """An observer that adds up, over all models."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._succeeded = 0
        self._failed: dict[str, int] = {}
        self._rows = 0
        self._infer_ns = 0
        self._score_ns = 0

    def succeed(self, served: Served, *, rows: int, infer_ns: int, score_ns: int) -> None:  # noqa: ARG002
        """Count an answered request."""
        with self._lock:
            self._succeeded += 1
            self._rows += rows
            self._infer_ns += infer_ns
            self._score_ns += score_ns

    def fail(self, served: Served, error: Exception) -> None:  # noqa: ARG002
        """Count a request that ended with `error`."""
        reason = type(error).__name__
        with self._lock:
            self._failed[reason] = self._failed.get(reason, 0) + 1

    def read(self) -> Counts:
        """Return all counters as they are now, consistent with each other."""
        with self._lock:
            return Counts(
                succeeded=self._succeeded,
                failed=dict(self._failed),
                rows=self._rows,
                infer_ns=self._infer_ns,
                score_ns=self._score_ns,
            )
