"""Takes arrays, dicts, records, data frames and Arrow tables apart into a model's inputs, importing none of their libraries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InvalidInputError
from .values import coerce

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .signature import Signature, TensorSpec

    Arrays = dict[str, NDArray[np.generic]]


def to_inputs(signature: Signature, data: Any) -> Arrays:
    """Return `data` as one array per input of `signature`, converted by `values.coerce`.

    `data` is a dict of arrays by input (or by feature of the one matrix input), a list of records, a pandas or Polars
    data frame, an Arrow table or batch, or an array: the one input, or columns in the signature's order. Columns that
    the signature does not name are refused. Raises `InvalidInputError`.
    """
    columns = _columns(signature, data)
    if columns is None:
        return _from_array(signature, data)
    names = [spec.name for spec in signature.inputs]
    features = signature.inputs[0].features if len(names) == 1 else ()
    if features and names[0] not in columns:
        _same_names(features, columns, "feature")
        matrix = signature.inputs[0]
        parts = [_column(matrix, columns[feature], feature) for feature in features]
        _same_lengths(dict(zip(features, parts, strict=True)))
        return {matrix.name: np.stack(parts, axis=1)}
    _same_names(names, columns, "input")
    return {spec.name: _shaped(spec, coerce(spec, columns[spec.name])) for spec in signature.inputs}


def _columns(signature: Signature, data: Any) -> Mapping[str, Any] | None:
    """Return the columns of anything that has names, None for what has only positions."""
    if isinstance(data, Mapping):
        return data
    if hasattr(data, "column_names") and hasattr(data, "column"):  # Arrow
        return {name: data.column(name).to_numpy(zero_copy_only=False) for name in data.column_names}
    if hasattr(data, "columns") and hasattr(data, "__getitem__"):  # pandas, Polars
        return {str(name): data[name].to_numpy() for name in data.columns}
    if isinstance(data, Sequence) and data and all(isinstance(row, Mapping) for row in data):
        return _from_records(signature, data)
    return None


def _from_records(signature: Signature, records: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return records as columns; a missing key is a missing value where the input is nullable."""
    optional = {spec.name for spec in signature.inputs if spec.nullable}
    if len(signature.inputs) == 1 and signature.inputs[0].nullable:
        optional |= set(signature.inputs[0].features)
    names = list(dict.fromkeys(name for record in records for name in record))
    names += sorted(optional - set(names)) if len(signature.inputs) > 1 else []
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for number, record in enumerate(records):
        for name, column in columns.items():
            if name not in record and name not in optional:
                raise InvalidInputError(f"record {number}: expected `{name}`, got {len(record)} other values")
            column.append(record.get(name))
    return columns


def _from_array(signature: Signature, data: Any) -> Arrays:
    specs = signature.inputs
    if len(specs) == 1:
        return {specs[0].name: _shaped(specs[0], coerce(specs[0], data))}
    array = data if isinstance(data, np.ndarray) else np.asarray(data, dtype=object)
    if not signature.is_table or array.ndim != 2 or array.shape[1] != len(specs):  # noqa: PLR2004
        names = ", ".join(f"`{spec.name}`" for spec in specs)
        raise InvalidInputError(
            f"array: expected {len(specs)} columns ({names}), got shape {list(array.shape)}",
            hint="give a dict of arrays, records or a data frame",
        )
    return {
        spec.name: _shaped(spec, coerce(spec, array[:, i] if array.dtype != object else array[:, i].tolist()))
        for i, spec in enumerate(specs)
    }


def _column(matrix: TensorSpec, values: Any, feature: str) -> NDArray[np.generic]:
    try:
        return coerce(matrix, values).reshape(-1)
    except InvalidInputError as error:
        raise InvalidInputError(f"feature `{feature}`: {error.message}", hint=error.hint) from error


def _shaped(spec: TensorSpec, array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return a plain column as the column matrix, and one row as the batch of one, that `spec` asks for."""
    if array.ndim == 1 and spec.shape == (-1, 1):
        return array.reshape(-1, 1)
    return array


def _same_names(expected: Sequence[str], columns: Mapping[str, Any], kind: str) -> None:
    known = set(expected)
    if missing := [name for name in expected if name not in columns]:
        raise InvalidInputError(f"{kind} `{missing[0]}`: expected a column, got none of that name")
    if unknown := [str(name) for name in columns if name not in known]:
        shown = ", ".join(f"`{name}`" for name in expected[:20])
        raise InvalidInputError(f"{kind} `{unknown[0]}`: expected only {shown}{', ...' if len(expected) > 20 else ''}")  # noqa: PLR2004


def _same_lengths(columns: Mapping[str, NDArray[np.generic]]) -> None:
    lengths = {name: len(column) for name, column in columns.items()}
    (first, length), *rest = lengths.items()
    for name, other in rest:
        if other != length:
            raise InvalidInputError(f"feature `{name}`: expected {length} rows as `{first}`, got {other}")
