"""Reads tables from CSV (RFC 4180, UTF-8): a line of names, then a row a line, its cells text."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Final

from modelport.runtime.errors import InvalidInputError

from .batch import Batch, RefusedRow
from .celltext import values_of
from .layout import by_names, by_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelport.runtime.signature import Signature

    from .layout import Layout, ReadOptions
    from .places import Source

_MAX_CELL: Final = 16 << 20


class CsvReader:
    """Reads a `.csv` file. Blank lines are no rows."""

    def __init__(self, source: Source, signature: Signature, options: ReadOptions) -> None:
        self._source = source
        self._signature = signature
        self._options = options

    def batches(self, rows: int) -> Iterator[Batch]:
        """Yield all rows in their order, at most `rows` at a time."""
        csv.field_size_limit(_MAX_CELL)
        text = io.TextIOWrapper(self._source.file, "utf-8-sig", errors="surrogateescape", newline="")
        lines = csv.reader(text, strict=True)
        try:
            yield from self._batches(lines, rows)
        except csv.Error as error:
            raise InvalidInputError(f"CSV, line {lines.line_num}: expected RFC 4180, got {error}") from error
        finally:
            text.detach()  # whoever opened the file closes it

    def fraction(self) -> float | None:
        """Return how much of the file was read."""
        return self._source.fraction()

    def _batches(self, lines: Iterator[list[str]], rows: int) -> Iterator[Batch]:
        header, layout = self._header(lines)
        used = [*(slot.column for slot in layout.slots), *self._options.keep]
        picks = [header.index(column) for column in used]
        numbers: list[int] = []
        cells: list[list[str]] = []
        refused: list[RefusedRow] = []
        for number, line in enumerate(filter(None, lines), 1):
            found = _picked(number, line, picks, header)
            if isinstance(found, RefusedRow):
                refused.append(found)
            else:
                numbers.append(number)
                cells.append(found)
            if len(numbers) + len(refused) == rows:
                yield self._batch(layout, numbers, cells, refused)
                numbers, cells, refused = [], [], []
        if numbers or refused:
            yield self._batch(layout, numbers, cells, refused)

    def _header(self, lines: Iterator[list[str]]) -> tuple[list[str], Layout]:
        """Return the names of the file's columns, and which of them is what."""
        if self._options.header:
            names = next(filter(None, lines), None)
            if names is None:
                raise InvalidInputError("CSV: expected a line of names, got nothing")
            return names, by_names(self._signature, names, self._options, cells=True)
        if self._options.keep:
            raise InvalidInputError(
                f"column `{self._options.keep[0]}`: expected a table with names, to keep it, got one without"
            )
        layout = by_order(self._signature, cells=True)
        return [slot.column for slot in layout.slots], layout

    def _batch(self, layout: Layout, numbers: list[int], cells: list[list[str]], refused: list[RefusedRow]) -> Batch:
        columns = {slot.column: values_of(slot.spec, [row[i] for row in cells]) for i, slot in enumerate(layout.slots)}
        kept = {name: [row[i] for row in cells] for i, name in enumerate(self._options.keep, len(layout.slots))}
        return Batch(layout, numbers, columns, kept, refused)


def _picked(number: int, line: list[str], picks: list[int], header: list[str]) -> list[str] | RefusedRow:
    """Return the cells of a line that are used."""
    if len(line) != len(header):
        return RefusedRow(number, None, f"expected {len(header)} cells, got {len(line)}")
    cells = [line[pick] for pick in picks]
    if not "".join(cells).isascii():
        for pick, cell in zip(picks, cells, strict=True):
            if any("\udc80" <= char <= "\udcff" for char in cell):  # what surrogateescape made of other bytes
                return RefusedRow(number, header[pick], "expected UTF-8, got other bytes")
    return cells
