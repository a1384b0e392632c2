"""Full disks, kills, interrupts and other writers leave a whole package or nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from writing import PREPARED, TESTS, left_in, run

from modelport.packager.errors import WriteError
from modelport.packager.package import write, write_package
from modelport.runtime.package import open_package

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from modelport.packager.package import PackagePlan


UNPRIVILEGED = """
if os.geteuid() == 0:
    os.seteuid(65534)  # the superuser may write anywhere
try:
    write_package(plan, root / "closed" / "package")
except WriteError as error:
    print(error.message)
os.umask(0o777)
write_package(plan, root / "open" / "package")
print(open_package(root / "open" / "package").digest == plan.digest)
"""


def test_a_parent_that_is_closed_is_an_error_and_a_strange_umask_is_none() -> None:
    with tempfile.TemporaryDirectory() as place:  # pytest's own directories are closed to others
        root = Path(place)
        root.chmod(0o755)
        (root / "closed").mkdir(mode=0o555)
        (root / "open").mkdir()
        (root / "open").chmod(0o777)
        assert run(UNPRIVILEGED, root).splitlines() == [
            f"package `{root / 'closed' / 'package'}`: expected to be written, got Permission denied",
            "True",
        ]
        assert left_in(root / "closed") == []
        assert left_in(root / "open") == ["package"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A function that mounts a file system of some options."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place]
        try:
            done = subprocess.run(command, check=False, capture_output=True)
        except FileNotFoundError:
            pytest.skip("nothing can be mounted here")
        if done.returncode != 0:
            pytest.skip("only the superuser mounts")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("options", [*(f"size={size}k" for size in (4, 8, 12, 16, 400)), "nr_inodes=3", "nr_inodes=5"])
def test_a_full_disk_leaves_nothing_behind(plan: PackagePlan, small_disk: Callable[[str], Path], options: str) -> None:
    files = {**plan.files, "model.onnx": bytes(500_000)}
    disk = small_disk(options)
    for target in (disk / "package", disk / "a" / "b" / "package"):
        with pytest.raises(
            WriteError, match=r"(?m)^package `.*package`: expected to be written, got No space left on device$"
        ):
            write_package(msgspec.structs.replace(plan, files=files), target)
        assert left_in(disk) == []


def test_a_file_system_that_may_not_be_written_is_an_error(
    plan: PackagePlan, small_disk: Callable[[str], Path]
) -> None:
    disk = small_disk("size=1m,ro")
    with pytest.raises(WriteError, match=r"got Read-only file system$"):
        write_package(plan, disk / "package")


LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_package(plan, root / "a" / "package")
except WriteError as error:
    print(error.message)
"""


def test_a_file_too_large_for_its_limit_leaves_nothing_behind(tmp_path: Path) -> None:
    expected = f"package `{tmp_path / 'a' / 'package'}`: expected to be written, got File too large\n"
    assert run(LIMITED, tmp_path) == expected
    assert len(left_in(tmp_path)) == 1


KILLED = """
def kill_at(line):
    count = 0
    def trace(frame, event, argument):
        nonlocal count
        if frame.f_code.co_filename != write.__file__:
            return None
        count += event == "line"
        if count == line:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace
    sys.settrace(trace)

line = absent = whole = 0
while True:
    line += 1
    target = root / f"{line}" / "package"
    target.parent.mkdir()
    child = os.fork()
    if child == 0:
        kill_at(line)
        write_package(plan, target)
        sys.settrace(None)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if target.exists():
        assert open_package(target).digest == plan.digest
        whole += 1
    else:
        absent += 1
        write_package(plan, target)
        open_package(target, digest=plan.digest)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0
        break
print(line, absent, whole)
"""


def test_a_writer_that_is_killed_at_any_line_leaves_a_whole_package_or_none(tmp_path: Path) -> None:
    lines, absent, whole = map(int, run(KILLED, tmp_path).split())
    assert lines == absent + whole
    assert absent > 50
    assert whole > 5


RACING = """
print(plan.digest, flush=True)
for line in sys.stdin:
    try:
        write_package(plan, Path(line.strip()))
    except OutputExistsError:
        print("exists", flush=True)
    else:
        print("written", flush=True)
"""


@pytest.mark.parametrize("kinds", [("linear", "linear"), ("linear", "external"), ("linear", "external", "linear")])
def test_writers_at_once_leave_one_whole_package(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    commands = [[sys.executable, "-c", PREPARED + RACING, TESTS, tmp_path, kind] for kind in kinds]
    writers = [subprocess.Popen(c, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for c in commands]
    try:
        digests = [answer(writer) for writer in writers]
        for number in range(60):
            target = tmp_path / f"round{number}" / "new" / "package"
            for writer in writers:
                assert writer.stdin is not None
                writer.stdin.write(f"{target}\n")
                writer.stdin.flush()
            answers = [answer(writer) for writer in writers]
            there = open_package(target).digest
            assert left_in(target.parent) == ["package"]
            assert answers == ["written" if digest == there else "exists" for digest in digests]
    finally:
        for writer in writers:
            writer.communicate()


def answer(writer: subprocess.Popen[str]) -> str:
    assert writer.stdout is not None
    return writer.stdout.readline().strip()


def test_everything_is_flushed_before_the_name_appears(
    plan: PackagePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "new" / "package"
    flushed: list[str] = []
    flush = os.fsync

    def note(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        flushed.append(f"{path.relative_to(tmp_path)} {'after' if target.exists() else 'before'}")
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    write_package(plan, target)
    temporary = re.compile(rf"^new/{re.escape(write.TEMPORARY)}[^/]*\.partial")
    assert [temporary.sub("package", line) for line in flushed] == [
        *(f"package/{name} before" for name in sorted(plan.files)),
        "package before",
        "new after",
        ". after",
    ]


def test_an_interrupted_writer_leaves_nothing_behind(
    plan: PackagePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_package(plan, tmp_path / "a" / "b" / "package")
    assert left_in(tmp_path) == []
