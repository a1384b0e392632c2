"""Recognises pickles, bare, compressed or zipped, whatever their file is called.

A pickle runs code when it is read. Nothing here loads one: `pickletools` only names its opcodes.
"""

from __future__ import annotations

import io
import lzma
import pickletools
import zipfile
import zlib
from bz2 import BZ2Decompressor
from typing import Final

_HEAD: Final = 1 << 20
_MEMBER_HEAD: Final = 1 << 12
_MAX_MEMBERS: Final = 10_000
_MAX_OPCODES: Final = 200_000
_ENOUGH: Final = 16
_PROTOCOL: Final = b"\x80"
_IMPORTS: Final = frozenset({"GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"})
_CALLS: Final = frozenset({"REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "BUILD", "INST"})


def looks_like_pickle(data: bytes) -> bool:
    """Return whether `data` is a pickle: bare, compressed as by joblib, zipped as by torch, or as a NumPy array."""
    return _is_pickle(data) or _has_objects(data) or _in_zip(data) or _is_pickle(_inflated(data), cut=True)


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
    """Return whether `data` is a `.npy` file of Python objects, which NumPy stores as a pickle."""
    return data.startswith(b"\x93NUMPY") and b"O'" in data[:_MEMBER_HEAD].partition(b"\n")[0]


def _in_zip(data: bytes) -> bool:
    if not data.startswith(b"PK"):
        return False
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = archive.infolist()
    except Exception:  # noqa: BLE001  zipfile raises many kinds on what is no archive
        return False
    return len(members) > _MAX_MEMBERS or any(_is_pickled_member(archive, member) for member in members)


def _is_pickled_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    if member.filename.endswith((".pkl", ".pickle")):
        return True
    try:
        with archive.open(member) as file:
            head = file.read(_MEMBER_HEAD)
    except Exception:  # noqa: BLE001  encrypted, damaged, or compressed in a way that is not known here
        return False
    return _is_pickle(head, cut=True) or _has_objects(head)


def _inflated(data: bytes) -> bytes:
    """Return the head of what gzip, bz2, lzma, xz or zlib compressed; nothing if none of them did."""
    for fits, start in (
        (data.startswith(b"\x1f\x8b"), lambda: zlib.decompressobj(wbits=31)),
        (data.startswith(b"BZh"), BZ2Decompressor),
        (data.startswith((b"\xfd7zXZ", b"\x5d\x00")), lzma.LZMADecompressor),
        (_is_zlib(data), zlib.decompressobj),
    ):
        if fits:
            try:
                return start().decompress(data, _HEAD)
            except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, MemoryError):
                return b""
    return b""


def _is_zlib(data: bytes) -> bool:
    """Return whether the first two bytes are a zlib header (RFC 1950, section 2.2)."""
    return len(data) > 2 and data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0  # noqa: PLR2004
