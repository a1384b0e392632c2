"""The open connections of this process, seen from outside, since the HTTP server does not say: Linux only."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_DESCRIPTORS: Final = Path("/proc/self/fd")
_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)
_OPEN: Final = (1, 8)  # established; the client has closed its half (Linux, net/tcp_states.h)
# Of `struct tcp_info` (linux/tcp.h): the state, the segments not acknowledged, the milliseconds since data was last
# sent and last received, the bytes acknowledged, those not sent, and the number of segments with data that were sent.
_INFO: Final = struct.Struct("=B23xI16xI4xI64xQ16xI8xI")
#: Milliseconds for which bytes that came in the very millisecond of an answer count as the beginning of another
#: request: which of the two was first, the kernel does not say.
_DOUBT: Final = 1000


class Connection(NamedTuple):
    """What the kernel knows of a connection: `number` is its own, `taken` the bytes that the client has acknowledged.

    `waiting` says that the client has yet to take some of what was sent to it, or is to be.
    """

    socket: socket.socket
    number: int
    is_in_use_again: bool
    waiting: bool
    taken: int

    def cut_off(self) -> None:
        """End the connection, and forget what was to be sent."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):  # ended meanwhile
            self.socket.shutdown(socket.SHUT_RDWR)


def found(port: int) -> Iterator[Connection]:
    """Yield every connection to `port` of this process, to be looked at before the next one.

    Nothing where it cannot be known: on other systems, and while no file can be opened.
    """
    entries: list[Path] = []
    with contextlib.suppress(OSError):
        entries = list(_DESCRIPTORS.iterdir())
    for entry in entries:
        try:
            if not str(entry.readlink()).startswith("socket:"):
                continue
            connection = socket.socket(fileno=os.dup(int(entry.name)))
        except OSError:  # closed meanwhile
            continue
        with connection:
            try:
                if connection.family in _FAMILIES and connection.getsockname()[1] == port:
                    yield _looked_at(connection)
            except OSError:  # ended meanwhile
                continue


def _looked_at(connection: socket.socket) -> Connection:
    info = _INFO.unpack(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size))
    state, unacked, since_sent, since_received, taken, unsent, sent = info
    later = since_received < since_sent or since_received == since_sent < _DOUBT
    return Connection(
        connection,
        number=os.fstat(connection.fileno()).st_ino,
        is_in_use_again=bool(state in _OPEN and sent and later),
        waiting=state in _OPEN and unacked + unsent > 0,
        taken=taken,
    )


def in_use_again(port: int) -> int:
    """Return on how many connections to `port` of this process data came in after an answer went out.

    So much is begun there: another request, or a few bytes of one. Where data came in the same millisecond as the
    answer went out, it counts for a second. 0 where it cannot be known.
    """
    return sum(connection.is_in_use_again for connection in found(port))
