"""The processes of a server that reloads: they hang, die and are stopped at any moment, and end up with one package."""

from __future__ import annotations

import os
import re
import signal

import pytest
import servers
from shelves import (
    REFUSED,
    RELOADED,
    UNCHANGED,
    Shelf,
    added,
    in_a_worker,
    messages,
    reload,
    served,
    trying,
    until,
    wait_for_each,
    waiting,
)


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
        wait_for_each(server, workers, added, 4)
        wait_for_each(server, workers, served, shelf.digest("slow"))


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
        wait_for_each(server, 2, added, 4)


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
        wait_for_each(server, 2, added, 2)
        assert server.stop() == 0


def test_a_worker_that_is_killed_after_a_reload_comes_back_with_what_serves(shelf: Shelf) -> None:
    with servers.serving(shelf.link, workers=2) as server:
        digest = shelf.show("two")
        reload(server)
        server.wait_for(RELOADED)
        wait_for_each(server, 2, added, 2)
        os.kill(server.workers()[0], signal.SIGKILL)
        server.wait_for(re.compile("expected to serve, got killed by SIGKILL"))
        server.wait_for_workers(2)
        wait_for_each(server, 2, served, digest)


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
