"""Cuts off clients that hardly take their answers: what is not taken stays in memory, and its connection open."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from . import connections

#: Bytes of an answer that a client must take a second.
LEAST: Final = 1000
_OFTEN: Final = 15.0
#: After so many connections a look pauses for so many seconds, so that nobody else waits for it.
_PAUSE_EVERY, _PAUSE = 64, 0.001

_log = logging.getLogger(__name__)


class Delivery:
    """Watches the answers on their way from `port` of this process."""

    def __init__(self, port: int, seconds: float) -> None:
        """Have clients cut off that take less than `LEAST` bytes a second over so many `seconds`."""
        self._port = port
        self._seconds = seconds
        self._known: dict[int, tuple[float, int]] = {}  # when a connection was seen to wait, and what was taken then

    def look(self) -> int:
        """Look at every connection once, cut off those that are too slow, and return how many these are."""
        now, waiting, slow = time.monotonic(), {}, 0
        for count, connection in enumerate(connections.found(self._port), 1):
            if connection.waiting:
                since, taken = self._known.get(connection.number, (now, connection.taken))
                if now - since < self._seconds:
                    waiting[connection.number] = since, taken
                elif connection.taken - taken < LEAST * (now - since):
                    connection.cut_off()
                    slow += 1
                else:
                    waiting[connection.number] = now, connection.taken
            if count % _PAUSE_EVERY == 0:
                time.sleep(_PAUSE)
        self._known = waiting
        return slow


def watch_delivery(port: int, seconds: float) -> None:
    """Watch the answers of this process from a thread of its own, for good."""
    delivery = Delivery(port, seconds)

    def watch() -> None:
        while True:
            time.sleep(min(_OFTEN, seconds / 4))
            if slow := delivery.look():
                _log.warning("%d clients cut off that took their answers too slowly", slow)

    threading.Thread(target=watch, name="delivery", daemon=True).start()
