"""Rows as the comparison handles them: one array per input, as wide as the data came, before any contract narrows them.

Floats are float64 with NaN for missing, integers int64, booleans bool, text objects of `str` or None; each array has
the shape of its input. Of a model without rows, whole calls are stacked on a new first axis and count as rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from modelport.runtime.values import coerce

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from modelport.runtime.package import Contract
    from modelport.runtime.signature import Signature

Rows = dict[str, "NDArray[Any]"]
#: One column of the rows: the input, and the number of the column in it.
Cell = tuple[str, int]


def count(rows: Rows) -> int:
    """Return how many rows there are."""
    return len(next(iter(rows.values())))


def width(rows: Rows) -> int:
    """Return how many values a row has."""
    return max(1, sum(array[:1].size for array in rows.values()))


def take(rows: Rows, index: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Rows:
    """Return some of the rows."""
    return {name: array[index] for name, array in rows.items()}


def join(parts: Sequence[Rows]) -> Rows:
    """Return the rows of all parts, in order."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def spread(length: int, wanted: int) -> NDArray[np.int64]:
    """Return at most `wanted` indices spread evenly over `length`, the first and the last among them."""
    if length <= wanted:
        return np.arange(length)
    return np.unique(np.linspace(0, length - 1, wanted).astype(np.int64))


def under_contract(rows: Rows, contract: Contract) -> Rows:
    """Return the rows as the contract lets them in: under `float32` floats are rounded first, and kept as float64."""
    if contract == "float64":
        return rows
    with np.errstate(over="ignore"):
        return {
            name: array.astype(np.float32).astype(np.float64) if array.dtype.kind == "f" else array
            for name, array in rows.items()
        }


def call_by_call(run: Callable[[Rows], Rows], calls: Rows) -> Rows:
    """Run whole calls, stacked on the first axis, one after the other; the answers are stacked likewise."""
    answers = [run(one_call(calls, call)) for call in range(count(calls))]
    return {name: np.stack([answer[name] for answer in answers]) for name in answers[0]}


def one_call(calls: Rows, index: int) -> Rows:
    """Return one of stacked whole calls; what has no dimensions stays an array."""
    return {name: array[index, ...] for name, array in calls.items()}


def to_engine(rows: Rows, signature: Signature) -> Rows:
    """Return the rows in the datatypes of the graph's inputs; missing text becomes the input's null."""
    engine: Rows = {}
    for spec in signature.inputs:
        array = rows[spec.name]
        if spec.datatype == "BYTES":
            null = spec.null or ""
            filled = np.empty(array.shape, np.object_)
            filled[...] = np.where(np.equal(array, np.array(None, np.object_)), null, array)
            array = filled
        engine[spec.name] = coerce(spec, array)
    return engine
