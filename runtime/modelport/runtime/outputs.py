"""The columns that a model's outputs become in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from .signature import TensorSpec

    Column = list[Any] | NDArray[np.generic]
    Columns = Mapping[str, Column]


def array_columns(
    specs: Sequence[TensorSpec], kept: Columns, outputs: Mapping[str, NDArray[np.generic]]
) -> dict[str, Column]:
    """Return the kept columns, then the outputs as they are."""
    return _joined(kept, [(spec.name, outputs[spec.name]) for spec in specs])


def value_columns(
    specs: Sequence[TensorSpec], kept: Columns, outputs: Mapping[str, NDArray[np.generic]]
) -> dict[str, Column]:
    """Return the kept columns, then a column an output: of single values where a row has one, else of lists."""
    return _joined(kept, [(spec.name, _single(spec, outputs[spec.name])) for spec in specs])


def cell_columns(
    specs: Sequence[TensorSpec], kept: Columns, outputs: Mapping[str, NDArray[np.generic]]
) -> dict[str, Column]:
    """Return the kept columns, then columns of single values: a matrix `p` becomes `p.no`, `p.yes`, or `p.0`, `p.1`.

    The names are the output's labels, its positions without. Raises `OutputError` for outputs of more dimensions.
    """
    return _joined(kept, [column for spec in specs for column in _cells(spec, _single(spec, outputs[spec.name]))])


def plain_values(column: Column) -> list[Any]:
    """Return a column as Python's own values; floats keep their bits, in a float64."""
    if isinstance(column, list):
        return column
    if column.dtype.kind == "S":
        return list(np.char.decode(column, "utf-8", "replace").tolist())  # type: ignore[arg-type]  # it is of bytes
    return list(column.tolist() if column.dtype.kind in "biufOU" else column.astype(str).tolist())


def json_values(column: Column) -> list[Any]:
    """Return a column's values as JSON can hold them, once msgspec has made null of NaN: infinities are strings."""
    if isinstance(column, list) or column.dtype.kind != "f" or not np.isinf(column).any():
        return plain_values(column)
    values = column.astype(object)
    values[column == np.inf] = "Infinity"
    values[column == -np.inf] = "-Infinity"
    return list(values.tolist())


def _cells(spec: TensorSpec, array: NDArray[np.generic]) -> Iterator[tuple[str, NDArray[np.generic]]]:
    if array.ndim == 1:
        yield spec.name, array
    elif array.ndim == 2:  # noqa: PLR2004
        width = array.shape[1]
        labels = spec.labels if len(spec.labels) == width else range(width)
        for index, label in enumerate(labels):
            text = str(label).lower() if isinstance(label, bool) else str(label)
            yield f"{spec.name}.{text}", array[:, index]
    else:
        raise OutputError(
            f"output `{spec.name}`: expected at most a list of values a row, got shape {list(array.shape[1:])}",
            hint="write json, jsonl, parquet or npz",
        )


def _single(spec: TensorSpec, array: NDArray[np.generic]) -> NDArray[np.generic]:
    return array.reshape(-1) if spec.shape[1:] == (1,) else array


def _joined(kept: Columns, outputs: Sequence[tuple[str, NDArray[np.generic]]]) -> dict[str, Column]:
    """Return kept columns and outputs, each under a name of its own: a kept column makes way for an output."""
    names = _distinct(name for name, _ in outputs)
    copies: dict[str, Column] = {}
    for column, values in kept.items():
        name = column
        while name in names or name in copies:
            name = f"input.{name}"
        copies[name] = values
    return {**copies, **dict(zip(names, (array for _, array in outputs), strict=True))}


def _distinct(names: Iterable[str]) -> list[str]:
    """Return `names` with a number behind those that are taken."""
    taken: list[str] = []
    for name in names:
        free, number = name, 2
        while free in taken:
            free, number = f"{name}#{number}", number + 1
        taken.append(free)
    return taken
