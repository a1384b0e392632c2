"""Ensembles of trees in ONNX, exact at every threshold: TreeEnsembleRegressor of ai.onnx.ml 3 in float64.

scikit-learn's thresholds are float64 numbers. skl2onnx rounds them to the nearest float32, adds leaves that were
divided before they are added, and knows no missing values. Here thresholds, leaves and sums stay float64, as the
operator allows (https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleRegressor.html); only the sum is rounded.
A float32 input is widened first, which changes no value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np
from onnx import TensorProto, helper
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType

from .operators import cast, concat, constant, finish, node

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from modelport.packager.trees import Tree

_DOMAIN: Final = "ai.onnx.ml"


class Grown(NamedTuple):
    """A tree and its leaves: leaf `node[i]` adds `weight[i]` to the score `target[i]`."""

    tree: Tree
    node: NDArray[np.int64]
    target: NDArray[np.int64]
    weight: NDArray[np.float64]


def infer_classifier_shape(operator: Any) -> None:
    """Give label and probabilities their types."""
    classes = operator.raw_operator.classes_
    first = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = (StringTensorType if classes.dtype.kind in "OUS" else Int64TensorType)([first])
    operator.outputs[1].type = FloatTensorType([first, len(classes)])


def infer_regressor_shape(operator: Any) -> None:
    """Give the prediction its type."""
    columns = getattr(operator.raw_operator, "n_outputs_", 1)
    operator.outputs[0].type = FloatTensorType([operator.inputs[0].get_first_dimension(), columns])


def add_trees(
    scope: Any,
    operator: Any,
    container: Any,
    grown: Sequence[Grown],
    *,
    scores: int,
    aggregate: Literal["SUM", "AVERAGE"],
    base: NDArray[np.float64] | None = None,
    single: bool = False,
) -> str:
    """Add the operator over all inputs; `single` rounds them to float32 first. Return the name of the scores."""
    joined = concat(scope, container, operator.inputs)
    double = isinstance(operator.inputs[0].type, DoubleTensorType)
    if double and single:
        joined = cast(scope, container, joined, FloatTensorType())
    if single or not double:
        joined = cast(scope, container, joined, DoubleTensorType())
    attributes = _attributes(grown)
    if base is not None:
        attributes["base_values_as_tensor"] = _doubles("base_values", base)
    return node(
        scope,
        container,
        "TreeEnsembleRegressor",
        [joined],
        domain=_DOMAIN,
        op_version=3,
        n_targets=scores,
        aggregate_function=aggregate,
        **attributes,
    )


def add_label(scope: Any, operator: Any, container: Any, probabilities: str) -> None:
    """Add the choice of the first best class, as `predict` makes it."""
    known = operator.raw_operator.classes_
    names = known.astype(object) if known.dtype.kind in "OUS" else known.astype(np.int64)
    best = node(scope, container, "ArgMax", [probabilities], axis=1, keepdims=0)
    finish(
        scope,
        container,
        "Gather",
        [constant(scope, container, "classes", names, None), best],
        operator.outputs[0].full_name,
    )


def _attributes(grown: Sequence[Grown]) -> dict[str, Any]:
    trees = [each.tree for each in grown]
    sizes = [len(tree.feature) for tree in trees]
    feature = np.concatenate([tree.feature for tree in trees])
    leaf = feature < 0
    leaves = [len(each.node) for each in grown]
    weights = np.concatenate([each.weight for each in grown])
    return {
        "nodes_treeids": np.repeat(np.arange(len(trees)), sizes).tolist(),
        "nodes_nodeids": np.concatenate([np.arange(size) for size in sizes]).tolist(),
        "nodes_featureids": np.where(leaf, 0, feature).tolist(),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_truenodeids": np.where(leaf, 0, np.concatenate([tree.left for tree in trees])).tolist(),
        "nodes_falsenodeids": np.where(leaf, 0, np.concatenate([tree.right for tree in trees])).tolist(),
        "nodes_missing_value_tracks_true": np.concatenate([tree.missing_left for tree in trees]).astype(int).tolist(),
        "nodes_values_as_tensor": _doubles("nodes_values", np.concatenate([tree.threshold for tree in trees])),
        "target_treeids": np.repeat(np.arange(len(trees)), leaves).tolist(),
        "target_nodeids": np.concatenate([each.node for each in grown]).tolist(),
        "target_ids": np.concatenate([each.target for each in grown]).tolist(),
        "target_weights_as_tensor": _doubles("target_weights", weights),
    }


def _doubles(name: str, values: NDArray[np.float64]) -> Any:
    return helper.make_tensor(name, TensorProto.DOUBLE, values.shape, values.astype("<f8").tobytes(), raw=True)
