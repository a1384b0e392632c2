"""Has the engines stop what takes too long, wherever it runs: the event loop itself may be what waits for it."""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from modelport.runtime.dataplane import DataPlane

#: Seconds between two looks, at most.
_OFTEN: Final = 1.0


def watch_runs(plane: DataPlane, seconds: float) -> None:
    """Stop runs of the models of `plane` that take longer than `seconds`, from a thread of its own, while it is there.

    A process that is forked from this one has such a thread, too.
    """
    known = weakref.ref(plane)

    def watch() -> None:
        while (watched := known()) is not None:
            watched.stop_runs(seconds)
            del watched
            time.sleep(min(_OFTEN, seconds / 4))

    def start() -> None:
        threading.Thread(target=watch, name="watching", daemon=True).start()

    os.register_at_fork(after_in_child=start)
    start()
