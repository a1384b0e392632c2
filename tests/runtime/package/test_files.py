"""Only plain files of the package's own directory are read, whatever else lies there or is put there meanwhile."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
import sealed
import tiny_models

from modelport.runtime import strictjson
from modelport.runtime.errors import InvalidPackageError
from modelport.runtime.package import files, open_package
from modelport.runtime.package.files import MAX_LEVELS
from modelport.runtime.package.sources import opened

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = ["manifest.json", "manifest.sha256", "model.onnx", "weights.bin"]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return tiny_models.external(tmp_path / "package")


@pytest.fixture
def secret(tmp_path: Path, package: Path) -> Path:
    """A file outside, with the very bytes that the package's weights have: only where it lies makes it wrong."""
    path = tmp_path / "secret"
    path.write_bytes((package / "weights.bin").read_bytes())
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_symbolic_link_is_refused_even_to_the_same_bytes(package: Path, tmp_path: Path, name: str) -> None:
    (package / name).rename(tmp_path / "elsewhere")
    (package / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidPackageError, match=rf"(?m)^`{name}`: expected a plain file, got a symbolic link$"):
        open_package(package)


def test_a_link_within_the_package_is_refused_too(package: Path) -> None:
    (package / "weights.bin").rename(package / "other.bin")
    (package / "weights.bin").symlink_to("other.bin")
    with pytest.raises(InvalidPackageError, match=r"(?m)^`weights.bin`: expected a plain file, got a symbolic link$"):
        open_package(package)


@pytest.mark.parametrize("name", NAMES)
def test_a_hard_link_is_refused_even_to_the_same_bytes(package: Path, tmp_path: Path, name: str) -> None:
    os.link(package / name, tmp_path / "elsewhere")
    message = rf"(?m)^`{name}`: expected a plain file, got a hard link \(2 names\)$"
    with pytest.raises(InvalidPackageError, match=message) as caught:
        open_package(package)
    assert caught.value.hint == "copy the package: `cp -r`"


def test_a_hard_link_to_a_secret_as_external_data_is_refused(package: Path, secret: Path) -> None:
    (package / "weights.bin").unlink()
    os.link(secret, package / "weights.bin")
    sealed.seal(package)
    with pytest.raises(InvalidPackageError, match="got a hard link"):
        open_package(package)


def test_a_symlinked_directory_is_refused(package: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (package / "weights.bin").rename(tmp_path / "outside" / "weights.bin")
    (package / "data").symlink_to(tmp_path / "outside", target_is_directory=True)
    with pytest.raises(InvalidPackageError, match=r"(?m)^`data`: expected a plain file, got a symbolic link$"):
        open_package(package)


def as_fifo(path: Path) -> None:
    os.mkfifo(path)


def as_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))  # a socket's path is short


def as_device(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only the superuser makes devices")
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero never ends
    except PermissionError:
        pytest.skip("devices cannot be made here")


@pytest.mark.parametrize("make", [as_fifo, as_socket, as_device])
@pytest.mark.parametrize("name", NAMES)
def test_a_special_file_is_refused_and_never_waited_for(package: Path, name: str, make: Callable[[Path], None]) -> None:
    (package / name).unlink()
    make(package / name)
    with pytest.raises(InvalidPackageError, match=rf"(?m)^`{name}`: expected a plain file, got a special one$"):
        open_package(package)


def test_directories_without_end_are_refused_before_they_are_walked(package: Path) -> None:
    deep = package
    for _ in range(MAX_LEVELS + 1):
        deep = deep / "d"
        deep.mkdir()
    (deep / "x").write_text("x")
    with pytest.raises(InvalidPackageError, match=rf"expected at most {MAX_LEVELS} levels of directories, got more$"):
        open_package(package)


def test_files_without_number_are_refused(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_MAX_FILES", 4)
    (package / "one more").touch()
    with pytest.raises(InvalidPackageError, match=r"(?m)^package `.*`: expected at most 4 files, got more$"):
        open_package(package)


def test_a_manifest_without_end_is_not_read(package: Path) -> None:
    os.truncate(package / "manifest.json", 1 << 40)  # a hole: it takes no room
    with pytest.raises(
        InvalidPackageError, match=r"(?m)^`manifest.json`: expected at most 16777216 bytes, got 1099511627776$"
    ):
        open_package(package)


HUGE = """
import resource, sys
from modelport.runtime.errors import InvalidPackageError
from modelport.runtime.package import open_package
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
try:
    open_package(sys.argv[1])
except InvalidPackageError as error:
    print(error.message)
"""


def test_a_file_that_fits_no_memory_is_refused(package: Path) -> None:
    size = 1 << 40
    os.truncate(package / "weights.bin", size)  # a hole: it takes no room

    document = msgspec.json.decode((package / "manifest.json").read_bytes())
    document["files"]["weights.bin"]["size"] = size
    sealed.put_manifest(package, strictjson.canonical(document))
    done = subprocess.run([sys.executable, "-c", HUGE, package], capture_output=True, text=True, check=True)
    assert done.stdout == "`weights.bin`: expected a readable file, got more than fits in memory\n"


def test_a_file_replaced_after_it_was_looked_at_is_refused(package: Path, tmp_path: Path) -> None:
    with opened(package) as directory:
        file = directory.files()["weights.bin"]
        (tmp_path / "other").write_bytes((package / "weights.bin").read_bytes())
        (tmp_path / "other").replace(package / "weights.bin")
        message = r"(?m)^`weights.bin`: expected one file, got another while reading$"
        with pytest.raises(InvalidPackageError, match=message):
            file.read(1000)


def test_a_file_replaced_by_a_fifo_after_it_was_looked_at_is_refused(package: Path) -> None:
    with opened(package) as directory:
        file = directory.files()["weights.bin"]
        (package / "weights.bin").unlink()
        os.mkfifo(package / "weights.bin")
        with pytest.raises(InvalidPackageError, match=r"(?m)^`weights.bin`: expected a plain file, got a special one$"):
            file.read(1000)


def test_a_file_replaced_by_a_link_after_it_was_looked_at_is_refused(package: Path, secret: Path) -> None:
    with opened(package) as directory:
        file = directory.files()["weights.bin"]
        (package / "weights.bin").unlink()
        (package / "weights.bin").symlink_to(secret)
        message = r"(?m)^`weights.bin`: expected a readable file, got Too many levels"
        with pytest.raises(InvalidPackageError, match=message):
            file.read(1000)


def test_a_directory_replaced_by_a_link_after_it_was_looked_at_is_refused(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "data").mkdir(parents=True)
    (root / "data" / "x").write_text("inside")
    outside.mkdir()
    (outside / "x").write_text("secret")
    with opened(root) as directory:
        file = directory.files()["data/x"]
        (root / "data").rename(root / "old")
        (root / "data").symlink_to(outside, target_is_directory=True)
        with pytest.raises(InvalidPackageError, match=r"(?m)^`data/x`: expected a readable file, got Not a directory$"):
            file.read(1000)


def test_a_directory_replaced_as_a_whole_is_not_noticed_because_the_opened_one_is_read(
    package: Path, tmp_path: Path
) -> None:
    with opened(package) as directory:
        package.rename(tmp_path / "moved")
        package.mkdir()
        found = directory.files()
        assert found["weights.bin"].read(1000) == (tmp_path / "moved/weights.bin").read_bytes()


def test_a_file_cut_off_while_it_is_read_gives_what_was_there(package: Path) -> None:
    with opened(package) as directory:
        file = directory.files()["model.onnx"]
        os.truncate(package / "model.onnx", 0)
        assert file.read(1000) == b""


UNPRIVILEGED = """
import os, sys
from modelport.runtime.errors import InvalidPackageError
from modelport.runtime.package import open_package
if os.geteuid() == 0:
    os.seteuid(65534)  # the superuser may read anything
for path in sys.argv[1:]:
    try:
        open_package(path)
    except InvalidPackageError as error:
        print(error.message)
"""


def test_what_the_file_system_refuses_is_an_error_of_the_package() -> None:
    with tempfile.TemporaryDirectory() as place:  # pytest's own directories are closed to others
        root = Path(place)
        root.chmod(0o755)
        closed_file = tiny_models.external(root / "closed-file")
        (closed_file / "weights.bin").chmod(0o000)
        closed = root / "closed"
        closed.mkdir(mode=0o000)
        closed_inside = tiny_models.linear(root / "closed-inside")
        (closed_inside / "sub").mkdir(mode=0o000)
        command = [sys.executable, "-c", UNPRIVILEGED, closed_file, closed, closed_inside]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == [
            "`weights.bin`: expected a readable file, got Permission denied",
            f"package `{closed}`: expected a readable directory, got Permission denied",
            "`sub`: expected a readable directory, got Permission denied",
        ]


def test_reading_a_package_leaves_no_descriptor_open(package: Path) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    open_package(package)
    (package / "weights.bin").unlink()
    with pytest.raises(InvalidPackageError):
        open_package(package)
    assert descriptors() == before
