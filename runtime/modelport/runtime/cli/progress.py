"""A bar on a terminal that says how far a long work went."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Self, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_WIDTH: Final = 30
_SECONDS: Final = 0.1
_ERASE: Final = "\r\033[K"


class Progress:
    """A bar on `stream` while the block runs, drawn ten times a second at most; nothing unless it is `visible`."""

    def __init__(self, stream: TextIO, *, visible: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._visible = visible
        self._clock = clock
        self._started = clock()
        self._drawn = -_SECONDS

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write("")

    def update(self, fraction: float | None, rows: int) -> None:
        """Draw how far the work went: a part of the whole, where it is known, and a number of rows."""
        now = self._clock()
        if now - self._drawn < _SECONDS:
            return
        self._drawn = now
        speed = rows / max(now - self._started, _SECONDS)
        bar = "" if fraction is None else f"[{'#' * int(fraction * _WIDTH):<{_WIDTH}}] {fraction:4.0%}  "
        self._write(f"{bar}{rows:,} rows, {speed:,.0f} a second")

    def say(self, line: str) -> None:
        """Write a line above the bar."""
        self._write("")
        self._stream.write(f"{line}\n")

    def _write(self, text: str) -> None:
        if self._visible:
            self._stream.write(f"{_ERASE}{text}")
            self._stream.flush()
