"""The raw values at which rows change sides at a tree's thresholds, found through whatever stands before the tree.

A threshold is on what the tree sees. Which raw column moves it is found by moving each column alone, and where exactly
by bisection, down to two neighbouring float64 numbers (or integers).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from modelport.packager import rows as rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from modelport.packager.rows import Cell, Rows
    from modelport.packager.trees import TreeGroup

_MOVED_ROWS: Final = 8
_MOVED_CELLS: Final = 4_000_000
_SIGN: Final = np.int64(np.iinfo(np.int64).max)
_STEPS: Final = 64


class Mover(NamedTuple):
    """The one raw column that moves a feature; `unchanged` if the tree sees it as it is."""

    cell: Cell
    unchanged: bool


class Sought(NamedTuple):
    """A threshold on a feature of the matrix, the raw cell that moves the feature, and the row to move it in."""

    feature: int
    threshold: float
    cell: Cell
    row: int


class Placed(NamedTuple):
    """Where thresholds lie in raw values: for each, the last value on the lower side, and whether there is one."""

    value: NDArray[np.float64]
    found: NDArray[np.bool_]


def movers(
    group: TreeGroup, base: Rows, matrix: NDArray[np.float64], looked_up: Collection[Cell] = ()
) -> dict[int, Mover]:
    """Return, by feature of `matrix`, the raw column that alone moves it; features that several move are left out.

    So are columns that are `looked_up`: categories lie on no line.
    """
    cells = [
        (name, column)
        for name, array in base.items()
        if array.dtype.kind in "fi"
        for column in range(array.shape[1])
        if (name, column) not in looked_up
    ]
    few = np.arange(min(_MOVED_ROWS, len(matrix)))
    moving: dict[int, list[Cell]] = {}
    at_once = max(1, _MOVED_CELLS // (len(few) * max(rows_of.width(base), matrix.shape[1])))
    for start in range(0, len(cells), at_once):
        chunk = cells[start : start + at_once]
        for cell, feature in _moved(group, base, matrix, few, chunk):
            moving.setdefault(feature, []).append(cell)
    return {
        feature: Mover(by[0], _same(base, by[0], matrix[:, feature]))
        for feature, by in sorted(moving.items())
        if len(by) == 1
    }


def place(group: TreeGroup, base: Rows, sought: Sequence[Sought]) -> Placed:
    """Find for each threshold the boundary in its raw cell, the rest of the row being a row of `base`.

    The search starts one span beyond the values that `base` holds.
    """
    cells = [each.cell for each in sought]
    rows, features = np.array([each.row for each in sought]), np.array([each.feature for each in sought])
    thresholds = np.array([each.threshold for each in sought])
    low, high = _ends(base, cells)
    whole = np.array([base[name].dtype.kind == "i" for name, _ in cells], np.bool_)
    position = np.arange(len(rows))

    def left(values: NDArray[np.float64]) -> NDArray[np.bool_]:
        seen = group.transform(with_values(base, rows, cells, values))[position, features]
        with np.errstate(over="ignore"):
            return np.asarray((seen.astype(np.float32) if group.single else seen) <= thresholds)

    try:
        return _bisected(left, low, high, whole)
    except Exception:  # noqa: BLE001  a transformer may refuse values that nobody has shown it, in every kind of error
        return Placed(low, np.zeros(len(low), np.bool_))


def with_values(base: Rows, rows: NDArray[np.int64], cells: Sequence[Cell], values: NDArray[np.float64]) -> Rows:
    """Return `rows` of `base`, the value of one cell in each replaced; integers are rounded down."""
    made = {name: array.copy() for name, array in rows_of.take(base, rows).items()}
    for cell, index in _by_cell(cells).items():
        array = made[cell[0]]
        array[index, cell[1]] = np.floor(values[index]) if array.dtype.kind == "i" else values[index]
    return made


def _bisected(
    left: Callable[[NDArray[np.float64]], NDArray[np.bool_]],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    whole: NDArray[np.bool_],
) -> Placed:
    """Find the last values on the side of `low`, between `low` and `high`; `whole` are those that are integers."""
    below = left(low)
    found = np.isfinite(low) & (below != left(high))
    lower, upper = _ordered(low, whole), _ordered(high, whole)
    for _ in range(_STEPS):
        middle = (lower >> 1) + (upper >> 1) + (lower & upper & 1)
        if not (found & (middle > lower)).any():
            break
        same = left(_number(middle, whole)) == below
        lower, upper = np.where(same, middle, lower), np.where(same, upper, middle)
    return Placed(_number(lower, whole), found)


def _moved(
    group: TreeGroup, base: Rows, matrix: NDArray[np.float64], few: NDArray[np.int64], cells: Sequence[Cell]
) -> list[tuple[Cell, int]]:
    """Return which of `cells` moves which feature, all moved in one call, each in rows of its own."""
    made = {name: array.copy() for name, array in rows_of.take(base, np.tile(few, len(cells))).items()}
    for number, (name, column) in enumerate(cells):
        array = made[name]
        own = slice(number * len(few), (number + 1) * len(few))
        step = 1 if array.dtype.kind == "i" else 0.37
        other = np.roll(base[name][:, column], 1)[few] + step
        array[own, column] = np.where(np.isnan(other), _middle(base[name][:, column]) + step, other)
    try:
        seen = group.transform(made).reshape(len(cells), len(few), -1)
    except Exception:  # noqa: BLE001  transformers refuse values in every kind of error
        half = len(cells) // 2
        parts = (cells[:half], cells[half:]) if half else ()
        return [found for part in parts for found in _moved(group, base, matrix, few, part)]
    before = matrix[few]
    changed = ((seen != before) & ~(np.isnan(seen) & np.isnan(before))).any(axis=1)
    return [(cells[number], feature) for number, feature in np.argwhere(changed).tolist()]


def _middle(values: NDArray[Any]) -> float:
    """Return the middle of the values that are there, 0 if none is."""
    there = values[np.isfinite(values)]
    return float(np.median(there)) if there.size else 0.0


def _same(base: Rows, cell: Cell, seen: NDArray[np.float64]) -> bool:
    return bool(np.array_equal(base[cell[0]][:, cell[1]].astype(np.float64), seen, equal_nan=True))


def _ends(base: Rows, cells: Sequence[Cell]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low, high = np.full(len(cells), np.nan), np.full(len(cells), np.nan)
    for (name, column), index in _by_cell(cells).items():
        seen = base[name][:, column].astype(np.float64)
        seen = seen[np.isfinite(seen)]
        if seen.size:
            span = (seen.max() - seen.min()) or 1.0
            low[index], high[index] = seen.min() - span, seen.max() + span
    return low, high


def _by_cell(cells: Sequence[Cell]) -> Mapping[Cell, NDArray[np.int64]]:
    found: dict[Cell, list[int]] = {}
    for index, cell in enumerate(cells):
        found.setdefault(cell, []).append(index)
    return {cell: np.array(index) for cell, index in found.items()}


def _ordered(values: NDArray[np.float64], whole: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return int64 that are ordered as the numbers are, neighbours beside each other."""
    bits = values.view(np.int64)
    with np.errstate(invalid="ignore"):
        return np.where(whole, np.floor(values).astype(np.int64), np.where(bits < 0, bits ^ _SIGN, bits))


def _number(ordered: NDArray[np.int64], whole: NDArray[np.bool_]) -> NDArray[np.float64]:
    bits = np.where(ordered < 0, ordered ^ _SIGN, ordered)
    return np.where(whole, ordered.astype(np.float64), bits.view(np.float64))
