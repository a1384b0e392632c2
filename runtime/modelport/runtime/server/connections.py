"""Which open connections hold more than they were answered: seen from outside, since the HTTP server does not say."""

from __future__ import annotations

import os
import socket
import struct
import sys
from pathlib import Path
from typing import Final

_DESCRIPTORS: Final = Path("/proc/self/fd")
_OPEN: Final = (1, 8)  # established; the client has closed its half (Linux, net/tcp_states.h)
# Of `struct tcp_info` (linux/tcp.h): the state, the milliseconds since data was last sent and last received, and the
# number of segments with data that were sent.
_INFO: Final = struct.Struct("=B43xI4xI100xI")
#: Milliseconds for which bytes that came in the very millisecond of an answer count as the beginning of another
#: request: which of the two was first, the kernel does not say.
_DOUBT: Final = 1000


def in_use_again(port: int) -> int:
    """Return on how many connections to `port` of this process data came in after an answer went out.

    So much is begun there: another request, or a few bytes of one. Where data came in the same millisecond as the
    answer went out, it counts for a second. Linux only; 0 elsewhere.
    """
    if sys.platform != "linux":
        return 0
    return sum(_is_in_use_again(entry, port) for entry in _DESCRIPTORS.iterdir())


def _is_in_use_again(entry: Path, port: int) -> bool:
    try:
        if not str(entry.readlink()).startswith("socket:"):
            return False
        with socket.socket(fileno=os.dup(int(entry.name))) as connection:
            if connection.family not in (socket.AF_INET, socket.AF_INET6) or connection.getsockname()[1] != port:
                return False
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
    except OSError:  # closed meanwhile
        return False
    state, since_sent, since_received, sent = _INFO.unpack(info)
    later = since_received < since_sent or since_received == since_sent < _DOUBT
    return bool(state in _OPEN and sent and later)
