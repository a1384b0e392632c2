"""The address is bound or refused with a reason, and can be closed without turning anyone away who is inside."""

from __future__ import annotations

import errno
import os
import re
import socket
import sys

import pytest

from modelport.runtime.errors import InvalidSettingError
from modelport.runtime.server import listener
from modelport.runtime.server.app import App
from modelport.runtime.server.worker import _Server
from modelport.runtime.settings import Settings


def test_port_0_takes_a_free_port_and_the_url_says_which() -> None:
    with listener.bind("127.0.0.1", 0) as door:
        assert listener.url(door) == f"http://127.0.0.1:{door.getsockname()[1]}"


def test_a_worker_that_takes_the_door_leaves_it_non_blocking_for_the_others() -> None:
    with listener.bind("127.0.0.1", 0) as door, socket.socket(fileno=os.dup(door.fileno())) as inherited:
        assert not os.get_blocking(door.fileno())
        _Server(App.__new__(App), inherited, Settings(package=("x",)))._init_shared_socket()
        assert not os.get_blocking(door.fileno())


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    try:
        door = listener.bind("::1", 0)
    except InvalidSettingError:
        pytest.skip("no IPv6 here")
    with door:
        assert listener.url(door) == f"http://[::1]:{door.getsockname()[1]}"


def test_an_address_in_use_is_refused() -> None:
    with listener.bind("127.0.0.1", 0) as door:
        door.listen()
        port = door.getsockname()[1]
        message = f"address `127.0.0.1:{port}`: expected a free one, got {os.strerror(errno.EADDRINUSE)}"
        with pytest.raises(InvalidSettingError, match=f"(?m)^{re.escape(message)}$"):
            listener.bind("127.0.0.1", port)


def test_a_host_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match=r"(?m)^address `256\.0\.0\.1`: expected one of this machine, got "):
        listener.bind("256.0.0.1", 0)


@pytest.mark.skipif(sys.platform != "linux", reason="socket filters are Linux's")
def test_behind_a_closed_door_those_who_are_in_are_served_and_nobody_comes_after_them() -> None:
    with listener.bind("127.0.0.1", 0) as door:
        door.listen()
        address = door.getsockname()
        with socket.create_connection(address) as early, socket.socket() as late:
            listener.close_door(door)
            late.settimeout(0)
            assert late.connect_ex(address) == errno.EINPROGRESS
            early.sendall(b"in")
            accepted, _ = door.accept()
            with accepted:
                assert accepted.recv(2) == b"in"
                accepted.sendall(b"out")
                assert early.recv(3) == b"out"
            door.settimeout(0)
            with pytest.raises(BlockingIOError):
                door.accept()
