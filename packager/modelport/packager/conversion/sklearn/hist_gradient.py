"""HistGradientBoosting in ONNX: trees that scikit-learn compares in float64, and the link of the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
from skl2onnx.common.data_types import FloatTensorType

from modelport.packager.errors import ConversionError
from modelport.packager.trees import Tree

from .ensembles import Grown, add_label, add_trees
from .operators import constant, finish, node

_LINKS = {"IdentityLink": "Identity", "LogLink": "Exp"}


def trees_of(model: Any) -> list[Grown]:
    """Return the trees of a fitted HistGradientBoosting model; raises `ConversionError` for splits on categories."""
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
            leaves = np.flatnonzero(leaf)
            weight = nodes["value"].astype(np.float64)[leaves]
            found.append(Grown(tree, leaves, np.full(len(leaves), target), weight))
    return found


def convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    """Add the trees, the link and the label."""
    raw = _add_trees(scope, operator, container)
    probabilities = operator.outputs[1].full_name
    if len(operator.raw_operator.classes_) == 2:  # noqa: PLR2004
        positive = node(scope, container, "Sigmoid", [raw])
        one = constant(scope, container, "one", np.array([1.0]), FloatTensorType())
        negative = node(scope, container, "Sub", [one, positive])
        finish(scope, container, "Concat", [negative, positive], probabilities, axis=1)
    else:
        finish(scope, container, "Softmax", [raw], probabilities, axis=1)
    add_label(scope, operator, container, probabilities)


def convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    """Add the trees and the inverse link; raises `ConversionError` for a link that is neither identity nor log."""
    model = operator.raw_operator
    link = type(model._loss.link).__name__  # noqa: SLF001
    if link not in _LINKS:
        raise ConversionError(f"`{type(model).__name__}`: expected an identity or log link, got {link}")
    raw = _add_trees(scope, operator, container)
    finish(scope, container, _LINKS[link], [raw], operator.outputs[0].full_name)


def _add_trees(scope: Any, operator: Any, container: Any) -> str:
    model = operator.raw_operator
    if getattr(model, "_preprocessor", None) is not None:
        raise ConversionError(
            f"`{type(model).__name__}`: expected numbers only, got columns of categories",
            hint="encode the categories in a ColumnTransformer and train with `categorical_features=None`",
        )
    return add_trees(
        scope,
        operator,
        container,
        trees_of(model),
        scores=model.n_trees_per_iteration_,
        aggregate="SUM",
        base=np.asarray(model._baseline_prediction, np.float64).ravel(),  # noqa: SLF001
    )
