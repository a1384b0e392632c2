"""Packages on a shelf, of which a server serves the one that is shown, for tests of reloads: `import shelves`."""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import scripted
from adding import adding
from repeating import Repeating

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers import Server

INFER = "/v2/models/adding/infer"
ROW = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [0.5]}]}
UNCHANGED = re.compile("reload: nothing has changed, adding 1 sha256:")
RELOADED = re.compile('reload: modelport serving (.*?)"')
REFUSED = re.compile("reload: expected packages that can be served, got: (.*); what served before goes on")
PLAIN = """
import pathlib, time
from modelport.runtime import package_scorer
def run(data): return package_scorer().answer(data)
"""


class Shelf:
    """Packages side by side, of which a link says which one is served."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.link = home / "current"

    def put(self, name: str, number: float, script: str | None = None) -> Path:
        package = adding(self.home / name, number)
        return package if script is None else scripted.put(package, script)

    def show(self, name: str) -> str:
        """Have the link lead to the package called `name`, all at once; return its digest."""
        fresh = self.home / "fresh"
        fresh.symlink_to(name)
        fresh.replace(self.link)
        return self.digest(name) if (self.home / name).is_dir() else ""

    def digest(self, name: str) -> str:
        return f"sha256:{(self.home / name / 'manifest.sha256').read_text().split()[0]}"


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "expected it to come true within a minute"
        time.sleep(0.01)


def reload(server: Server) -> None:
    server.process.send_signal(signal.SIGHUP)


def added(server: Server, patience: float = 60) -> float:
    """Return what the model adds."""
    answer = server.ask(INFER, ROW, patience=patience)
    assert answer.status == 200, answer.content
    (total,) = answer.json["outputs"][0]["data"]
    return total - 0.5


def served(server: Server, patience: float = 60) -> str:
    """Return the digest that the server says to serve."""
    return server.ask("/v2/models/adding", patience=patience).json["properties"]["digest"]


def wait_for_each(server: Server, number: int, ask: Callable[[Server, float], object], expected: object) -> None:
    """Wait until there are `number` workers, and each of them, asked alone, answers as `expected`."""
    until(lambda: each_worker(server, number, ask) == [expected] * number)


def each_worker(server: Server, number: int, ask: Callable[[Server, float], object]) -> list[object]:
    """Ask each worker, by stopping the others meanwhile; return nothing unless there are `number` and all answer."""
    if len(workers := server.workers()) != number:
        return []
    try:
        return [_one_worker(server, worker, workers, ask) for worker in workers]
    except (OSError, AssertionError):  # one does not serve yet, or is gone
        return []
    finally:
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGCONT)


def _one_worker(server: Server, worker: int, workers: list[int], ask: Callable[[Server, float], object]) -> object:
    for other in workers:
        os.kill(other, signal.SIGCONT if other == worker else signal.SIGSTOP)
    until(lambda: all(_has_stopped(other) for other in workers if other != worker))
    return ask(server, 2)


def _has_stopped(process: int) -> bool:
    tasks = Path(f"/proc/{process}/task").glob("*/stat")
    return all(task.read_text().rpartition(")")[2].split()[0] == "T" for task in tasks)


def messages(server: Server, pattern: re.Pattern[str]) -> list[str]:
    return [match[0] for line in server.lines if (match := pattern.search(line))]


def clients(server: Server) -> Repeating[float | str]:
    """Return clients that note what the server adds, or what kept them from hearing it."""

    def ask() -> float | str:
        time.sleep(0.005)  # the machine is also for those who load
        try:
            return added(server)
        except (AssertionError, OSError) as error:
            return repr(error)

    return Repeating(ask, 4)


def waiting(flag: Path, *, unless: str = "False") -> str:
    """Return a script whose `init` says that it waits, and does so until `flag` is there."""
    return f"""{PLAIN}
flag = pathlib.Path({str(flag)!r})
def init():
    if {unless}: return
    flag.with_suffix(".waits").touch()
    while not flag.exists(): time.sleep(0.01)
"""


@contextmanager
def trying(server: Server, shelf: Shelf, script: Callable[[Path], str] = waiting) -> Iterator[Path]:
    """Have the server reload the package `slow`, which waits for the flag that is given."""
    flag = shelf.home / "flag"
    shelf.put("slow", 4, script(flag))
    shelf.show("slow")
    reload(server)
    until(flag.with_suffix(".waits").exists)
    yield flag


def in_a_worker(flag: Path) -> str:
    """Return a script that waits when it is loaded the second time: after the trial, in a worker that serves."""
    second = f"not pathlib.Path({str(flag.with_suffix('.tried'))!r}).exists() and tried()"
    return f"""{waiting(flag, unless=second)}
def tried():
    pathlib.Path({str(flag.with_suffix(".tried"))!r}).touch()
    return True
"""


def roll_back(server: Server) -> None:
    server.process.send_signal(signal.SIGUSR2)


def spoil_a_file(package: Path) -> None:
    model = package / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"\x00")
