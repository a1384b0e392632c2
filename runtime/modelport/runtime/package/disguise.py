"""Recognises pickles, bare or compressed, whatever their file is called.

A pickle runs code when it is read. Nothing here loads one: `pickletools` only names its opcodes.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickletools
import zipfile
import zlib
from typing import Final

_HEAD: Final = 1 << 16


def looks_like_pickle(data: bytes) -> bool:
    """Return whether `data` is a pickle: bare, compressed as joblib does it, or inside a zip as torch does it."""
    return _is_pickle(data) or _in_zip(data) or any(_is_pickle(head) for head in _inflated(data))


def _is_pickle(data: bytes) -> bool:
    """Return whether the bytes begin with a pickle: opcodes from the first byte on, up to STOP or the end of `data`.

    joblib puts raw array bytes between the opcodes, so what starts as protocol 2 to 5 counts whether it ends or not.
    """
    if len(data) > 2 and data[0] == 0x80 and 2 <= data[1] <= 5:  # noqa: PLR2004  PROTO n
        return _opcodes(data[:_HEAD]) > 2  # noqa: PLR2004
    if data[:1] not in (b"(", b"c", b"]", b"}", b")", b"I", b"S", b"V", b"N", b"F", b"L"):
        return False
    stream = io.BytesIO(data)
    try:
        for _ in pickletools.genops(stream):
            pass
    except Exception:  # noqa: BLE001  genops raises many kinds on what is no pickle
        return False
    return True


def _opcodes(data: bytes) -> int:
    count = 0
    try:
        for _ in pickletools.genops(data):
            count += 1
    except Exception:  # noqa: BLE001, S110  the end of the head, or joblib's raw bytes
        pass
    return count


def _in_zip(data: bytes) -> bool:
    if data[:2] != b"PK":
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                with archive.open(name) as member:
                    head = member.read(_HEAD)
                if name.endswith((".pkl", ".pickle")) or _is_pickle(head) or _is_object_array(head):
                    return True
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, zlib.error):
        return False
    return False


def _is_object_array(head: bytes) -> bool:
    return head.startswith(b"\x93NUMPY") and (b"'|O'" in head[:256] or b"'O'" in head[:256])


def _inflated(data: bytes) -> list[bytes]:
    heads: list[bytes] = []
    readers = {b"\x1f\x8b": gzip.GzipFile, b"BZ": bz2.BZ2File, b"\xfd7": lzma.LZMAFile, b"\x5d\x00": lzma.LZMAFile}
    if (reader := readers.get(data[:2])) is not None:
        try:
            heads.append(reader(io.BytesIO(data)).read(_HEAD))  # type: ignore[operator]
        except (OSError, EOFError, lzma.LZMAError, zlib.error):
            pass
    if data[:1] == b"\x78":
        try:
            heads.append(zlib.decompressobj().decompress(data, _HEAD))
        except zlib.error:
            pass
    return heads
