"""Finds the decision trees inside a fitted estimator, and the matrix that each of them sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.pipeline import Pipeline

from modelport.packager.trees import Tree, TreeGroup

from . import hist_gradient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from modelport.packager.rows import Rows

    from .layout import Layout

    Transform = Callable[[Any], Any]


def tree_groups(model: Any, layout: Layout) -> tuple[TreeGroup, ...]:
    """Return the trees of `model` by the matrix that they see."""

    def from_rows(transform: Transform) -> Callable[[Rows], NDArray[np.float64]]:
        return lambda rows: np.asarray(_dense(transform(layout.original(rows))), np.float64)

    return tuple(
        TreeGroup(tuple(trees), from_rows(transform), single) for trees, transform, single in _groups(model, _itself)
    )


def _groups(model: Any, transform: Transform) -> Iterator[tuple[list[Tree], Transform, bool]]:
    if isinstance(model, Pipeline):
        yield from _groups(model.steps[-1][1], _after(transform, model.steps[:-1]))
        return
    if hasattr(model, "_predictors"):
        yield [tree for _, tree, _ in hist_gradient.trees_of(model)], transform, False
        return
    if hasattr(model, "tree_"):
        yield [_tree(model.tree_)], transform, True
        return
    together: list[Tree] = []
    for inner, features in _members(model):
        if features is None and hasattr(inner, "tree_"):
            together.append(_tree(inner.tree_))
        else:
            yield from _groups(inner, transform if features is None else _columns(transform, features))
    if together:
        yield together, transform, True


def _members(model: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each fitted estimator inside an ensemble with the columns that it sees, None for all."""
    if hasattr(model, "best_estimator_"):
        yield model.best_estimator_, None
        return
    if hasattr(model, "calibrated_classifiers_"):
        for calibrated in model.calibrated_classifiers_:
            yield calibrated.estimator, None
        return
    members = getattr(model, "estimators_", None)
    if members is None:
        return
    features = getattr(model, "estimators_features_", None)
    flat = np.asarray(members, object).ravel().tolist()
    for i, inner in enumerate(flat):
        seen = None if features is None else np.asarray(features[i])
        every = seen is None or np.array_equal(seen, np.arange(getattr(model, "n_features_in_", -1)))
        yield inner, None if every else seen


def _tree(tree: Any) -> Tree:
    leaf = tree.children_left < 0
    missing = getattr(tree, "missing_go_to_left", np.zeros(tree.node_count, np.uint8))
    return Tree(
        feature=np.where(leaf, -1, tree.feature).astype(np.int64),
        threshold=np.where(leaf, 0.0, tree.threshold).astype(np.float64),
        left=tree.children_left.astype(np.int64),
        right=tree.children_right.astype(np.int64),
        missing_left=np.asarray(missing).astype(bool),
    )


def _itself(data: Any) -> Any:
    return data


def _after(transform: Transform, steps: list[tuple[str, Any]]) -> Transform:
    used = [step for _, step in steps if step is not None and step != "passthrough"]

    def chained(data: Any) -> Any:
        data = transform(data)
        for step in used:
            data = step.transform(data)
        return data

    return chained


def _columns(transform: Transform, features: Any) -> Transform:
    return lambda data: np.asarray(_dense(transform(data)))[:, features]


def _dense(data: Any) -> Any:
    return data.toarray() if hasattr(data, "toarray") else data
