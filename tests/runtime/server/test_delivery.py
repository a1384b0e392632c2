"""Who hardly takes an answer is cut off, and nobody else."""

from __future__ import annotations

import socket
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import servers

from modelport.runtime.server.delivery import Delivery

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what a client has taken")
SECONDS = 0.2


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Give the two ends of a connection, the server's first."""
    with socket.create_server(("127.0.0.1", 0)) as door, socket.create_connection(door.getsockname()) as client:
        accepted, _ = door.accept()
        with accepted:
            accepted.settimeout(0)
            client.settimeout(10)
            yield accepted, client


def fill(end: socket.socket) -> None:
    """Send as much as can be sent while nobody takes it."""
    with suppress(BlockingIOError):
        while end.send(bytes(1 << 16)):
            pass


def test_who_takes_nothing_is_cut_off_and_what_was_sent_is_forgotten(ends: tuple[socket.socket, socket.socket]) -> None:
    server, client = ends
    delivery = Delivery(server.getsockname()[1], SECONDS)
    fill(server)
    assert delivery.look() == 0
    servers.wait_until(delivery.look, "the client to be cut off")  # once its system takes no more for it
    with pytest.raises(BrokenPipeError):
        server.send(b"more")
    server.close()
    with pytest.raises(ConnectionResetError):
        all(iter(lambda: client.recv(1 << 20), b""))


def test_who_takes_enough_is_left_alone(ends: tuple[socket.socket, socket.socket]) -> None:
    server, client = ends
    delivery = Delivery(server.getsockname()[1], 5 * SECONDS)
    for _ in range(15):
        fill(server)
        assert delivery.look() == 0
        assert client.recv(1 << 20)
        time.sleep(SECONDS)


def test_who_has_taken_all_is_left_alone(ends: tuple[socket.socket, socket.socket]) -> None:
    server, client = ends
    delivery = Delivery(server.getsockname()[1], SECONDS)
    server.send(b"all")
    assert client.recv(3) == b"all"
    for _ in range(3):
        assert delivery.look() == 0
        time.sleep(SECONDS)
    server.send(b"more")
    assert client.recv(4) == b"more"
