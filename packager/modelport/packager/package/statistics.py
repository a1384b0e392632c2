"""Per-feature statistics of the sample, kept in the package so that drift can be measured against them later."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from modelport.runtime import strictjson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from modelport.packager.rows import Rows
    from modelport.runtime.signature import Signature

_BINS: Final = 20
_CATEGORIES: Final = 100
_MOST_FEATURES: Final = 4096


class Numbers(msgspec.Struct, frozen=True, kw_only=True, tag="numbers", forbid_unknown_fields=True):
    """A numeric feature: moments, the seen values at each 5 % of the rank, and a histogram over equal bins."""

    missing: float
    lowest: float
    highest: float
    mean: float
    deviation: float
    quantiles: tuple[float, ...]
    edges: tuple[float, ...]
    counts: tuple[int, ...]


class Categories(msgspec.Struct, frozen=True, kw_only=True, tag="categories", forbid_unknown_fields=True):
    """A feature of categories: how often the commonest (at most 100) were seen, and all others together."""

    missing: float
    counts: dict[str, int]
    others: int


class Statistics(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the sample looked like: `rows` of it, and each feature by name; features without any value are left out.

    So are inputs of more than 4,096 values a row. A sample that was drawn, not given, says nothing: 0 rows.
    """

    rows: int
    features: dict[str, Numbers | Categories]


def statistics(sample: Rows | None, signature: Signature) -> bytes:
    """Return the canonical bytes of `statistics.json`; `sample` is None if it was only drawn."""
    if sample is None:
        return strictjson.canonical(Statistics(rows=0, features={}))
    features: dict[str, Numbers | Categories] = {}
    for spec in signature.inputs:
        columns = sample[spec.name].reshape(len(sample[spec.name]), -1)
        if columns.shape[1] > _MOST_FEATURES:
            continue
        names = spec.features or [f"{spec.name}[{i}]" for i in range(columns.shape[1])]
        names = [spec.name] if columns.shape[1] == 1 and not spec.features else list(names)
        for name, column in zip(names, columns.T, strict=True):
            found = _categories(column) if column.dtype.kind == "O" else _numbers(column.astype(np.float64))
            if found is not None:
                features[name] = found
    return strictjson.canonical(Statistics(rows=len(next(iter(sample.values()))), features=features))


def _numbers(values: NDArray[np.float64]) -> Numbers | None:
    seen = values[np.isfinite(values)]
    if seen.size == 0:
        return None
    low, high = float(seen.min()), float(seen.max())
    share = np.linspace(0, 1, _BINS + 1)
    edges = low * (1 - share) + high * share  # high - low may be too large for a float, or too small for the bins
    counts, _ = np.histogram(seen, np.maximum.accumulate(edges))
    with np.errstate(over="ignore"):
        mean, deviation = seen.mean(), seen.std()
    return Numbers(
        missing=float(np.isnan(values).mean()),
        lowest=low,
        highest=high,
        mean=_finite(mean),
        deviation=_finite(deviation),
        quantiles=tuple(np.quantile(seen, share, method="inverted_cdf").tolist()),
        edges=tuple(np.maximum.accumulate(edges).tolist()),
        counts=tuple(counts.tolist()),
    )


def _finite(value: float) -> float:
    """Return a number that JSON can hold: the largest float64 where a sum went beyond it."""
    return float(np.nan_to_num(value, nan=np.finfo(np.float64).max))


def _categories(values: NDArray[Any]) -> Categories | None:
    texts = [value for value in values.tolist() if value is not None]
    if not texts:
        return None
    ranked = sorted(Counter(texts).items(), key=lambda pair: (-pair[1], pair[0]))
    return Categories(
        missing=float(1 - len(texts) / len(values)),
        counts=dict(ranked[:_CATEGORIES]),
        others=sum(count for _, count in ranked[_CATEGORIES:]),
    )
