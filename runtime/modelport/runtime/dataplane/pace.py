"""Says which requests are quick enough to be answered where they arrive, from how long their like has taken."""

from __future__ import annotations

from typing import Final

#: Seconds that one request may keep the event loop, and with it every other connection, waiting.
BUDGET: Final = 0.005
#: Seconds that a request of a model is taken to need of which nobody knows how quick it is: not a quick one.
UNKNOWN: Final = 2 * BUDGET
#: Bytes up to which a request of a size that was never seen is taken for a quick one.
SMALL: Final = 1 << 14
_FALL: Final = 0.5  # how far an estimate follows a quicker request, and a slower one
_RISE: Final = 0.2


class Pace:
    """Estimates the seconds that a request takes, by the order of magnitude of its size in bytes.

    Requests of one model and one size are much alike, so the past tells the future. `floor` is what the least request
    is known to take. An estimate falls faster than it rises: one request that had to wait for a busy machine does not
    make a slow model.
    """

    def __init__(self, floor: float = 0.0) -> None:
        self._floor = floor
        self._seconds: dict[tuple[str | None, int], float] = {}

    def forget(self, floor: float) -> None:
        """Begin anew, with another model."""
        self._floor = floor
        self._seconds = {}

    def expected(self, size: int, model: str | None = None) -> float:
        """Return the seconds that a request of `size` bytes for `model` is expected to take."""
        return self._seconds.get((model, size.bit_length()), self._floor)

    def is_quick(self, size: int, model: str | None = None) -> bool:
        """Return whether a request of `size` bytes for `model` is expected to stay within `BUDGET`."""
        seconds = self._seconds.get((model, size.bit_length()))
        if seconds is None:
            return size <= SMALL and self._floor <= BUDGET
        return seconds <= BUDGET

    def observe(self, size: int, seconds: float, model: str | None = None) -> None:
        """Learn that a request of `size` bytes for `model` took `seconds`."""
        key = (model, size.bit_length())
        before = self._seconds.setdefault(key, seconds)
        self._seconds[key] = before + (seconds - before) * (_FALL if seconds < before else _RISE)
