"""A package is there whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import ctypes
import errno
import os
import re
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
import tiny_models
from writing import left_in

from modelport.packager.errors import OutputExistsError, WriteError
from modelport.packager.package import write, write_package
from modelport.runtime.package import open_package

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from modelport.packager.package import PackagePlan


def test_a_package_is_written_and_opens(plan: PackagePlan, tmp_path: Path) -> None:
    target = tmp_path / "package"
    assert write_package(plan, target) == target
    assert open_package(target, digest=plan.digest).manifest == plan.manifest
    assert left_in(tmp_path) == ["package"]


def test_a_path_may_be_text_and_relative_and_its_parents_missing(
    plan: PackagePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for target in ("package", "a/b/package", "./c/../d/package"):
        assert open_package(write_package(plan, target)).digest == plan.digest


def test_files_in_directories_are_written(plan: PackagePlan, tmp_path: Path) -> None:
    """Which files a package may hold is the plan's business."""
    files = {"a/b/c": b"1", "a/b/d": b"2", "a/e": b"3", "f": b"4"}
    target = write_package(msgspec.structs.replace(plan, files=files), tmp_path / "package")
    assert {
        path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()
    } == files
    assert {path.stat().st_mode & 0o7777 for path in [target, *target.rglob("*")] if path.is_dir()} == {0o755}


def test_the_same_package_is_left_as_it_stands(plan: PackagePlan, tmp_path: Path) -> None:
    target = write_package(plan, tmp_path / "package")
    before = {path: path.stat() for path in (target, *target.iterdir())}
    assert write_package(plan, target) == target
    assert {path: path.stat() for path in (target, *target.iterdir())} == before


def test_a_link_to_the_same_package_is_that_package(plan: PackagePlan, tmp_path: Path) -> None:
    write_package(plan, tmp_path / "package")
    (tmp_path / "link").symlink_to("package")
    assert write_package(plan, tmp_path / "link") == tmp_path / "link"


def a_file(path: Path) -> None:
    path.write_text("mine")


def an_empty_directory(path: Path) -> None:
    path.mkdir()


def a_full_directory(path: Path) -> None:
    path.mkdir()
    (path / "mine").write_text("mine")


def a_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def another_package(path: Path) -> None:
    tiny_models.table(path)


def the_package_with_a_file_more(path: Path) -> None:
    tiny_models.external(path)
    (path / "more").touch()


def the_package_damaged(path: Path) -> None:
    tiny_models.external(path)
    (path / "weights.bin").write_bytes(bytes(16))


STANDING = [
    a_file,
    an_empty_directory,
    a_full_directory,
    a_dangling_link,
    a_fifo,
    another_package,
    the_package_with_a_file_more,
    the_package_damaged,
]


def seen(path: Path) -> dict[str, Any]:
    """Return everything below `path` with its content."""
    paths = [path, *path.rglob("*")]
    return {str(p): (p.lstat().st_mode, p.read_bytes() if p.is_file() and not p.is_fifo() else None) for p in paths}


@pytest.mark.parametrize("stand", STANDING, ids=lambda stand: stand.__name__)
def test_whatever_else_stands_there_is_refused_and_left_alone(
    plan: PackagePlan, tmp_path: Path, stand: Callable[[Path], None]
) -> None:
    stand(tmp_path / "package")
    before = seen(tmp_path)
    expected = f"output `{tmp_path / 'package'}`: expected nothing there, or the package {plan.digest[:19]}..., got "
    with pytest.raises(OutputExistsError, match=f"(?m)^{re.escape(expected)}.+$") as caught:
        write_package(plan, tmp_path / "package")
    assert caught.value.hint == "choose another output, or remove it"
    assert seen(tmp_path) == before


@pytest.mark.parametrize("target", [".", "..", "/", ""])
def test_a_directory_that_always_stands_is_refused(plan: PackagePlan, target: str) -> None:
    with pytest.raises(OutputExistsError):
        write_package(plan, target)


def test_a_parent_that_is_a_file_is_an_error(plan: PackagePlan, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for target in (tmp_path / "file" / "package", tmp_path / "file" / "sub" / "package"):
        with pytest.raises(WriteError, match=f"(?m)^{re.escape(f'package `{target}`: expected to be written, got ')}"):
            write_package(plan, target)
    assert left_in(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["with\0nul", "\ud800"])
def test_a_path_that_no_file_system_knows_is_an_error(plan: PackagePlan, tmp_path: Path, name: str) -> None:
    with pytest.raises(WriteError, match=r"(?m)^package `.*`: expected a path, got ") as caught:
        write_package(plan, tmp_path / name)
    assert caught.value.message.isprintable()
    assert left_in(tmp_path) == []


def test_a_name_as_long_as_the_file_system_allows_works_and_a_longer_one_leaves_nothing(
    plan: PackagePlan, tmp_path: Path
) -> None:
    write_package(plan, tmp_path / ("é" * 127))
    with pytest.raises(WriteError, match="File name too long"):
        write_package(plan, tmp_path / "sub" / ("é" * 128))
    assert left_in(tmp_path) == ["é" * 127]


class OldSystem:
    """A C library whose kernel or file system does not know the flag."""

    def __init__(self, number: int) -> None:
        self.number = number

    def renameat2(self, *_: object) -> int:
        ctypes.set_errno(self.number)
        return -1


def without_renameat2(*_: object, **__: object) -> object:
    return object()


@pytest.mark.parametrize(
    "library", [lambda *_, **__: OldSystem(errno.EINVAL), lambda *_, **__: OldSystem(errno.ENOSYS), without_renameat2]
)
def test_a_system_without_exclusive_renaming_does_it_in_two_steps(
    plan: PackagePlan, other: PackagePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: Any
) -> None:
    monkeypatch.setattr(write.ctypes, "CDLL", library)
    target = write_package(plan, tmp_path / "package")
    assert open_package(target).digest == plan.digest
    with pytest.raises(OutputExistsError):
        write_package(other, target)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    for standing in ("package", "empty"):
        (tmp_path / standing).mkdir(exist_ok=True)
        with pytest.raises(FileExistsError):
            write._rename_exclusively(temporary, tmp_path / standing)


def test_renaming_refuses_even_an_empty_directory(tmp_path: Path) -> None:
    for name in ("source", "target"):
        (tmp_path / name).mkdir()
    with pytest.raises(FileExistsError):
        write._rename_exclusively(tmp_path / "source", tmp_path / "target")
    with pytest.raises(FileNotFoundError):
        write._rename_exclusively(tmp_path / "nothing", tmp_path / "new")


def test_a_place_taken_and_left_again_by_another_writer_is_an_error(
    plan: PackagePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(*_: object) -> None:
        raise FileExistsError(errno.EEXIST, "File exists")

    monkeypatch.setattr(write, "_rename_exclusively", taken)
    message = f"package `{tmp_path / 'package'}`: expected a free place, got one that others write to"
    with pytest.raises(WriteError, match=f"(?m)^{re.escape(message)}$"):
        write_package(plan, tmp_path / "package")
    assert left_in(tmp_path) == []


def test_a_written_package_scores(plan: PackagePlan, tmp_path: Path) -> None:
    from modelport.runtime import load  # noqa: PLC0415

    scorer = load(write_package(plan, tmp_path / "package"), digest=plan.digest)
    assert scorer.score(np.zeros((1, 4)))["y"].tolist() == [[0.0, 1.0, 2.0, 3.0]]
