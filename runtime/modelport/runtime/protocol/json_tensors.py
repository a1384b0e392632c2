"""Tensor values as JSON: flat or nested lists of numbers, booleans or strings.

Numbers are read as float64 (or int64) and written as float64, which every FP32 and FP16 value fits exactly: a client
that casts to the datatype has the very bits. JSON has no word for NaN and infinity; both are written as null.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from modelport.runtime.errors import InvalidInputError, named
from modelport.runtime.signature import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OPENING: Final = re.compile(rb"[\[\s]*")
_MAX_DEPTH: Final = 8
# The element type of each datatype's JSON, and the array that holds it until the signature's own type is applied.
_ELEMENTS: Final[dict[str, tuple[type, type[np.generic]]]] = {
    "BOOL": (bool, np.bool_),
    "BYTES": (str, np.object_),
    **dict.fromkeys(("FP16", "FP32", "FP64"), (float, np.float64)),
    **dict.fromkeys(("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"), (int, np.int64)),
}


def decode(name: str, datatype: str, text: msgspec.Raw) -> NDArray[Any] | list[Any]:
    """Return the values of the tensor called `name`: an array where all are of the datatype's kind, else a list.

    Raises `InvalidInputError` unless `text` is a JSON array of which every number is one that float64 can hold.
    """
    depth = _OPENING.match(text).group().count(b"[")  # type: ignore[union-attr] # it matches anything
    if datatype in _ELEMENTS and 0 < depth <= _MAX_DEPTH:
        try:
            values = _decoder(_ELEMENTS[datatype][0], depth).decode(text)
            return np.array(values, _ELEMENTS[datatype][1])
        except (msgspec.ValidationError, ValueError, OverflowError):
            pass  # null, another kind of value, a ragged list, a large integer: said by the signature's own check
    try:
        data = msgspec.json.decode(text)
    except msgspec.ValidationError as error:
        where = str(error).partition("`$")[2].removesuffix("`")
        raise InvalidInputError(
            f"input {named(name)}: expected {named(datatype)}, got a number at {where} of `data` that is out of range"
        ) from error
    if not isinstance(data, list):
        got = "an object" if isinstance(data, dict) else shown(data)
        raise InvalidInputError(f"input {named(name)}: expected an array as `data`, got {got}")
    return data


def encode(array: NDArray[Any]) -> list[Any]:
    """Return the values of `array` flat, in row-major order."""
    return array.ravel().tolist()


@cache
def _decoder(element: type, depth: int) -> msgspec.json.Decoder[list[Any]]:
    kind: Any = element
    for _ in range(depth):
        kind = list[kind]
    return msgspec.json.Decoder(kind)
