"""The listening socket: bound by the supervisor, shared by its workers, so that no connection is lost with a worker."""

from __future__ import annotations

import ctypes
import logging
import socket
import struct
import sys
from typing import Final

from modelport.runtime.errors import InvalidSettingError

BACKLOG: Final = 1024

_log = logging.getLogger(__name__)

# A classic BPF program for TCP segments (linux/filter.h): load the flags (byte 13), keep SYN and ACK, drop a segment
# that has SYN alone, pass all others.
_DROP_SYN: Final = (
    (0x30, 0, 0, 13),
    (0x54, 0, 0, 0x12),
    (0x15, 0, 1, 0x02),
    (0x06, 0, 0, 0),
    (0x06, 0, 0, 0xFFFFFFFF),
)
_SO_ATTACH_FILTER: Final = 26  # Linux, asm-generic/socket.h


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address, not listening yet; raises `InvalidSettingError` if it cannot be had."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise InvalidSettingError(f"address `{host}`: expected one of this machine, got {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted connections inherit it
        listener.settimeout(0)  # non-blocking: a flag of the socket itself, so it holds for every worker
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise InvalidSettingError(
            f"address `{host}:{port}`: expected a free one, got {error.strerror}",
            hint="choose another with `--port`; 0 takes a free one",
        ) from error
    return listener


def url(listener: socket.socket, *, encrypted: bool = False) -> str:
    """Return the address as clients write it."""
    host, port = listener.getsockname()[:2]
    place = f"[{host}]:{port}" if listener.family == socket.AF_INET6 else f"{host}:{port}"
    return f"{'https' if encrypted else 'http'}://{place}"


def close_door(listener: socket.socket) -> None:
    """Let no new connection begin, while those that have begun can still be accepted.

    Closing a listening socket resets the connections that wait in its queue. So first Linux is told to drop the
    segments that open a connection: such a client tries again, and finds the address closed or served by a successor.
    Elsewhere nothing is done.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _DROP_SYN))
    try:
        listener.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_DROP_SYN), ctypes.addressof(program))
        )
    except OSError as error:
        _log.warning("connections that arrive while the server stops may be reset: %s", error.strerror)
