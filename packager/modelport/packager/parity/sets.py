"""The rows that a comparison runs on: the sample, and rows made from it where converters are known to go wrong.

Random continuous rows prove nothing about trees; values rounded to one or two decimals, missing values, unknown
categories and the trees' own thresholds do. Everything is drawn from a fixed seed, so one model has one report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from modelport.packager import rows as rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from numpy.typing import NDArray

    from modelport.packager.rows import Rows

SAMPLE_ROWS: Final = 20_000
DRAWN_ROWS: Final = 2_000
SOME_ROWS: Final = 500
_UNKNOWN: Final = ("unseen", "Ünbekannt-1", "x'y z", "")
_SEED: Final = 20_250_101


def sample_set(sample: Rows) -> Rows:
    """Return the sample, thinned evenly to at most `SAMPLE_ROWS` rows."""
    return rows_of.take(sample, rows_of.spread(rows_of.count(sample), SAMPLE_ROWS))


def drawn_sets(sample: Rows, looked_up: Collection[str]) -> Iterator[tuple[str, Rows]]:
    """Yield (name, rows) for rows within what the sample shows: ranges, categories, integers as integers.

    Integers of the inputs `looked_up` are categories: only seen ones are drawn.
    """
    rng = np.random.default_rng(_SEED)
    yield "columns shuffled", _each(sample, lambda _, values: rng.choice(values, DRAWN_ROWS))
    if any(array.dtype.kind == "f" for array in sample.values()):
        random = _each(sample, lambda name, values: _drawn(values, rng, seen_only=name in looked_up))
        yield "random in the seen range", random
        for decimals in (1, 2):
            yield f"rounded to {decimals} decimal{'s' * (decimals > 1)}", _rounded(random, decimals)
        yield "exact zeros", _zeros(sample, rng)


def missing_set(sample: Rows, columns: Sequence[tuple[str, int]]) -> Rows:
    """Return sample rows in which values of `columns` (input and column number) are missing, one each or several."""
    rng = np.random.default_rng(_SEED + 1)
    picked = _picked(sample, rng)
    for row in range(SOME_ROWS):
        several = rng.random() < 0.2  # noqa: PLR2004
        chosen = columns if several else [columns[row % len(columns)]]
        for name, column in chosen:
            array = picked[name]
            array[row, column] = np.nan if array.dtype.kind == "f" else None
    return picked


def unknown_set(sample: Rows, columns: Sequence[tuple[str, int]]) -> Rows:
    """Return sample rows in which text of `columns` was replaced by text that the sample does not hold.

    Integers that are categories become one more than the largest.
    """
    rng = np.random.default_rng(_SEED + 2)
    picked = _picked(sample, rng)
    for row in range(SOME_ROWS):
        name, column = columns[row % len(columns)]
        if sample[name].dtype.kind == "i":
            picked[name][row, column] = sample[name][:, column].max() + 1
            continue
        known = set(sample[name][:, column].tolist())
        unknown = [text for text in _UNKNOWN if text not in known]
        picked[name][row, column] = unknown[(row // len(columns)) % len(unknown)]
    return picked


def _picked(sample: Rows, rng: np.random.Generator) -> Rows:
    index = rng.integers(0, rows_of.count(sample), SOME_ROWS)
    return {name: array.copy() for name, array in rows_of.take(sample, index).items()}


def _each(sample: Rows, draw: Callable[[str, NDArray[Any]], NDArray[Any]]) -> Rows:
    """Return rows whose columns are drawn one by one."""
    made: Rows = {}
    for name, array in sample.items():
        columns = [draw(name, array[:, i]) for i in range(array.shape[1])]
        made[name] = np.stack(columns, axis=1)
    return made


def _drawn(values: NDArray[Any], rng: np.random.Generator, *, seen_only: bool) -> NDArray[Any]:
    if values.dtype.kind == "i" and not seen_only:
        return rng.integers(int(values.min()), int(values.max()), DRAWN_ROWS, endpoint=True)
    if values.dtype.kind != "f":
        return rng.choice(values, DRAWN_ROWS)
    seen = values[np.isfinite(values)]
    if seen.size == 0:
        return np.full(DRAWN_ROWS, np.nan)
    return rng.uniform(seen.min(), seen.max(), DRAWN_ROWS) if seen.min() < seen.max() else np.full(DRAWN_ROWS, seen[0])


def _rounded(rows: Rows, decimals: int) -> Rows:
    return {name: np.round(array, decimals) if array.dtype.kind == "f" else array for name, array in rows.items()}


def _zeros(sample: Rows, rng: np.random.Generator) -> Rows:
    """Return sample rows with zeros in float columns, where zero lies in the seen range."""
    picked = _picked(sample, rng)
    for name, array in picked.items():
        if array.dtype.kind != "f":
            continue
        for column in range(array.shape[1]):
            seen = sample[name][:, column]
            seen = seen[np.isfinite(seen)]
            if seen.size and seen.min() <= 0 <= seen.max():
                array[rng.random(SOME_ROWS) < 0.5, column] = 0.0  # noqa: PLR2004
    return picked
