"""Finds the decision trees inside a fitted estimator, and the matrix that each of them sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.pipeline import Pipeline

from modelport.packager.trees import Tree, TreeGroup

from . import forests, hist_gradient
from .structure import members, steps_of

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
        last = model.steps[-1][1]
        yield from _groups(last, _after(transform, [step for _, step in steps_of(model) if step is not last]))
        return
    if hasattr(model, "_predictors"):
        yield [each.tree for each in hist_gradient.trees_of(model)], transform, False
        return
    if hasattr(model, "tree_"):
        yield [forests.tree_of(model.tree_)], transform, True
        return
    together: list[Tree] = []
    for inner, columns in members(model):
        if columns is None and hasattr(inner, "tree_"):
            together.append(forests.tree_of(inner.tree_))
        else:
            yield from _groups(inner, transform if columns is None else _columns(transform, columns))
    if together:
        yield together, transform, True


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
    return lambda data: np.asarray(_dense(transform(data)))[:, columns]


def _dense(data: Any) -> Any:
    return data.toarray() if hasattr(data, "toarray") else data
