"""The files that a process may have open: each connection is one, and the system allows only so many."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import threading
import time
from typing import Final

#: Files that a worker may need beside its connections: packages while they are loaded, a script's own, pipes.
_OTHERS: Final = 256
#: The exit status of a worker that had no file left.
EXHAUSTED: Final = 4
_OFTEN: Final = 1.0
_PATIENCE: Final = 5.0

_log = logging.getLogger(__name__)


def allow(connections: int) -> None:
    """Raise the limit of open files of this process and its children as far as the system lets it be raised.

    Where so many connections do not fit then, the log says how many do.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = connections + _OTHERS if hard == resource.RLIM_INFINITY else hard
    if _is_below(soft, highest):
        with contextlib.suppress(OSError, ValueError):  # some systems have a lower limit than they say
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
    if (fit := most(connections)) < connections:
        _log.warning(
            "`max_connections`: expected at most %d with a limit of %d open files (ulimit -Hn), got %d;"
            " a worker holds %d",
            fit,
            resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            connections,
            fit,
        )


def most(connections: int) -> int:
    """Return how many connections this process can hold, at most `connections`."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, soft - _OTHERS) if _is_below(soft, connections + _OTHERS) else connections


def watch_files() -> None:
    """End this process once it could open no file for some seconds, so that another is started in its place.

    Connections in a TLS handshake are not among those that Granian counts, and out of files it accepts no other and
    closes none of these: it never gets over that. A script may come to need all files, too.
    """

    def watch() -> None:
        last = time.monotonic()
        while time.monotonic() - last < _PATIENCE:
            time.sleep(_OFTEN)
            if _can_open():
                last = time.monotonic()
        _log.error(
            "open files: expected some to be left of %d, got none", resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        )
        os._exit(EXHAUSTED)

    threading.Thread(target=watch, name="files", daemon=True).start()


def _can_open() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return False
    return True


def _is_below(limit: int, wanted: int) -> bool:
    return limit != resource.RLIM_INFINITY and limit < wanted
