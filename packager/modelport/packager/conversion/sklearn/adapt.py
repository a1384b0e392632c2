"""Adapts a fitted estimator for skl2onnx without changing what it learned; the original is never touched."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from skl2onnx.sklapi import CastTransformer
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline

from .contracts import is_single_tree

if TYPE_CHECKING:
    from modelport.runtime.package import Contract

_ENCODERS: Final = ("OneHotEncoder", "OrdinalEncoder", "TargetEncoder")
_CAST: Final = "modelport_cast32"


def adapted(model: Any, contract: Contract, null: str) -> tuple[Any, tuple[str, ...]]:
    """Return what skl2onnx shall convert in place of `model`, and notes on what differs.

    Under `float64` a Cast to float32 stands before trees, which round there themselves; categories that are missing
    values become `null`.
    """
    notes: list[str] = []
    result = _adapt(model, null, notes)
    if contract == "float64":
        result = _with_casts(result, notes)
    return result, tuple(dict.fromkeys(notes))


def is_encoder(step: Any) -> bool:
    """Return whether `step` looks values up in categories, so that integers must reach it as integers."""
    return type(step).__name__ in _ENCODERS


def _adapt(model: Any, null: str, notes: list[str]) -> Any:
    if isinstance(model, Pipeline):
        twin = copy.copy(model)
        twin.steps = [(name, _adapt(step, null, notes)) for name, step in model.steps]
        return twin
    if isinstance(model, ColumnTransformer):
        twin = copy.copy(model)
        twin.transformers_ = [(name, _adapt(step, null, notes), columns) for name, step, columns in model.transformers_]
        return twin
    if isinstance(model, FeatureUnion):
        twin = copy.copy(model)
        twin.transformer_list = [(name, _adapt(step, null, notes)) for name, step in model.transformer_list]
        return twin
    if is_encoder(model) and any(_is_missing(value) for values in model.categories_ for value in values.tolist()):
        twin = copy.copy(model)
        twin.categories_ = [_filled(values, null) for values in model.categories_]
        notes.append(f"`{type(model).__name__}`: the missing category stands as {null!r} in the graph")
        return twin
    return model


def _filled(categories: Any, null: str) -> Any:
    if categories.dtype != np.object_:
        return categories
    return np.array([null if _is_missing(value) else value for value in categories.tolist()], np.object_)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value)) or type(value).__name__ == "NAType"


def _with_casts(model: Any, notes: list[str]) -> Any:
    if is_single_tree(model):
        notes.append(f"`{type(model).__name__}`: a Cast to float32 stands where the trees round")
        return Pipeline([(_CAST, CastTransformer(dtype=np.float32)), ("trees", model)])
    if isinstance(model, Pipeline):
        *before, (name, last) = model.steps
        wrapped = _with_casts(last, notes)
        if wrapped is last:
            return model
        twin = copy.copy(model)
        twin.steps = [*before, *(wrapped.steps if is_single_tree(last) else [(name, wrapped)])]
        return twin
    return model
