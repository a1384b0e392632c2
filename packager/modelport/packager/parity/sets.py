"""The rows that a comparison runs on: the sample, and rows made from it where converters are known to go wrong.

Random continuous rows prove nothing about trees; values rounded to one or two decimals, missing values, unknown
categories and the trees' own thresholds do. Everything is drawn from a fixed seed, so one model has one report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from modelport.packager import rows as rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from modelport.packager.rows import Cell, Rows

DRAWN_ROWS: Final = 2_000
SOME_ROWS: Final = 500
_MOST_VALUES: Final = 20_000_000
_SEED: Final = 20_250_101


def sample_set(sample: Rows, most_rows: int | None) -> Rows:
    """Return the sample, thinned evenly to at most `most_rows` rows, fewer of very wide ones; whole for None."""
    if most_rows is None:
        return sample
    most = min(most_rows, max(SOME_ROWS, _MOST_VALUES // rows_of.width(sample)))
    return rows_of.take(sample, rows_of.spread(rows_of.count(sample), most))


def drawn_sets(sample: Rows, looked_up: Collection[Cell]) -> Iterator[tuple[str, Rows]]:
    """Yield (name, rows) for rows within what the sample shows: ranges, categories, integers as integers.

    Of the columns `looked_up`, which are categories, only seen values are drawn, and none is rounded.
    """
    rng = np.random.default_rng(_SEED)
    yield "columns shuffled", _each(sample, lambda _, values: rng.choice(values, DRAWN_ROWS))
    kinds = {array.dtype.kind for array in sample.values()}
    if not kinds & {"f", "i"}:
        return
    random = _each(sample, lambda cell, values: _drawn(values, rng, seen_only=cell in looked_up))
    yield "random in the seen range", random
    if "f" in kinds:
        yield "rounded to 1 decimal", _rounded(random, looked_up, 1)
        yield "rounded to 2 decimals", _rounded(random, looked_up, 2)
        yield "exact zeros", _zeros(sample, looked_up, rng)


def missing_set(sample: Rows, cells: Sequence[Cell]) -> Rows:
    """Return sample rows in which values of `cells` are missing, one each or several."""
    rng = np.random.default_rng(_SEED + 1)
    picked = _picked(sample, rng, len(cells))
    for row in range(rows_of.count(picked)):
        several = rng.random() < 0.2  # noqa: PLR2004
        chosen = [cells[i] for i in rng.integers(0, len(cells), 8)] if several else []
        for name, column in [cells[row % len(cells)], *chosen]:
            array = picked[name]
            array[row, column] = np.nan if array.dtype.kind == "f" else None
    return picked


def unknown_set(sample: Rows, cells: Sequence[Cell], beyond: Mapping[Cell, Any]) -> Rows:
    """Return sample rows in which values of `cells` are such as the sample does not hold.

    Text is replaced by other text or changed a little; numbers that are categories become what is `beyond` them.
    """
    rng = np.random.default_rng(_SEED + 2)
    picked = _picked(sample, rng, len(cells))
    known = {cell: set(sample[cell[0]][:, cell[1]].tolist()) for cell in cells}
    for row in range(rows_of.count(picked)):
        name, column = cell = cells[row % len(cells)]
        array = picked[name]
        if array.dtype.kind == "O":
            others = [text for text in _variants(array[row, column]) if text not in known[cell]]
            array[row, column] = others[(row // len(cells)) % len(others)]
        else:
            array[row, column] = beyond[cell]
    return picked


def _variants(text: str | None) -> list[str]:
    """Return texts that tokenizers stumble over: accents, hyphens, quotes, cases, spaces, nothing."""
    own = text or "nothing"
    return [
        "unseen",
        "",
        own.upper(),
        own.swapcase(),
        f"{own} Ünbekannt-1",
        f"{own}'s",
        own.replace(" ", "-"),
        own.replace(" ", "_"),
        own.replace("e", "é").replace("a", "å"),
        f"é{own.replace(' ', ' é')}",
        f" {own}  ",
        f"a {own} x 7",
        f"{own}\u00a0{own}",
        f"\U0001f600 {own}, {own}.",
    ]


def _picked(sample: Rows, rng: np.random.Generator, cells: int) -> Rows:
    """Return copies of sample rows, enough for each of so many cells."""
    wanted = max(SOME_ROWS, min(cells, DRAWN_ROWS))
    index = rng.integers(0, rows_of.count(sample), wanted)
    return {name: array.copy() for name, array in rows_of.take(sample, index).items()}


def _each(rows: Rows, draw: Callable[[Cell, NDArray[Any]], NDArray[Any]]) -> Rows:
    """Return rows whose columns are drawn one by one."""
    return {
        name: np.stack([draw((name, i), array[:, i]) for i in range(array.shape[1])], axis=1)
        for name, array in rows.items()
    }


def _drawn(values: NDArray[Any], rng: np.random.Generator, *, seen_only: bool) -> NDArray[Any]:
    if seen_only or values.dtype.kind not in "fi":
        return rng.choice(values, DRAWN_ROWS)
    if values.dtype.kind == "i":
        return rng.integers(int(values.min()), int(values.max()), DRAWN_ROWS, endpoint=True)
    seen = values[np.isfinite(values)]
    if seen.size == 0:
        return np.full(DRAWN_ROWS, np.nan)
    low, high = seen.min(), seen.max()
    share = rng.random(DRAWN_ROWS)
    return np.asarray(np.clip(low * (1 - share) + high * share, low, high))  # high - low may be too large for a float


def _rounded(rows: Rows, looked_up: Collection[Cell], decimals: int) -> Rows:
    def column(cell: Cell, values: NDArray[Any]) -> NDArray[Any]:
        if values.dtype.kind != "f" or cell in looked_up:
            return values
        with np.errstate(over="ignore", invalid="ignore"):
            rounded = np.round(values, decimals)
        return np.asarray(np.where(np.isfinite(rounded), rounded, values))

    return _each(rows, column)


def _zeros(sample: Rows, looked_up: Collection[Cell], rng: np.random.Generator) -> Rows:
    """Return sample rows with zeros in float columns, where zero lies in the seen range."""
    picked = _picked(sample, rng, 0)
    for name, array in picked.items():
        for column in range(array.shape[1]):
            if array.dtype.kind != "f" or (name, column) in looked_up:
                continue
            seen = sample[name][:, column]
            seen = seen[np.isfinite(seen)]
            if seen.size and seen.min() <= 0 <= seen.max():
                array[rng.random(len(array)) < 0.5, column] = 0.0  # noqa: PLR2004
    return picked
