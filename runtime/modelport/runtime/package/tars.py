"""Lists the entries of a tar, compressed by gzip or not, and reads them where they lie.

`tarfile` decodes the headers alone: its own reader keeps extended headers of any size in memory, fills up sparse files,
and passes over whatever lies behind the end.
"""

from __future__ import annotations

import os
import re
import tarfile
from functools import partial
from gzip import GzipFile
from tarfile import BLOCKSIZE, TarInfo
from typing import TYPE_CHECKING, Final

from modelport.runtime.errors import InvalidPackageError, named

from .members import DamagedError, Member, take

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedIOBase

_MAGIC: Final = slice(257, 262)
_MAX_PADDING: Final = 1 << 20
_MAX_EXTENSIONS: Final = 16 << 20
# To know what a compressed tar holds, all of it is inflated, before a manifest can say how much that should be.
_ALWAYS_INFLATED: Final = 64 << 20
_MAX_RATIO: Final = 100
_EXTENSIONS: Final = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_LINKS: Final = {tarfile.SYMTYPE: "a symbolic link", tarfile.LNKTYPE: "a hard link"}
_FILES: Final = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_SPARSE: Final = "GNU.sparse"
_RECORD: Final = re.compile(rb"([1-9][0-9]{0,7}) ([^=]+)=")
_SIZE: Final = re.compile(r"[0-9]{1,19}")


def begins(head: bytes) -> bool:
    """Return whether a file that begins with `head` is a tar."""
    return head[_MAGIC] == b"ustar"


def begins_compressed(head: bytes) -> bool:
    """Return whether a file that begins with `head` is compressed by gzip."""
    return head.startswith(b"\x1f\x8b")


def members(file: BufferedIOBase) -> Iterator[Member]:
    """Yield every entry of the tar `file`, looking at headers only."""
    return _walk(file, file.seek(0, os.SEEK_END))


def compressed_members(file: BufferedIOBase) -> Iterator[Member]:
    """Yield every entry of the tar that `file` is when inflated.

    To read one costs inflating what lies between it and the last one that was read, or all that lies before it.
    """
    limit = _ALWAYS_INFLATED + _MAX_RATIO * file.seek(0, os.SEEK_END)
    file.seek(0)
    return _walk(
        GzipFile(fileobj=file, mode="rb"), limit, hint="give the .tar itself: only a compressed one has such a limit"
    )


def _walk(file: BufferedIOBase, limit: int, *, hint: str | None = None) -> Iterator[Member]:
    """Yield every entry; one that ends behind `limit` is refused before its data is passed over."""
    position = extended = 0
    said: dict[str, str] = {}  # by extended headers, of the next entry
    while header := _header(file, position):
        extends = header.type in _EXTENSIONS
        name, size = _name_and_size(header, {} if extends else said)
        start = position + BLOCKSIZE
        position = start + -(-size // BLOCKSIZE) * BLOCKSIZE
        if position > limit:
            raise InvalidPackageError(
                f"{named(name)}: expected to end within the tar's first {limit} bytes, got {size} bytes at {start}",
                hint=hint,
            )
        if extends:
            extended += position - start + BLOCKSIZE
            if extended > _MAX_EXTENSIONS:
                raise DamagedError(f"expected at most {_MAX_EXTENSIONS} bytes of extended headers, got more")
            said |= _extension(file, header)
        else:
            yield _member(file, header, name, size, start, sparse=_SPARSE in said)
            said = {}


def _header(file: BufferedIOBase, position: int) -> TarInfo | None:
    """Return the header at `position`, none if that is where the tar ends."""
    file.seek(position)
    block = take(file, BLOCKSIZE)
    if any(block):
        try:
            return TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise DamagedError(f"expected the header of a tar at byte {position}, got something else") from error
    padding = file.read(_MAX_PADDING + 1)
    if any(padding) or len(padding) > _MAX_PADDING:
        raise DamagedError(f"expected nothing behind the end of the tar at byte {position}, got more")
    return None


def _name_and_size(header: TarInfo, said: dict[str, str]) -> tuple[str, int]:
    name = said.get("path") or header.name
    if header.isdir():  # its size, if it has one, is not of data
        return name.rstrip("/"), 0
    size = said.get("size") or str(header.size)
    if not _SIZE.fullmatch(size):
        raise InvalidPackageError(f"{named(name)}: expected a size in bytes, got {named(size)}")
    return name, int(size)


def _member(file: BufferedIOBase, header: TarInfo, name: str, size: int, start: int, *, sparse: bool) -> Member:
    if header.isdir():
        return Member(name)
    if sparse or header.type == tarfile.GNUTYPE_SPARSE:
        raise InvalidPackageError(
            f"{named(name)}: expected a plain file, got a sparse one", hint="`tar` without `--sparse` stores it whole"
        )
    if header.type not in _FILES:
        raise InvalidPackageError(
            f"{named(name)}: expected a plain file, got {_LINKS.get(header.type, 'a special one')}"
        )
    return Member(name, size, partial(_read, file, start, size))


def _read(file: BufferedIOBase, start: int, size: int) -> bytes:
    file.seek(start)
    return take(file, size)


def _extension(file: BufferedIOBase, header: TarInfo) -> dict[str, str]:
    """Return what the extended header that was just read says of the next entry."""
    data = take(file, header.size)
    if header.type == tarfile.GNUTYPE_LONGLINK:  # the link itself follows and is refused
        return {}
    if header.type == tarfile.GNUTYPE_LONGNAME:
        return {"path": _text(data.removesuffix(b"\0"))}
    said = _records(header.name, data)
    if said and header.type == tarfile.XGLTYPE:
        raise InvalidPackageError(
            f"{named(header.name)}: expected an extended header of one entry, got `{min(said)}` of all that follow"
        )
    return said


def _records(name: str, data: bytes) -> dict[str, str]:
    """Return what matters of the records `LENGTH KEY=VALUE` of an extended header: path, size, being sparse."""
    said: dict[str, str] = {}
    position = 0
    while position < len(data):
        found = _RECORD.match(data, position)
        end = position + int(found[1]) if found else 0
        value = data[found.end() : end] if found else b""
        if not found or end > len(data) or not value.endswith(b"\n"):
            raise InvalidPackageError(f"{named(name)}: expected an extended header of whole records, got another")
        if (key := found[2]) in (b"path", b"size"):
            said[key.decode()] = _text(value.removesuffix(b"\n"))
        elif key.startswith(_SPARSE.encode()):
            said[_SPARSE] = ""
        position = end
    return said


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
