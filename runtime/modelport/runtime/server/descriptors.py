"""How many connections a process can have open: each is a file, and of those the system allows only so many."""

from __future__ import annotations

import contextlib
import logging
import resource
from typing import Final

#: Files that a worker may need beside its connections: packages while they are loaded, a script's own, pipes.
_OTHERS: Final = 256

_log = logging.getLogger(__name__)


def allow(connections: int) -> None:
    """Raise the limit of open files of this process and its children so that so many connections fit.

    Where the system does not let it be raised so far, the log says what fits.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHERS
    if _is_below(soft, wanted):
        with contextlib.suppress(OSError, ValueError):  # an upper limit of the kernel's own
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard) if _is_below(hard, wanted) else wanted, hard))
    if (fit := most(connections)) < connections:
        _log.warning(
            "`max_connections`: expected at most %d, for which the limit of open files of %d (ulimit -Hn) is enough, "
            "got %d; a worker holds no more than these %d",
            fit,
            hard,
            connections,
            fit,
        )


def most(connections: int) -> int:
    """Return how many connections this process can hold, at most `connections`."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(connections, max(1, soft - _OTHERS)) if _is_below(soft, connections + _OTHERS) else connections


def _is_below(limit: int, wanted: int) -> bool:
    return limit != resource.RLIM_INFINITY and limit < wanted
