"""Clients that ask one thing again and again while something happens to the server."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


class Repeating(Generic[T]):
    """So many clients that call `ask` until they are told to stop, and note every answer."""

    def __init__(self, ask: Callable[[], T], clients: int) -> None:
        self._ask = ask
        self._enough = threading.Event()
        self.answers: list[T] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have them ask while the block runs."""
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
        servers.wait_until(lambda: len(self.answers) >= target, f"{count} more answers")

    def _run(self) -> None:
        while not self._enough.is_set():
            self.answers.append(self._ask())
