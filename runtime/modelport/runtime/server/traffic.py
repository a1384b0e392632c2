"""How many requests this process has begun and answered."""

from __future__ import annotations

from time import monotonic


class Traffic:
    """Counts requests from their first line to their full answer. Used by the event loop alone."""

    def __init__(self) -> None:
        self.begun = 0
        self.answered = 0
        self._last = monotonic()

    def begin(self) -> None:
        """Count a request whose head was read."""
        self.begun += 1
        self._last = monotonic()

    def answer(self) -> None:
        """Count a request whose answer was handed over whole."""
        self.answered += 1

    @property
    def open(self) -> int:
        """How many requests have begun and are not answered."""
        return self.begun - self.answered

    @property
    def quiet(self) -> float:
        """The seconds since a request last began."""
        return monotonic() - self._last
