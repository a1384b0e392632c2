"""Rows that stand exactly where a decision tree decides: at each threshold, and one step to either side of it.

A threshold is on what the tree sees. Behind transformers, the raw value at which a row changes sides is searched for
through the transformers themselves, by bisection down to two neighbouring float64 numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from modelport.packager import rows as rows_of
from modelport.packager.trees import first_rows

from .report import Thresholds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from modelport.packager.rows import Rows
    from modelport.packager.trees import TreeGroup

    Cell = tuple[str, int]

#: At most so many probe rows, and so many visits of a row to a tree: a budget that is the same on every machine.
MAX_ROWS: Final = 120_000
MAX_VISITS: Final = 20_000_000
_BASE_ROWS: Final = 500
_STEPS: Final = 7
_HALVINGS: Final = 1_100
_BISECTED: Final = 4_000


class _Splits(NamedTuple):
    """Distinct (feature, threshold) pairs, and a base row for each: one that arrives at the split if `reached`."""

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    base: NDArray[np.int64]
    reached: NDArray[np.bool_]

    def at(self, index: NDArray[np.int64]) -> _Splits:
        """Return some of the splits."""
        return _Splits(self.feature[index], self.threshold[index], self.base[index], self.reached[index])


def probe(groups: Sequence[TreeGroup], sample: Rows) -> tuple[Rows | None, Thresholds | None]:
    """Return probe rows for the trees of `groups` and how far they cover their thresholds; None without trees."""
    if not groups:
        return None, None
    base = rows_of.take(sample, rows_of.spread(rows_of.count(sample), _BASE_ROWS))
    budget = min(MAX_ROWS, MAX_VISITS // max(1, sum(len(group.trees) for group in groups))) // len(groups)
    made: list[Rows] = []
    distinct = probed = reached = 0
    for group in groups:
        matrix = group.transform(base)
        splits = _splits(group, matrix)
        distinct += len(splits.feature)
        chosen = _thinned(splits, max(1, budget // _STEPS))
        rows, used = _rows(group, base, matrix, chosen)
        if rows is not None:
            made.append(rows)
        probed += int(np.count_nonzero(used))
        reached += int(np.count_nonzero(chosen.reached & used))
    joined = rows_of.join(made) if made else None
    total = rows_of.count(joined) if joined is not None else 0
    return joined, Thresholds(distinct=distinct, probed=probed, reached=reached, rows=total)


def _splits(group: TreeGroup, matrix: NDArray[np.float64]) -> _Splits:
    seen = matrix.astype(np.float32).astype(np.float64) if group.single else matrix
    feature, threshold, arrived = [], [], []
    for tree in group.trees:
        inner = tree.feature >= 0
        feature.append(tree.feature[inner])
        threshold.append(tree.threshold[inner])
        arrived.append(first_rows(tree, seen)[inner])
    features, thresholds, rows = np.concatenate(feature), np.concatenate(threshold), np.concatenate(arrived)
    finite = np.isfinite(thresholds)
    features, thresholds, rows = features[finite], thresholds[finite], rows[finite]
    order = np.lexsort((-rows, thresholds, features))  # of equal splits, one that is reached comes first
    features, thresholds, rows = features[order], thresholds[order], rows[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = (features[1:] != features[:-1]) | (thresholds[1:] != thresholds[:-1])
    features, thresholds, rows = features[first], thresholds[first], rows[first]
    return _Splits(features, thresholds, np.where(rows < 0, np.arange(len(rows)) % len(matrix), rows), rows >= 0)


def _thinned(splits: _Splits, wanted: int) -> _Splits:
    """Return at most `wanted` splits, those that a row arrives at first."""
    if len(splits.feature) <= wanted:
        return splits
    order = np.argsort(~splits.reached, kind="stable")
    reached = int(np.count_nonzero(splits.reached))
    kept = order[rows_of.spread(reached, wanted)] if reached >= wanted else order[:wanted]
    return splits.at(np.sort(kept))


def _rows(
    group: TreeGroup, base: Rows, matrix: NDArray[np.float64], splits: _Splits
) -> tuple[Rows | None, NDArray[np.bool_]]:
    """Return the probe rows of `splits`, and which of them have any."""
    used = np.zeros(len(splits.feature), np.bool_)
    parts: list[Rows] = []
    cells = _cells(group, base, matrix)
    for feature in np.unique(splits.feature).tolist():
        if feature not in cells:
            continue
        cell, unchanged = cells[feature]
        index = np.flatnonzero(splits.feature == feature)
        if unchanged:
            values, found = splits.threshold[index], np.ones(len(index), np.bool_)
        else:
            share = max(1, int(_BISECTED * len(index) / len(splits.feature)))
            index = index[rows_of.spread(len(index), share)]
            values, found = _boundaries(group, base, splits, index, cell)
        used[index[found]] = True
        parts += [_with(base, splits.base[index[found]], cell, steps) for steps in _neighbours(values[found])]
    return (rows_of.join(parts) if parts else None), used


def _cells(group: TreeGroup, base: Rows, matrix: NDArray[np.float64]) -> dict[int, tuple[Cell, bool]]:
    """Return the raw cell that alone moves each feature of the matrix, and whether it is that cell unchanged."""
    movers: dict[int, list[Cell]] = {}
    few = np.arange(min(32, len(matrix)))
    for name, array in base.items():
        if array.dtype.kind not in "fi":
            continue
        for column in range(array.shape[1]):
            moved = rows_of.take(base, few)
            moved[name] = moved[name].copy()
            moved[name][:, column] = np.roll(array[:, column], 1)[few] + (1 if array.dtype.kind == "i" else 0.37)
            changed = ~np.isclose(group.transform(moved), matrix[few], rtol=0, atol=0, equal_nan=True)
            for feature in np.flatnonzero(changed.any(axis=0)).tolist():
                movers.setdefault(feature, []).append((name, column))
    found: dict[int, tuple[Cell, bool]] = {}
    for feature, cells in movers.items():
        if len(cells) == 1:
            name, column = cells[0]
            same = np.array_equal(base[name][:, column].astype(np.float64), matrix[:, feature], equal_nan=True)
            found[feature] = (cells[0], same)
    return found


def _boundaries(
    group: TreeGroup, base: Rows, splits: _Splits, index: NDArray[np.int64], cell: Cell
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return for each split the last raw value on the lower side, and where there is a boundary at all."""
    seen = base[cell[0]][:, cell[1]].astype(np.float64)
    seen = seen[np.isfinite(seen)]
    if seen.size == 0:
        return np.zeros(len(index)), np.zeros(len(index), np.bool_)
    span = float(seen.max() - seen.min()) or 1.0
    low = np.full(len(index), seen.min() - span)
    high = np.full(len(index), seen.max() + span)
    feature, threshold, rows = int(splits.feature[index[0]]), splits.threshold[index], splits.base[index]

    def left(values: NDArray[np.float64]) -> NDArray[np.bool_]:
        result = group.transform(_with(base, rows, cell, values))[:, feature]
        return np.asarray((result.astype(np.float32) if group.single else result) <= threshold)

    at_low = left(low)
    found = at_low != left(high)
    if base[cell[0]].dtype.kind == "i":
        low, high = np.floor(low), np.ceil(high)
    for _ in range(_HALVINGS):
        middle = low + (high - low) / 2
        if base[cell[0]].dtype.kind == "i":
            middle = np.floor(middle)
        if not (found & (middle > low) & (middle < high)).any():
            break
        same = left(middle) == at_low
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return low, found


def _neighbours(values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the values, their float64 neighbours, and their nearest float32 with its neighbours."""
    single = values.astype(np.float32)
    up, down = np.float32(np.inf), np.float32(-np.inf)
    return [
        values,
        np.nextafter(values, np.inf),
        np.nextafter(values, -np.inf),
        single.astype(np.float64),
        np.nextafter(single, up).astype(np.float64),
        np.nextafter(single, down).astype(np.float64),
    ]


def _with(base: Rows, rows: NDArray[np.int64], cell: Cell, values: NDArray[np.float64]) -> Rows:
    name, column = cell
    made = rows_of.take(base, rows)
    made[name] = made[name].copy()
    made[name][:, column] = np.floor(values) if made[name].dtype.kind == "i" else values
    return made
