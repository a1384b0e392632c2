"""Finds the rows of a batch that do not fit the model, and says why."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from modelport.runtime.errors import InvalidInputError
from modelport.runtime.frames import to_inputs
from modelport.runtime.signature import Signature, fits

from .batch import RefusedRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from modelport.runtime.outputs import Column
    from modelport.runtime.signature import TensorSpec

    from .batch import Batch

# Where in a batch of one row an element stands: the row is known, what follows is the place inside it.
_PLACE: Final = re.compile(r" at \[0(?:, ([0-9, ]+))?\]")


def refused_rows(batch: Batch) -> dict[int, RefusedRow]:
    """Return the rows with a value that does not fit, by position; the first such column of each is named."""
    found: dict[int, RefusedRow] = {}
    for slot in batch.layout.slots:
        for position, reason in _bad_cells(slot.spec, batch.columns[slot.column], 0, len(batch.numbers)):
            found.setdefault(position, RefusedRow(batch.numbers[position], slot.column, reason))
    return found


def _bad_cells(spec: TensorSpec, column: Column, start: int, stop: int) -> Iterator[tuple[int, str]]:
    """Yield position and reason of each bad cell from `start` to `stop`: halves that fit are looked at once."""
    try:
        spec.check(_as_input(spec, column[start:stop]))
    except InvalidInputError as error:
        if stop - start > 1:
            middle = (start + stop) // 2
            yield from _bad_cells(spec, column, start, middle)
            yield from _bad_cells(spec, column, middle, stop)
        else:
            yield start, _reason(spec, column[start:stop], error)


def _as_input(spec: TensorSpec, values: Any) -> NDArray[np.generic]:
    return to_inputs(Signature(inputs=(spec,), outputs=()), {spec.name: values})[spec.name]


def _reason(spec: TensorSpec, cell: Column, error: InvalidInputError) -> str:
    message = error.message
    if cell[0] is None and not spec.nullable:
        message = spec.refused((0,), "null").message
    elif (shape := _shape(spec, cell)) is not None and not fits(shape, spec.shape):
        return f"expected shape {list(spec.shape[1:])}, got {list(shape[1:])}"
    return _PLACE.sub(lambda place: f" at [{place[1]}]" if place[1] else "", message.removeprefix(_subject(spec)))


def _shape(spec: TensorSpec, cell: Column) -> tuple[int, ...] | None:
    try:
        return _as_input(spec, cell).shape
    except InvalidInputError:
        return None


def _subject(spec: TensorSpec) -> str:
    return f"input `{spec.name}`: "
