"""The processes that a supervisor leads: each a fresh one, with a socket over which the two talk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from . import control

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

#: Led by the supervisor: these are blocked in a child, and never lifted there.
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)


class Child:
    """A worker's process, and this end of the conversation with it. One without a number tries a reload."""

    def __init__(self, number: int, job: control.Job, door: socket.socket, environment: Mapping[str, str]) -> None:
        self.number = number
        self.ready = False
        self.outdated = False  # killed before it served: it has loaded what is no longer wanted
        self.before: tuple[str, ...] = ()  # the digests of what it can roll back to
        self.due = monotonic() + job.settings.start_timeout
        self.end, other = control.pair()
        descriptors = (door.fileno(), other.fileno())
        command = [sys.executable, "-P", "-m", f"{__package__}.worker", *map(str, descriptors)]
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # inherited
        try:
            self.process = subprocess.Popen(  # noqa: S603
                command, pass_fds=descriptors, stdin=subprocess.DEVNULL, env={**os.environ, **environment}
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            other.close()
        self.say(job)

    def say(self, word: Any) -> None:
        """Tell the worker something."""
        control.say(self.end, word)

    def reap(self) -> int:
        """Wait for the process, whose end has closed, and return its status."""
        self.end.close()
        return self.process.wait()
