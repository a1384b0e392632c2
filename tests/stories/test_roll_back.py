"""What served before a reload comes back when it is asked for, and whatever happens all workers end up the same."""

from __future__ import annotations

import os
import random
import re
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import servers
from shelves import (
    INFER,
    RELOADED,
    ROW,
    Shelf,
    added,
    clients,
    reload,
    roll_back,
    served,
    spoil_a_file,
    trying,
    until,
    wait_for_each,
)

if TYPE_CHECKING:
    from servers import Server


def test_what_served_before_is_rolled_back_to_and_forward_again(shelf: Shelf) -> None:
    with servers.serving(shelf.link, workers=2) as server:
        roll_back(server)
        server.wait_for(re.compile("roll back: expected packages from before in every worker, got none"))
        first, second = shelf.digest("one"), shelf.show("two")
        reload(server)
        server.wait_for(RELOADED)
        asking = clients(server)
        with asking.running():
            wait_for_each(server, 2, added, 2)
            for digest, number in ((first, 1), (second, 2)) * 2:
                after = len(server.lines)
                roll_back(server)
                server.wait_for(re.compile(f"rolled back: modelport serving {digest}"), after=after)
                wait_for_each(server, 2, added, number)
                wait_for_each(server, 2, served, digest)
        assert set(asking.answers) == {1.0, 2.0}
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
        wait_for_each(server, 2, added, 2)
        os.kill(server.workers()[0], signal.SIGKILL)
        server.wait_for(re.compile("expected to serve, got killed by SIGKILL"))
        roll_back(server)
        server.wait_for(
            re.compile(
                "roll back: expected packages from before in every worker, got worker [12], which was started since"
            )
        )
        wait_for_each(server, 2, added, 2)
        assert server.stop() == 0


@pytest.mark.parametrize("seed", range(2))
def test_whatever_happens_to_it_the_server_comes_to_serve_what_was_shown_last(shelf: Shelf, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    spoil_a_file(shelf.put("broken", 9))
    with servers.serving(shelf.link, workers=2) as server:
        spared = server.workers()[0]

        def kill_a_process(server: Server) -> None:
            """Kill a worker, or one that tries a package; while one worker lives the server does."""
            for process in [process for process in server.workers() if process != spared][:1]:
                with suppress(ProcessLookupError):  # it tried a package, and has ended
                    os.kill(process, signal.SIGKILL)

        def ask(server: Server) -> None:
            assert server.ask(INFER, ROW).status == 200

        for _ in range(8):
            shelf.show(chance.choice(["one", "two", "three", "broken"]))
            for action in chance.choices([reload, roll_back, kill_a_process, ask], k=3):
                action(server)
        digest = shelf.show("two")
        reload(server)
        wait_for_each(server, 2, served, digest)
        assert server.stop() == 0
