"""Turns what people hold (numbers, text, missing values) into the one array that a tensor's spec asks for.

A decimal becomes a float64 first and a float32 after that, in every format, so one number has one meaning everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .errors import InvalidInputError, printable, shortened
from .signature import datatype_of, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .signature import TensorSpec

_FLOATS: Final = ("FP16", "FP32", "FP64")
# The Python type of the datatypes that most columns of most tables have.
_PLAIN: Final[dict[str, set[type]]] = {"FP32": {float}, "FP64": {float}, "INT64": {int}, "BOOL": {bool}, "BYTES": {str}}
_LARGEST: Final = float(np.finfo(np.float32).max)
_NULLS: Final = ("NAType", "NaTType")  # pandas' missing values, by name: pandas is not imported


def coerce(spec: TensorSpec, values: Any) -> NDArray[Any]:
    """Return `values` (array, column of a table, or nested list) as an array of the datatype of `spec`.

    The shape stays. Numbers become floats, floats are rounded to the spec's precision, what is missing becomes NaN or
    the spec's null. Nothing else changes kind: text is no number, a float no integer, a boolean neither. Raises
    `InvalidInputError` naming the first element that does not fit; which finite values the spec allows is not checked.
    """
    if type(values) is list and (plain := _plain(spec, values)) is not None:
        return plain
    array = values if type(values) is np.ndarray else _as_array(spec, values)
    if array.dtype == spec.dtype and spec.datatype != "BYTES":
        return array
    if spec.datatype in _FLOATS:
        return _floats(spec, array)
    if spec.datatype == "BYTES":
        return _strings(spec, array)
    if spec.datatype == "BOOL":
        return _booleans(spec, array)
    return _integers(spec, array)


def _plain(spec: TensorSpec, values: list[Any]) -> NDArray[Any] | None:
    """Return a flat list whose elements all have the datatype's own Python type, in one step; None for any other."""
    if set(map(type, values)) != _PLAIN.get(spec.datatype):
        return None
    if spec.datatype == "BYTES":
        return np.array(values, np.object_)
    if spec.datatype == "FP32":  # false with NaN first, which then takes the long way
        if not (min(values) >= -_LARGEST and max(values) <= _LARGEST):
            return None
        with np.errstate(under="ignore"):
            return np.array(values, np.float64).astype(np.float32)
    try:
        return np.array(values, spec.dtype)
    except OverflowError:
        return None


def _as_array(spec: TensorSpec, values: Any) -> NDArray[Any]:
    """Return an array whose elements are still of the kind that was given: a list's are objects."""
    if isinstance(values, np.ma.MaskedArray) and values.dtype.kind not in "mM":
        array = np.array(values.data, dtype=object)
        array[np.ma.getmaskarray(values)] = None
        return array
    try:
        if isinstance(values, Sequence) and not isinstance(values, str | bytes) and not _holds_arrays(values):
            return np.asarray(values, dtype=object)
        if hasattr(values, "to_pylist"):  # Arrow
            if hasattr(values.type, "index_type"):  # of a dictionary's nulls, chunks give the last word instead
                values = values.cast(values.type.value_type)
            return np.asarray(values.to_numpy(zero_copy_only=False))
        return np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)
    except Exception as error:  # what other libraries raise for what they cannot give has many kinds
        reason = printable(shortened(str(error), 200))
        raise InvalidInputError(f"input `{spec.name}`: expected an array, got {reason}") from error


def _holds_arrays(values: Sequence[Any]) -> bool:
    """Return whether a nested list is one of arrays: taken as objects, their dates would become integers."""
    first = values[0] if len(values) else None
    nested = isinstance(first, list | tuple) and _holds_arrays(first)
    return nested or any(isinstance(value, np.ndarray) for value in values)


def _floats(spec: TensorSpec, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind not in "iufO":
        raise _wrong_kind(spec, array)
    with np.errstate(over="ignore", under="ignore"):
        wide = _float64(spec, array)
        narrow = wide.astype(spec.dtype)
    if np.isfinite(narrow).all():
        return narrow
    overflow = np.isinf(narrow) & ~np.isinf(wide)
    if overflow.any():
        raise _out_of_range(spec, wide, _first(overflow))
    return narrow


def _float64(spec: TensorSpec, array: NDArray[Any]) -> NDArray[np.float64]:
    if array.dtype.kind != "O" or _all_of(array, float):
        return array.astype(np.float64)
    return _each(spec, array, _float_of, np.float64)


def _integers(spec: TensorSpec, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind == "O":
        array = array if _all_of(array, int) else _each(spec, array, _int_of, np.object_)
    elif array.dtype.kind == "f" and (missing := np.isnan(array)).any():  # how tables give integers with nulls
        raise spec.refused(_first(missing), "null")
    elif array.dtype.kind not in "iu":
        raise _wrong_kind(spec, array)
    limits = np.iinfo(spec.dtype)  # type: ignore[type-var]  # an integer's, as the datatype says
    if array.size and not limits.min <= int(array.min()) <= int(array.max()) <= limits.max:
        outside = [not limits.min <= value <= limits.max for value in array.ravel().tolist()]
        raise _out_of_range(spec, array, _first(np.reshape(outside, array.shape)))
    return array.astype(spec.dtype)


def _booleans(spec: TensorSpec, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind != "O":
        raise _wrong_kind(spec, array)
    return _each(spec, array, _bool_of, np.bool_)


def _strings(spec: TensorSpec, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind not in "OUS":
        raise _wrong_kind(spec, array)
    if array.dtype.kind == "O" and _all_of(array, str):
        return array
    null = spec.null if spec.nullable else None
    return _each(spec, array, lambda value: null if _is_missing(value) else _text_of(value), np.object_)


def _each(spec: TensorSpec, array: NDArray[Any], convert: Callable[[Any], Any], dtype: Any) -> NDArray[Any]:
    """Convert every element; `convert` gives None for one that does not fit."""
    result = np.empty(array.size, dtype)
    for position, value in enumerate(array.ravel().tolist()):
        converted = convert(value)
        if converted is None:
            if isinstance(value, list | tuple):
                raise InvalidInputError(f"input `{spec.name}`: expected an array, got rows of different lengths")
            raise spec.refused(tuple(int(i) for i in np.unravel_index(position, array.shape)), _got(value))
        result[position] = converted
    return result.reshape(array.shape)


def _all_of(array: NDArray[Any], *types: type) -> bool:
    """Return whether every element is of just these types: the usual case, which needs no look at each."""
    return set(map(type, array.ravel().tolist())) <= set(types)


def _is_missing(value: Any) -> bool:
    nan = isinstance(value, float | np.floating) and bool(np.isnan(value))
    return nan or value is None or type(value).__name__ in _NULLS


def _float_of(value: Any) -> float | None:
    if value is None or type(value).__name__ == "NAType":
        return float("nan")  # the spec's own check refuses it where it is not nullable
    if isinstance(value, bool | np.timedelta64):
        return None
    if not isinstance(value, int | float | np.integer | np.floating | Decimal):
        return None
    try:
        return float(value)
    except (OverflowError, ValueError, InvalidOperation):
        return None


def _int_of(value: Any) -> int | None:
    if isinstance(value, bool | np.timedelta64) or not isinstance(value, int | np.integer):
        return None
    return int(value)


def _bool_of(value: object) -> bool | None:
    return bool(value) if isinstance(value, bool | np.bool_) else None


def _text_of(value: object) -> str | None:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    return str(value) if isinstance(value, str) else None


def _first(found: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(found)[0])


def _got(value: object) -> str:
    if isinstance(value, bytes):
        return "bytes that are not UTF-8"
    if isinstance(value, dict):
        return "a dict"
    return shown(None if type(value).__name__ in _NULLS else value)


def _out_of_range(spec: TensorSpec, array: NDArray[Any], index: tuple[int, ...]) -> InvalidInputError:
    return InvalidInputError(
        f"input `{spec.name}`: expected {spec.datatype}, got {shown(array[index])} at {list(index)}: out of range"
    )


def _wrong_kind(spec: TensorSpec, array: NDArray[Any]) -> InvalidInputError:
    try:
        got: str = datatype_of(array)
    except InvalidInputError:
        got = str(array.dtype)
    return InvalidInputError(f"input `{spec.name}`: expected {spec.datatype}, got {got}")
