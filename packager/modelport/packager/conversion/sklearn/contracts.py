"""Which contract a fitted estimator needs: whether some comparison inside it sees more than float32 carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from sklearn.pipeline import Pipeline

from .refused import parts

if TYPE_CHECKING:
    from modelport.runtime.package import Contract

    from .layout import Layout

#: Trees that round what they are given to float32 themselves before they compare.
SINGLE_TREES: Final = (
    "DecisionTree",
    "ExtraTree",
    "RandomForest",
    "ExtraTrees",
    "GradientBoosting",
    "IsolationForest",
    "RandomTreesEmbedding",
)
_DOUBLE_COMPARISONS: Final = ("HistGradientBoosting", "KBinsDiscretizer", "Binarizer", "GaussianProcessRegressor")


def is_single_tree(part: Any) -> bool:
    """Return whether `part` is a tree or an ensemble of trees that compares in float32."""
    name = type(part).__name__
    if name.startswith(("Bagging", "AdaBoost")):
        return all(is_single_tree(inner) for inner in getattr(part, "estimators_", [None]))
    return name.startswith(SINGLE_TREES)


def contracts_for(model: Any, layout: Layout) -> tuple[Contract, ...]:
    """Return the contracts worth trying, the best first.

    `float64` comes first where the sample holds float64 and the model compares in it: in thresholds of its own, or in
    trees behind a transformer whose float64 result is rounded only then.
    """
    if not _holds_double(layout):
        return ("float32",)
    return ("float64", "float32") if _compares_in_double(model) else ("float32", "float64")


def _holds_double(layout: Layout) -> bool:
    if layout.columns:
        return any(array.dtype == np.float64 for array in layout.rows.values())
    return bool(layout.dtype == np.float64)


def _compares_in_double(model: Any) -> bool:
    for part in parts(model):
        if type(part).__name__.startswith(_DOUBLE_COMPARISONS):
            return True
        if (
            isinstance(part, Pipeline)
            and len(part.steps) > 1
            and any(is_single_tree(inner) for inner in parts(part.steps[-1][1]))
        ):
            return True
    return False
