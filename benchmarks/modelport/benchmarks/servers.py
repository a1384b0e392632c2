"""Starts `python -m modelport.runtime.server` beside a measurement, and stops it as an operator would."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_READY: Final = re.compile(r"at http://(?P<host>[^:\s]+):(?P<port>\d+)")
_START_SECONDS: Final = 60
_STOP_SECONDS: Final = 30


class Server(NamedTuple):
    """A running server: where it listens, and its process."""

    host: str
    port: int
    process: subprocess.Popen[bytes]

    def stop(self) -> int:
        """Ask the server to drain and stop; return its exit code. Raises `TimeoutExpired` if it does not stop."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_STOP_SECONDS)


@contextmanager
def serving(package: Path | str, log: Path, **settings: object) -> Iterator[Server]:
    """Serve `package` on a free port of the loopback address while the block runs; what the server says goes to `log`.

    `settings` are further ones by name. Raises `RuntimeError` with the server's own words if it does not become ready.
    """
    given = {"package": package, "host": "127.0.0.1", "port": 0, **settings}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MODELPORT_")}
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "modelport.runtime.server"],
            env={**inherited, **{f"MODELPORT_{name.upper()}": str(value) for name, value in given.items()}},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=sink,
        )
        try:
            yield _ready(process, log)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(_STOP_SECONDS)


def _ready(process: subprocess.Popen[bytes], log: Path) -> Server:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if (found := _READY.search(log.read_text(encoding="utf-8"))) is not None:
            return Server(found["host"], int(found["port"]), process)
        time.sleep(0.02)
    raise RuntimeError(f"the server did not become ready: {log.read_text(encoding='utf-8').strip()}")
