"""Archives for tests, honest and hostile, of any entries: a name that ends with `/` is a directory."""

from __future__ import annotations

import io
import tarfile
import warnings
import zipfile
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from modelport.runtime.errors import InvalidPackageError
from modelport.runtime.package import open_package

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    Entries = Iterable[tuple[str, bytes]]


def contents(package: Path, top: str = "") -> list[tuple[str, bytes]]:
    """Return the files of a directory by their names below `top`, sorted."""
    files = sorted(path for path in package.rglob("*") if path.is_file())
    return [(f"{top}{path.relative_to(package).as_posix()}", path.read_bytes()) for path in files]


def tar(
    entries: Entries,
    *,
    form: int = tarfile.PAX_FORMAT,
    mode: Any = "w",
    change: Callable[[tarfile.TarInfo], object] = lambda _: None,
) -> bytes:
    """Return a tar; `change` may set what the headers say."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode, format=form) as archive:
        for name, data in entries:
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            member.size = len(data)
            change(member)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def zipped(
    entries: Entries,
    *,
    compression: int = zipfile.ZIP_DEFLATED,
    change: Callable[[zipfile.ZipInfo], object] = lambda _: None,
    stream: Any = None,
) -> bytes:
    """Return a zip; `change` may set what the headers say. It is written to `stream` if there is one."""
    stream = stream or io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", compression) as archive:
        warnings.simplefilter("ignore")  # that a name is there already
        for name, data in entries:
            member = zipfile.ZipInfo()
            member.filename = name  # as it is: the constructor would cut it off at a NUL
            member.compress_type = compression
            change(member)
            archive.writestr(member, data)
    return stream.getvalue()


class OneWay(io.BytesIO):
    """A stream in which nobody can go back, as a pipe: in a zip, sizes and CRC then follow the data."""

    def seekable(self) -> bool:
        """Say no."""
        return False

    def tell(self) -> int:
        """Do not say."""
        raise OSError

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Refuse."""
        raise OSError(offset, whence)


tgz = partial(tar, mode="w:gz")
stored = partial(zipped, compression=zipfile.ZIP_STORED)


def streamed(entries: Entries) -> bytes:
    """Return a zip as it is written to a pipe."""
    return zipped(entries, stream=OneWay())


FORMS: dict[str, Callable[[Entries], bytes]] = {
    "tar": tar,
    "tgz": tgz,
    "deflated": zipped,
    "stored": stored,
    "streamed": streamed,
}


def check_refused(folder: Path, archive: bytes, message: str) -> InvalidPackageError:
    """Check that `archive` is refused with a message that `message`, a pattern, describes whole; return the error."""
    (folder / "packed").write_bytes(archive)
    with pytest.raises(InvalidPackageError, match=rf"(?m)^{message}$") as caught:
        open_package(folder / "packed")
    assert caught.value.message.isprintable()
    return caught.value
