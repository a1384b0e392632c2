"""What the data plane has done so far, as numbers: the one place that metrics are exported from."""

from __future__ import annotations

from threading import Lock

import msgspec


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The counters at one moment. They only grow.

    `failed` counts requests by the class of their error. A request of a model without rows counts as one row. Times
    are sums over the successful requests, in nanoseconds: `infer_ns` inside the data plane, `score_ns` of it in the
    scorer.
    """

    succeeded: int
    failed: dict[str, int]
    rows: int
    infer_ns: int
    score_ns: int


class Counters:
    """Counts requests; may be used from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._succeeded = 0
        self._failed: dict[str, int] = {}
        self._rows = 0
        self._infer_ns = 0
        self._score_ns = 0

    def succeed(self, *, rows: int, infer_ns: int, score_ns: int) -> None:
        """Count an answered request."""
        with self._lock:
            self._succeeded += 1
            self._rows += rows
            self._infer_ns += infer_ns
            self._score_ns += score_ns

    def fail(self, error: Exception) -> None:
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
