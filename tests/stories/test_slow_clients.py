"""Rows 22 and 23 of the table of bad inputs: clients that are slow or idle are closed, and keep nobody else waiting."""

from __future__ import annotations

import json
import os
import re
import resource
import socket
import statistics
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pytest
import servers
import tiny_models

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from servers import Server

INFER = "/v2/models/linear/infer"
HEALTH = b"GET /v2/health/live HTTP/1.1\r\nhost: t\r\n\r\n"
TIMEOUT = 1.0
#: Seconds within which a server that is asked something answers, or does what it should at a deadline, on any machine.
SOON = 30.0
LIMITS = {"header_timeout": TIMEOUT, "body_timeout": TIMEOUT, "answer_timeout": TIMEOUT}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.linear(tmp_path_factory.mktemp("packages") / "linear")


@pytest.fixture(scope="module")
def hasty(package: Path) -> Iterator[Server]:
    """Give a server that waits for nobody longer than a second."""
    with servers.serving(package, **LIMITS) as server:
        warm_up(server)
        yield server
        assert not any("Traceback" in line for line in server.lines), server.lines


def connect(server: Server, *, buffer: int = 0) -> socket.socket:
    """Connect, with so many bytes to hold what was not read yet; the system's own choice without."""
    connection = socket.socket()
    if buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    connection.settimeout(SOON)
    connection.connect((server.host, server.port))
    return connection


def infer(rows: int) -> bytes:
    """Return a request of so many rows; each has an answer of some 60 bytes."""
    data = np.random.default_rng(3).normal(size=(rows, 4)).astype("<f4").tobytes()
    tensor = {"name": "x", "shape": [rows, 4], "datatype": "FP32", "parameters": {"binary_data_size": len(data)}}
    text = json.dumps({"inputs": [tensor]}).encode()
    head = f"content-length: {len(text) + len(data)}\r\ninference-header-content-length: {len(text)}"
    return f"POST {INFER} HTTP/1.1\r\nhost: t\r\n{head}\r\n\r\n".encode() + text + data


def warm_up(server: Server) -> None:
    """Have the worker open the files that it keeps open once it has scored, and close the connection."""
    with connect(server) as connection:
        connection.sendall(infer(1))
        connection.recv(65536)
        opened = files(server)
    wait_for_files(server, opened - 1)


def until_closed(connection: socket.socket) -> bytes:
    """Return what comes until the server closes the connection."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def trickle(connection: socket.socket, piece: bytes) -> float:
    """Send `piece` again and again, slowly, until the connection is closed; return the seconds that took."""
    begun = time.monotonic()
    with suppress(BrokenPipeError, ConnectionResetError):
        while time.monotonic() - begun < SOON:
            connection.sendall(piece)
            time.sleep(TIMEOUT / 10)
    return time.monotonic() - begun


def files(server: Server) -> int:
    """Return how many files the worker has open."""
    return len(os.listdir(f"/proc/{server.workers()[0]}/fd"))  # noqa: PTH208  names are not needed


def memory(server: Server) -> int:
    """Return the bytes of memory that the worker has."""
    pages = Path(f"/proc/{server.workers()[0]}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()


def wait_for_files(server: Server, most: int) -> None:
    """Wait until the worker has no more files open than that."""
    servers.wait_until(lambda: files(server) <= most, f"at most {most} open files")


@pytest.mark.parametrize("sent", [b"", b"GET /v2 HT", HEALTH + b"GET ", HEALTH])
def test_a_head_that_does_not_come_is_waited_for_no_longer_than_header_timeout(hasty: Server, sent: bytes) -> None:
    with connect(hasty) as connection:
        begun = time.monotonic()
        connection.sendall(sent)
        answers = until_closed(connection)
    assert time.monotonic() - begun > TIMEOUT * 0.9
    assert answers.count(b"HTTP/1.1 200 ") == sent.count(HEALTH)


def test_a_head_that_comes_line_by_line_is_no_longer_waited_for(hasty: Server) -> None:
    with connect(hasty) as connection:
        connection.sendall(b"GET /v2 HTTP/1.1\r\n")
        assert TIMEOUT * 0.9 < trickle(connection, b"a: b\r\n") < SOON


@pytest.mark.parametrize("head", [b"content-length: 100000", b"transfer-encoding: chunked"])
def test_a_body_that_comes_byte_by_byte_is_answered_with_408_at_body_timeout(hasty: Server, head: bytes) -> None:
    with connect(hasty) as connection:
        begun = time.monotonic()
        connection.sendall(b"POST %b HTTP/1.1\r\nhost: t\r\n%b\r\n\r\n" % (INFER.encode(), head))
        piece = b"1\r\n \r\n" if b"chunked" in head else b" "
        while not _readable(connection):
            connection.sendall(piece)
        assert time.monotonic() - begun > TIMEOUT * 0.9
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"\r\nconnection: close\r\n" in answer
    assert answer.endswith(b'{"error":"body: expected it within 1 s, got only a part of it"}')


def _readable(connection: socket.socket) -> bool:
    connection.settimeout(TIMEOUT / 10)
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except TimeoutError:
        return False
    finally:
        connection.settimeout(SOON)


@pytest.mark.parametrize("taken", [0, 10])
def test_a_client_that_hardly_takes_its_answer_is_cut_off_at_answer_timeout(hasty: Server, taken: int) -> None:
    before, said = files(hasty), len(hasty.lines)
    with connect(hasty, buffer=1 << 14) as connection:
        connection.sendall(infer(100_000))
        begun = time.monotonic()
        servers.wait_until(lambda: files(hasty) > before, "the connection to be there")
        while files(hasty) > before:
            assert time.monotonic() - begun < SOON
            if taken and _readable(connection):
                connection.recv(taken)
            time.sleep(TIMEOUT / 10)
        assert time.monotonic() - begun > TIMEOUT * 0.9
        with pytest.raises(ConnectionResetError):
            until_closed(connection)
    hasty.wait_for(re.compile("1 clients? cut off that took their answers too slowly"), after=said)


def test_a_client_that_takes_its_answer_slowly_but_steadily_has_all_of_it(hasty: Server) -> None:
    with connect(hasty, buffer=1 << 18) as connection:
        connection.sendall(infer(100_000))
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        head, _, content = received.partition(b"\r\n\r\n")
        size = int(re.findall(rb"content-length: (\d+)", head)[0])
        begun, got = time.monotonic(), len(content)
        while got < size:
            got += len(connection.recv(1 << 17))
            time.sleep(TIMEOUT / 10)
        assert time.monotonic() - begun > 3 * TIMEOUT
        assert got == size


def test_idle_connections_keep_nobody_waiting_and_are_closed(hasty: Server) -> None:
    before = files(hasty)
    with ExitStack() as held:
        connections = [held.enter_context(connect(hasty)) for _ in range(200)]
        for connection in connections[:100]:
            connection.sendall(HEALTH)
        assert hasty.ask("/v2/health/ready").status == 200
        wait_for_files(hasty, before)
        answers = [until_closed(connection) for connection in connections]
    assert [answer.startswith(b"HTTP/1.1 200 ") for answer in answers] == [True] * 100 + [False] * 100


def _limited(package: Path, soft: int, hard: int, **settings: object) -> Server:
    """Start a server that may open so many files."""
    limits = f"ulimit -Sn {soft}; ulimit -Hn {hard}; exec {sys.executable} -m modelport.runtime.server"
    given = {"package": package, "port": 0, **settings}
    return servers.Server(["sh", "-c", limits], {f"MODELPORT_{name.upper()}": str(given[name]) for name in given})


@contextmanager
def serving_limited(package: Path, soft: int, hard: int, **settings: object) -> Iterator[Server]:
    server = _limited(package, soft, hard, **settings)
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.kill()


def test_the_limit_of_open_files_is_raised_to_what_max_connections_needs(package: Path) -> None:
    with serving_limited(package, 200, 2000, max_connections=1000) as server:
        for process in (server.process.pid, *server.workers()):
            assert resource.prlimit(process, resource.RLIMIT_NOFILE)[0] >= 1000 + 256
        assert not any("max_connections" in line for line in server.lines)


def test_connections_for_which_there_are_not_enough_files_wait_until_others_are_closed(package: Path) -> None:
    with serving_limited(package, 200, 300, max_connections=1000, **LIMITS) as server:
        server.wait_for(
            re.compile(
                r"`max_connections`: expected at most 44 with a limit of 300 open files \(ulimit -Hn\), got 1000; "
                r"a worker holds 44\b"
            )
        )
        warm_up(server)
        before = files(server)
        with ExitStack() as connections:
            for _ in range(100):
                connections.enter_context(connect(server))
            servers.wait_until(lambda: files(server) == before + 44, "as many connections as fit")
            assert server.ask("/v2/health/live").status == 200  # in its turn, once idle ones were closed
        wait_for_files(server, before)


# ---- with many at once: minutes


class Latency:
    """A client that asks for scores, one after the other, and notes how long each took."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._seconds: list[float] = []
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def p99(self, seconds: float) -> float:
        """Return the 99th percentile over the next so many seconds."""
        begun = len(self._seconds)
        assert not self._enough.wait(seconds), "expected every score, got none"
        return float(np.quantile(self._seconds[begun:], 0.99))

    def _run(self) -> None:
        request = infer(1)
        try:
            with connect(self._server) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while not self._enough.wait(0.002):
                    begun = time.perf_counter()
                    connection.sendall(request)
                    assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
                    self._seconds.append(time.perf_counter() - begun)
        finally:
            self._enough.set()


ROUNDS = 5
WINDOW = 2.0
PATIENT = dict.fromkeys(LIMITS, 4 * WINDOW)
#: A percentile below which the scheduler alone decides.
NOISE = 0.003
#: By how much the memory that a worker keeps for the next attack may differ from one to the other.
KEPT = 64 << 20
#: What slowhttptest is to do: slow heads, slow bodies, many ranges, slow reading of a page; and whether it holds on.
ATTACKS = {
    "slow heads": (True, "-H", "/v2"),
    "slow bodies": (True, "-B", INFER, "-s", "4096"),
    "ranges": (False, "-R", "/swagger.json", "-a", "1", "-b", "3000"),
    "slow reads": (True, "-X", "/swagger.json", "-w", "512", "-y", "1024", "-n", "1", "-z", "32", "-k", "3"),
}


@pytest.fixture
def many_files() -> Iterator[None]:
    """Allow this process, and what it starts, as many files as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def attacked(server: Server, mode: str, path: str, *options: str) -> Iterator[None]:
    """Have slowhttptest open a thousand connections, and hold them while the block runs if it can."""
    opened = files(server)
    command = ["slowhttptest", mode, "-u", f"http://{server.url}{path}", *options]
    command += ["-c", "1000", "-r", "500", "-i", "1", "-l", "60", "-p", "10"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        if mode != "-R":
            servers.wait_until(lambda: files(server) >= opened + 900, "nearly a thousand connections")
        yield
        process.kill()


@contextmanager
def idle(server: Server, count: int) -> Iterator[None]:
    """Hold so many connections that say nothing while the block runs."""
    with ExitStack() as connections:
        for _ in range(count):
            connections.enter_context(connect(server))
        yield


@contextmanager
def greedy(server: Server, count: int) -> Iterator[None]:
    """Ask for so many large answers that nobody takes while the block runs."""
    with ExitStack() as connections:
        for _ in range(count):
            connection = connections.enter_context(connect(server, buffer=1 << 14))
            connection.sendall(infer(100_000))
            connection.recv(1, socket.MSG_PEEK)
        yield


def withstand(server: Server, attack: Callable[[], AbstractContextManager[None]], *, held: int) -> None:
    """Attack a server, again and again, by what holds so many connections; assert that others notice nothing.

    Scores take at most three times as long as between the attacks, health answers, and nothing is left of an attack.
    """
    quiet, busy, used = [], [], []
    with Latency(server) as latency:
        latency.p99(1)
        opened = files(server)
        for _ in range(ROUNDS):
            quiet.append(latency.p99(WINDOW))
            with attack():
                busy.append(latency.p99(WINDOW))
                begun = time.monotonic()
                assert server.ask("/v2/health/ready").status == 200
                assert time.monotonic() - begun < 1
                assert files(server) >= opened + held
                wait_for_files(server, opened)  # the server is the first to close them
            used.append(memory(server))
        assert used[-1] < used[0] + KEPT
    print(f"p99 {1e3 * statistics.median(quiet):.1f} ms, attacked {1e3 * statistics.median(busy):.1f} ms")  # noqa: T201
    assert statistics.median(busy) < 3 * max(statistics.median(quiet), NOISE), (quiet, busy)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("name", ATTACKS)
def test_a_thousand_slow_connections_keep_nobody_waiting(package: Path, name: str) -> None:
    holds, *options = ATTACKS[name]
    with servers.serving(package, **PATIENT) as server:
        withstand(server, lambda: attacked(server, *options), held=800 if holds else 0)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("many_files")
def test_five_thousand_idle_connections_keep_nobody_waiting(package: Path) -> None:
    with servers.serving(package, **PATIENT) as server:
        withstand(server, lambda: idle(server, 5000), held=5000)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_large_answers_that_nobody_takes_keep_nobody_waiting(package: Path) -> None:
    with servers.serving(package, **PATIENT) as server:
        withstand(server, lambda: greedy(server, 20), held=20)
