"""Reads a directory that nobody may be trusted with: plain files only, each opened once, no link followed."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from modelport.runtime.errors import InvalidPackageError, named

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_LEVELS: Final = 16
_MAX_FILES: Final = 100_000
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# A fifo opened without O_NONBLOCK waits for a writer.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class PlainFile(NamedTuple):
    """A file of a directory, as it was when it was looked at; `root` is the descriptor of the directory."""

    root: int
    name: str
    status: os.stat_result

    @property
    def size(self) -> int:
        """How many bytes it had."""
        return self.status.st_size

    def read(self, limit: int) -> bytes:
        """Read it whole, at most `limit` bytes, making sure that it is the one that was looked at."""
        with refusals(named(self.name), "a readable file"):
            opened = self._open()
            try:
                now = os.fstat(opened)
                _check_plain(self.name, now)
                if (now.st_dev, now.st_ino) != (self.status.st_dev, self.status.st_ino):
                    raise InvalidPackageError(f"{named(self.name)}: expected one file, got another while reading")
                check_size(self.name, now.st_size, limit)
                return _read_all(opened, now.st_size)
            finally:
                os.close(opened)

    def _open(self) -> int:
        *parents, file = self.name.split("/")
        holder = os.dup(self.root)
        try:
            for parent in parents:
                inner = os.open(parent, _DIRECTORY | os.O_NOFOLLOW, dir_fd=holder)
                os.close(holder)
                holder = inner
            return os.open(file, _FILE, dir_fd=holder)
        finally:
            os.close(holder)


class Directory:
    """A directory held open by its descriptor, which whoever opened it closes.

    Raises `InvalidPackageError` for what is neither plain file nor directory, and for what the operating system
    refuses.
    """

    kind: Final = "a directory"

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def files(self) -> dict[str, PlainFile]:
        """Return every file by its name relative to the directory, with `/` between the levels."""
        found: dict[str, PlainFile] = {}
        for name, status in _walk(self._descriptor, "", MAX_LEVELS):
            found[name] = PlainFile(self._descriptor, name, status)
            check_count(self.path, len(found))
        return found


def check_count(path: Path, count: int) -> None:
    """Raise `InvalidPackageError` if a package holds more files than anybody needs."""
    if count > _MAX_FILES:
        raise InvalidPackageError(f"package `{path}`: expected at most {_MAX_FILES} files, got more")


def check_size(name: str, size: int, limit: int) -> None:
    """Raise `InvalidPackageError` if a file is larger than it may be."""
    if size > limit:
        raise InvalidPackageError(f"{named(name)}: expected at most {limit} bytes, got {size}")


def too_deep(name: str) -> InvalidPackageError:
    """Return the error on a file or directory below too many others."""
    return InvalidPackageError(f"{named(name)}: expected at most {MAX_LEVELS} levels of directories, got more")


def empty_directory(name: str) -> InvalidPackageError:
    """Return the error on a directory that holds no file."""
    return InvalidPackageError(f"{named(name)}: expected only what the manifest names, got an empty directory")


@contextmanager
def refusals(subject: str, expected: str) -> Iterator[None]:
    """Turn what the operating system refuses into an `InvalidPackageError`."""
    try:
        yield
    except OSError as error:
        raise InvalidPackageError(f"{subject}: expected {expected}, got {error.strerror}") from error
    except MemoryError as error:
        raise InvalidPackageError(f"{subject}: expected {expected}, got more than fits in memory") from error


def _walk(descriptor: int, prefix: str, levels: int) -> Iterator[tuple[str, os.stat_result]]:
    """Yield every file below `descriptor` with its status, refusing whatever is neither plain file nor directory."""
    if levels == 0:
        raise too_deep(prefix)
    with refusals(named(prefix or "."), "a readable directory"):
        entries = sorted(os.listdir(descriptor))
    if prefix and not entries:
        raise empty_directory(prefix)
    for entry in entries:
        name = f"{prefix}{entry}"
        with refusals(named(name), "a readable file"):
            status = os.stat(entry, dir_fd=descriptor, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            _check_plain(name, status)
            yield name, status
            continue
        with refusals(named(name), "a readable directory"):
            inner = os.open(entry, _DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
        try:
            yield from _walk(inner, f"{name}/", levels - 1)
        finally:
            os.close(inner)


def _check_plain(name: str, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise InvalidPackageError(f"{named(name)}: expected a plain file, got a symbolic link")
    if not stat.S_ISREG(status.st_mode):
        raise InvalidPackageError(f"{named(name)}: expected a plain file, got a special one")
    if status.st_nlink > 1:
        raise InvalidPackageError(
            f"{named(name)}: expected a plain file, got a hard link ({status.st_nlink} names)",
            hint="copy the package: `cp -r`",
        )


def _read_all(descriptor: int, size: int) -> bytes:
    """Read `size` bytes, or fewer if the file ends before; one call gives all but the largest without a copy."""
    parts: list[bytes] = []
    while size and (part := os.read(descriptor, size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
