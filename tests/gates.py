"""A package whose entry script waits while the test keeps its gate closed."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING

import scripted
import servers
import tiny_models

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SCRIPT = """
import fcntl, os, threading

def init():
    pass

def run(data):
    with open({entries!r}, "a") as entries:
        entries.write(f"{{os.getpid()}} {{data}}\\n")
    if data == "for ever":
        threading.Event().wait()
    with open({gate!r}) as gate:
        fcntl.flock(gate, fcntl.LOCK_SH)
    return data
"""


class Gate:
    """A gate that lets scripts in any process pass, but not while it is closed."""

    def __init__(self, folder: Path) -> None:
        self._gate, self._entries = folder / "gate", folder / "entries"
        self._gate.touch()
        self._entries.touch()

    def put_into(self, path: Path) -> Path:
        """Write the package `linear`, whose script notes its argument, waits for the gate and returns it.

        Called with `for ever` it never returns.
        """
        script = _SCRIPT.format(entries=str(self._entries), gate=str(self._gate))
        return scripted.put(tiny_models.linear(path), script)

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Let no script pass while the block runs."""
        with self._gate.open() as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            yield

    @property
    def calls(self) -> list[str]:
        """What the script was called with, in the order of the calls."""
        return [line.partition(" ")[2] for line in self._lines()]

    def wait_for_call(self, text: str) -> int:
        """Wait until the script was called with `text`; return the id of the process that it runs in."""
        servers.wait_until(lambda: text in self.calls, f"a call with `{text}`")
        return next(int(line.partition(" ")[0]) for line in self._lines() if line.endswith(f" {text}"))

    def _lines(self) -> list[str]:
        return [line.strip("\n") for line in self._entries.read_text().splitlines(keepends=True) if line.endswith("\n")]
