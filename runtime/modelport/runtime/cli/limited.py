"""Runs a command again in a process of its own, with limits of time and memory: for models of others.

A model that never ends, wants all memory or brings the engine down takes that process along, and not what started it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import Annotated, Final

import typer

from modelport.runtime.errors import DeadlineExceededError, InvalidPackageError

#: The seconds and the gigabytes of a command that loads a model of others.
LimitSeconds = Annotated[float, typer.Option(metavar="SECONDS", min=1, help="Give up after so many seconds.")]
LimitMemory = Annotated[
    float | None,
    typer.Option(
        "--limit-memory-gb", metavar="GB", min=0.1, help="Memory that it may take; most of the machine's if not given."
    ),
]
SECONDS: Final = 600.0

_INSIDE: Final = "MODELPORT_LIMITED"
_SHARE: Final = 0.8
_GRACE: Final = 2.0
_SLICE: Final = 0.2
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def limited(seconds: float, gigabytes: float | None) -> None:
    """Go on only in a process with these limits: the first time, run the command there and exit as it does.

    Raises `DeadlineExceededError` if it takes longer, `InvalidPackageError` if something brings it down.
    """
    if (limit := os.environ.get(_INSIDE)) is not None:
        _limit_memory(int(limit))
        return
    command = [sys.executable, "-P", "-c", "from modelport.runtime.cli import main; main()", *sys.argv[1:]]
    status = _wait(command, {**os.environ, _INSIDE: str(_bytes_of(gigabytes))}, seconds)
    if status < 0:
        name = signal.Signals(-status).name
        if -status in (signal.SIGTERM, signal.SIGINT):
            raise typer.Exit(128 - status)
        raise InvalidPackageError(f"model: expected one that loads and runs, got a process killed by {name}")
    raise typer.Exit(status)


def _wait(command: list[str], environment: dict[str, str], seconds: float) -> int:
    """Run `command` and return its status. A signal to end is passed on to it; soon after that it has ended."""
    told: list[int] = []
    children: list[subprocess.Popen[bytes]] = []

    def tell(number: int, _: object) -> None:
        told.append(number)
        for child in children:
            child.send_signal(number)

    before = {number: signal.signal(number, tell) for number in _SIGNALS}
    try:
        child = subprocess.Popen(command, env=environment)  # noqa: S603
        children.append(child)
        for number in told:  # before there was anybody to pass it on to
            child.send_signal(number)
        status = _status(child, seconds, told)
        return -told[0] if status and told else status  # wherever it was told, it ends as the signal says
    finally:
        for child in children:
            child.kill()
            child.wait()
        for number, handler in before.items():
            signal.signal(number, handler)


def _status(child: subprocess.Popen[bytes], seconds: float, told: list[int]) -> int:
    deadline, since = monotonic() + seconds, None
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(_SLICE)
        now = monotonic()
        since = since or (now if told else None)
        if since is not None and now - since > _GRACE:
            return -told[0]
        if now > deadline:
            raise DeadlineExceededError(
                f"model: expected one that loads and runs within {seconds:g} s, got no end",
                hint="`--limit-seconds` gives it more time",
            )


def _bytes_of(gigabytes: float | None) -> int:
    if gigabytes is not None:
        return round(gigabytes * 1e9)
    try:
        return round(_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError):  # a system that does not say
        return 1 << 40


def _limit_memory(size: int) -> None:
    """Let this process map at most `size` bytes more than it has."""
    try:
        import resource  # noqa: PLC0415  not on every system

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError):
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages * resource.getpagesize() + size
    if soft == resource.RLIM_INFINITY or limit < soft:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
