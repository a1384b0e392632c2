"""Rows that stand exactly where a decision tree decides: at each threshold, and one step to either side of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from modelport.packager import rows as rows_of
from modelport.packager.trees import arriving_rows

from .boundaries import Sought, movers, place, with_values
from .report import Thresholds

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from modelport.packager.rows import Cell, Rows
    from modelport.packager.trees import TreeGroup

    from .boundaries import Mover

#: At most so many probe rows, visits of a row to a tree, and values: a budget that is the same on every machine.
MAX_ROWS: Final = 120_000
MAX_VISITS: Final = 20_000_000
MAX_VALUES: Final = 20_000_000
_BASE_ROWS: Final = 500
_STEPS: Final = 6
_BASES: Final = 8  # rows at one split: of a single one, both sides may come to the same answer
_SEARCHED: Final = 4_000
_SEARCHED_VALUES: Final = 2_000_000
_LARGEST: Final = float(np.finfo(np.float32).max) / 2  # steps of float32 beside it must not be infinite


class _Splits(NamedTuple):
    """Distinct (feature, threshold) pairs, and `_BASES` rows for each: ones that arrive at the split if `reached`."""

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    base: NDArray[np.int64]
    reached: NDArray[np.bool_]

    def at(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> _Splits:
        """Return some of the splits."""
        return _Splits(self.feature[index], self.threshold[index], self.base[index], self.reached[index])


def probe(
    groups: Sequence[TreeGroup], sample: Rows, looked_up: Collection[Cell] = ()
) -> tuple[Rows | None, Thresholds | None]:
    """Return probe rows for the trees of `groups` and how far they cover their thresholds; None without trees.

    Columns that are `looked_up` as categories are not moved.
    """
    if not groups:
        return None, None
    base = rows_of.take(sample, rows_of.spread(rows_of.count(sample), _BASE_ROWS))
    trees = sum(len(group.trees) for group in groups)
    budget = min(MAX_ROWS, MAX_VISITS // max(1, trees), MAX_VALUES // rows_of.width(sample)) // len(groups)
    made: list[Rows] = []
    distinct = probed = reached = 0
    for group in groups:
        matrix = group.transform(base)
        splits = _splits(group, matrix)
        distinct += len(splits.feature)
        chosen = _thinned(splits, max(1, budget // _STEPS))
        rows, used = _rows(group, base, movers(group, base, matrix, looked_up), chosen, budget)
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
        arrived.append(arriving_rows(tree, seen, _BASES)[inner])
    features, thresholds, rows = np.concatenate(feature), np.concatenate(threshold), np.concatenate(arrived)
    finite = np.isfinite(thresholds)
    features, thresholds, rows = features[finite], thresholds[finite], rows[finite]
    order = np.lexsort((-rows[:, 0], thresholds, features))  # of equal splits, one that is reached comes first
    features, thresholds, rows = features[order], thresholds[order], rows[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = (features[1:] != features[:-1]) | (thresholds[1:] != thresholds[:-1])
    features, thresholds, rows = features[first], thresholds[first], rows[first]
    anywhere = (np.arange(len(rows))[:, np.newaxis] + np.arange(_BASES) * 7) % len(matrix)
    return _Splits(features, thresholds, np.where(rows < 0, anywhere, rows), rows[:, 0] >= 0)


def _thinned(splits: _Splits, wanted: int) -> _Splits:
    """Return at most `wanted` splits, those that a row arrives at first."""
    if len(splits.feature) <= wanted:
        return splits
    order = np.argsort(~splits.reached, kind="stable")
    reached = int(np.count_nonzero(splits.reached))
    kept = order[rows_of.spread(reached, wanted)] if reached >= wanted else order[:wanted]
    return splits.at(np.sort(kept))


def _rows(
    group: TreeGroup, base: Rows, moving: dict[int, Mover], splits: _Splits, budget: int
) -> tuple[Rows | None, NDArray[np.bool_]]:
    """Return the probe rows of `splits`, about `budget` of them, and which splits have any."""
    values, used = _values(group, base, splits, moving)
    index = np.flatnonzero(used)
    if len(index) == 0:
        return None, used
    cells = [moving[feature].cell for feature in splits.feature[index].tolist()]
    bases = min(_BASES, max(1, budget // (_STEPS * len(index))))
    parts = [
        with_values(base, splits.base[index, number], cells, steps)
        for number in range(bases)
        for steps in _neighbours(values[index], whole=any(base[name].dtype.kind == "i" for name, _ in cells))
    ]
    return rows_of.join(parts), used


def _values(
    group: TreeGroup, base: Rows, splits: _Splits, moving: dict[int, Mover]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the raw value of each threshold, and which ones have one that was found within the budget."""
    values = splits.threshold.copy()
    features = splits.feature.tolist()
    used = np.array([feature in moving and moving[feature].unchanged for feature in features], np.bool_)
    hidden = np.flatnonzero([feature in moving and not moving[feature].unchanged for feature in features])
    if len(hidden):
        budget = max(1, min(_SEARCHED, _SEARCHED_VALUES // rows_of.width(base)))
        hidden = hidden[rows_of.spread(len(hidden), budget)]
        chosen = splits.at(hidden)
        each = zip(chosen.feature.tolist(), chosen.threshold.tolist(), chosen.base[:, 0].tolist(), strict=True)
        placed = place(group, base, [Sought(feature, at, moving[feature].cell, row) for feature, at, row in each])
        values[hidden], used[hidden] = placed.value, placed.found
    used &= np.abs(values) < _LARGEST
    return values, used


def _neighbours(values: NDArray[np.float64], *, whole: bool) -> list[NDArray[np.float64]]:
    """Return the values, their float64 neighbours, their nearest float32 with its neighbours, and for `whole` the next.

    Columns of integers take the integer below each.
    """
    single = values.astype(np.float32)
    up, down = np.float32(np.inf), np.float32(-np.inf)
    return [
        values,
        np.nextafter(values, np.inf),
        np.nextafter(values, -np.inf),
        single.astype(np.float64),
        np.nextafter(single, up).astype(np.float64),
        np.nextafter(single, down).astype(np.float64),
        *([np.floor(values) + 1] if whole else ()),
    ]
