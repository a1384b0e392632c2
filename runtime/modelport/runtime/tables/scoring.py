"""Scores a table: reads it batch by batch, scores what fits, and says which rows do not."""

from __future__ import annotations

import math
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np

from modelport.runtime.errors import InvalidInputError, ScoringError

from .batch import RefusedRow, batch_rows
from .npzreader import read_whole
from .npzwriter import write_whole
from .refusals import refused_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from modelport.runtime.scorer import Scorer
    from modelport.runtime.signature import Signature, TensorSpec

    from .batch import Batch, TableReader, TableWriter
    from .places import Source

    Scored = tuple[Batch, dict[str, NDArray[np.generic]]]


class Counts(NamedTuple):
    """How many rows were scored and how many refused."""

    scored: int = 0
    refused: int = 0


def score_table(
    scorer: Scorer,
    reader: TableReader,
    writer: TableWriter,
    *,
    keep: Sequence[str] = (),
    refuse: Callable[[RefusedRow], None],
    advance: Callable[[Counts], None],
) -> Counts:
    """Score every row that `reader` gives and write the outputs in the order of the rows.

    Each row that cannot be scored is given to `refuse`, which may raise to stop; it is left out otherwise. `advance`
    is told after each batch how far it went. Raises `InvalidInputError` if the table cannot be read.
    """
    counts = Counts()
    for batch in reader.batches(batch_rows(_row_sizes(scorer.signature))):
        results = list(_scored(scorer, batch))
        refused = [*batch.refused, *(result for result in results if isinstance(result, RefusedRow))]
        for row in sorted(refused, key=lambda row: row.row):
            refuse(row)
        scored = 0
        for result in results:
            if not isinstance(result, RefusedRow):
                part, outputs = result
                writer.write(part.kept, outputs)
                scored += len(part.numbers)
        counts = Counts(counts.scored + scored, counts.refused + len(refused))
        advance(counts)
    if counts.scored == 0:
        writer.write({name: [] for name in keep}, scorer.runner.run(_no_rows(scorer.signature)))
    return counts


def score_whole(scorer: Scorer, source: Source, file: IO[bytes]) -> None:
    """Score the arrays of an `.npz` file in one call and write the outputs as one, for a model without rows.

    Raises `InvalidInputError` unless the arrays are the model's inputs.
    """
    write_whole(file, scorer.score(read_whole(source, scorer.signature)))


def _scored(scorer: Scorer, batch: Batch) -> Iterator[RefusedRow | Scored]:
    """Score `batch` at once if all its rows can be; otherwise refuse those that cannot and score the rest."""
    if not batch.numbers:
        return
    try:
        outputs = scorer.score(batch.layout.inputs(batch.columns))
    except InvalidInputError:
        bad = refused_rows(batch)
        if not bad and len(batch.numbers) == 1:
            raise
        yield from bad.values()
        parts = [batch.without(set(bad))] if bad else _halves(batch)  # each row fits, together they do not
    except ScoringError as error:
        if len(batch.numbers) == 1:
            yield RefusedRow(batch.numbers[0], None, error.message)
            return
        parts = _halves(batch)
    else:
        yield batch, outputs
        return
    for part in parts:
        yield from _scored(scorer, part)


def _halves(batch: Batch) -> list[Batch]:
    middle = len(batch.numbers) // 2
    return [batch.part(0, middle), batch.part(middle, len(batch.numbers))]


def _row_sizes(signature: Signature) -> list[int]:
    return [math.prod(map(abs, spec.shape[1:])) * spec.dtype.itemsize for spec in signature.inputs + signature.outputs]


def _no_rows(signature: Signature) -> dict[str, NDArray[np.generic]]:
    def empty(spec: TensorSpec) -> NDArray[np.generic]:
        return np.zeros((0, *(max(size, 0) for size in spec.shape[1:])), spec.dtype)

    return {spec.name: empty(spec) for spec in signature.inputs}
