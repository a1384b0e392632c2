"""Where the original answers at all: which inputs may be missing, and which know a closed list of categories.

The original is asked, since only it knows; what the sample itself shows is never doubted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from modelport.packager import rows as rows_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelport.packager.conversion import Arrays
    from modelport.packager.rows import Rows
    from modelport.runtime.signature import Signature, TensorSpec

    Answer = Callable[[Rows], Arrays]
    Cell = tuple[str, int]


def has_missing(array: object) -> bool:
    """Return whether a column or matrix of rows holds a missing value."""
    values = np.asarray(array)
    if values.dtype.kind == "f":
        return bool(np.isnan(values).any())
    return values.dtype.kind == "O" and any(value is None for value in values.ravel().tolist())


def with_domain(signature: Signature, sample: Rows, answer: Answer, null: str) -> Signature:
    """Return the signature with `nullable`, `null`, `categories` and `closed` as the original shows them."""
    few = rows_of.take(sample, rows_of.spread(rows_of.count(sample), 8))
    inputs = tuple(
        _with_categories(_with_nulls(spec, sample, few, answer, null), sample, few, answer) for spec in signature.inputs
    )
    return msgspec.structs.replace(signature, inputs=inputs)


def without_nulls(signature: Signature, names: set[str]) -> Signature:
    """Return the signature with the inputs `names` not nullable."""
    inputs = tuple(
        msgspec.structs.replace(spec, nullable=False, null=None) if spec.name in names else spec
        for spec in signature.inputs
    )
    return msgspec.structs.replace(signature, inputs=inputs)


def nullable_cells(signature: Signature, sample: Rows) -> list[Cell]:
    """Return every (input, column) that may be missing."""
    return [
        (spec.name, column)
        for spec in signature.inputs
        if spec.nullable
        for column in range(sample[spec.name].shape[1])
    ]


def open_cells(signature: Signature, sample: Rows) -> list[Cell]:
    """Return every (input, column) of categories that takes values which it has not seen."""
    return [
        (spec.name, column)
        for spec in signature.inputs
        if not spec.closed and (spec.datatype == "BYTES" or spec.categories)
        for column in range(sample[spec.name].shape[1])
    ]


def _with_nulls(spec: TensorSpec, sample: Rows, few: Rows, answer: Answer, null: str) -> TensorSpec:
    if spec.datatype not in ("FP32", "FP64", "BYTES"):
        return spec
    marker = null if spec.datatype == "BYTES" else None
    if has_missing(sample[spec.name]):
        return msgspec.structs.replace(spec, nullable=True, null=marker)
    value = None if spec.datatype == "BYTES" else np.nan
    if all(_answers(answer, _changed(few, spec.name, column, value)) for column in range(sample[spec.name].shape[1])):
        return msgspec.structs.replace(spec, nullable=True, null=marker)
    return spec


def _with_categories(spec: TensorSpec, sample: Rows, few: Rows, answer: Answer) -> TensorSpec:
    if sample[spec.name].shape[1] != 1 or not (spec.datatype == "BYTES" or spec.categories):
        return spec
    known = spec.categories or tuple(
        sorted({value for value in sample[spec.name].ravel().tolist() if value is not None})
    )
    unseen = "modelport: never seen" if spec.datatype == "BYTES" else max(known, default=0) + 1  # type: ignore[operator]
    closed = not _answers(answer, _changed(few, spec.name, 0, unseen))
    return msgspec.structs.replace(spec, categories=known if spec.categories or closed else (), closed=closed)


def _changed(rows: Rows, name: str, column: int, value: Any) -> Rows:
    changed = {**rows, name: rows[name].copy()}
    changed[name][:, column] = value
    return changed


def _answers(answer: Answer, rows: Rows) -> bool:
    try:
        answers = answer(rows)
    except Exception:  # noqa: BLE001  an estimator refuses with any kind of error
        return False
    return not any(array.dtype.kind == "f" and np.isnan(array).all() for array in answers.values())
