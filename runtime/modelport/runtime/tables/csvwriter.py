"""Writes tables as CSV (RFC 4180, UTF-8, lines ending in a line feed): a line of names, then a row a line.

Floats are written so that the same bits are read again. What is missing, and NaN, is an empty cell.
"""

from __future__ import annotations

import csv
import io
import math
from typing import IO, TYPE_CHECKING, Any

import msgspec

from modelport.runtime.errors import OutputError
from modelport.runtime.outputs import cell_columns, plain_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from modelport.runtime.outputs import Column, Columns
    from modelport.runtime.signature import TensorSpec


class CsvWriter:
    """Writes a `.csv` file. A matrix becomes a column for each of its own."""

    def __init__(self, file: IO[bytes], specs: Sequence[TensorSpec]) -> None:
        self._file = file
        self._specs = specs
        self._names: list[str] = []

    def write(self, kept: Columns, outputs: Mapping[str, NDArray[np.generic]]) -> None:
        """Append rows; raises `OutputError` for outputs that are no cells, or not as many as before."""
        columns = cell_columns(self._specs, kept, outputs)
        rows = list(zip(*map(_cells, columns.values()), strict=True))
        if not self._names:
            self._names = list(columns)
            rows.insert(0, tuple(columns))
        elif list(columns) != self._names:
            raise OutputError(
                f"csv: expected {len(self._names)} columns in every row, got {len(columns)}", hint="write json or jsonl"
            )
        self._file.write(_lines(rows).encode())

    def finish(self) -> None:
        """Complete the table; lines need nothing for that."""

    def close(self) -> None:
        """Nothing was held."""


def _lines(rows: list[tuple[Any, ...]], *, quoted: bool = False) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL).writerows(rows)
    if "\r" in text.getvalue() and not quoted:  # the end of a line to readers, not to the writer
        return _lines(rows, quoted=True)
    return text.getvalue()


def _cells(column: Column) -> list[Any]:
    if not isinstance(column, list) and column.dtype.kind in "iuU":
        return list(column.tolist())
    return [_cell(value) for value in plain_values(column)]


def _cell(value: object) -> object:
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return msgspec.json.encode(value).decode() if isinstance(value, list | dict) else value
