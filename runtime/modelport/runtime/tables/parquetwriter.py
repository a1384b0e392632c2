"""Writes tables as Parquet with pyarrow, the extra `parquet`; every page with a checksum."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyarrow import parquet

from modelport.runtime.errors import OutputError
from modelport.runtime.outputs import value_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from modelport.runtime.outputs import Column, Columns
    from modelport.runtime.signature import TensorSpec


_ROW_GROUP: Final = 1 << 16


class ParquetWriter:
    """Writes a `.parquet` file. A matrix is a column of lists of fixed size; floats keep their bits and type."""

    def __init__(self, file: IO[bytes], specs: Sequence[TensorSpec]) -> None:
        self._file = file
        self._specs = specs
        self._held: list[Any] = []
        self._writer: Any = None

    def write(self, kept: Columns, outputs: Mapping[str, NDArray[np.generic]]) -> None:
        """Append rows; raises `OutputError` where a column is of another type than before."""
        columns = value_columns(self._specs, kept, outputs)
        schema = self._writer.schema if self._writer else None
        table = pa.table({name: _array(name, column, schema) for name, column in columns.items()})
        if self._writer is None:
            self._writer = parquet.ParquetWriter(self._file, table.schema, compression="zstd", write_page_checksum=True)
        self._held.append(table)
        if sum(part.num_rows for part in self._held) >= _ROW_GROUP:
            self._write_group()

    def finish(self) -> None:
        """Write the rest of the rows."""
        self._write_group()

    def close(self) -> None:
        """Write the footer."""
        if self._writer is not None:
            self._writer.close()

    def _write_group(self) -> None:
        if self._held:
            self._writer.write_table(pa.concat_tables(self._held))
            self._held = []


def _array(name: str, column: Column, schema: Any) -> Any:
    kind = schema.field(name).type if schema is not None else None
    array = _converted(name, column, kind)
    if kind is not None and array.type != kind:
        raise OutputError(f"column `{name}`: expected {kind}, as before, got {array.type}", hint="write json or jsonl")
    return array


def _converted(name: str, column: Column, kind: Any) -> Any:
    if isinstance(column, list):
        try:
            array = pa.array(column, kind)
        except (pa.ArrowException, OverflowError, TypeError) as error:
            raise OutputError(
                f"column `{name}`: expected values of one type, got {error}", hint="write json or jsonl"
            ) from error
        return array.cast(pa.string()) if pa.types.is_null(array.type) else array
    text = column.dtype.kind in "OU"
    flat = pa.array(column.ravel().tolist(), pa.string()) if text else pa.array(column.reshape(-1))
    for size in reversed(column.shape[1:]):
        flat = pa.FixedSizeListArray.from_arrays(flat, size)
    return flat
