"""Reads a directory that nobody may be trusted with: plain files only, each opened once, no link followed."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Self

from modelport.runtime.errors import InvalidPackageError, named

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

MAX_LEVELS: Final = 16
_MAX_FILES: Final = 100_000
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# A fifo opened without O_NONBLOCK waits for a writer.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Directory:
    """A directory held open, so that it stays the same one whatever happens to its path.

    Every method raises `InvalidPackageError` for what is neither plain file nor directory, and for what the operating
    system refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = _open_root(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def files(self) -> dict[str, os.stat_result]:
        """Return every file's status by its name relative to the directory, with `/` between the levels."""
        found: dict[str, os.stat_result] = {}
        for name, status in _walk(self._descriptor, "", MAX_LEVELS):
            found[name] = status
            if len(found) > _MAX_FILES:
                raise InvalidPackageError(f"package `{self.path}`: expected at most {_MAX_FILES} files, got more")
        return found

    def read(self, name: str, status: os.stat_result, limit: int) -> bytes:
        """Read a file whole, at most `limit` bytes, making sure that it is the one whose `status` was looked at."""
        with _refusals(name, "a readable file"):
            opened = self._open(name)
            try:
                now = os.fstat(opened)
                _check_plain(name, now)
                if (now.st_dev, now.st_ino) != (status.st_dev, status.st_ino):
                    raise InvalidPackageError(f"{named(name)}: expected one file, got another while reading")
                if now.st_size > limit:
                    raise InvalidPackageError(f"{named(name)}: expected at most {limit} bytes, got {now.st_size}")
                return _read_all(opened, now.st_size)
            finally:
                os.close(opened)

    def _open(self, name: str) -> int:
        *parents, file = name.split("/")
        holder = os.dup(self._descriptor)
        try:
            for parent in parents:
                inner = os.open(parent, _DIRECTORY | os.O_NOFOLLOW, dir_fd=holder)
                os.close(holder)
                holder = inner
            return os.open(file, _FILE, dir_fd=holder)
        finally:
            os.close(holder)


def _open_root(path: Path) -> int:
    try:
        return os.open(path, _DIRECTORY)
    except FileNotFoundError as error:
        raise InvalidPackageError(f"package `{path}`: expected a directory, got nothing there") from error
    except NotADirectoryError as error:
        raise InvalidPackageError(
            f"package `{path}`: expected a directory, got a file",
            hint="`modelport convert MODEL -o DIR` makes a package",
        ) from error
    except OSError as error:
        raise InvalidPackageError(f"package `{path}`: expected a readable directory, got {error.strerror}") from error
    except ValueError as error:  # a NUL, or what the file system's encoding cannot express
        raise InvalidPackageError(f"package {named(path)}: expected a path, got {error}") from error


def _walk(descriptor: int, prefix: str, levels: int) -> Iterator[tuple[str, os.stat_result]]:
    """Yield every file below `descriptor` with its status, refusing whatever is neither plain file nor directory."""
    if levels == 0:
        raise InvalidPackageError(f"{named(prefix)}: expected at most {MAX_LEVELS} levels of directories, got more")
    with _refusals(prefix or ".", "a readable directory"):
        entries = sorted(os.listdir(descriptor))
    if prefix and not entries:
        raise InvalidPackageError(f"{named(prefix)}: expected only what the manifest names, got an empty directory")
    for entry in entries:
        name = f"{prefix}{entry}"
        with _refusals(name, "a readable file"):
            status = os.stat(entry, dir_fd=descriptor, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            _check_plain(name, status)
            yield name, status
            continue
        with _refusals(name, "a readable directory"):
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


@contextmanager
def _refusals(name: str, expected: str) -> Iterator[None]:
    """Turn what the operating system refuses into an `InvalidPackageError`."""
    try:
        yield
    except OSError as error:
        raise InvalidPackageError(f"{named(name)}: expected {expected}, got {error.strerror}") from error
    except MemoryError as error:
        raise InvalidPackageError(f"{named(name)}: expected {expected}, got more than fits in memory") from error
