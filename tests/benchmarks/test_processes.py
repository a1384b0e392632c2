"""What a tree of processes takes is what all of it takes."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from modelport.benchmarks import processes

if TYPE_CHECKING:
    from collections.abc import Iterator

CHILD = "import sys; kept = bytearray(range(256)) * {pages}; print(len(kept), flush=True); sys.stdin.read()"
PARENT = (
    "import subprocess, sys\n"
    "child = subprocess.Popen([sys.executable, '-c', sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
    "child.stdout.readline(); print(child.pid, flush=True); sys.stdin.read(); child.communicate()\n"
)


@contextmanager
def family(pages: int = 1) -> Iterator[tuple[int, int]]:
    """Run a process with a child that holds so many pages of 256 bytes, and give the ids of both."""
    command = [sys.executable, "-c", PARENT, CHILD.format(pages=pages)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        yield parent.pid, int(parent.stdout.readline())
        parent.communicate()


def test_a_tree_is_the_process_and_all_below_it() -> None:
    with family() as (parent, child):
        assert processes.tree(parent) == [parent, child]
        assert processes.tree(child) == [child]
        assert {parent, child} < set(processes.tree(os.getpid()))


def test_a_process_that_is_gone_takes_nothing() -> None:
    with family() as (parent, _):
        pass
    assert processes.tree(parent) == [parent]
    assert processes.pss_bytes(parent) == 0
    assert processes.cpu_seconds(parent) == 0


def test_the_memory_of_a_child_is_in_that_of_the_tree() -> None:
    with family(pages=1 << 18) as (parent, child):
        assert processes.pss_bytes(child) > 1 << 26
        assert processes.pss_bytes(parent) > processes.pss_bytes(child)


def test_the_time_of_a_tree_is_what_it_has_spent_on_processors() -> None:
    spin = """
import os, sys
while sum(os.times()[:2]) < 0.2: pass
print(sum(os.times()[:2]), flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", spin]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        spent = float(process.stdout.readline())
        assert processes.cpu_seconds(process.pid) == pytest.approx(spent, abs=0.05)
        process.communicate()
