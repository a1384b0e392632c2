"""What tar and zip have in common: entries, and data that may end too early or be damaged."""

from __future__ import annotations

import gzip
import io
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from modelport.runtime.errors import InvalidPackageError, named

from .files import check_size, refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedIOBase

_PIECE: Final = 1 << 20


class DamagedError(Exception):
    """The archive is not what its format says; the text says what was expected and what came."""


class Member(NamedTuple):
    """An entry of an archive: a file of `size` bytes, which `data` reads, or a directory, which has none to read."""

    name: str
    size: int = 0
    data: Callable[[], bytes] | None = None

    def read(self, limit: int) -> bytes:
        """Read the file whole; raises `InvalidPackageError` if it is damaged or longer than `limit` bytes."""
        check_size(self.name, self.size, limit)
        with damages(named(self.name)):
            return self.data() if self.data else b""


def take(file: BufferedIOBase, size: int) -> bytes:
    """Read exactly `size` bytes; raises `DamagedError` if the archive ends before.

    Asked for all at once, a compressed file would inflate into as much memory again.
    """
    data = io.BytesIO()
    while (left := size - data.tell()) and (piece := file.read(min(left, _PIECE))):
        data.write(piece)
    if left:
        raise DamagedError("expected a whole archive, got one that was cut off")
    return data.getvalue()


@contextmanager
def damages(subject: str) -> Iterator[None]:
    """Turn all that is wrong with an archive, or with reading it, into an `InvalidPackageError`."""
    with refusals(subject, "a readable archive"):
        try:
            yield
        except DamagedError as error:
            raise InvalidPackageError(f"{subject}: {error}") from error
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise InvalidPackageError(f"{subject}: expected a whole archive, got a damaged one ({error})") from error
