"""What a fitted estimator answers, under the names and shapes that its graph's outputs have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from sklearn.base import is_classifier, is_clusterer, is_outlier_detector, is_regressor

from modelport.packager.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

Kind = Literal["classifier", "scorer", "labeller", "regressor", "transformer"]

#: The names of the outputs, in the graph's order, by kind. A `scorer` is a classifier, outlier detector or clusterer
#: that has scores instead of probabilities.
OUTPUTS: Final[dict[Kind, tuple[str, ...]]] = {
    "classifier": ("label", "probabilities"),
    "scorer": ("label", "scores"),
    "labeller": ("label",),
    "regressor": ("prediction",),
    "transformer": ("transformed",),
}


def kind_of(model: Any) -> Kind:
    """Return what a fitted estimator gives; raises `ConversionError` if it neither predicts nor transforms."""
    if hasattr(model, "predict_proba"):
        return "classifier"
    if is_classifier(model) or is_outlier_detector(model) or is_clusterer(model):
        if not hasattr(model, "predict"):
            raise ConversionError(
                f"`{type(model).__name__}`: expected an estimator for new rows, got one that labels only its own",
                hint="KMeans and MiniBatchKMeans label new rows",
            )
        return "scorer" if _scores(model) is not None else "labeller"
    if is_regressor(model) or hasattr(model, "predict"):
        return "regressor"
    if hasattr(model, "transform"):
        return "transformer"
    raise ConversionError(f"`{type(model).__name__}`: expected an estimator that predicts or transforms, got neither")


def answer(model: Any, kind: Kind, data: Any) -> Arrays:
    """Return the estimator's answer for `data`: labels [-1], everything else [-1, columns]."""
    if kind == "transformer":
        return {"transformed": _matrix(model.transform(data))}
    if kind == "regressor":
        return {"prediction": _matrix(model.predict(data))}
    label = np.asarray(model.predict(data))
    if label.ndim != 1:
        raise ConversionError(
            "model: expected one label a row, got several (multi-output)", hint="train one model a label"
        )
    result: Arrays = {"label": label}
    if kind == "classifier":
        result["probabilities"] = _matrix(model.predict_proba(data))
    elif kind == "scorer" and (scores := _scores(model)) is not None:
        result["scores"] = _matrix(scores(data))
    return result


def margin(model: Any, kind: Kind, data: Any) -> NDArray[np.float64]:
    """Return by how much the best class leads the second, one number a row; infinite where nothing says it."""
    if kind == "classifier":
        scores = _matrix(model.predict_proba(data))
    elif kind == "scorer" and (decide := _scores(model)) is not None:
        scores = _matrix(decide(data))
    else:
        return np.full(len(data), np.inf)
    if scores.shape[1] == 1:
        return np.abs(scores[:, 0])
    ordered = np.sort(scores.astype(np.float64), axis=1)
    return np.asarray(ordered[:, 1] - ordered[:, 0] if is_clusterer(model) else ordered[:, -1] - ordered[:, -2])


def classes(model: Any, kind: Kind) -> tuple[str | int | bool, ...]:
    """Return the class labels in the order of the probabilities, as JSON has them; empty where there are none."""
    known = getattr(model, "classes_", None)
    if kind not in ("classifier", "scorer", "labeller") or known is None:
        return ()
    return tuple(value.item() if isinstance(value, np.generic) else value for value in np.asarray(known).tolist())


def _scores(model: Any) -> Callable[[Any], Any] | None:
    if hasattr(model, "decision_function"):
        return model.decision_function  # type: ignore[no-any-return]
    if is_clusterer(model) and hasattr(model, "transform"):
        return model.transform  # type: ignore[no-any-return]
    return None


def _matrix(values: Any) -> NDArray[np.float64]:
    array = np.asarray(values.toarray() if hasattr(values, "toarray") else values)
    return array.reshape(len(array), -1).astype(np.float64)
