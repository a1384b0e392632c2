"""Packages are changed and broken under a server that goes on, and serves one thing or the other."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import scripted
import servers
import tiny_models
from adding import adding
from shelves import (
    PLAIN,
    REFUSED,
    RELOADED,
    Shelf,
    added,
    clients,
    messages,
    reload,
    roll_back,
    served,
    spoil_a_file,
    until,
    wait_for_each,
)

from modelport.runtime.package import Spread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from servers import Server


def test_a_package_that_has_not_changed_is_not_loaded_again(shelf: Shelf) -> None:
    with servers.serving(shelf.link) as server:
        workers = server.workers()
        reload(server)
        server.wait_for(re.compile(f"reload: nothing has changed, adding 1 {server.digest}"))
        until(lambda: server.workers() == workers)
        assert server.stop() == 0


def test_a_new_package_is_served_by_all_and_no_request_fails_meanwhile(shelf: Shelf) -> None:
    with servers.serving(shelf.link, workers=2) as server:
        processes = server.workers()
        asking = clients(server)
        with asking.running():
            for name, number in (("two", 2), ("three", 3), ("one", 1)):
                asking.wait_for_more()
                after = len(server.lines)
                digest = shelf.show(name)
                reload(server)
                assert server.wait_for(RELOADED, after=after)[1] == f"adding 1 {digest}"
                until(lambda: server.workers() == processes)
                asking.wait_for_more()
                wait_for_each(server, 2, added, number)
                wait_for_each(server, 2, served, digest)
        assert set(asking.answers) == {1.0, 2.0, 3.0}
        assert server.stop() == 0
        begun, answered = server.counts()
        assert begun == answered


def test_a_package_that_is_replaced_where_it_lies_is_served(shelf: Shelf) -> None:
    with servers.serving(shelf.home / "one") as server:
        shutil.rmtree(shelf.home / "one")
        shutil.copytree(shelf.home / "two", shelf.home / "one")
        reload(server)
        assert server.wait_for(RELOADED)[1] == f"adding 1 {shelf.digest('two')}"
        until(lambda: added(server) == 2)


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
    lose_the_manifest: "package `/.*/current`: expected `manifest.json`, got a directory without it",
    spoil_the_samples: "package `noisy`: output `y` does not reproduce the golden samples: expected values from .*",
    fail_to_start: r"script `score\.py`: expected `init\(\)` to return, got ValueError: no weights",
    exit_while_it_starts: "packages: expected to load, got exit status 7",
    die_while_it_starts: "packages: expected to load, got killed by SIGKILL",
}


@pytest.mark.parametrize("spoil", BROKEN, ids=lambda spoil: spoil.__name__)
def test_a_package_that_cannot_be_served_changes_nothing_and_a_good_one_is_taken_later(
    shelf: Shelf, spoil: Callable[[Path], None]
) -> None:
    with servers.serving(shelf.link) as server:
        asking = clients(server)
        with asking.running():
            spoil(shelf.home / "two")
            shelf.show("two")
            reload(server)
            assert re.fullmatch(BROKEN[spoil], json.loads(f'"{server.wait_for(REFUSED)[1]}"')), server.lines
            asking.wait_for_more()
        assert set(asking.answers) == {1.0}
        digest = shelf.show("three")
        reload(server)
        assert server.wait_for(RELOADED)[1] == f"adding 1 {digest}"
        until(lambda: added(server) == 3)
        assert server.stop() == 0


def test_another_package_than_the_pinned_one_is_not_taken(shelf: Shelf) -> None:
    digest = shelf.digest("one")
    with servers.serving(shelf.link, digest=digest) as server:
        other = shelf.show("two")
        reload(server)
        assert f"expected digest `{digest}`, got {other}" in server.wait_for(REFUSED)[1]
        assert added(server) == 1


def test_watched_packages_are_reloaded_when_they_change_and_a_broken_one_is_tried_once(shelf: Shelf) -> None:
    spoil_a_file(shelf.home / "two")
    with servers.serving(shelf.link, watch=0.2, workers=2) as server:
        shelf.show("two")
        server.wait_for(REFUSED)
        digest = shelf.show("three")
        assert server.wait_for(RELOADED)[1] == f"adding 1 {digest}"
        wait_for_each(server, 2, added, 3)
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
