"""A server that is restarted under load loses no request and answers none wrongly.

Lost is a request of which the server read a byte and that got no full answer. A client that cannot connect, or whose
connection is closed before an answer began, tries again; whether the server had begun such a request is told by the
server's own account: all that it began it says to have answered, and all that it answered must have arrived.
"""

from __future__ import annotations

import itertools
import os
import re
import signal
import socket
import threading
from collections import Counter
from typing import TYPE_CHECKING, Self

import msgspec
import numpy as np
import pytest
import sealed
import servers
import tiny_models

from modelport.runtime import load

if TYPE_CHECKING:
    from pathlib import Path

    from servers import Server

_CLIENTS = 8


class Load:
    """Clients with keep-alive connections that send requests of one row until they are told to stop."""

    def __init__(self, port: int, *packages: Path) -> None:
        """Ask the server at `port`, which serves one of `packages` at a time: an answer must be that of its version."""
        self._port = port
        rows = np.random.default_rng(1).normal(size=(64, 4)).astype(np.float32)
        scored = {scorer.manifest.version: scorer.score(rows)["y"] for scorer in map(load, packages)}
        self._cases = [
            (_request(row), {version: answers[number].tobytes() for version, answers in scored.items()})
            for number, row in enumerate(rows)
        ]
        self.outcomes: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._up = threading.Event()
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(_CLIENTS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._up.set()
        for thread in self._threads:
            thread.join()

    def up(self, *, after: int) -> None:
        """Say that the server is up, and wait until `after` more requests are answered."""
        self._up.set()
        self.go_on(after)

    def go_on(self, more: int) -> None:
        """Wait until so many more requests are answered rightly."""
        target = self.outcomes["right"] + more
        with self._changed:
            assert self._changed.wait_for(lambda: self.outcomes["right"] >= target, 60)

    def down(self) -> None:
        """Say that the server is gone: who cannot connect waits."""
        self._up.clear()

    def _run(self, number: int) -> None:
        cases = itertools.cycle(self._cases[number:] + self._cases[:number])
        connection: socket.socket | None = None
        for request, expected in cases:
            outcome = "not connected"
            while outcome in ("not connected", "closed unanswered") and not self._enough.is_set():
                if connection is None and (connection := self._connect()) is None:
                    self._up.wait()
                    continue
                outcome, keep = _ask(connection, request, expected)
                if not keep:
                    connection.close()
                    connection = None
                with self._changed:
                    self.outcomes[outcome] += 1
                    self._changed.notify_all()
            if self._enough.is_set():
                break
        if connection is not None:
            connection.close()

    def _connect(self) -> socket.socket | None:
        try:
            return socket.create_connection(("127.0.0.1", self._port), timeout=30)
        except OSError:
            with self._changed:
                self.outcomes["not connected"] += 1
            return None


def _request(row: np.ndarray) -> bytes:
    body = msgspec.json.encode(
        {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": row.astype(np.float64).tolist()}]}
    )
    head = f"POST /v2/models/linear/infer HTTP/1.1\r\nhost: test\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _ask(connection: socket.socket, request: bytes, expected: dict[str, bytes]) -> tuple[str, bool]:
    """Return what became of a request, and whether the connection can be used again."""
    received = b""
    try:
        connection.sendall(request)
        while b"\r\n\r\n" not in received:
            received += (piece := connection.recv(65536))
            if not piece:
                break
        head, _, body = received.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        while len(body) < int(fields.get(b"content-length", b"0")):
            body += (piece := connection.recv(65536))
            if not piece:
                return "lost", False
    except OSError:
        return ("lost" if received else "closed unanswered"), False
    if not received:
        return "closed unanswered", False
    right = head.startswith(b"HTTP/1.1 200 ") and _is_right(body, expected)
    return ("right" if right else "wrong"), fields.get(b"connection") != b"close"


def _is_right(body: bytes, expected: dict[str, bytes]) -> bool:
    answer = msgspec.json.decode(body)
    bits = np.array(answer["outputs"][0]["data"], np.float32).tobytes()
    return bits == expected[answer["model_version"]]


def _restart_under_load(package: Path, *, restarts: int, requests: int, workers: int) -> Counter[str]:
    """Return how the clients' requests ended; asserts that each stop is clean and the accounts agree."""
    begun = answered = 0
    port = 0
    with servers.serving(package) as first:
        port = first.port
    with Load(port, package) as clients:
        for _ in range(restarts):
            server: Server
            with servers.serving(package, port=port, workers=workers) as server:
                clients.up(after=requests // restarts)
                status = server.stop(signal.SIGTERM)
                clients.down()
                assert status == 0, "\n".join(server.lines)
                begun, answered = (sum(pair) for pair in zip((begun, answered), server.counts(), strict=True))
    outcomes = clients.outcomes
    assert begun == answered == outcomes["right"] + outcomes["wrong"]
    return outcomes


@pytest.mark.parametrize("workers", [1, 2])
def test_a_few_restarts_under_load_lose_no_request_and_answer_none_wrongly(tmp_path: Path, workers: int) -> None:
    package = tiny_models.linear(tmp_path / "linear")
    outcomes = _restart_under_load(package, restarts=3, requests=1_500, workers=workers)
    assert outcomes["right"] >= 1_500
    assert (outcomes["lost"], outcomes["wrong"]) == (0, 0)


def _versions(folder: Path) -> tuple[Path, Path]:
    """Return two packages of one name whose answers differ."""
    first, second = tiny_models.linear(folder / "first"), tiny_models.linear(folder / "second", seed=8)
    sealed.seal(second, change=lambda manifest: manifest.update(version="2"))
    return first, second


def _abuse(folder: Path, *, restarts: int, kills: int, requests: int) -> tuple[Counter[str], int]:
    """Restart a server of two workers under load, reload it once in each life, and kill a worker in some.

    Returns how the clients' requests ended, and how many were lost in lives without a kill.
    """
    packages = _versions(folder)
    served = folder / "served"
    served.symlink_to(packages[0])
    lost_without_kill = 0
    with servers.serving(served) as first:
        port = first.port
    with Load(port, *packages) as clients:
        for life in range(restarts):
            before = clients.outcomes["lost"]
            with servers.serving(served, port=port, workers=2) as server:
                clients.up(after=requests // restarts // 4)
                other = packages[(life + 1) % 2]
                (folder / "next").symlink_to(other)
                (folder / "next").rename(served)
                server.process.send_signal(signal.SIGHUP)
                server.wait_for(re.compile(f"reload: modelport serving linear {2 - life % 2} "))
                clients.go_on(requests // restarts // 4)
                if life < kills:
                    os.kill(server.workers()[0], signal.SIGKILL)
                clients.go_on(requests // restarts // 2)
                assert server.stop(signal.SIGTERM) == 0, "\n".join(server.lines)
                clients.down()
            if life >= kills:
                lost_without_kill += clients.outcomes["lost"] - before
    return clients.outcomes, lost_without_kill


def test_reloads_and_killed_workers_under_load_answer_nothing_wrongly(tmp_path: Path) -> None:
    outcomes, lost_without_kill = _abuse(tmp_path, restarts=3, kills=1, requests=3_000)
    assert outcomes["right"] >= 3_000
    assert (outcomes["wrong"], lost_without_kill) == (0, 0)
    assert outcomes["lost"] <= _CLIENTS


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_thousand_requests_over_restarts_reloads_and_kills(tmp_path: Path) -> None:
    outcomes, lost_without_kill = _abuse(tmp_path, restarts=50, kills=20, requests=100_000)
    assert outcomes["right"] >= 100_000
    assert (outcomes["wrong"], lost_without_kill) == (0, 0)
    assert outcomes["lost"] <= 20 * _CLIENTS
