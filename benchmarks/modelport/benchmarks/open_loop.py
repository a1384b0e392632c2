"""An open-loop load generator: requests leave when the schedule says so, whatever became of those before.

Arrivals are Poisson's. A latency counts from the moment that the schedule names, so a server that makes its clients
wait cannot hide it, and neither can a generator that is late: `Sent.late` says how late it was.
"""

from __future__ import annotations

import multiprocessing
import select
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from modelport.benchmarks.http_load import connected, read_reply

if TYPE_CHECKING:
    import socket

    from numpy.typing import NDArray

    from modelport.benchmarks.http_load import Reply

_CHUNK: Final = 1 << 16
#: Seconds that the last answers are waited for.
_PATIENCE: Final = 10.0
#: The status of a request that no answer came to.
LOST: Final = 0


class Plan(NamedTuple):
    """What to send where: `rate` requests a second for `seconds`, over at most `connections` connections."""

    host: str
    port: int
    request: bytes
    rate: float
    seconds: float
    connections: int
    seed: int = 0


class Sent(NamedTuple):
    """What became of every request, in the order of the schedule.

    `scheduled` are seconds from the beginning, `late` those between the schedule and the sending, `latencies` those
    between the schedule and the whole answer; `statuses` are those of HTTP, `LOST` where no answer came.
    """

    scheduled: NDArray[np.float64]
    late: NDArray[np.float64]
    latencies: NDArray[np.float64]
    statuses: NDArray[np.int64]


def arrivals(rate: float, seconds: float, seed: int) -> NDArray[np.float64]:
    """Return the moments, in seconds from the beginning, at which requests are to be sent."""
    rng = np.random.default_rng(seed)
    count = rng.poisson(rate * seconds)
    return np.sort(rng.uniform(0.0, seconds, count))


def send_beside(plan: Plan) -> Sent:
    """Send in a process of its own, so that nothing here delays it."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(send, plan).result()


def send(plan: Plan) -> Sent:
    """Send by the schedule, wait for the answers, and return what became of all."""
    run = _Run(plan)
    try:
        run.drive()
    finally:
        run.close()
    return run.sent


class _Connection:
    """A connection, and the number of the request whose answer it waits for, -1 while it is free."""

    __slots__ = ("buffer", "number", "socket")

    def __init__(self, opened: socket.socket) -> None:
        self.socket = opened
        self.buffer = b""
        self.number = -1


class _Run:
    """One run of a plan: all connections by their file descriptors, and those of them that are free."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        scheduled = arrivals(plan.rate, plan.seconds, plan.seed)
        count = len(scheduled)
        self.sent = Sent(scheduled, np.full(count, np.nan), np.full(count, np.nan), np.full(count, LOST))
        self._moments: list[float] = scheduled.tolist()
        self._began = 0.0
        self._poll = select.epoll()
        self._opened: dict[int, _Connection] = {}
        self._free: list[_Connection] = []
        for _ in range(plan.connections):
            self._open()

    def drive(self) -> None:
        """Send and receive until all is answered, or nobody waits any more."""
        moments, count, number = self._moments, len(self._moments), 0
        end = self._plan.seconds + _PATIENCE
        self._began = time.perf_counter()
        while number < count or len(self._free) < len(self._opened):
            now = time.perf_counter() - self._began
            if now > end:
                break
            while number < count and moments[number] <= now and self._free:
                self._dispatch(number, now)
                number += 1
            due = moments[number] if number < count and self._free else end
            self._receive(max(0.0, due - (time.perf_counter() - self._began)))

    def close(self) -> None:
        """Close all connections."""
        for connection in self._opened.values():
            connection.socket.close()
        self._poll.close()

    def _open(self) -> None:
        connection = _Connection(connected(self._plan.host, self._plan.port))
        self._opened[connection.socket.fileno()] = connection
        self._poll.register(connection.socket.fileno(), select.EPOLLIN)
        self._free.append(connection)

    def _dispatch(self, number: int, now: float) -> None:
        connection = self._free.pop()
        connection.number = number
        self.sent.late[number] = now - self._moments[number]
        try:
            connection.socket.sendall(self._plan.request)
        except ConnectionError:
            self._replace(connection)

    def _receive(self, timeout: float) -> None:
        if not select.select([self._poll], [], [], timeout)[0]:  # epoll itself waits for whole milliseconds
            return
        for descriptor, _ in self._poll.poll(0):
            connection = self._opened[descriptor]
            try:
                data = connection.socket.recv(_CHUNK)
            except ConnectionError:
                data = b""
            connection.buffer += data
            if not data:
                self._replace(connection)
            elif (reply := read_reply(connection.buffer)) is not None:
                self._answered(connection, reply)

    def _answered(self, connection: _Connection, reply: Reply) -> None:
        number, connection.number, connection.buffer = connection.number, -1, b""
        self.sent.latencies[number] = time.perf_counter() - self._began - self._moments[number]
        self.sent.statuses[number] = reply.status
        self._free.append(connection)
        if reply.closes:
            self._replace(connection)

    def _replace(self, connection: _Connection) -> None:
        """Open another connection in place of one that the server has closed; what waited for an answer is lost."""
        if connection.number < 0:
            self._free.remove(connection)
        del self._opened[connection.socket.fileno()]
        self._poll.unregister(connection.socket.fileno())
        connection.socket.close()
        self._open()
