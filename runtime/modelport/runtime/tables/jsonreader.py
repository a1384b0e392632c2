"""Reads tables from JSON: a list of rows, an object of columns, or a row a line.

A row is a record, an object of values by column, or it is the list of its values in the model's order; for a model of
one input it is that input's value.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from modelport.runtime import strictjson
from modelport.runtime.errors import InvalidInputError, named
from modelport.runtime.signature import shown

from .batch import Batch
from .jsonsplit import MAX_ELEMENT, split_array
from .layout import by_names
from .records import RecordParser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelport.runtime.signature import Signature

    from .layout import ReadOptions
    from .places import Source

_CHUNK: Final = 1 << 18
_BLANK: Final = b" \t\r\n"


class JsonReader:
    """Reads a `.json` file. A list is read row by row, an object of columns at once."""

    def __init__(self, source: Source, signature: Signature, options: ReadOptions) -> None:
        self._source = source
        self._signature = signature
        self._options = options

    def batches(self, rows: int) -> Iterator[Batch]:
        """Yield all rows in their order, at most `rows` at a time."""
        chunks = iter(lambda: self._source.file.read(_CHUNK), b"")
        head = next((text for chunk in chunks if (text := chunk.lstrip(_BLANK))), b"")
        if head.startswith(b"["):
            texts = split_array(chain([head], chunks))
            yield from RecordParser(self._signature, self._options).batches(texts, rows)
        elif head.startswith(b"{"):
            yield from self._columns(strictjson.decode(b"".join([head, *chunks])), rows)
        else:
            got = shown(head[:20].decode("utf-8", "replace")) if head else "nothing"
            raise InvalidInputError(f"JSON: expected a list of rows or an object of columns, got {got}")

    def fraction(self) -> float | None:
        """Return how much of the file was read."""
        return self._source.fraction()

    def _columns(self, columns: dict[str, Any], rows: int) -> Iterator[Batch]:
        count = _common_length(columns)
        layout = by_names(self._signature, list(columns), self._options)
        for start in range(0, count, rows):
            part = {name: column[start : start + rows] for name, column in columns.items()}
            kept = {name: part[name] for name in self._options.keep}
            yield Batch(layout, range(start + 1, min(start + rows, count) + 1), part, kept)


class JsonLinesReader:
    """Reads a `.jsonl` file, a row a line. Blank lines are no rows."""

    def __init__(self, source: Source, signature: Signature, options: ReadOptions) -> None:
        self._source = source
        self._parser = RecordParser(signature, options)

    def batches(self, rows: int) -> Iterator[Batch]:
        """Yield all rows in their order, at most `rows` at a time."""
        return self._parser.batches(self._lines(), rows)

    def fraction(self) -> float | None:
        """Return how much of the file was read."""
        return self._source.fraction()

    def _lines(self) -> Iterator[bytes]:
        while line := self._source.file.readline(MAX_ELEMENT + 1):
            if len(line) > MAX_ELEMENT:
                raise InvalidInputError(f"JSON: expected rows of at most {MAX_ELEMENT} bytes, got a longer one")
            if text := line.strip(_BLANK):
                yield text


def _common_length(columns: dict[str, Any]) -> int:
    lengths: dict[str, int] = {}
    for name, column in columns.items():
        if not isinstance(column, list):
            raise InvalidInputError(
                f"column {named(name)}: expected the list of its values, got {shown(column)}",
                hint="a single record goes into a list: [{...}]",
            )
        lengths[name] = len(column)
    first, length = next(iter(lengths.items()), ("", 0))
    for name, other in lengths.items():
        if other != length:
            raise InvalidInputError(f"column {named(name)}: expected {length} rows as {named(first)}, got {other}")
    return length
