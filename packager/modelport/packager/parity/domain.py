"""Where the original answers at all: which columns may be missing, and which take values that it has not seen.

The original is asked, since only it knows; what the sample itself shows is never doubted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np

from modelport.packager import rows as rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from modelport.packager.conversion import Arrays, Candidate
    from modelport.packager.rows import Cell, Rows
    from modelport.runtime.signature import Signature, TensorSpec

    Answer = Callable[[Rows], Arrays]

_FEW: Final = 8
_MOST_CALLS: Final = 256
_NULLABLE: Final = ("FP32", "FP64", "BYTES")


class Domain(NamedTuple):
    """The signature with `nullable`, `null`, `categories` and `closed` as the original shows them.

    `missing` are the columns that may be missing, `unseen` those of categories or text that take others than it knows;
    `notes` says what the signature cannot.
    """

    signature: Signature
    missing: tuple[Cell, ...]
    unseen: tuple[Cell, ...]
    notes: tuple[str, ...]

    def without_missing(self, name: str) -> Domain:
        """Return the domain with the input `name` not nullable."""
        inputs = tuple(
            msgspec.structs.replace(spec, nullable=False, null=None) if spec.name == name else spec
            for spec in self.signature.inputs
        )
        return self._replace(
            signature=msgspec.structs.replace(self.signature, inputs=inputs),
            missing=tuple(cell for cell in self.missing if cell[0] != name),
        )


def has_missing(array: object) -> bool:
    """Return whether a column or matrix of rows holds a missing value."""
    values = np.asarray(array)
    if values.dtype.kind == "f":
        return bool(np.isnan(values).any())
    return values.dtype.kind == "O" and any(value is None for value in values.ravel().tolist())


def domain_of(candidate: Candidate, sample: Rows) -> Domain:
    """Ask the original of `candidate` where it answers, with a few rows of `sample` in which one value is another."""
    accepting = _Accepting(candidate.reference.answer, sample)
    missing = _missing(candidate.signature, sample, accepting)
    others = {
        cell: never_seen(spec, sample, cell)
        for spec in candidate.signature.inputs
        for cell in _cells(spec, sample)
        if spec.datatype == "BYTES" or cell in candidate.looked_up
    }
    unseen = accepting.cells(others)
    nullable = {name for name, _ in missing}
    inputs, notes = [], []
    for spec in candidate.signature.inputs:
        if spec.name in nullable:
            null = candidate.null if spec.datatype == "BYTES" else None
            spec = msgspec.structs.replace(spec, nullable=True, null=null)  # noqa: PLW2901  the same input, known better
        refused = [cell for cell in _cells(spec, sample) if cell in others and cell not in unseen]
        closed = _closed(spec, sample) if refused else spec
        if refused and not closed.closed:
            notes.append(_open_note(spec, len(refused)))
        inputs.append(closed)
    signature = msgspec.structs.replace(candidate.signature, inputs=tuple(inputs))
    return Domain(signature, tuple(missing), tuple(cell for cell in others if cell in unseen), tuple(notes))


def never_seen(spec: TensorSpec, sample: Rows, cell: Cell) -> Any:
    """Return a value of the column `cell` that neither the sample holds nor its encoder knows."""
    if spec.datatype == "BYTES":
        return "modelport: never seen"
    seen = sample[cell[0]][:, cell[1]].astype(np.float64)
    known = [value for value in spec.categories if isinstance(value, int)]
    return max(np.max(seen, initial=0.0, where=np.isfinite(seen)), *known, 0) + 1


def _missing(signature: Signature, sample: Rows, accepting: _Accepting) -> list[Cell]:
    """Return the columns that may be missing: of an input where the sample misses some those that can be, else all."""
    asked = {
        cell: None if spec.datatype == "BYTES" else np.nan
        for spec in signature.inputs
        if spec.datatype in _NULLABLE
        for cell in _cells(spec, sample)
    }
    accepted = accepting.cells(asked)
    shown = {cell for cell in asked if has_missing(sample[cell[0]][:, cell[1]])}
    refusing = {name for name, _ in asked.keys() - accepted - shown} - {name for name, _ in shown}
    return [cell for cell in asked if cell in accepted | shown and cell[0] not in refusing]


def _closed(spec: TensorSpec, sample: Rows) -> TensorSpec:
    """Return the spec with its list of categories closed, where a signature can say so: of a column of its own."""
    if spec.shape != (-1, 1) or spec.datatype not in ("BYTES", "INT64"):
        return spec
    seen = {value for value in sample[spec.name].ravel().tolist() if value is not None}
    return msgspec.structs.replace(spec, categories=spec.categories or tuple(sorted(seen)), closed=True)


def _open_note(spec: TensorSpec, refused: int) -> str:
    where = f"`{spec.name}`" if spec.shape == (-1, 1) else f"`{spec.name}`, {refused} of its columns"
    return f"{where}: a value that its encoder has not seen fails the call, as `handle_unknown='error'` asks"


def _cells(spec: TensorSpec, sample: Rows) -> list[Cell]:
    return [(spec.name, column) for column in range(sample[spec.name].shape[1])]


class _Accepting:
    """Asks the original which values it accepts: all at once, each in a row of its own, and by halves if it refuses.

    After so many calls what is left counts as refused.
    """

    def __init__(self, answer: Answer, sample: Rows) -> None:
        self._answer = answer
        self._few = rows_of.take(sample, rows_of.spread(rows_of.count(sample), _FEW))
        self._left = 0

    def cells(self, values: Mapping[Cell, Any]) -> set[Cell]:
        """Return the cells whose value the original accepts, and makes something of."""
        self._left = _MOST_CALLS
        return set(self._accepted(list(values), values))

    def _accepted(self, cells: Sequence[Cell], values: Mapping[Cell, Any]) -> list[Cell]:
        if not cells or self._left == 0:
            return []
        self._left -= 1
        picked = rows_of.take(self._few, np.arange(len(cells)) % rows_of.count(self._few))
        rows = {name: array.copy() for name, array in picked.items()}
        for row, (name, column) in enumerate(cells):
            rows[name][row, column] = values[name, column]
        try:
            answers = self._answer(rows)
        except Exception:  # noqa: BLE001  an estimator refuses with any kind of error
            half = len(cells) // 2
            parts = (cells[:half], cells[half:]) if half else ()
            return [cell for part in parts for cell in self._accepted(part, values)]
        void = np.zeros(len(cells), np.bool_)
        for array in answers.values():
            if array.dtype.kind == "f":
                void |= np.isnan(array.reshape(len(cells), -1)).all(axis=1)
        return [cell for cell, nothing in zip(cells, void.tolist(), strict=True) if not nothing]
