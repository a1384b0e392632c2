"""Tensor values as bytes, as Triton's binary tensor extension lays them out: little-endian, row-major.

An element of BYTES is its length in four bytes and then so many bytes of UTF-8; a BOOL is one byte, 0 or 1.
"""

from __future__ import annotations

import struct
from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from modelport.runtime.errors import InvalidInputError, named
from modelport.runtime.signature import DTYPES, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LENGTH: Final = struct.Struct("<I")


def decode(name: str, datatype: str, shape: tuple[int, ...], data: memoryview) -> NDArray[Any]:
    """Return the flat values of the tensor called `name`, which `data` holds exactly.

    Nothing is allocated by a length that the data only claims. Raises `InvalidInputError` for an unknown datatype, and
    unless `data` holds as many elements as `shape` says.
    """
    if datatype == "BYTES":
        return _strings(name, prod(shape), data)
    if (dtype := DTYPES.get(datatype)) is None:
        raise InvalidInputError(f"input {named(name)}: expected one of {', '.join(DTYPES)}, got {named(datatype)}")
    if len(data) != prod(shape) * dtype.itemsize:
        raise InvalidInputError(
            f"input {named(name)}: expected {shown(prod(shape) * dtype.itemsize)} bytes for {datatype}"
            f" {shown(list(shape))}, got {len(data)}"
        )
    if datatype == "BOOL":
        return _booleans(name, data)
    array = np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype, copy=False)
    return array if array.flags.aligned else array.copy()


def encode(array: NDArray[Any]) -> bytes:
    """Return the bytes of `array`."""
    if array.dtype != np.object_:
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    parts: list[bytes] = []
    for value in array.ravel().tolist():
        text = value.encode()
        parts += (_LENGTH.pack(len(text)), text)
    return b"".join(parts)


def _booleans(name: str, data: memoryview) -> NDArray[Any]:
    array = np.frombuffer(data, np.uint8)
    if array.size and array.max() > 1:
        index = int(np.argmax(array > 1))
        raise InvalidInputError(f"input {named(name)}: expected BOOL as 0 or 1, got {array[index]} at [{index}]")
    return array.astype(np.bool_)


def _strings(name: str, count: int, data: memoryview) -> NDArray[Any]:
    texts: list[str] = []
    position, end = 0, len(data)
    while position < end:
        start = position + _LENGTH.size
        if start > end:
            raise InvalidInputError(
                f"input {named(name)}: expected {_LENGTH.size} bytes of length at [{len(texts)}], got {end - position}"
            )
        (length,) = _LENGTH.unpack_from(data, position)
        if length > end - start:
            raise InvalidInputError(
                f"input {named(name)}: expected a length of at most {end - start} at [{len(texts)}], got {length}"
            )
        position = start + length
        try:
            texts.append(str(data[start:position], "utf-8"))
        except UnicodeDecodeError as error:
            raise InvalidInputError(
                f"input {named(name)}: expected UTF-8, got an invalid byte at [{len(texts)}]"
            ) from error
    if len(texts) != count:
        raise InvalidInputError(f"input {named(name)}: expected {shown(count)} strings, got {len(texts)}")
    array = np.empty(len(texts), np.object_)
    array[:] = texts
    return array
