"""What tables are read and written in: batches of rows, column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import numpy as np

from modelport.runtime.errors import named

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from modelport.runtime.outputs import Column, Columns

    from .layout import Layout


# The most rows of one batch, and about how many bytes its inputs and outputs may come to.
_MAX_ROWS: Final = 4096
_MAX_BYTES: Final = 16 << 20


class RefusedRow(NamedTuple):
    """A row that cannot be scored: its number, counted from 1, the column at fault if there is one, and the reason."""

    row: int
    column: str | None
    reason: str

    def __str__(self) -> str:
        where = f"row {self.row}" if self.column is None else f"row {self.row}, column {named(self.column)}"
        return f"{where}: {self.reason}"


class Batch(NamedTuple):
    """Rows of a table that could be read: their `numbers`, counted from 1, the model's columns and the kept ones.

    `refused` are rows among them that could not be read.
    """

    layout: Layout
    numbers: Sequence[int]
    columns: Columns
    kept: Columns
    refused: Sequence[RefusedRow] = ()

    def part(self, start: int, stop: int) -> Batch:
        """Return the rows from position `start` up to `stop`."""
        return self._replace(
            numbers=self.numbers[start:stop],
            columns={name: column[start:stop] for name, column in self.columns.items()},
            kept={name: column[start:stop] for name, column in self.kept.items()},
        )

    def without(self, positions: set[int]) -> Batch:
        """Return the batch without the rows at `positions`."""
        left = [position for position in range(len(self.numbers)) if position not in positions]
        return self._replace(
            numbers=[self.numbers[position] for position in left],
            columns={name: take(column, left) for name, column in self.columns.items()},
            kept={name: take(column, left) for name, column in self.kept.items()},
        )


class TableReader(Protocol):
    """An opened table. Reading it raises `InvalidInputError` where it is no table that fits the signature."""

    def batches(self, rows: int) -> Iterator[Batch]:
        """Yield all rows in their order, at most `rows` at a time."""

    def fraction(self) -> float | None:
        """Return how much of the table was read, from 0 to 1; None if nobody knows."""


class TableWriter(Protocol):
    """A table that is being written, to a file that its opener completes or removes."""

    def write(self, kept: Columns, outputs: Mapping[str, NDArray[np.generic]]) -> None:
        """Append rows: columns kept from the input, and every output of the model.

        Raises `OutputError` if the format cannot hold them.
        """

    def finish(self) -> None:
        """Write what makes the table complete."""

    def close(self) -> None:
        """Let go of what was held for writing, whether the table is complete or not; its file stays open."""


def take(column: Column, positions: Sequence[int]) -> Column:
    """Return the elements of `column` at `positions`."""
    if isinstance(column, list):
        return [column[position] for position in positions]
    return column[np.asarray(positions, np.intp)]


def batch_rows(sizes: Sequence[int]) -> int:
    """Return how many rows to read at a time when a row has tensors of `sizes` bytes, so that memory stays bounded."""
    return max(1, min(_MAX_ROWS, _MAX_BYTES // max(1, sum(sizes))))
