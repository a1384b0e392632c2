"""Packages are changed, rolled back and broken under a server that goes on, and serves one thing or the other."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import scripted
import servers
import tiny_models
from adding import adding

from modelport.runtime.package import Spread

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


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """A shelf with the packages `one`, `two` and `three`, which shows `one`."""
    shelf = Shelf(tmp_path)
    for number, name in enumerate(("one", "two", "three"), 1):
        shelf.put(name, number)
    shelf.show("one")
    return shelf


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


class Clients:
    """Clients that ask one thing until they are told to stop, and note every answer."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._enough = threading.Event()
        self.answers: list[float | str] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(4)]

    @contextmanager
    def running(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._enough.set()
            for thread in self._threads:
                thread.join()

    def wait_for_more(self, count: int = 20) -> None:
        """Wait until there are so many answers more."""
        target = len(self.answers) + count
        until(lambda: len(self.answers) >= target)

    def _run(self) -> None:
        while not self._enough.is_set():
            try:
                self.answers.append(added(self._server))
            except (AssertionError, OSError) as error:
                self.answers.append(repr(error))
            time.sleep(0.005)  # the machine is also for those who load


def test_a_package_that_has_not_changed_is_not_loaded_again(shelf: Shelf) -> None:
    with servers.serving(shelf.link) as server:
        workers = server.workers()
        reload(server)
        server.wait_for(re.compile(f"reload: nothing has changed, adding 1 {server.digest}"))
        until(lambda: server.workers() == workers)
        assert server.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_new_package_is_served_by_all_and_no_request_fails_meanwhile(shelf: Shelf, workers: int) -> None:
    with servers.serving(shelf.link, workers=workers) as server:
        processes = server.workers()
        clients = Clients(server)
        with clients.running():
            for name, number in (("two", 2), ("three", 3), ("one", 1)):
                clients.wait_for_more()
                after = len(server.lines)
                digest = shelf.show(name)
                reload(server)
                assert server.wait_for(RELOADED, after=after)[1] == f"adding 1 {digest}"
                until(lambda: server.workers() == processes)
                clients.wait_for_more()
                until(lambda number=number: each_worker(server, workers, added) == [number] * workers)
                assert each_worker(server, workers, served) == [digest] * workers
        assert set(clients.answers) == {1.0, 2.0, 3.0}
        assert server.stop() == 0
        begun, answered = server.counts()
        assert begun == answered


@pytest.mark.parametrize("kind", ["directory", "archive"])
def test_a_package_that_is_replaced_where_it_lies_is_served(shelf: Shelf, kind: str) -> None:
    place = shelf.home / ("one" if kind == "directory" else "one.tar")
    if kind == "archive":
        subprocess.run(["tar", "cf", "one.tar", "one/"], cwd=shelf.home, check=True)
    with servers.serving(place) as server:
        shutil.rmtree(shelf.home / "one")
        shutil.copytree(shelf.home / "two", shelf.home / "one")
        if kind == "archive":
            subprocess.run(["tar", "cf", "one.tar", "one/"], cwd=shelf.home, check=True)
        reload(server)
        assert server.wait_for(RELOADED)[1] == f"adding 1 {shelf.digest('two')}"
        until(lambda: added(server) == 2)


def spoil_a_file(package: Path) -> None:
    model = package / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"\x00")


def lose_the_manifest(package: Path) -> None:
    (package / "manifest.json").unlink()


def spoil_the_samples(package: Path) -> None:
    shutil.rmtree(package)
    tiny_models.noisy(package, spread=Spread(lowest=5.0, highest=6.0, mean=5.5, deviation=0.1))


def fail_to_start(package: Path) -> None:
    scripted.put(package, f"{PLAIN}def init(): raise ValueError('no weights')")


def exit_while_it_starts(package: Path) -> None:
    scripted.put(package, f"{PLAIN}def init(): import os; os._exit(7)")


def die_while_it_starts(package: Path) -> None:
    scripted.put(package, f"{PLAIN}def init(): import os; os.kill(os.getpid(), 9)")


BROKEN = {
    spoil_a_file: r"`model\.onnx`: expected sha256 [0-9a-f]{12}\.\.\., got [0-9a-f]{12}\.\.\.: the file was changed",
    lose_the_manifest: r"package `.*/current`: .*",
    spoil_the_samples: "package `noisy`: output `y` does not reproduce the golden samples: expected values from .*",
    fail_to_start: r"script `score\.py`: expected `init\(\)` to return, got ValueError: no weights",
    exit_while_it_starts: "packages: expected to load, got exit status 7",
    die_while_it_starts: "packages: expected to load, got killed by SIGKILL",
}


@pytest.mark.parametrize("spoil", BROKEN, ids=lambda spoil: spoil.__name__)
def test_a_package_that_cannot_be_served_changes_nothing_and_a_good_one_is_taken_later(
    shelf: Shelf, spoil: Callable[[Path], None]
) -> None:
    with servers.serving(shelf.link, workers=2) as server:
        clients = Clients(server)
        with clients.running():
            spoil(shelf.home / "two")
            shelf.show("two")
            reload(server)
            assert re.fullmatch(BROKEN[spoil], json.loads(f'"{server.wait_for(REFUSED)[1]}"')), server.lines
            server.wait_for_workers(2)
            clients.wait_for_more()
        assert set(clients.answers) == {1.0}
        digest = shelf.show("three")
        reload(server)
        assert server.wait_for(RELOADED)[1] == f"adding 1 {digest}"
        until(lambda: each_worker(server, 2, added) == [3, 3])
        assert server.stop() == 0


def test_another_package_than_the_pinned_one_is_not_taken(shelf: Shelf) -> None:
    digest = shelf.digest("one")
    with servers.serving(shelf.link, digest=digest) as server:
        other = shelf.show("two")
        reload(server)
        assert f"expected digest `{digest}`, got {other}" in server.wait_for(REFUSED)[1]
        assert added(server) == 1


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


def test_a_package_that_does_not_load_in_time_changes_nothing(shelf: Shelf) -> None:
    with servers.serving(shelf.link, start_timeout=4) as server:
        with trying(server, shelf):
            assert added(server) == 1
            assert server.wait_for(REFUSED)[1] == "packages: expected to load within 4 s, got no word"
        until(lambda: len(server.workers()) == 1)
        assert added(server) == 1
        shelf.show("two")
        reload(server)
        server.wait_for(RELOADED)
        until(lambda: added(server) == 2)


def test_a_stop_while_a_package_is_tried_is_clean(shelf: Shelf) -> None:
    with servers.serving(shelf.link) as server, trying(server, shelf):
        assert added(server) == 1
        assert server.stop() == 0


def in_a_worker(flag: Path) -> str:
    """Return a script that waits when it is loaded the second time: after the trial, in a worker that serves."""
    second = f"not pathlib.Path({str(flag.with_suffix('.tried'))!r}).exists() and tried()"
    return f"""{waiting(flag, unless=second)}
def tried():
    pathlib.Path({str(flag.with_suffix(".tried"))!r}).touch()
    return True
"""


def test_a_stop_while_a_worker_loads_is_clean_and_waits_for_nothing(shelf: Shelf) -> None:
    with servers.serving(shelf.link) as server, trying(server, shelf, in_a_worker):
        assert added(server) == 1
        assert server.stop() == 0
        assert server.counts() == (1, 1)


def test_a_worker_that_does_not_load_in_time_changes_nothing(shelf: Shelf) -> None:
    with servers.serving(shelf.link, start_timeout=4) as server:
        with trying(server, shelf, in_a_worker):
            assert server.wait_for(REFUSED)[1] == "workers: expected to load within 4 s, got no word"
        assert added(server) == 1
        shelf.show("two")
        reload(server)
        server.wait_for(RELOADED)
        until(lambda: added(server) == 2)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_is_killed_while_it_loads_comes_back_with_the_new_package(shelf: Shelf, workers: int) -> None:
    with servers.serving(shelf.link, workers=workers) as server:
        with trying(server, shelf, in_a_worker) as flag:
            for worker in server.workers():
                os.kill(worker, signal.SIGKILL)
            flag.touch()
        server.wait_for(RELOADED)
        until(lambda: each_worker(server, workers, added) == [4] * workers)
        assert each_worker(server, workers, served) == [shelf.digest("slow")] * workers


def test_workers_that_are_killed_while_a_package_is_tried_come_back_with_it(shelf: Shelf) -> None:
    with servers.serving(shelf.link, workers=2) as server:
        workers = server.workers()
        with trying(server, shelf) as flag:
            for worker in workers:
                os.kill(worker, signal.SIGKILL)
            server.wait_for(re.compile("worker 1: expected to serve, got killed by SIGKILL"))
            server.wait_for(re.compile("worker 2: expected to serve, got killed by SIGKILL"))
            flag.touch()
        until(lambda: len(server.workers()) == 2)
        until(lambda: each_worker(server, 2, added) == [4, 4])


def test_a_worker_that_has_not_loaded_the_old_package_yet_comes_with_the_new_one(shelf: Shelf) -> None:
    flag = shelf.home / "flag"
    flag.touch()
    shelf.put("held", 5, waiting(flag))
    shelf.show("held")
    with servers.serving(shelf.link, workers=2) as server:
        flag.unlink()
        flag.with_suffix(".waits").unlink()
        os.kill(server.workers()[1], signal.SIGKILL)
        until(flag.with_suffix(".waits").exists)
        shelf.show("two")
        reload(server)
        server.wait_for(RELOADED)
        flag.touch()
        until(lambda: each_worker(server, 2, added) == [2, 2])
        assert server.stop() == 0


def test_a_worker_that_is_killed_after_a_reload_comes_back_with_what_serves(shelf: Shelf) -> None:
    with servers.serving(shelf.link, workers=2) as server:
        digest = shelf.show("two")
        reload(server)
        server.wait_for(RELOADED)
        until(lambda: each_worker(server, 2, added) == [2, 2])
        os.kill(server.workers()[0], signal.SIGKILL)
        server.wait_for(re.compile("expected to serve, got killed by SIGKILL"))
        server.wait_for_workers(2)
        assert each_worker(server, 2, served) == [digest] * 2


def test_a_reload_that_is_asked_for_during_another_follows_it(shelf: Shelf) -> None:
    with servers.serving(shelf.link) as server:
        with trying(server, shelf) as flag:
            digest = shelf.show("two")
            for _ in range(3):
                reload(server)
            flag.touch()
        assert server.wait_for(RELOADED)[1] == f"adding 1 {digest}"
        assert f"expected digest `{shelf.digest('slow')}`, got {digest}" in server.wait_for(REFUSED)[1]
        until(lambda: added(server) == 2)
        assert server.stop() == 0


def test_reloads_in_quick_succession_are_all_seen_to(shelf: Shelf) -> None:
    with servers.serving(shelf.link) as server:
        for count in (2, 4, 6):
            reload(server)
            until(lambda: len(server.workers()) == 2)  # one of them tries the package
            reload(server)
            until(lambda count=count: len(messages(server, UNCHANGED)) == count)
            until(lambda: len(server.workers()) == 1)
        assert added(server) == 1
        assert server.stop() == 0


def test_a_reload_that_is_asked_for_while_the_server_starts_follows_the_start(shelf: Shelf) -> None:
    flag = shelf.home / "flag"
    shelf.put("held", 5, waiting(flag))
    shelf.show("held")
    server = servers.launch(shelf.link)
    try:
        until(flag.with_suffix(".waits").exists)
        shelf.show("two")
        reload(server)
        flag.touch()
        server.wait_until_ready()
        server.wait_for(RELOADED)
        until(lambda: added(server) == 2)
    finally:
        server.kill()


def roll_back(server: Server) -> None:
    server.process.send_signal(signal.SIGUSR2)


def test_what_served_before_is_rolled_back_to_and_forward_again(shelf: Shelf) -> None:
    with servers.serving(shelf.link, workers=2) as server:
        roll_back(server)
        server.wait_for(re.compile("roll back: expected packages from before in every worker, got none"))
        first, second = shelf.digest("one"), shelf.show("two")
        reload(server)
        server.wait_for(RELOADED)
        clients = Clients(server)
        with clients.running():
            until(lambda: each_worker(server, 2, added) == [2, 2])
            for digest, number in ((first, 1), (second, 2)) * 2:
                after = len(server.lines)
                roll_back(server)
                server.wait_for(re.compile(f"rolled back: modelport serving {digest}"), after=after)
                until(lambda number=number: each_worker(server, 2, added) == [number] * 2)
                assert each_worker(server, 2, served) == [digest] * 2
        assert set(clients.answers) == {1.0, 2.0}
        assert server.stop() == 0


def test_after_a_roll_back_a_reload_takes_what_lies_there(shelf: Shelf) -> None:
    with servers.serving(shelf.link) as server:
        shelf.show("two")
        reload(server)
        server.wait_for(RELOADED)
        roll_back(server)
        until(lambda: added(server) == 1)
        after = len(server.lines)
        reload(server)
        server.wait_for(RELOADED, after=after)
        until(lambda: added(server) == 2)


def test_nothing_is_rolled_back_while_a_package_is_tried(shelf: Shelf) -> None:
    with servers.serving(shelf.link) as server:
        shelf.show("two")
        reload(server)
        server.wait_for(RELOADED)
        with trying(server, shelf) as flag:
            roll_back(server)
            server.wait_for(re.compile("roll back: expected packages from before in every worker, got a reload"))
            assert added(server) == 2
            flag.touch()
        until(lambda: added(server) == 4)


def test_nothing_is_rolled_back_unless_every_worker_can(shelf: Shelf) -> None:
    with servers.serving(shelf.link, workers=2) as server:
        shelf.show("two")
        reload(server)
        server.wait_for(RELOADED)
        until(lambda: each_worker(server, 2, added) == [2, 2])
        os.kill(server.workers()[0], signal.SIGKILL)
        server.wait_for(re.compile("expected to serve, got killed by SIGKILL"))
        roll_back(server)
        server.wait_for(
            re.compile(
                "roll back: expected packages from before in every worker, got worker [12], which was started since"
            )
        )
        assert each_worker(server, 2, added) == [2, 2]
        assert server.stop() == 0


def test_watched_packages_are_reloaded_when_they_change_and_a_broken_one_is_tried_once(shelf: Shelf) -> None:
    spoil_a_file(shelf.home / "two")
    with servers.serving(shelf.link, watch=0.2, workers=2) as server:
        shelf.show("two")
        server.wait_for(REFUSED)
        digest = shelf.show("three")
        assert server.wait_for(RELOADED)[1] == f"adding 1 {digest}"
        until(lambda: each_worker(server, 2, added) == [3, 3])
        shelf.put("four", 4)
        shutil.rmtree(shelf.home / "three")
        (shelf.home / "four").rename(shelf.home / "three")
        until(lambda: added(server) == 4)
        assert len([line for line in messages(server, REFUSED) if "the file was changed" in line]) == 1
        assert server.stop() == 0


def test_new_code_of_an_entry_script_is_used(shelf: Shelf) -> None:
    for number in (1, 2):
        shelf.put(f"script{number}", 1, f"def init(): pass\ndef run(data): return [{number}, data]")
    shelf.show("script1")
    with servers.serving(shelf.link) as server:
        assert server.ask("/score", b"x").json == [1, "x"]
        shelf.show("script2")
        reload(server)
        server.wait_for(RELOADED)
        until(lambda: server.ask("/score", b"x").json == [2, "x"])
        roll_back(server)
        until(lambda: server.ask("/score", b"x").json == [1, "x"])


def test_what_the_scripts_of_archives_lie_in_is_removed_with_them(shelf: Shelf) -> None:
    def homes(server: Server) -> int:
        return len(list(server.temporary.glob("*/files/*/modelport-*")))

    for number in range(1, 4):
        shelf.put(f"script{number}", 1, f"def init(): pass\ndef run(data): return {number}")
        subprocess.run(["tar", "cf", f"{number}.tar", f"script{number}/"], cwd=shelf.home, check=True)
    shelf.show("1.tar")
    archive = shelf.link.rename(shelf.home / "current.tar")
    with servers.serving(archive) as server:
        assert homes(server) == 1
        for number in (2, 3):
            shelf.show(f"{number}.tar")
            shelf.link.replace(archive)
            reload(server)
            until(lambda number=number: server.ask("/score", b"x").json == number)
            until(lambda: homes(server) == 2)  # of what serves, and of what can be rolled back to
        assert server.stop() == 0
        assert list(server.temporary.iterdir()) == []


def test_of_several_packages_all_change_or_none(shelf: Shelf) -> None:
    others = Shelf(shelf.home / "others")
    others.home.mkdir()
    for number, name in enumerate(("ten", "twenty"), 1):
        adding(others.home / name, 10 * number, "other", str(number))
    others.show("ten")
    with servers.serving(f"{shelf.link},{others.link}") as server:

        def both() -> list[float]:
            return [server.ask(f"/models/{name}/score", [{"x": 0}]).json[0]["y"] for name in ("adding", "other")]

        spoil_a_file(shelf.home / "two")
        shelf.show("two")
        others.show("twenty")
        reload(server)
        server.wait_for(REFUSED)
        assert both() == [1, 10]
        shelf.show("three")
        reload(server)
        names = f"adding 1 {shelf.digest('three')}, other 2 {others.digest('twenty')}"
        assert server.wait_for(RELOADED)[1] == names
        until(lambda: both() == [3, 20])


@pytest.mark.parametrize("seed", range(2))
def test_whatever_happens_to_it_the_server_comes_to_serve_what_was_shown_last(shelf: Shelf, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    spoil_a_file(shelf.put("broken", 9))
    with servers.serving(shelf.link, workers=2) as server:
        spared = server.workers()[0]

        def kill_a_process(server: Server) -> None:
            """Kill a worker, or one that tries a package; while one worker lives the server does."""
            for process in [process for process in server.workers() if process != spared][:1]:
                os.kill(process, signal.SIGKILL)

        def ask(server: Server) -> None:
            assert server.ask(INFER, ROW).status == 200

        for _ in range(8):
            shelf.show(chance.choice(["one", "two", "three", "broken"]))
            for action in chance.choices([reload, roll_back, kill_a_process, ask], k=3):
                action(server)
        digest = shelf.show("two")
        reload(server)
        until(lambda: len(server.workers()) == 2 and each_worker(server, 2, served) == [digest] * 2)
        assert server.stop() == 0
