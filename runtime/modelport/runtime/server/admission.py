"""Decides which requests wait for their turn and which are sent away at once, so that none waits for long."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from .errors import OverloadedError

if TYPE_CHECKING:
    from types import TracebackType


_FOLLOWS: Final = 0.1  # how far the estimate follows each request that has waited
_MOST_STRETCH: Final = 10.0


class Admission:
    """Counts the requests of one worker that wait to be scored, and the seconds that scoring them is expected to take.

    At most `most` wait, and none longer than `seconds` by the estimate. Those seconds of scoring take longer while the
    worker is busy with others, whom it refuses: how much longer is learnt from those that have waited.
    Used by the event loop alone.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._backlog = 0.0
        self._stretch = 1.0
        self.waiting = 0

    def admit(self, expected: float) -> Place:
        """Return a place in the queue for a request that is expected to take so many seconds.

        Raises `OverloadedError`, which says after how many seconds to try again.
        """
        if self.waiting >= self._most:
            raise OverloadedError(
                f"server: expected at most {self._most} requests to wait, got one more", retry_after=self._until(0.0)
            )
        if self.waiting and self._wait > self._seconds:
            raise OverloadedError(
                f"server: expected to begin within {self._seconds:g} s, got {self._wait:.3g} s of work before it",
                retry_after=self._until(self._seconds),
            )
        return Place(self, self._backlog, expected)

    def learn(self, before: float, waited: float) -> None:
        """Learn that a request behind `before` seconds of scoring has waited so long."""
        if before * _MOST_STRETCH >= self._seconds:  # a long stretch can be unlearnt
            stretch = min(max(waited / before, 1.0), _MOST_STRETCH) if before else 1.0
            self._stretch += (stretch - self._stretch) * _FOLLOWS

    def enter(self, expected: float) -> None:
        """Count a request in."""
        self.waiting += 1
        self._backlog += expected

    def leave(self, expected: float) -> None:
        """Count a request out."""
        self.waiting -= 1
        self._backlog = max(0.0, self._backlog - expected)
        if not self.waiting:
            self._backlog, self._stretch = 0.0, 1.0

    @property
    def _wait(self) -> float:
        """The seconds until all that is to be done is done."""
        return self._backlog * self._stretch

    def _until(self, seconds: float) -> int:
        """Return the whole seconds until no more than `seconds` of work is left, at least one."""
        return max(1, math.ceil(self._wait - seconds))


class Place:
    """A place in the queue, held while the block runs, which is given the seconds of scoring before it."""

    __slots__ = ("_admission", "_before", "_expected")

    def __init__(self, admission: Admission, before: float, expected: float) -> None:
        self._admission = admission
        self._before = before
        self._expected = expected

    def __enter__(self) -> float:
        self._admission.enter(self._expected)
        return self._before

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admission.leave(self._expected)
