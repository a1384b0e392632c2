"""Where tables come from and go to: files, and the standard streams by the name `-`.

An output file is complete or absent: written under another name beside it, flushed to the disk, then renamed.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import shutil
import stat
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

from modelport.runtime.errors import InvalidInputError, OutputError, named

if TYPE_CHECKING:
    from collections.abc import Iterator

STREAM: Final = "-"


class Source(NamedTuple):
    """An opened input; `size` in bytes, None where it is not known."""

    file: IO[bytes]
    size: int | None

    def fraction(self) -> float | None:
        """Return how far the file was read, from 0 to 1; None if nobody knows."""
        if not self.size:
            return None
        return min(1.0, os.lseek(self.file.fileno(), 0, os.SEEK_CUR) / self.size)


class _Readable(io.FileIO):
    """A file whose errors are the input's, whatever is written meanwhile."""

    def readinto(self, buffer: Any, /) -> int | None:
        """Read into `buffer`; raises `InvalidInputError` where the system refuses."""
        try:
            return super().readinto(buffer)
        except OSError as error:
            raise _unreadable(str(self.name), error) from error

    def readall(self) -> bytes:
        """Read all that is left; raises `InvalidInputError` where the system refuses."""
        try:
            return super().readall()
        except OSError as error:
            raise _unreadable(str(self.name), error) from error


def _unreadable(name: str, error: OSError) -> InvalidInputError:
    return InvalidInputError(f"input {named(name)}: expected a readable file, got {error.strerror}")


@contextlib.contextmanager
def open_input(name: str, *, seekable: bool = False) -> Iterator[Source]:
    """Open a file, or standard input, which is copied to a temporary file first if it must be `seekable`.

    Raises `InvalidInputError` if it cannot be opened.
    """
    if name == STREAM:
        if sys.stdin is None:
            raise InvalidInputError("standard input: expected rows, got it closed")
        with _copied(sys.stdin.buffer) if seekable else contextlib.nullcontext(sys.stdin.buffer) as stream:
            yield Source(stream, None)
        return
    try:
        file = io.BufferedReader(_Readable(name))
    except FileNotFoundError as error:
        raise InvalidInputError(f"input {named(name)}: expected a file, got nothing there") from error
    except OSError as error:
        raise _unreadable(name, error) from error
    with file:
        status = os.fstat(file.fileno())
        yield Source(file, status.st_size if stat.S_ISREG(status.st_mode) else None)


@contextlib.contextmanager
def open_output(name: str, *, seekable: bool = False) -> Iterator[IO[bytes]]:
    """Open a file, or standard output, for writing.

    A file stands under its name when the block ends well, and there is nothing new if it does not; what is no plain
    file (a pipe, a device) is written as it comes. Raises `OutputError` if the system refuses to write.
    """
    try:
        if name == STREAM:
            if sys.stdout is None:
                raise OutputError("standard output: expected to be written, got it closed")
            with _spooled(sys.stdout.buffer) if seekable else contextlib.nullcontext(sys.stdout.buffer) as file:
                yield file
            sys.stdout.buffer.flush()
            return
        path = Path(os.path.realpath(name))
        if path.exists() and not path.is_file() and not path.is_dir():
            with path.open("wb") as special, _spooled(special) if seekable else contextlib.nullcontext(special) as file:
                yield file
            return
        with _replacing(path) as file:
            yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        subject = "standard output" if name == STREAM else f"output {named(name)}"
        raise OutputError(f"{subject}: expected to be written, got {error.strerror or error}") from error


@contextlib.contextmanager
def _copied(stream: IO[bytes]) -> Iterator[IO[bytes]]:
    """Give a temporary file with all that `stream` holds."""
    with tempfile.TemporaryFile() as copy:
        try:
            shutil.copyfileobj(stream, copy)
        except OSError as error:
            raise InvalidInputError(f"standard input: expected to be read whole, got {error.strerror}") from error
        copy.seek(0)
        yield copy


@contextlib.contextmanager
def _spooled(stream: IO[bytes]) -> Iterator[IO[bytes]]:
    """Give a temporary file, and copy it to `stream` when it is complete."""
    with tempfile.TemporaryFile() as copy:
        yield copy
        copy.seek(0)
        shutil.copyfileobj(copy, stream)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    if path.is_dir():
        raise IsADirectoryError(None, "a directory there")
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.partial")
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with open(descriptor, "w+b") as file:  # noqa: PTH123  opened by descriptor
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _flush_directory(path.parent)


def _flush_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
