"""What the engine itself does to the bits: batches of other sizes, more threads, the same call twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from modelport.runtime.golden import same_bits
from modelport.runtime.scorer import CHUNK_ROWS

from .report import BatchCheck, ThreadCheck

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]
    Run = Callable[[Arrays], Arrays]

_MOST_ROWS: Final = 1000
_FEWEST_ROWS: Final = 16
_BATCHED_ROWS: Final = 240
_SIZES: Final = (1, 2, 5)


class Stability(NamedTuple):
    """Which outputs are `changing` from call to call, and what batches (None without rows) and threads change."""

    changing: frozenset[str]
    batches: BatchCheck | None
    threads: ThreadCheck

    @property
    def rows_identical(self) -> bool | None:
        """Whether a row gives the same bits in any batch, a single one padded if need be; None without rows."""
        return (self.batches.identical or self.batches.identical_padded) if self.batches else None

    @property
    def pad(self) -> bool:
        """Whether a single row must be scored as two to give the bits that it gives among others."""
        return self.batches is not None and not self.batches.identical and self.batches.identical_padded


def some_rows(count: int, *, with_rows: bool) -> NDArray[np.int64]:
    """Return which of `count` rows to check: a thousand spread evenly at most; few are repeated to fill batches."""
    if with_rows and count < _FEWEST_ROWS:
        return np.arange(_FEWEST_ROWS) % count
    return np.unique(np.linspace(0, count - 1, min(count, _MOST_ROWS)).astype(np.int64))


def check(
    run: Run, run_with_one: Run, run_with_more: Run, inputs: Arrays, *, more_threads: int, with_rows: bool
) -> Stability:
    """Check `run`, the engine as it will be executed but never padded, beside one thread and `more_threads`."""
    return Stability(
        changing_outputs(run, inputs),
        check_batches(run, inputs) if with_rows else None,
        check_threads(run_with_one, run_with_more, inputs, more_threads),
    )


def check_batches(run: Run, inputs: Arrays) -> BatchCheck:
    """Compare rows scored in batches of 1, 2, 5 and `CHUNK_ROWS` with the same rows scored at once.

    `run` must not pad. Kernels have been seen to change their ways at some number of rows, and the runtime never runs
    more than `CHUNK_ROWS` of them together.
    """
    rows = min(_BATCHED_ROWS, len(next(iter(inputs.values()))))
    first = {name: array[:rows] for name, array in inputs.items()}
    whole = run(first)
    changed = {size: _in_batches(run, first, rows, size, whole) for size in _SIZES if size <= rows}
    changed[CHUNK_ROWS] = _in_chunk(run, first, rows, whole)
    alone = changed.get(1, 0.0)
    others = [difference for size, difference in changed.items() if size > 1]
    identical = all(difference is None for difference in changed.values())
    padded = all(difference is None for difference in others) and (alone is None or _padded(run, first, rows, whole))
    worst = max((difference for difference in changed.values() if difference is not None), default=0.0)
    return BatchCheck(
        sizes=(*_SIZES, CHUNK_ROWS), rows=rows, identical=identical, identical_padded=padded, max_absolute=worst
    )


def check_threads(run: Run, run_with_more: Run, inputs: Arrays, threads: int) -> ThreadCheck:
    """Compare the answers of one thread with those of `threads` threads."""
    one, more = run(inputs), run_with_more(inputs)
    rows = len(next(iter(inputs.values())))
    changed = np.zeros(rows, np.bool_)
    worst = 0.0
    for name, array in one.items():
        differs = np.asarray(array != more[name], np.bool_).reshape(rows, -1)
        if array.dtype.kind == "f":
            differs &= ~(np.isnan(array) & np.isnan(more[name])).reshape(rows, -1)
            worst = max(worst, _largest(array, more[name]))
        changed |= differs.any(axis=1)
    return ThreadCheck(threads=threads, rows=rows, changed=int(np.count_nonzero(changed)), max_absolute=worst)


def changing_outputs(run: Run, inputs: Arrays) -> frozenset[str]:
    """Return the outputs that are not deterministic: that three equal calls do not give the same bits of."""
    first, *others = run(inputs), run(inputs), run(inputs)
    return frozenset(
        name for name, array in first.items() if not all(same_bits(array, again[name]) for again in others)
    )


def _in_batches(run: Run, inputs: Arrays, rows: int, size: int, whole: Arrays) -> float | None:
    """Return None if batches of `size` give the bits of `whole`, else the largest difference."""
    worst: float | None = None
    for start in range(0, rows - rows % size, size):
        part = run({name: array[start : start + size] for name, array in inputs.items()})
        for name, array in part.items():
            expected = whole[name][start : start + size]
            if not same_bits(array, expected):
                worst = max(worst or 0.0, _largest(array, expected))
    return worst


def _in_chunk(run: Run, inputs: Arrays, rows: int, whole: Arrays) -> float | None:
    """Return None if the rows, over and over in one batch of `CHUNK_ROWS`, give the bits of `whole`."""
    index = np.arange(CHUNK_ROWS) % rows
    got = run({name: array[index] for name, array in inputs.items()})
    differences = [
        _largest(array, whole[name][index]) for name, array in got.items() if not same_bits(array, whole[name][index])
    ]
    return max(differences) if differences else None


def _padded(run: Run, inputs: Arrays, rows: int, whole: Arrays) -> bool:
    for row in range(rows):
        twice = run({name: np.repeat(array[row : row + 1], 2, axis=0) for name, array in inputs.items()})
        if not all(same_bits(array[:1], whole[name][row : row + 1]) for name, array in twice.items()):
            return False
    return True


def _largest(left: NDArray[Any], right: NDArray[Any]) -> float:
    if left.dtype.kind != "f" or left.size == 0 or left.shape != right.shape:
        return 0.0
    with np.errstate(invalid="ignore"):
        difference = np.abs(left.astype(np.float64) - right.astype(np.float64))
    return float(np.nan_to_num(difference, nan=0.0, posinf=np.finfo(np.float64).max).max())
