"""Takes arrays, dicts, records, data frames and Arrow tables apart into a model's inputs, importing no such library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InvalidInputError, named, printable, shortened
from .values import coerce

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from .signature import Signature, TensorSpec

    Arrays = dict[str, NDArray[Any]]


def to_inputs(signature: Signature, data: Any) -> Arrays:
    """Return `data` as one array per input of `signature`, converted by `values.coerce`.

    `data` is a dict of arrays by input (or by feature of the one matrix input), a list of records, a pandas or Polars
    data frame, an Arrow table or batch, or an array: the one input, or columns in the signature's order. With rows,
    a single row need not be a batch. Columns that the signature does not name are refused. Raises `InvalidInputError`.
    """
    if signature.has_rows and isinstance(data, list | tuple) and not data:
        return {spec.name: spec.no_rows() for spec in signature.inputs}
    columns = _columns(signature, data)
    if columns is None:
        return _from_array(signature, data)
    names = [spec.name for spec in signature.inputs]
    if names[0] not in columns and (features := _features(signature)):
        _same_names(features, columns, "feature")
        matrix = signature.inputs[0]
        parts = {feature: _column(matrix, columns[feature], feature) for feature in features}
        _same_lengths(parts)
        return {matrix.name: np.stack(list(parts.values()), axis=1)}
    _same_names(names, columns, "input")
    return {spec.name: _shaped(signature, spec, coerce(spec, columns[spec.name])) for spec in signature.inputs}


def _features(signature: Signature) -> tuple[str, ...]:
    """Return the names of the columns that make up the one input, if it is such a matrix."""
    return signature.inputs[0].features if len(signature.inputs) == 1 else ()


def _columns(signature: Signature, data: Any) -> Mapping[str, Any] | None:
    """Return the columns of anything that has names, None for what has only positions."""
    if isinstance(data, Mapping):
        return data
    if hasattr(data, "column_names") and hasattr(data, "column"):  # Arrow
        return _taken_apart(data.column_names, data.column)
    if hasattr(data, "columns") and hasattr(data, "__getitem__"):  # pandas, Polars
        return _taken_apart(data.columns, data.__getitem__)
    if isinstance(data, list | tuple) and all(isinstance(row, Mapping) for row in data):
        return _from_records(signature, data)
    return None


def _taken_apart(names: Iterable[Any], column: Callable[[Any], Any]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name in names:
        if str(name) in columns:
            raise InvalidInputError(f"column {named(name)}: expected each name once, got it twice")
        columns[str(name)] = name
    try:
        return {name: column(key) for name, key in columns.items()}
    except Exception as error:  # what a lazy or remote frame raises has many kinds
        reason = printable(shortened(str(error), 200))
        raise InvalidInputError(f"data frame: expected columns in memory, got {reason}", hint="collect it") from error


def _from_records(signature: Signature, records: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return records as columns; a missing key is a missing value where the input is nullable."""
    optional = {spec.name for spec in signature.inputs if spec.nullable}
    names = dict.fromkeys(name for record in records for name in record)
    if (features := _features(signature)) and signature.inputs[0].name not in names:
        optional = set(features) if signature.inputs[0].nullable else set()
        names |= dict.fromkeys(features if optional else ())
    elif len(signature.inputs) > 1:
        names |= dict.fromkeys(sorted(optional))
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for number, record in enumerate(records):
        for name, column in columns.items():
            if name not in record and name not in optional:
                raise InvalidInputError(f"record {number}: expected {named(name)}, got {len(record)} other values")
            column.append(record.get(name))
    return columns


def _from_array(signature: Signature, data: Any) -> Arrays:
    specs = signature.inputs
    if len(specs) == 1:
        return {specs[0].name: _shaped(signature, specs[0], coerce(specs[0], data))}
    array = data if isinstance(data, np.ndarray) else _objects(data)
    if array.ndim == 1 and len(array) == len(specs):
        array = array[np.newaxis]
    if not signature.is_table or array.ndim != 2 or array.shape[1] != len(specs):  # noqa: PLR2004  rows and columns
        names = ", ".join(f"`{spec.name}`" for spec in specs)
        raise InvalidInputError(
            f"array: expected {len(specs)} columns ({names}), got shape {list(array.shape)}",
            hint="give a dict of arrays, records or a data frame",
        )
    return {spec.name: _shaped(signature, spec, coerce(spec, array[:, column])) for column, spec in enumerate(specs)}


def _objects(data: Any) -> NDArray[Any]:
    try:
        return np.asarray(data, dtype=object)
    except Exception as error:  # ragged lists of arrays, and what other libraries raise
        reason = printable(shortened(str(error), 200))
        raise InvalidInputError(f"array: expected rows of one length, got {reason}") from error


def _column(matrix: TensorSpec, values: Any, feature: str) -> NDArray[Any]:
    """Return one column of `matrix`; as with inputs, a value alone and a matrix of one column will do."""
    try:
        column = coerce(matrix, values)
    except InvalidInputError as error:
        raise InvalidInputError(f"feature `{feature}`: {error.message}", hint=error.hint) from error
    if column.ndim > 1 and column.shape[1:] != (1,):
        raise InvalidInputError(f"feature `{feature}`: expected one column, got shape {list(column.shape)}")
    return column.reshape(-1)


def _shaped(signature: Signature, spec: TensorSpec, array: NDArray[Any]) -> NDArray[Any]:
    """Return a plain column, and a row alone, in the shape that `spec` asks for."""
    if not signature.has_rows:
        return array
    if spec.shape == (-1, 1) and array.ndim < 2:  # noqa: PLR2004  a column is a matrix of one
        return array.reshape(-1, 1)
    if spec.shape == (-1,) and (array.ndim == 0 or array.shape[1:] == (1,)):
        return array.reshape(-1)
    if len(spec.shape) > 1 and array.shape == spec.shape[1:]:
        return array[np.newaxis]
    return array


def _same_names(expected: Sequence[str], columns: Mapping[str, Any], kind: str) -> None:
    known = set(expected)
    if missing := [name for name in expected if name not in columns]:
        raise InvalidInputError(f"{kind} `{missing[0]}`: expected a column, got none of that name")
    if unknown := [name for name in columns if name not in known]:
        shown = ", ".join(f"`{name}`" for name in expected[:20])
        raise InvalidInputError(
            f"{kind} {named(unknown[0])}: expected only {shown}{', ...' if len(expected) > 20 else ''}"  # noqa: PLR2004
        )


def _same_lengths(columns: Mapping[str, NDArray[Any]]) -> None:
    first, length = next((name, len(column)) for name, column in columns.items())
    for name, column in columns.items():
        if len(column) != length:
            raise InvalidInputError(f"feature `{name}`: expected {length} rows as `{first}`, got {len(column)}")
