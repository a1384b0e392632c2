"""Starts real servers as processes, for tests: `import servers`."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_SERVING = re.compile(r"modelport serving (\S+) (\S+) (sha256:[0-9a-f]{64}) at https?://([^\s\"]+):(\d+)")
_DRAINED = re.compile(r"drained: (\d+) requests begun, (\d+) answered")
_PATIENCE = 60.0


class Answer(NamedTuple):
    """A response, read whole."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.content)


class Address:
    """Where a server is; its paths are those below `prefix`."""

    def __init__(self, host: str = "", port: int = 0, prefix: str = "") -> None:
        self.host, self.port, self.prefix = host, port, prefix

    @property
    def url(self) -> str:
        """Host and port, as tritonclient wants them."""
        return f"{self.host}:{self.port}"

    def ask(
        self,
        path: str,
        body: object = None,
        *,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
        patience: float = _PATIENCE,
    ) -> Answer:
        """Send one request on a connection of its own; a body that is no bytes is sent as JSON."""
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection(self.host, self.port, timeout=patience)
        try:
            verb = method or ("GET" if body is None else "POST")
            connection.request(verb, f"{self.prefix}{path}", content, dict(headers or {}))
            response = connection.getresponse()
            return Answer(
                response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
            )
        finally:
            connection.close()


class Server(Address):
    """A server process. `lines` is what it has written so far, `temporary` where it puts temporary files."""

    def __init__(self, command: list[str], settings: Mapping[str, str]) -> None:
        super().__init__()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MODELPORT_")}
        self.lines: list[str] = []
        self._written = threading.Condition()
        self._ended = False
        self.temporary = Path(tempfile.mkdtemp(prefix="servers-"))
        weakref.finalize(self, shutil.rmtree, self.temporary, ignore_errors=True)
        self.process = subprocess.Popen(
            command,
            env={**inherited, "TMPDIR": str(self.temporary), **settings},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.digest = ""

    def wait_for(self, pattern: re.Pattern[str], *, after: int = 0) -> re.Match[str]:
        """Return the first match in the log from line `after` on, waiting for it."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            found.extend(match for line in self.lines[after:] if (match := pattern.search(line)))
            return bool(found) or self._ended

        with self._written:
            self._written.wait_for(look, _PATIENCE)
        if not found:
            raise AssertionError(f"expected {pattern.pattern!r} in the log, got:\n" + "\n".join(self.lines))
        return found[0]

    def wait_until_ready(self) -> None:
        """Wait until the server says that it serves."""
        match = self.wait_for(_SERVING)
        self.digest, self.host, self.port = match[3], match[4].strip("[]"), int(match[5])

    def workers(self) -> list[int]:
        """Return the process ids of the workers."""
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        with open(path, encoding="ascii") as file:  # noqa: PTH123
            return [int(number) for number in file.read().split()]

    def wait_for_workers(self, count: int) -> None:
        """Wait until there are so many workers."""
        deadline = time.monotonic() + _PATIENCE
        while len(self.workers()) < count:
            assert time.monotonic() < deadline, f"expected {count} workers, got {self.workers()}"
            os.sched_yield()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end of the process and of its log; return the exit status."""
        status = self.process.wait(_PATIENCE)
        self._reader.join(_PATIENCE)
        return status

    def counts(self) -> tuple[int, int]:
        """Return how many requests all workers say that they have begun and answered."""
        found = [match for line in self.lines if (match := _DRAINED.search(line))]
        return sum(int(match[1]) for match in found), sum(int(match[2]) for match in found)

    def kill(self) -> None:
        """End the process whatever it does; its workers notice and end too."""
        self.process.kill()
        self.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._written:
                self.lines.append(line.rstrip("\n"))
                self._written.notify_all()
        with self._written:
            self._ended = True
            self._written.notify_all()


def wait_until(condition: Callable[[], object], expected: str) -> None:
    """Wait until `condition` holds, for as long as a test may wait."""
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"expected {expected}"
        time.sleep(0.01)


def launch(package: Path | str, **settings: object) -> Server:
    """Start `python -m modelport.runtime.server`, on a free port unless told otherwise, and do not wait for it."""
    given = {"package": package, "port": 0, **settings}
    variables = {f"MODELPORT_{name.upper()}": str(value) for name, value in given.items()}
    return Server([sys.executable, "-m", "modelport.runtime.server"], variables)


@contextmanager
def serving(package: Path | str, **settings: object) -> Iterator[Server]:
    """Serve `package` while the block runs."""
    server = launch(package, **settings)
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.kill()
