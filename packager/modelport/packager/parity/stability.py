"""What the engine itself does to the bits: batches of other sizes, more threads, the same call twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from modelport.runtime.golden import same_bits

from .report import BatchCheck, ThreadCheck

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]
    Run = Callable[[Arrays], Arrays]

_ROWS: Final = 240
_SIZES: Final = (1, 2, 5)


def check_batches(run: Run, inputs: Arrays) -> BatchCheck:
    """Compare rows scored in batches of 1, 2 and 5 with the same rows scored at once; `run` must not pad."""
    rows = min(_ROWS, len(next(iter(inputs.values()))))
    first = {name: array[:rows] for name, array in inputs.items()}
    whole = run(first)
    changed = {size: _in_batches(run, first, rows, size, whole) for size in _SIZES if size <= rows}
    alone = changed.get(1, 0.0)
    others = [difference for size, difference in changed.items() if size > 1]
    identical = all(difference is None for difference in changed.values())
    padded = all(difference is None for difference in others) and (alone is None or _padded(run, first, rows, whole))
    worst = max((difference for difference in changed.values() if difference is not None), default=0.0)
    return BatchCheck(sizes=_SIZES, rows=rows, identical=identical, identical_padded=padded, max_absolute=worst)


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


def is_deterministic(run: Run, inputs: Arrays) -> bool:
    """Return whether three equal calls give equal bits."""
    first = run(inputs)
    return all(same_bits(array, again[name]) for again in (run(inputs), run(inputs)) for name, array in first.items())


def _in_batches(run: Run, inputs: Arrays, rows: int, size: int, whole: Arrays) -> float | None:
    """Return None if batches of `size` give the bits of `whole`, else the largest difference."""
    worst: float | None = None
    for start in range(0, rows - rows % size, size):
        part = run({name: array[start : start + size] for name, array in inputs.items()})
        for name, array in part.items():
            expected = whole[name][start : start + size]
            if not same_bits(np.ascontiguousarray(array), np.ascontiguousarray(expected)):
                worst = max(worst or 0.0, _largest(array, expected))
    return worst


def _padded(run: Run, inputs: Arrays, rows: int, whole: Arrays) -> bool:
    for row in range(rows):
        twice = run({name: np.repeat(array[row : row + 1], 2, axis=0) for name, array in inputs.items()})
        for name, array in twice.items():
            if not same_bits(np.ascontiguousarray(array[:1]), np.ascontiguousarray(whole[name][row : row + 1])):
                return False
    return True


def _largest(left: NDArray[Any], right: NDArray[Any]) -> float:
    if left.dtype.kind != "f" or left.size == 0:
        return 0.0
    difference = np.abs(left.astype(np.float64) - right.astype(np.float64))
    return float(np.nan_to_num(difference, nan=0.0, posinf=np.finfo(np.float64).max).max())
