"""Decision trees and forests in ONNX: trees that scikit-learn compares in float32, and the mean of their leaves."""

from __future__ import annotations

from typing import Any

import numpy as np

from modelport.packager.trees import Tree

from .ensembles import Grown, add_label, add_trees
from .operators import finish


def tree_of(tree: Any) -> Tree:
    """Return a fitted tree (an estimator's `tree_`) as plain arrays."""
    leaf = tree.children_left < 0
    missing = getattr(tree, "missing_go_to_left", np.zeros(tree.node_count, np.uint8))
    return Tree(
        feature=np.where(leaf, -1, tree.feature).astype(np.int64),
        threshold=np.where(leaf, 0.0, tree.threshold).astype(np.float64),
        left=tree.children_left.astype(np.int64),
        right=tree.children_right.astype(np.int64),
        missing_left=np.asarray(missing).astype(bool),
    )


def convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    """Add the trees, the mean of their probabilities and the label."""
    model = operator.raw_operator
    raw = add_trees(
        scope,
        operator,
        container,
        [_grown(inner.tree_, of_classes=True) for inner in _trees(model)],
        scores=len(model.classes_),
        aggregate="AVERAGE",
        single=True,
    )
    finish(scope, container, "Identity", [raw], operator.outputs[1].full_name)
    add_label(scope, operator, container, raw)


def convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    """Add the trees and the mean of their predictions, one or several."""
    model = operator.raw_operator
    raw = add_trees(
        scope,
        operator,
        container,
        [_grown(inner.tree_, of_classes=False) for inner in _trees(model)],
        scores=model.n_outputs_,
        aggregate="AVERAGE",
        single=True,
    )
    finish(scope, container, "Identity", [raw], operator.outputs[0].full_name)


def _trees(model: Any) -> list[Any]:
    return list(getattr(model, "estimators_", [model]))


def _grown(fitted: Any, *, of_classes: bool) -> Grown:
    tree = tree_of(fitted)
    leaves = np.flatnonzero(tree.feature < 0)
    values = fitted.value[leaves, 0, :] if of_classes else fitted.value[leaves, :, 0]
    row, target = np.nonzero(values) if of_classes else np.nonzero(np.ones_like(values))
    return Grown(tree, leaves[row], target.astype(np.int64), values[row, target].astype(np.float64))
