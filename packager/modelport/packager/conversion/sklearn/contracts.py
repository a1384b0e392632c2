"""Which contract a fitted estimator needs: whether some comparison inside it sees more than float32 carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from sklearn.pipeline import Pipeline

from .structure import is_single_tree, lookups, parts, steps_of

if TYPE_CHECKING:
    from modelport.runtime.package import Contract

    from .layout import Layout

_DOUBLE_COMPARISONS: Final = ("HistGradientBoosting", "KBinsDiscretizer", "Binarizer", "GaussianProcessRegressor")
_EXACT_INTEGERS: Final = 2**24  # float32 holds every integer up to here


def contracts_for(model: Any, layout: Layout) -> tuple[Contract, ...]:
    """Return the contracts worth trying, the best first.

    `float64` comes first where the sample holds float64, or integers that float32 rounds, and the model compares in
    it: in thresholds of its own, in trees behind a transformer whose float64 result is rounded only then, in
    categories that are no whole numbers.
    """
    if _holds_double(layout) and _compares_in_double(model, layout):
        return ("float64", "float32")
    return ("float32", "float64")


def _holds_double(layout: Layout) -> bool:
    integers = [array for array in layout.rows.values() if array.dtype.kind == "i"]
    if any(np.abs(array).max() > _EXACT_INTEGERS for array in integers):
        return True
    if layout.columns:
        return any(array.dtype == np.float64 for array in layout.rows.values())
    return bool(layout.dtype == np.float64)


def _compares_in_double(model: Any, layout: Layout) -> bool:
    for part in parts(model):
        if type(part).__name__.startswith(_DOUBLE_COMPARISONS):
            return True
        if isinstance(part, Pipeline):
            steps = [step for _, step in steps_of(part)]
            if len(steps) > 1 and any(is_single_tree(inner) for inner in parts(steps[-1])):
                return True
    kinds = layout.kinds
    return any(kinds[column] == "float" for lookup in lookups(model, range(len(kinds))) for column in lookup.columns)
