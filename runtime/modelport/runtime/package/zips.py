"""Lists the entries of a zip and inflates each to the size that is said of it and no further.

`zipfile` keeps a directory of any size in memory, cuts off what inflates to more than was said, and passes over bytes
before, between and behind the entries. Here every byte belongs to something.
"""

from __future__ import annotations

import io
import os
import stat
import zlib
from functools import partial
from struct import Struct, iter_unpack, pack
from typing import TYPE_CHECKING, Final, NamedTuple

from modelport.runtime.errors import InvalidPackageError, named

from .members import DamagedError, Member, take

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import BufferedIOBase

# The records of a zip: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, sections 4.3 to 4.5
_LOCAL: Final = Struct("<4s5H3L2H")
_ENTRY: Final = Struct("<4s6H3L5H2L")
_END: Final = Struct("<4s4H2LH")
_END_64: Final = Struct("<4sQ2H2L4Q")
_LOCATOR: Final = Struct("<4sLQL")
_EXTRA: Final = Struct("<2H")
_IS_LOCAL: Final = b"PK\x03\x04"
_IS_ENTRY: Final = b"PK\x01\x02"
_IS_END: Final = b"PK\x05\x06"
_IS_END_64: Final = b"PK\x06\x06"
_IS_LOCATOR: Final = b"PK\x06\x07"
_IS_DESCRIPTOR: Final = b"PK\x07\x08"
_MAX_COMMENT: Final = 0xFFFF
_ELSEWHERE: Final = 0xFFFFFFFF  # what a number is whose value stands in the extra field of zip64
_ZIP_64: Final = 1
_ENCRYPTED: Final = 0x2041
_DESCRIBED: Final = 0x0008  # CRC and sizes follow the data, whoever wrote it could not go back
_UTF_8: Final = 0x0800
_STORED: Final = 0
_DEFLATED: Final = 8
_MAX_RATIO: Final = 1032  # deflate gives at most 258 bytes for 2 bits
_CHUNK: Final = 1 << 12


class _Entry(NamedTuple):
    """What the directory of the zip says of an entry; `packed` is the size that its data has in the zip."""

    raw_name: bytes
    mode: int
    flags: int
    method: int
    crc: int
    size: int
    packed: int
    offset: int

    @property
    def name(self) -> str:
        return self.raw_name.decode("utf-8" if self.flags & _UTF_8 else "cp437", "surrogateescape")


def begins(head: bytes) -> bool:
    """Return whether a file that begins with `head` is a zip."""
    return head.startswith((_IS_LOCAL, _IS_END))


def members(file: BufferedIOBase) -> Iterator[Member]:
    """Yield every entry of the zip `file`, which must lie side by side in the order of its directory."""
    count, directory, directory_end = _directory(file)
    position, end = directory, 0
    for _ in range(count):
        entry, position = _entry(file, position)
        if entry.offset != end:
            raise InvalidPackageError(
                f"{named(entry.name)}: expected to begin where the entry before it ends, at byte {end}, "
                f"got {entry.offset}"
            )
        start = _start(file, entry)
        if start + entry.packed > directory:
            raise InvalidPackageError(f"{named(entry.name)}: expected to end before byte {directory}, got more")
        end = start + entry.packed + _described(file, entry, start)
        yield _member(file, entry, start)
    if (end, position) != (directory, directory_end):
        raise DamagedError("expected nothing but entries in the zip and its directory, got more")


def _directory(file: BufferedIOBase) -> tuple[int, int, int]:
    """Return how many entries the directory has, where it begins and where it ends."""
    size = file.seek(0, os.SEEK_END)
    tail_start = max(0, size - _MAX_COMMENT - _END.size - _LOCATOR.size - _END_64.size)
    file.seek(tail_start)
    tail = file.read()
    found = tail.rfind(_IS_END)
    if found < 0 or len(tail) - found < _END.size:
        raise DamagedError("expected the directory at the end of the zip, got none: it was cut off")
    *_, count, length, start, comment = _END.unpack_from(tail, found)
    if found + _END.size + comment != len(tail):
        raise DamagedError("expected the zip to end where its last record says, got another end")
    end = tail_start + found
    last = tail[:found]
    wide, locator = last[-_END_64.size - _LOCATOR.size : -_LOCATOR.size], last[-_LOCATOR.size :]
    if locator.startswith(_IS_LOCATOR) and wide.startswith(_IS_END_64):
        *_, count, length, start = _END_64.unpack(wide)
        end -= _END_64.size + _LOCATOR.size
    if start + length != end:
        raise DamagedError(f"expected the directory of the zip to end at byte {end}, got {start + length}")
    return count, start, end


def _entry(file: BufferedIOBase, position: int) -> tuple[_Entry, int]:
    """Return the entry of the directory at `position`, and the position of the next."""
    file.seek(position)
    fields = _ENTRY.unpack(take(file, _ENTRY.size))
    signature, _, _, flags, method, _, _, crc, packed, size, name, extra, comment, _, _, attributes, offset = fields
    if signature != _IS_ENTRY:
        raise DamagedError(f"expected an entry of the zip's directory at byte {position}, got something else")
    raw_name = take(file, name)
    size, packed, offset = _widened([size, packed, offset], take(file, extra))
    entry = _Entry(raw_name, attributes >> 16, flags, method, crc, size, packed, offset)
    return entry, position + _ENTRY.size + name + extra + comment


def _widened(numbers: Sequence[int], extra: bytes) -> list[int]:
    """Return `numbers`, those that do not fit 32 bits from the extra field of zip64."""
    wide = (number for (number,) in iter_unpack("<Q", _zip_64(extra)))
    return [next(wide, number) if number == _ELSEWHERE else number for number in numbers]


def _zip_64(extra: bytes) -> bytes:
    """Return the numbers of 64 bits in the extra fields of an entry."""
    position = 0
    while position + _EXTRA.size <= len(extra):
        kind, length = _EXTRA.unpack_from(extra, position)
        position += _EXTRA.size
        if kind == _ZIP_64:
            numbers = extra[position : position + length]
            return numbers[: len(numbers) // 8 * 8]
        position += length
    return b""


def _start(file: BufferedIOBase, entry: _Entry) -> int:
    """Return where the data of `entry` begins, behind a header that must say what the directory says."""
    file.seek(entry.offset)
    signature, _, _, method, _, _, crc, packed, size, name_size, extra_size = _LOCAL.unpack(take(file, _LOCAL.size))
    if signature != _IS_LOCAL:
        raise DamagedError(f"expected an entry of the zip at byte {entry.offset}, got something else")
    raw_name, extra = take(file, name_size), take(file, extra_size)
    if raw_name != entry.raw_name:
        other = entry._replace(raw_name=raw_name).name
        raise InvalidPackageError(f"{named(entry.name)}: expected one name, got {named(other)} where its data lies")
    said = [method, crc, *_widened([size, packed], extra)]
    known = [entry.method, entry.crc, entry.size, entry.packed]
    if said != known and not (entry.flags & _DESCRIBED and method == entry.method):
        raise InvalidPackageError(
            f"{named(entry.name)}: expected one size, CRC and method, got others where its data lies"
        )
    return entry.offset + _LOCAL.size + len(raw_name) + len(extra)


def _described(file: BufferedIOBase, entry: _Entry, start: int) -> int:
    """Return how long the descriptor is that follows the data of `entry`: it must say what the directory says."""
    if not entry.flags & _DESCRIBED:
        return 0
    file.seek(start + entry.packed)
    found = file.read(len(_IS_DESCRIPTOR) + 20)
    narrow = pack("<3L", entry.crc, entry.packed & _ELSEWHERE, entry.size & _ELSEWHERE)
    wide = pack("<L2Q", entry.crc, entry.packed, entry.size)
    for form in (_IS_DESCRIPTOR + wide, _IS_DESCRIPTOR + narrow, wide, narrow):
        if found.startswith(form):
            return len(form)
    raise InvalidPackageError(f"{named(entry.name)}: expected its size and CRC behind its data, got something else")


def _member(file: BufferedIOBase, entry: _Entry, start: int) -> Member:
    is_directory = entry.name.endswith("/")
    kind = stat.S_IFMT(entry.mode)
    if kind not in (0, stat.S_IFDIR if is_directory else stat.S_IFREG):
        got = "a symbolic link" if stat.S_ISLNK(entry.mode) else "a special one"
        raise InvalidPackageError(f"{named(entry.name)}: expected a plain file, got {got}")
    if entry.flags & _ENCRYPTED:
        raise InvalidPackageError(f"{named(entry.name)}: expected a plain file, got an encrypted one")
    if entry.method not in (_STORED, _DEFLATED):
        raise InvalidPackageError(
            f"{named(entry.name)}: expected a file stored or deflated, got compression method {entry.method}"
        )
    if not _can_hold(entry, is_directory=is_directory):
        raise InvalidPackageError(
            f"{named(entry.name)}: expected a size that {entry.packed} bytes in the zip can have, got {entry.size}"
        )
    if is_directory:
        return Member(entry.name.removesuffix("/"))
    return Member(entry.name, entry.size, partial(_read, file, entry, start))


def _can_hold(entry: _Entry, *, is_directory: bool) -> bool:
    if is_directory:
        return entry.size == 0
    if entry.method == _STORED:
        return entry.size == entry.packed
    return entry.size <= entry.packed * _MAX_RATIO


def _read(file: BufferedIOBase, entry: _Entry, start: int) -> bytes:
    file.seek(start)
    data = take(file, entry.size) if entry.method == _STORED else _inflated(file, entry.packed, entry.size)
    if zlib.crc32(data) != entry.crc:
        raise DamagedError("expected the CRC that the zip names, got another: the archive is damaged")
    return data


def _inflated(file: BufferedIOBase, packed: int, size: int) -> bytes:
    """Inflate the next `packed` bytes, which must give `size` bytes: not one more is ever held."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    data = io.BytesIO()
    while packed and not inflater.eof and data.tell() <= size:
        part = take(file, min(packed, _CHUNK))
        packed -= len(part)
        data.write(inflater.decompress(part, size + 1 - data.tell()))
    if data.tell() > size:
        raise DamagedError(f"expected to inflate to {size} bytes, got more")
    if packed or not inflater.eof or inflater.unused_data or data.tell() < size:
        raise DamagedError(f"expected to inflate to {size} bytes and end there, got {data.tell()} and another end")
    return data.getvalue()
