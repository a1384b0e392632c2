"""Recognises pickles, bare, compressed or in archives, whatever their file is called.

A pickle runs code when it is read. Nothing here loads one: `pickletools` only names its opcodes.
"""

from __future__ import annotations

import contextlib
import io
import lzma
import pickletools
import re
import tarfile
import zipfile
import zlib
from bz2 import BZ2Decompressor
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HEAD: Final = 1 << 20
_MEMBER_HEAD: Final = 1 << 12
_MAX_MEMBERS: Final = 10_000
_MAX_OPCODES: Final = 200_000
_ENOUGH: Final = 16
_MAX_WRAPPERS: Final = 4
_FEW: Final = 64
# A number as unpicklers read it and `pickletools` does not.
_BASED: Final = re.compile(rb"([IL])[ \t]*[-+]?0[xXoObB][0-9a-fA-F_]+L?\n")
_NPY: Final = b"\x93NUMPY"
_END_OF_ZIP: Final = b"PK\x05\x06"
_ZIP_TAIL: Final = 66_000  # the end record with the longest comment
_PROTOCOL: Final = b"\x80"
_IMPORTS: Final = frozenset({"GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"})
_CALLS: Final = frozenset({"REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "BUILD", "INST"})


def looks_like_pickle(data: bytes) -> bool:
    """Return whether `data` is a pickle: bare, as a NumPy array, or in archives and compressed files, in any order.

    What is wrapped more than a few times over is one too: nothing honest is.
    """
    return _holds_pickle(data, _MAX_WRAPPERS, cut=False)


def _holds_pickle(data: bytes, wrappers: int, *, cut: bool) -> bool:
    if _is_pickle(data, cut=cut) or _has_objects(data):
        return True
    if (plain := _BASED.sub(rb"\g<1>1\n", data[:_HEAD])) != data[:_HEAD] and _is_pickle(plain, cut=cut):
        return True
    if wrappers == 0:
        return bool(_inflated(data)) or _END_OF_ZIP in data or _is_tar(data)
    if (inner := _inflated(data)) and _holds_pickle(inner, wrappers - 1, cut=True):
        return True
    return any(
        name.endswith((".pkl", ".pickle")) or _holds_pickle(head, wrappers - 1, cut=True)
        for name, head in _members(data)
    )


def _is_pickle(data: bytes, *, cut: bool = False) -> bool:
    """Return whether the bytes are those of a pickle from the first on; `cut` if they are only the head of something.

    What begins with a protocol counts when it ends as a pickle does, or imports something and calls it: joblib goes on
    with raw array bytes, torch with more pickles. The old protocols begin like any text, so they must end with the
    data.
    """
    modern = data.startswith(_PROTOCOL)
    stream, stack = io.BytesIO(data), _Stack()
    imported, count = False, 0
    try:
        for opcode, _, _ in pickletools.genops(stream):
            if not stack.apply(opcode):
                return False
            imported = imported or opcode.name in _IMPORTS
            count += 1
            if (imported and opcode.name in _CALLS) or count > _MAX_OPCODES:
                return True
    except Exception:  # noqa: BLE001  genops raises many kinds on what is no pickle
        return cut and stream.tell() == len(data) and (modern or count > _ENOUGH)
    return modern or stream.tell() == len(data)


class _Stack:
    """The depth of an unpickler's stack, which tells a pickle from text that happens to be made of opcodes."""

    def __init__(self) -> None:
        self._depth = 0
        self._marks: list[int] = []  # the depth under each mark

    def apply(self, opcode: pickletools.OpcodeInfo) -> bool:
        """Do what an unpickler would do; return whether it could."""
        mark, before = pickletools.markobject, opcode.stack_before
        needed = len(before)
        if mark in before or (opcode.name == "POP" and self._marks[-1:] == [self._depth]):
            if not self._marks:
                return False
            self._depth = self._marks.pop()
            needed = before.index(mark) if mark in before else 0
        if self._depth - (self._marks[-1] if self._marks else 0) < needed:
            return False
        self._depth -= needed
        if opcode.name == "MARK":
            self._marks.append(self._depth)
        else:
            self._depth += len(opcode.stack_after)
        return True


def _has_objects(data: bytes) -> bool:
    """Return whether `data` is a `.npy` of Python objects, which NumPy stores as a pickle, or of a header unread."""
    if not data.startswith(_NPY):
        return False
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return bool(read(stream)[2].hasobject)
    except Exception:  # noqa: BLE001  NumPy raises many kinds on a header that is none
        return True


def _members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield name and head of what a zip or tar holds, wherever in `data` the zip begins."""
    if _END_OF_ZIP in data[-_ZIP_TAIL:]:
        yield from _in_zip(data)
    if _is_tar(data):
        yield from _in_tar(data)


def _in_zip(data: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = archive.infolist()
    except Exception:  # noqa: BLE001  zipfile raises many kinds on what is no archive
        return
    for count, member in enumerate(members):
        head = b""
        with contextlib.suppress(Exception), archive.open(member) as file:  # encrypted, damaged, compressed oddly
            head = file.read(_HEAD if count < _FEW else _MEMBER_HEAD)
        yield (".pkl" if count == _MAX_MEMBERS else member.filename), head


def _in_tar(data: bytes) -> Iterator[tuple[str, bytes]]:
    with contextlib.suppress(Exception), tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for count, member in enumerate(archive):
            file = archive.extractfile(member) if member.isreg() else None
            head = file.read(_HEAD if count < _FEW else _MEMBER_HEAD) if file else b""
            yield (".pkl" if count == _MAX_MEMBERS else member.name), head


def _is_tar(data: bytes) -> bool:
    """Return whether `data` begins with the header of a tar's member: its checksum tells, old ones have no magic."""
    try:
        tarfile.TarInfo.frombuf(data[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _inflated(data: bytes) -> bytes:
    """Return the head of what gzip, bz2, lzma, xz or zlib compressed, in one part or several; nothing if none did."""
    for fits, start in (
        (data.startswith(b"\x1f\x8b"), lambda: zlib.decompressobj(wbits=31)),
        (data.startswith(b"BZh"), BZ2Decompressor),
        (data.startswith((b"\xfd7zXZ", b"\x5d\x00")), lzma.LZMADecompressor),
        (data[5:13] == b"\xff" * 8, lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE)),
        (_is_zlib(data), zlib.decompressobj),
    ):
        if fits:
            return _joined(data, start)
    return b""


def _joined(data: bytes, start: Callable[[], Any]) -> bytes:
    head, left = b"", data
    for _ in range(_FEW):
        part = start()
        try:
            head += part.decompress(left, _HEAD)
        except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, MemoryError):
            break
        left = part.unused_data
        if not left or len(head) >= _HEAD:
            break
    return head


def _is_zlib(data: bytes) -> bool:
    """Return whether the first two bytes are a zlib header (RFC 1950, section 2.2)."""
    return len(data) > 2 and data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0  # noqa: PLR2004
