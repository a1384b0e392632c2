"""Finds the decision trees inside a fitted estimator, and the matrix that each of them sees.

What compares a value with a threshold and is no tree (Binarizer, KBinsDiscretizer) counts as trees of one split.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Binarizer, KBinsDiscretizer

from modelport.packager.trees import Tree, TreeGroup

from . import forests, hist_gradient
from .structure import branches, members, steps_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from modelport.packager.rows import Rows

    from .layout import Layout

    Transform = Callable[[Any], Any]


def tree_groups(model: Any, layout: Layout) -> tuple[TreeGroup, ...]:
    """Return the trees of `model` by the matrix that they see."""

    def from_rows(transform: Transform) -> Callable[[Rows], NDArray[np.float64]]:
        return lambda rows: _numbers(transform(layout.original(rows)))

    return tuple(
        TreeGroup(tuple(trees), from_rows(transform), single) for trees, transform, single in _groups(model, _itself)
    )


def _groups(model: Any, transform: Transform) -> Iterator[tuple[list[Tree], Transform, bool]]:
    inside = list(_inside(model, transform))
    if inside:
        for inner, seen in inside:
            yield from _groups(inner, seen)
    elif isinstance(model, Binarizer | KBinsDiscretizer):
        yield _splits(model), transform, False
    elif hasattr(model, "_predictors"):
        yield [each.tree for each in hist_gradient.trees_of(model)], transform, False
    elif hasattr(model, "tree_"):
        yield [forests.tree_of(model.tree_)], transform, True
    else:
        yield from _members(model, transform)


def _inside(model: Any, transform: Transform) -> Iterator[tuple[Any, Transform]]:
    """Yield the steps of a Pipeline or the parts of a ColumnTransformer, and what makes the data that each sees."""
    if isinstance(model, Pipeline):
        steps = [step for _, step in steps_of(model)]
        for number, step in enumerate(steps):
            yield step, _after(transform, steps[:number])
    elif isinstance(model, ColumnTransformer):
        for _, step, numbers in branches(model):
            yield step, _columns(transform, np.asarray(numbers))


def _members(model: Any, transform: Transform) -> Iterator[tuple[list[Tree], Transform, bool]]:
    together: list[Tree] = []
    for inner, columns in members(model):
        if columns is None and hasattr(inner, "tree_"):
            together.append(forests.tree_of(inner.tree_))
        else:
            yield from _groups(inner, transform if columns is None else _columns(transform, columns))
    if together:
        yield together, transform, True


def _splits(model: Binarizer | KBinsDiscretizer) -> list[Tree]:
    """Return a tree of one split for every place where the transformer decides."""
    if isinstance(model, Binarizer):
        return [_split(feature, model.threshold) for feature in range(model.n_features_in_)]
    return [
        _split(feature, np.nextafter(edge, -np.inf))  # a value on an edge is above it
        for feature, edges in enumerate(model.bin_edges_)
        for edge in edges[1:-1]
    ]


def _split(feature: int, threshold: float) -> Tree:
    return Tree(
        np.array([feature, -1, -1]),
        np.array([threshold, 0.0, 0.0], np.float64),
        np.array([1, 0, 0]),
        np.array([2, 0, 0]),
        np.zeros(3, np.bool_),
    )


def _itself(data: Any) -> Any:
    return data


def _after(transform: Transform, steps: list[Any]) -> Transform:
    def chained(data: Any) -> Any:
        data = transform(data)
        for step in steps:
            data = step.transform(data)
        return data

    return chained


def _columns(transform: Transform, columns: NDArray[np.int64]) -> Transform:
    return lambda data: _chosen(transform(data), columns)


def _chosen(data: Any, columns: NDArray[np.int64]) -> Any:
    """Return some columns of a data frame or matrix."""
    return data.iloc[:, columns] if hasattr(data, "iloc") else np.asarray(_dense(data))[:, columns]


def _numbers(data: Any) -> NDArray[np.float64]:
    """Return a data frame or matrix as numbers, NaN where a value is missing in whatever way."""
    if hasattr(data, "iloc"):
        return np.asarray(data.to_numpy(np.float64, na_value=np.nan))
    return np.asarray(_dense(data), np.float64)


def _dense(data: Any) -> Any:
    return data.toarray() if hasattr(data, "toarray") else data
