"""Starts `python -m modelport.runtime.server` beside a measurement, and stops it as an operator would."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_READY: Final = re.compile(r"at http://(?P<host>[^:\s]+):(?P<port>\d+)")
_STOP_SECONDS: Final = 30


class Server(NamedTuple):
    """A running server: where it listens, and its process."""

    host: str
    port: int
    process: subprocess.Popen[str]

    def stop(self) -> int:
        """Ask the server to drain and stop; return its exit code. Raises `TimeoutExpired` if it does not stop."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_STOP_SECONDS)


@contextmanager
def serving(
    package: Path, log: Path, *, command: tuple[str, ...] = ("-m", "modelport.runtime.server")
) -> Iterator[Server]:
    """Serve `package` on a free port of the loopback address while the block runs; what the server says goes to `log`.

    Raises `RuntimeError` with the server's own words if it does not become ready.
    """
    settings = {"MODELPORT_PACKAGE": str(package), "MODELPORT_HOST": "127.0.0.1", "MODELPORT_PORT": "0"}
    with log.open("w", encoding="utf-8") as sink:
        process = subprocess.Popen(  # noqa: S603  our own interpreter and module
            [sys.executable, *command],
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        server: Server | None = None
        try:
            server = _ready(process, sink)
            yield server
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            _, rest = process.communicate(timeout=_STOP_SECONDS)
            sink.write(rest or "")


def _ready(process: subprocess.Popen[str], sink: object) -> Server:
    said: list[str] = []
    for line in process.stderr or ():
        said.append(line)
        sink.write(line)  # type: ignore[attr-defined]
        if (found := _READY.search(line)) is not None:
            return Server(found["host"], int(found["port"]), process)
    raise RuntimeError(f"the server did not become ready: {''.join(said).strip()}")
