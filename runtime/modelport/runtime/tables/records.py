"""Turns the JSON texts of rows into batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelport.runtime import strictjson
from modelport.runtime.errors import InvalidInputError, named
from modelport.runtime.signature import shown

from .batch import Batch, RefusedRow
from .layout import Layout, by_order, of_record, unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from modelport.runtime.signature import Signature

    from .layout import ReadOptions

    Cells = tuple[list[Any], list[Any]]


class RecordParser:
    """Parses one row after the other. All are what the first one is: a record, or values in the model's order."""

    def __init__(self, signature: Signature, options: ReadOptions) -> None:
        self._signature = signature
        self._options = options
        self._layout: Layout | None = None
        self._has_names = True
        self._required: frozenset[str] = frozenset()

    def batches(self, texts: Iterable[bytes], rows: int) -> Iterator[Batch]:
        """Yield `texts`, each the JSON of a row, as batches of at most `rows`."""
        numbers: list[int] = []
        cells: list[Cells] = []
        refused: list[RefusedRow] = []
        for number, text in enumerate(texts, 1):
            found = self._parse(number, text)
            if isinstance(found, RefusedRow):
                refused.append(found)
            else:
                numbers.append(number)
                cells.append(found)
            if len(numbers) + len(refused) == rows:
                yield self._batch(numbers, cells, refused)
                numbers, cells, refused = [], [], []
        if numbers or refused:
            yield self._batch(numbers, cells, refused)

    def _parse(self, number: int, text: bytes) -> Cells | RefusedRow:
        try:
            value: Any = strictjson.decode(text)
        except InvalidInputError as error:
            return RefusedRow(number, None, error.message)
        if self._layout is None:
            self._layout = self._first_layout(value)
        if not self._has_names:
            return self._in_order(number, value, self._layout)
        if not isinstance(value, dict):
            return RefusedRow(number, None, f"expected a record, as the rows before, got {_kind(value)}")
        return self._by_name(number, value, self._layout)

    def _first_layout(self, value: object) -> Layout:
        self._has_names = isinstance(value, dict)
        if isinstance(value, dict):
            layout = of_record(self._signature, value)
        elif self._options.keep:
            name = named(self._options.keep[0])
            raise InvalidInputError(f"column {name}: expected records, to keep it, got rows without names")
        else:
            layout = by_order(self._signature)
        self._required = frozenset(slot.column for slot in layout.slots if not slot.spec.nullable)
        return layout

    def _by_name(self, number: int, record: dict[str, Any], layout: Layout) -> Cells | RefusedRow:
        if not self._required <= record.keys():
            missing = next(slot for slot in layout.slots if slot.column in self._required - record.keys())
            return RefusedRow(number, missing.column, f"expected {missing.spec.datatype}, got nothing")
        if extra := unknown(layout, record, self._options):
            return RefusedRow(number, extra[0], "expected only columns of the model, got this one too")
        return [record.get(slot.column) for slot in layout.slots], [record.get(name) for name in self._options.keep]

    def _in_order(self, number: int, value: object, layout: Layout) -> Cells | RefusedRow:
        if isinstance(value, dict):
            return RefusedRow(number, None, "expected a list, as the rows before, got a record")
        if len(layout.slots) == 1:
            return [value], []
        if not isinstance(value, list):
            return RefusedRow(number, None, f"expected a list of {len(layout.slots)} values, got {_kind(value)}")
        if len(value) != len(layout.slots):
            return RefusedRow(number, None, f"expected {len(layout.slots)} values, got {len(value)}")
        return value, []

    def _batch(self, numbers: list[int], cells: list[Cells], refused: list[RefusedRow]) -> Batch:
        layout = self._layout or by_order(self._signature)
        columns = {slot.column: [values[i] for values, _ in cells] for i, slot in enumerate(layout.slots)}
        kept = {name: [values[i] for _, values in cells] for i, name in enumerate(self._options.keep)}
        return Batch(layout, numbers, columns, kept, refused)


def _kind(value: object) -> str:
    return "a list" if isinstance(value, list) else shown(value)
