"""Decision trees and forests in ONNX: trees that scikit-learn compares in float32, and the mean of their leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType
from sklearn.ensemble._iforest import _average_path_length

from modelport.packager.trees import Tree

from .ensembles import Grown, add_label, add_trees
from .operators import constant, finish, node

if TYPE_CHECKING:
    from collections.abc import Iterator


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


def infer_isolation_shape(operator: Any) -> None:
    """Give label and score their types."""
    first = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = Int64TensorType([first])
    operator.outputs[1].type = FloatTensorType([first, 1])


def convert_isolation(scope: Any, operator: Any, container: Any) -> None:
    """Add the trees, whose leaves say how deep they lie, the score of the mean depth, and the side of zero."""
    model = operator.raw_operator
    depth = add_trees(scope, operator, container, list(_isolating(model)), scores=1, aggregate="AVERAGE", single=True)
    usual = float(_average_path_length([model._max_samples])[0])  # noqa: SLF001  what scikit-learn divides by
    share = node(scope, container, "Div", [depth, _number(scope, container, -usual or 1.0)])
    anomaly = node(scope, container, "Pow", [_number(scope, container, 2.0), share])
    offset = _number(scope, container, -float(model.offset_))
    scores = operator.outputs[1].full_name
    finish(scope, container, "Sub", [offset, anomaly], scores)
    flat = node(scope, container, "Reshape", [scores, constant(scope, container, "flat", np.array([-1]), None)])
    outside = node(scope, container, "Less", [flat, _number(scope, container, 0.0)])
    sides = [constant(scope, container, "side", np.array(side), None) for side in (-1, 1)]
    finish(scope, container, "Where", [outside, *sides], operator.outputs[0].full_name)


def _isolating(model: Any) -> Iterator[Grown]:
    lengths, averages = model._decision_path_lengths, model._average_path_length_per_tree  # noqa: SLF001
    for i, (inner, columns) in enumerate(zip(model.estimators_, model.estimators_features_, strict=True)):
        tree = tree_of(inner.tree_)
        seen = np.where(tree.feature < 0, -1, np.asarray(columns)[tree.feature])
        leaves = np.flatnonzero(tree.feature < 0)
        depths = np.asarray(lengths[i] + averages[i] - 1.0, np.float64)[leaves]
        yield Grown(tree._replace(feature=seen), leaves, np.zeros(len(leaves), np.int64), depths)


def _number(scope: Any, container: Any, value: float) -> str:
    return constant(scope, container, "number", np.array(value), FloatTensorType())


def _trees(model: Any) -> list[Any]:
    return list(getattr(model, "estimators_", [model]))


def _grown(fitted: Any, *, of_classes: bool) -> Grown:
    tree = tree_of(fitted)
    leaves = np.flatnonzero(tree.feature < 0)
    values = fitted.value[leaves, 0, :] if of_classes else fitted.value[leaves, :, 0]
    row, target = np.nonzero(values) if of_classes else np.nonzero(np.ones_like(values))
    return Grown(tree, leaves[row], target.astype(np.int64), values[row, target].astype(np.float64))
