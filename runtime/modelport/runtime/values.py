"""Turns what people hold (numbers, text, missing values) into the one array that a tensor's spec asks for.

A decimal becomes a float64 first and a float32 after that, in every format, so one number has one meaning everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .errors import InvalidInputError
from .signature import datatype_of, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .signature import TensorSpec

_FLOATS: Final = ("FP16", "FP32", "FP64")


def coerce(spec: TensorSpec, values: Any) -> NDArray[np.generic]:
    """Return `values` (array or nested list) as an array of the datatype of `spec`, in the shape that it has.

    Numbers become floats, floats are rounded to the spec's precision, None becomes NaN or the spec's null. Nothing
    else changes kind: text is no number, a float no integer, a boolean neither. Raises `InvalidInputError` naming the
    first element that does not fit.
    """
    array = _as_array(spec, values)
    if array.dtype == spec.dtype and spec.datatype != "BYTES":
        return array
    if spec.datatype in _FLOATS:
        return _floats(spec, array)
    if spec.datatype == "BYTES":
        return _strings(spec, array)
    if spec.datatype == "BOOL":
        return _booleans(spec, array)
    return _integers(spec, array)


def _as_array(spec: TensorSpec, values: Any) -> NDArray[np.generic]:
    if isinstance(values, np.ma.MaskedArray):
        values = values.astype(object).filled(None)
    if isinstance(values, np.ndarray):
        return values
    try:
        array = np.asarray(values, dtype=object if spec.datatype == "BYTES" else None)
    except (ValueError, OverflowError) as error:
        raise InvalidInputError(f"input `{spec.name}`: expected an array, got rows of different lengths") from error
    if (
        array.dtype.kind in "USO" and spec.datatype != "BYTES"
    ):  # numpy turns [1, "a"] into text and [1, None] into objects
        array = np.asarray(values, dtype=object)
    elif array.dtype.kind in "iuf" and array.size and spec.datatype != "BYTES":
        objects = np.asarray(values, dtype=object)  # and [True, 2] into numbers
        if any(isinstance(value, bool) for value in objects.ravel().tolist()):
            array = objects
    return array


def _floats(spec: TensorSpec, array: NDArray[np.generic]) -> NDArray[np.generic]:
    if array.dtype.kind == "O":
        array = _each(spec, array, _float_of, np.float64)
    elif array.dtype.kind not in "iuf":
        raise _wrong_kind(spec, array)
    wide = array.astype(np.float64)
    with np.errstate(over="ignore"):
        narrow = wide.astype(spec.dtype)
    overflow = np.isinf(narrow) & ~np.isinf(wide)
    if overflow.any():
        index = tuple(int(i) for i in np.argwhere(overflow)[0])
        raise InvalidInputError(
            f"input `{spec.name}`: expected {spec.datatype}, got {shown(wide[index])} at {list(index)}: out of range"
        )
    return narrow


def _integers(spec: TensorSpec, array: NDArray[np.generic]) -> NDArray[np.generic]:
    if array.dtype.kind == "O":
        array = _each(spec, array, _int_of, np.object_)
    elif array.dtype.kind not in "iu":
        raise _wrong_kind(spec, array)
    limits = np.iinfo(spec.dtype)
    outside = np.asarray((array < limits.min) | (array > limits.max), np.bool_)
    if outside.any():
        index = tuple(int(i) for i in np.argwhere(outside)[0])
        raise InvalidInputError(
            f"input `{spec.name}`: expected {spec.datatype}, got {shown(array[index])} at {list(index)}: out of range"
        )
    return array.astype(spec.dtype)


def _booleans(spec: TensorSpec, array: NDArray[np.generic]) -> NDArray[np.generic]:
    if array.dtype.kind == "O":
        return _each(spec, array, _bool_of, np.bool_)
    if array.dtype.kind != "b":
        raise _wrong_kind(spec, array)
    return array


def _strings(spec: TensorSpec, array: NDArray[np.generic]) -> NDArray[np.generic]:
    if array.dtype.kind not in "OUS":
        raise _wrong_kind(spec, array)

    def text_of(value: object) -> str | None:
        if (
            value is None
            or (isinstance(value, float) and np.isnan(value))
            or type(value).__name__ in ("NAType", "NaTType")
        ):
            return spec.null if spec.nullable else None
        if isinstance(value, bytes):
            try:
                return value.decode()
            except UnicodeDecodeError:
                return None
        return str(value) if isinstance(value, str) else None

    return _each(spec, array, text_of, np.object_)


def _each(spec: TensorSpec, array: NDArray[np.generic], convert: Any, dtype: Any) -> NDArray[np.generic]:
    """Convert every element; `convert` gives None for one that does not fit."""
    result = np.empty(array.size, dtype)
    for position, value in enumerate(array.ravel().tolist()):
        converted = convert(value)
        if converted is None:
            raise spec.refused(tuple(int(i) for i in np.unravel_index(position, array.shape)), _got(value))
        result[position] = converted
    return result.reshape(array.shape)


def _float_of(value: object) -> float | None:
    if value is None or type(value).__name__ == "NAType":
        return float("nan")  # the spec's own check refuses it where it is not nullable
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _int_of(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _bool_of(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _got(value: object) -> str:
    if isinstance(value, bytes):
        return "bytes that are not UTF-8"
    if isinstance(value, list | tuple | dict):
        return f"a {type(value).__name__}"
    return shown(None if type(value).__name__ in ("NAType", "NaTType") else value)


def _wrong_kind(spec: TensorSpec, array: NDArray[np.generic]) -> InvalidInputError:
    try:
        got: str = datatype_of(array)
    except InvalidInputError:
        got = str(array.dtype)
    return InvalidInputError(f"input `{spec.name}`: expected {spec.datatype}, got {got}")
