"""Writes tables as JSON, a record a row.

Floats are written so that the same bits are read again. JSON has no NaN and no infinities: NaN is null, and infinities
are the strings `Infinity` and `-Infinity`, as in Protocol Buffers (https://protobuf.dev/programming-guides/json/).
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import msgspec

from modelport.runtime.outputs import json_values, value_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from modelport.runtime.outputs import Columns
    from modelport.runtime.signature import TensorSpec


class JsonLinesWriter:
    """Writes a `.jsonl` file, a record a line."""

    def __init__(self, file: IO[bytes], specs: Sequence[TensorSpec]) -> None:
        self._file = file
        self._specs = specs

    def write(self, kept: Columns, outputs: Mapping[str, NDArray[np.generic]]) -> None:
        """Append rows."""
        self._file.write(b"".join(record + b"\n" for record in _records(self._specs, kept, outputs)))

    def finish(self) -> None:
        """Complete the table; lines need nothing for that."""

    def close(self) -> None:
        """Nothing was held."""


class JsonWriter:
    """Writes a `.json` file, a list of records."""

    def __init__(self, file: IO[bytes], specs: Sequence[TensorSpec]) -> None:
        self._file = file
        self._specs = specs
        self._before = b"["

    def write(self, kept: Columns, outputs: Mapping[str, NDArray[np.generic]]) -> None:
        """Append rows."""
        for record in _records(self._specs, kept, outputs):
            self._file.write(self._before + b"\n" + record)
            self._before = b","

    def finish(self) -> None:
        """End the list."""
        self._file.write(b"[]\n" if self._before == b"[" else b"\n]\n")

    def close(self) -> None:
        """Nothing was held."""


def _records(specs: Sequence[TensorSpec], kept: Columns, outputs: Mapping[str, NDArray[np.generic]]) -> Iterator[bytes]:
    columns = value_columns(specs, kept, outputs)
    names, encoder = list(columns), msgspec.json.Encoder(enc_hook=str)
    for row in zip(*(json_values(column) for column in columns.values()), strict=True):
        yield encoder.encode(dict(zip(names, row, strict=True)))
