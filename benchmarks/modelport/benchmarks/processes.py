"""What a process and all below it have taken of the machine."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

_TICK: Final = 1 / os.sysconf("SC_CLK_TCK")
_PSS: Final = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)


def tree(pid: int) -> list[int]:
    """Return the process and all its descendants that live."""
    found = [pid]
    for each in found:
        with suppress(OSError):
            for thread in Path(f"/proc/{each}/task").iterdir():
                found += [int(child) for child in (thread / "children").read_text(encoding="ascii").split()]
    return found


def cpu_seconds(pid: int) -> float:
    """Return the seconds that the tree has spent on processors, for itself and in the kernel."""
    ticks = 0
    for each in tree(pid):
        with suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks * _TICK


def pss_bytes(pid: int) -> int:
    """Return the memory of the tree, what is shared counted once (proportional set size)."""
    total = 0
    for each in tree(pid):
        with suppress(OSError):
            found = _PSS.search(Path(f"/proc/{each}/smaps_rollup").read_text(encoding="ascii"))
            total += int(found[1]) * 1024 if found else 0
    return total
