"""Where a package's files lie: a directory or an archive, opened once and read alike."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from modelport.runtime.errors import InvalidPackageError, named

from .files import Directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# A fifo opened without O_NONBLOCK waits for a writer.
_ANYTHING: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class StoredFile(Protocol):
    """A file of a source, not yet read."""

    @property
    def size(self) -> int:
        """How many bytes it says it has."""
        ...

    def read(self, limit: int) -> bytes:
        """Read it whole; raises `InvalidPackageError` if it is damaged, no plain file or longer than `limit` bytes."""
        ...


class Source(Protocol):
    """What holds the files of a package. Nothing in it is trusted, and nothing of it is written anywhere."""

    @property
    def path(self) -> Path:
        """Where it was found."""
        ...

    @property
    def kind(self) -> str:
        """What it is, as an error calls it."""
        ...

    def files(self) -> Mapping[str, StoredFile]:
        """Return every file by its name relative to the package, in the order in which they are best read."""
        ...


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Open the directory or archive at `path`, so that it stays the same one whatever happens to its path."""
    descriptor = _open(path)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            yield Directory(path, descriptor)
        elif stat.S_ISREG(mode):
            from .archives import Archive  # noqa: PLC0415  what reads archives is not loaded for a directory

            with os.fdopen(descriptor, "rb", closefd=False) as file:
                yield Archive(path, file)
        else:
            raise InvalidPackageError(f"package `{path}`: expected a directory, a .tar or a .zip, got a special file")
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        return os.open(path, _ANYTHING)
    except FileNotFoundError as error:
        raise InvalidPackageError(f"package `{path}`: expected a directory, got nothing there") from error
    except OSError as error:
        raise InvalidPackageError(f"package `{path}`: expected a readable directory, got {error.strerror}") from error
    except ValueError as error:  # a NUL, or what the file system's encoding cannot express
        raise InvalidPackageError(f"package {named(path)}: expected a path, got {error}") from error
