"""What counts as a change of a package, and what the processes of a server say to each other of it."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from adding import adding

from modelport.runtime.errors import InvalidInputError, InvalidPackageError, ModelportError
from modelport.runtime.server import control
from modelport.runtime.server.reloading import Watch
from modelport.runtime.settings import resolve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Clock:
    """A clock that stands until it is told to go on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def watch(clock: Clock, *paths: Path, seconds: float = 2) -> Callable[[], bool]:
    """Watch `paths`; return what goes on by the seconds between two looks and returns whether there was a change."""
    settings = resolve({"package": ",".join(map(str, paths)), "watch": seconds}, {})
    watched = Watch(settings, clock)

    def later() -> bool:
        clock.now += seconds
        return watched.changed()

    return later


def test_it_is_looked_at_no_sooner_than_it_is_time(tmp_path: Path, clock: Clock) -> None:
    package = adding(tmp_path / "package", 1)
    watched = Watch(resolve({"package": str(package), "watch": 2}, {}), clock)
    assert watched.due == 102
    shutil.rmtree(package)
    clock.now = 101.9
    assert not watched.changed()
    clock.now = 102
    assert watched.changed()
    assert watched.due == 104


def test_without_the_setting_nothing_is_looked_at(tmp_path: Path, clock: Clock) -> None:
    package = adding(tmp_path / "package", 1)
    watched = Watch(resolve({"package": str(package)}, {}), clock)
    assert watched.due is None
    shutil.rmtree(package)
    clock.now += 1e9
    assert not watched.changed()


def test_every_change_counts_once(tmp_path: Path, clock: Clock) -> None:
    package = adding(tmp_path / "package", 1)
    later = watch(clock, package)
    assert [later(), later()] == [False, False]
    shutil.rmtree(package)
    assert [later(), later()] == [True, False]
    adding(package, 2)
    assert [later(), later()] == [True, False]


def test_a_link_that_leads_elsewhere_is_a_change(tmp_path: Path, clock: Clock) -> None:
    adding(tmp_path / "one", 1)
    shutil.copytree(tmp_path / "one", tmp_path / "same")
    adding(tmp_path / "two", 2)
    link = tmp_path / "link"
    link.symlink_to("one")
    later = watch(clock, link)
    for name in ("two", "one", "same"):
        link.unlink()
        link.symlink_to(name)
        assert [later(), later()] == [True, False]


def test_every_file_that_is_copied_counts_until_the_package_is_whole(tmp_path: Path, clock: Clock) -> None:
    """So a package that was tried too early is tried again."""
    source = adding(tmp_path / "source", 2)
    package = adding(tmp_path / "package", 1)
    later = watch(clock, package)
    for file in sorted(source.iterdir()):
        shutil.copyfile(file, package / file.name)
        assert later()
    assert not later()


def test_another_archive_is_a_change(tmp_path: Path, clock: Clock) -> None:
    for number in (1, 2):
        adding(tmp_path / str(number), number)
    archive = tmp_path / "package.tar"
    subprocess.run(["tar", "cf", archive, "-C", tmp_path / "1", "."], check=True)
    later = watch(clock, archive)
    assert not later()
    archive.unlink()
    assert [later(), later()] == [True, False]
    subprocess.run(["tar", "cf", archive, "-C", tmp_path / "2", "."], check=True)
    assert [later(), later()] == [True, False]


def test_a_change_of_any_of_several_packages_is_one(tmp_path: Path, clock: Clock) -> None:
    packages = [adding(tmp_path / name, 1, name) for name in ("one", "two")]
    later = watch(clock, *packages)
    for package in packages:
        shutil.rmtree(package)
        adding(package, 3, package.name)
        assert [later(), later()] == [True, False]


@pytest.mark.parametrize("kind", [InvalidPackageError, InvalidInputError, ModelportError])
def test_an_error_is_the_same_on_the_other_side(kind: type[ModelportError]) -> None:
    here, there = control.pair()
    with here, there:
        control.say(here, control.Failed.of(kind("subject: expected this, got that", hint="do that")))
        error = control.hear(there, control.Loaded | control.Failed).error()
    assert (type(error), error.message, error.hint) == (kind, "subject: expected this, got that", "do that")


def test_an_error_of_any_length_reaches_the_other_side() -> None:
    here, there = control.pair()
    with here, there:
        control.say(here, control.Failed.of(ModelportError("ü" * 1_000_000)))
        error = control.hear(there, control.Failed).error()
    assert error.message.startswith("ü" * 1000)
    assert error.message.endswith("...")


def test_a_side_that_is_gone_is_heard_as_nothing_and_told_in_vain() -> None:
    here, there = control.pair()
    there.close()
    with here:
        control.say(here, control.Serve())
        assert control.hear(here, control.Order) is None
