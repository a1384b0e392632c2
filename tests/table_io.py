"""Reads and writes tables in memory, for tests."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from modelport.runtime.outputs import plain_values
from modelport.runtime.signature import Signature, TensorSpec
from modelport.runtime.tables import ReadOptions, open_reader, open_writer
from modelport.runtime.tables.places import Source

if TYPE_CHECKING:
    from modelport.runtime.tables import Format
    from modelport.runtime.tables.batch import Batch

#: What most tests read tables for: a number, a count and a name, of which the first and the last may be missing.
TABLE = Signature(
    inputs=(
        TensorSpec(name="amount", datatype="FP64", shape=(-1, 1), nullable=True),
        TensorSpec(name="count", datatype="INT64", shape=(-1, 1)),
        TensorSpec(name="city", datatype="BYTES", shape=(-1, 1), nullable=True, null=""),
    ),
    outputs=(),
)


def read(
    form: Format, data: bytes, signature: Signature = TABLE, rows: int = 1000, options: ReadOptions | None = None
) -> list[Batch]:
    """Return the batches of a table."""
    reader = open_reader(Source(io.BytesIO(data), None), form, signature, options or ReadOptions())
    return list(reader.batches(rows))


def rows_of(batches: list[Batch]) -> list[tuple[Any, ...]]:
    """Return every row that was read: its number, then its values in the model's order."""
    found: list[tuple[Any, ...]] = []
    for batch in batches:
        columns = [plain_values(batch.columns[slot.column]) for slot in batch.layout.slots]
        found.extend(zip(batch.numbers, *columns, strict=True))
    return found


def refusals_of(batches: list[Batch]) -> list[str]:
    """Return what is said of the rows that could not be read."""
    return [str(row) for batch in batches for row in batch.refused]


def write(form: Format, specs: tuple[TensorSpec, ...], *parts: tuple[dict[str, Any], dict[str, Any]]) -> bytes:
    """Return the table of `parts`, each kept columns and outputs."""
    file = io.BytesIO()
    with open_writer(file, form, specs) as writer:
        for kept, outputs in parts:
            writer.write(kept, outputs)
    return file.getvalue()
