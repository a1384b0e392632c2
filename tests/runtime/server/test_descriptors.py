"""As many files may be open as the connections need, as far as the system lets them."""

from __future__ import annotations

import logging
import resource

import pytest

from modelport.runtime.server import descriptors

UNLIMITED = resource.RLIM_INFINITY


class System:
    """The limit of a system, which may refuse to have it raised."""

    def __init__(self, soft: int, hard: int, *, refuses: bool = False) -> None:
        self.limit = (soft, hard)
        self._refuses = refuses

    def getrlimit(self, _: int) -> tuple[int, int]:
        return self.limit

    def setrlimit(self, _: int, limit: tuple[int, int]) -> None:
        if self._refuses:
            raise ValueError("current limit exceeds maximum limit")
        self.limit = limit


@pytest.mark.parametrize(
    ("system", "limit"),
    [
        (System(1024, 4096), (4096, 4096)),
        (System(1024, UNLIMITED), (1256, UNLIMITED)),
        (System(4096, 4096), (4096, 4096)),
        (System(4096, UNLIMITED), (4096, UNLIMITED)),
        (System(UNLIMITED, UNLIMITED), (UNLIMITED, UNLIMITED)),
    ],
)
def test_the_limit_is_raised_as_far_as_it_can_be_and_never_lowered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, system: System, limit: tuple[int, int]
) -> None:
    monkeypatch.setattr(resource, "getrlimit", system.getrlimit)
    monkeypatch.setattr(resource, "setrlimit", system.setrlimit)
    descriptors.allow(1000)
    assert (system.limit, descriptors.most(1000), caplog.records) == (limit, 1000, [])


@pytest.mark.parametrize(
    ("system", "limit", "fit"),
    [(System(1024, 1200), 1200, 944), (System(1024, 4096, refuses=True), 1024, 768), (System(64, 64), 64, 1)],
)
def test_what_does_not_fit_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, system: System, limit: int, fit: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", system.getrlimit)
    monkeypatch.setattr(resource, "setrlimit", system.setrlimit)
    descriptors.allow(1000)
    assert descriptors.most(1000) == fit
    message = (
        f"`max_connections`: expected at most {fit} with a limit of {limit} open files (ulimit -Hn), got 1000;"
        f" a worker holds {fit}"
    )
    assert caplog.record_tuples == [(descriptors.__name__, logging.WARNING, message)]
