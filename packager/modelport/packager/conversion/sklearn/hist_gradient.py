"""HistGradientBoosting in ONNX, exact at every threshold in either contract.

scikit-learn compares these trees in float64. skl2onnx rounds their thresholds to the nearest float32, which moves rows
that lie on the wrong side of the rounding. Here float64 inputs meet float64 thresholds, and float32 inputs meet
thresholds rounded down, which is exact for every float32 value. The operator is TreeEnsembleRegressor of ai.onnx.ml 3
(https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleRegressor.html).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from onnx import TensorProto, helper
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType

from modelport.packager.errors import ConversionError
from modelport.packager.trees import Tree

from .operators import concat, constant, node

_DOMAIN: Final = "ai.onnx.ml"


def trees_of(model: Any) -> list[tuple[int, Tree, Any]]:
    """Return (class, tree, leaf values) for every tree of a fitted HistGradientBoosting model.

    Raises `ConversionError` for splits on categories.
    """
    found = []
    for iteration in model._predictors:  # noqa: SLF001  the trees have no public name
        for target, predictor in enumerate(iteration):
            nodes = predictor.nodes
            if nodes["is_categorical"].any():
                raise ConversionError(
                    f"`{type(model).__name__}`: expected splits on numbers, got splits on categories",
                    hint="one-hot encode the categories and train with `categorical_features=None`",
                )
            leaf = nodes["is_leaf"].astype(bool)
            tree = Tree(
                feature=np.where(leaf, -1, nodes["feature_idx"]).astype(np.int64),
                threshold=np.where(leaf, 0.0, nodes["num_threshold"]).astype(np.float64),
                left=nodes["left"].astype(np.int64),
                right=nodes["right"].astype(np.int64),
                missing_left=nodes["missing_go_to_left"].astype(bool),
            )
            found.append((target, tree, nodes["value"].astype(np.float64)))
    return found


def rounded_down(thresholds: Any) -> Any:
    """Return the largest float32 values that are not above the float64 `thresholds`."""
    near = np.asarray(thresholds, np.float64).astype(np.float32)
    return np.where(near.astype(np.float64) > thresholds, np.nextafter(near, np.float32(-np.inf)), near)


def infer_classifier_shape(operator: Any) -> None:
    """Give label and probabilities their types."""
    classes = operator.raw_operator.classes_
    first = operator.inputs[0].get_first_dimension()
    label = Int64TensorType if classes.dtype.kind in "iub" else StringTensorType
    operator.outputs[0].type = label([first])
    operator.outputs[1].type = FloatTensorType([first, len(classes)])


def infer_regressor_shape(operator: Any) -> None:
    """Give the prediction its type."""
    operator.outputs[0].type = FloatTensorType([operator.inputs[0].get_first_dimension(), 1])


def convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    """Add the trees, the link and the choice of the first best class, as `predict` makes it."""
    model = operator.raw_operator
    raw = _add_trees(scope, operator, container)
    probabilities = operator.outputs[1].full_name
    if len(model.classes_) == 2:  # noqa: PLR2004
        positive = node(scope, container, "Sigmoid", [raw])
        one = constant(scope, container, "one", np.array([1.0]), FloatTensorType())
        negative = node(scope, container, "Sub", [one, positive])
        _finish(scope, container, "Concat", [negative, positive], probabilities, axis=1)
    else:
        _finish(scope, container, "Softmax", [raw], probabilities, axis=1)
    best = node(scope, container, "ArgMax", [probabilities], axis=1, keepdims=0)
    known = model.classes_
    names = known.astype(np.int64) if known.dtype.kind in "iub" else known.astype(object)
    _finish(
        scope,
        container,
        "Gather",
        [constant(scope, container, "classes", names, None), best],
        operator.outputs[0].full_name,
    )


def convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    """Add the trees and the inverse link."""
    model = operator.raw_operator
    link = type(model._loss.link).__name__  # noqa: SLF001
    raw = _add_trees(scope, operator, container)
    if link not in ("IdentityLink", "LogLink"):
        raise ConversionError(f"`{type(model).__name__}`: expected an identity or log link, got {link}")
    _finish(scope, container, "Identity" if link == "IdentityLink" else "Exp", [raw], operator.outputs[0].full_name)


def _finish(scope: Any, container: Any, op_type: str, inputs: list[str], output: str, **attributes: Any) -> None:
    container.add_node(op_type, inputs, [output], name=scope.get_unique_operator_name(op_type), **attributes)


def _add_trees(scope: Any, operator: Any, container: Any) -> str:
    model = operator.raw_operator
    if getattr(model, "_preprocessor", None) is not None:
        raise ConversionError(
            f"`{type(model).__name__}`: expected numbers only, got columns of categories",
            hint="encode the categories in a ColumnTransformer and train with `categorical_features=None`",
        )
    double = isinstance(operator.inputs[0].type, DoubleTensorType)
    joined = concat(scope, container, operator.inputs)
    return node(
        scope,
        container,
        "TreeEnsembleRegressor",
        [joined],
        domain=_DOMAIN,
        op_version=3,
        **_attributes(model, double=double),
    )


def _attributes(model: Any, *, double: bool) -> dict[str, Any]:
    trees = trees_of(model)
    sizes = [len(tree.feature) for _, tree, _ in trees]
    feature = np.concatenate([tree.feature for _, tree, _ in trees])
    leaf = feature < 0
    ids = np.concatenate([np.arange(size) for size in sizes])
    owner = np.repeat(np.arange(len(trees)), sizes)
    target = np.repeat([target for target, _, _ in trees], sizes)
    thresholds = np.concatenate([tree.threshold for _, tree, _ in trees])
    weights = np.concatenate([values for _, _, values in trees])[leaf]
    base = np.asarray(model._baseline_prediction, np.float64).ravel()  # noqa: SLF001
    attributes: dict[str, Any] = {
        "n_targets": model.n_trees_per_iteration_,
        "nodes_treeids": owner.tolist(),
        "nodes_nodeids": ids.tolist(),
        "nodes_featureids": np.where(leaf, 0, feature).tolist(),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_truenodeids": np.where(leaf, 0, np.concatenate([tree.left for _, tree, _ in trees])).tolist(),
        "nodes_falsenodeids": np.where(leaf, 0, np.concatenate([tree.right for _, tree, _ in trees])).tolist(),
        "nodes_missing_value_tracks_true": np.concatenate([tree.missing_left for _, tree, _ in trees])
        .astype(int)
        .tolist(),
        "target_treeids": owner[leaf].tolist(),
        "target_nodeids": ids[leaf].tolist(),
        "target_ids": target[leaf].tolist(),
    }
    if double:
        for name, values in (("nodes_values", thresholds), ("target_weights", weights), ("base_values", base)):
            attributes[f"{name}_as_tensor"] = helper.make_tensor(name, TensorProto.DOUBLE, values.shape, values)
    else:
        attributes |= {
            "nodes_values": rounded_down(thresholds).tolist(),
            "target_weights": weights.astype(np.float32).tolist(),
            "base_values": base.astype(np.float32).tolist(),
        }
    return attributes
