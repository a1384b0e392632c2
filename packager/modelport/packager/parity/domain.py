"""Where the original answers at all: which columns may be missing, and which take values that it has not seen.

The original is asked, since only it knows; what the sample itself shows is never doubted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np

from modelport.packager import rows as rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from modelport.packager.conversion import Arrays, Candidate
    from modelport.packager.rows import Cell, Rows
    from modelport.runtime.signature import Signature, TensorSpec

    Answer = Callable[[Rows], Arrays]

_FEW: Final = 8
_NUMBERS: Final = ("FP32", "FP64")


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
    few = rows_of.take(sample, rows_of.spread(rows_of.count(sample), _FEW))
    answer = candidate.reference.answer
    inputs: list[TensorSpec] = []
    missing: list[Cell] = []
    unseen: list[Cell] = []
    notes: list[str] = []
    for given in candidate.signature.inputs:
        cells = [(given.name, column) for column in range(sample[given.name].shape[1])]
        spec, absent = _with_nulls(given, cells, sample, few, candidate)
        missing += absent
        looked_up = [cell for cell in cells if given.datatype == "BYTES" or cell in candidate.looked_up]
        values = {cell: _never_seen(spec, sample, cell) for cell in looked_up}
        taken = _accepted(few, values, answer)
        unseen += taken
        spec = _with_categories(spec, sample, closed=len(taken) < len(looked_up))
        if len(taken) < len(looked_up) and not spec.closed:
            notes.append(_open_note(len(looked_up) - len(taken), spec))
        inputs.append(spec)
    signature = msgspec.structs.replace(candidate.signature, inputs=tuple(inputs))
    return Domain(signature, tuple(missing), tuple(unseen), tuple(notes))


def _with_nulls(
    spec: TensorSpec, cells: list[Cell], sample: Rows, few: Rows, candidate: Candidate
) -> tuple[TensorSpec, list[Cell]]:
    """Return the spec, and which of its columns may be missing: those of the sample that are, or else all or none."""
    if spec.datatype not in (*_NUMBERS, "BYTES"):
        return spec, []
    absent = None if spec.datatype == "BYTES" else np.nan
    taken = _accepted(few, dict.fromkeys(cells, absent), candidate.reference.answer)
    shown = [cell for cell in cells if has_missing(sample[cell[0]][:, cell[1]])]
    if not shown and len(taken) < len(cells):
        return spec, []
    null = candidate.null if spec.datatype == "BYTES" else None
    return msgspec.structs.replace(spec, nullable=True, null=null), sorted({*taken, *shown})


def _with_categories(spec: TensorSpec, sample: Rows, *, closed: bool) -> TensorSpec:
    """Return the spec with its categories, closed where the original refuses others and the signature can say so."""
    expressible = spec.shape == (-1, 1) and spec.datatype in ("BYTES", "INT64")
    if not closed or not expressible:
        return spec
    seen = {value for value in sample[spec.name].ravel().tolist() if value is not None}
    return msgspec.structs.replace(spec, categories=spec.categories or tuple(sorted(seen)), closed=True)


def _open_note(refused: int, spec: TensorSpec) -> str:
    where = f"`{spec.name}`" if spec.shape == (-1, 1) else f"`{spec.name}`, {refused} of its columns"
    return f"{where}: a value that the encoder has not seen fails the call; `handle_unknown='ignore'` would take it"


def _never_seen(spec: TensorSpec, sample: Rows, cell: Cell) -> Any:
    if spec.datatype == "BYTES":
        return "modelport: never seen"
    seen = sample[cell[0]][:, cell[1]].astype(np.float64)
    known = [value for value in spec.categories if isinstance(value, int)]
    return max(np.max(seen, initial=0.0, where=np.isfinite(seen)), *known, 0) + 1


def _accepted(few: Rows, values: Mapping[Cell, Any], answer: Answer) -> list[Cell]:
    """Return the cells that the original accepts `values` in, asked all at once, each in a row of its own."""
    cells = list(values)
    if not cells:
        return []
    rows = {name: array.copy() for name, array in rows_of.take(few, np.arange(len(cells)) % rows_of.count(few)).items()}
    for row, (name, column) in enumerate(cells):
        rows[name][row, column] = values[name, column]
    try:
        answers = answer(rows)
    except Exception:  # noqa: BLE001  an estimator refuses with any kind of error
        if len(cells) == 1:
            return []
        half = len(cells) // 2
        parts = (cells[:half], cells[half:])
        return [cell for part in parts for cell in _accepted(few, {one: values[one] for one in part}, answer)]
    void = np.zeros(len(cells), np.bool_)
    for array in answers.values():
        if array.dtype.kind == "f":
            void |= np.isnan(array.reshape(len(cells), -1)).all(axis=1)
    return [cell for cell, nothing in zip(cells, void, strict=True) if not nothing]
