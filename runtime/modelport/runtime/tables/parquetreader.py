"""Reads tables from Parquet with pyarrow, the extra `parquet`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from modelport.runtime.errors import InvalidInputError, named, printable, shortened

from .batch import Batch
from .layout import by_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from modelport.runtime.outputs import Column
    from modelport.runtime.signature import Signature

    from .layout import ReadOptions
    from .places import Source


class ParquetReader:
    """Reads a `.parquet` file, a row group at a time. Pages that carry a checksum are checked."""

    def __init__(self, source: Source, signature: Signature, options: ReadOptions) -> None:
        self._file = source.file
        self._signature = signature
        self._options = options
        self._done = 0.0

    def batches(self, rows: int) -> Iterator[Batch]:
        """Yield all rows in their order, at most `rows` at a time."""
        with _refusals():
            table = parquet.ParquetFile(self._file, page_checksum_verification=True)
            layout = by_names(self._signature, table.schema_arrow.names, self._options)
            used = dict.fromkeys([*(slot.column for slot in layout.slots), *self._options.keep])
            done, count = 0, table.metadata.num_rows
            for part in _of_rows(table.iter_batches(batch_size=rows, columns=list(used)), rows):
                columns = {slot.column: _taken(numbers_of, part, slot.column) for slot in layout.slots}
                kept = {name: _taken(values_of, part, name) for name in self._options.keep}
                rows_read = range(done + 1, done + part.num_rows + 1)
                done += part.num_rows
                self._done = done / count
                yield Batch(layout, rows_read, columns, kept)
            if done != count:  # a damaged page header, which no checksum covers
                raise InvalidInputError(f"Parquet: expected {count} rows, got {done}")

    def fraction(self) -> float | None:
        """Return how many of the rows were read."""
        return self._done


def _taken(take: Callable[[Any], Column], table: Any, name: str) -> Column:
    """Return what `take` makes of a column; raises `InvalidInputError` naming one with values that Python has none for.

    Dates outside of its calendar, text that is no UTF-8.
    """
    try:
        return take(table.column(name))
    except (OverflowError, ValueError) as error:  # UnicodeDecodeError is one
        raise InvalidInputError(f"column {named(name)}: expected values in range, got {_first_line(error)}") from error


def numbers_of(column: Any) -> Column:
    """Return an Arrow column as a tensor takes it: decimals are floats, lists of one length dimensions."""
    column = _array(column)
    if pa.types.is_decimal(column.type):
        return [None if value is None else float(value) for value in column.to_pylist()]
    if pa.types.is_floating(column.type):
        return column.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]  # NaN where null
    if _is_list(column.type) and not column.null_count:
        widths = pc.list_value_length(column).unique().to_pylist()
        inner = numbers_of(column.flatten())
        if len(widths) == 1 and not isinstance(inner, list):
            return inner.reshape(len(column), widths[0], *inner.shape[1:])
    return values_of(column)


def values_of(column: Any) -> Column:
    """Return an Arrow column as it is: numbers without nulls as an array, everything else as a list of values."""
    column = _array(column)
    kind = column.type
    if not column.null_count and (pa.types.is_primitive(kind) and not pa.types.is_temporal(kind)):
        return column.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
    if pa.types.is_timestamp(kind) and kind.unit == "ns":  # Python's own datetime ends at microseconds
        return column.cast(pa.string()).to_pylist()  # type: ignore[no-any-return]
    return column.to_pylist()  # type: ignore[no-any-return]


def _array(column: Any) -> Any:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _of_rows(batches: Iterable[Any], rows: int) -> Iterator[Any]:
    """Yield tables of `rows` rows, the last of fewer, whatever the sizes of `batches` are."""
    held: list[Any] = []
    for batch in batches:
        held.append(batch)
        while sum(part.num_rows for part in held) >= rows:
            table = pa.Table.from_batches(held)
            yield table.slice(0, rows)
            held = table.slice(rows).to_batches()
    if sum(part.num_rows for part in held):
        yield pa.Table.from_batches(held)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise InvalidInputError(f"Parquet: expected a whole file, got {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return printable(shortened(str(error).partition("\n")[0], 200))
