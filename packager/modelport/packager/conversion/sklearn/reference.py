"""What a fitted estimator answers, under the names and shapes that its graph's outputs have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from sklearn.base import is_classifier, is_clusterer, is_outlier_detector, is_regressor

from modelport.packager.errors import ConversionError

from .structure import last_step

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
    if isinstance(several := getattr(model, "classes_", None), list):
        raise ConversionError(
            f"`{type(model).__name__}`: expected one label a row, got {len(several)}", hint="train one model a label"
        )
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
            f"`{type(model).__name__}`: expected one label a row, got {label.shape[1]}", hint="train one model a label"
        )
    result: Arrays = {"label": label}
    if kind == "classifier":
        result["probabilities"] = _matrix(model.predict_proba(data))
    elif kind == "scorer" and (scores := _scores(model)) is not None:
        result["scores"] = _matrix(scores(data))
    return result


def behind(model: Any, answers: Arrays, labels: NDArray[Any]) -> NDArray[np.float64]:
    """Return by how much the score of each of `labels` differs from that of the label in the estimator's own `answers`.

    Infinite where nothing says it: for labels that the estimator does not know, and without a score for each.
    """
    scores = answers.get("probabilities", answers.get("scores"))
    if scores is None or getattr(last_step(model), "decision_function_shape", "") == "ovo":  # scores of pairs
        return np.full(len(labels), np.inf)
    if scores.shape[1] == 1:  # one side of zero or the other
        return np.where(labels == answers["label"], 0.0, np.abs(scores[:, 0]))
    known = np.asarray(getattr(model, "classes_", np.arange(scores.shape[1])))  # clusters and mixtures count theirs
    chosen = labels.reshape(-1, 1) == known.reshape(1, -1)
    if chosen.shape != scores.shape:
        return np.full(len(labels), np.inf)
    answered = answers["label"].reshape(-1, 1) == known.reshape(1, -1)
    if not answered.any(axis=1).all():
        return np.full(len(labels), np.inf)
    rows = np.arange(len(labels))
    difference = np.abs(scores[rows, answered.argmax(axis=1)] - scores[rows, chosen.argmax(axis=1)])
    return np.asarray(np.where(chosen.any(axis=1), difference, np.inf), np.float64)


def classes(model: Any, kind: Kind) -> tuple[str | int | bool, ...]:
    """Return the class labels in the order of the probabilities, as JSON has them; empty where there are none."""
    known = getattr(model, "classes_", None)
    if kind not in ("classifier", "scorer", "labeller") or known is None:
        return ()
    labels = np.asarray(known)
    return tuple((labels.astype(np.int64) if labels.dtype.kind == "f" else labels).tolist())


def _scores(model: Any) -> Callable[[Any], Any] | None:
    if hasattr(model, "decision_function"):
        return model.decision_function  # type: ignore[no-any-return]
    if is_clusterer(model) and hasattr(model, "transform"):
        return model.transform  # type: ignore[no-any-return]
    return None


def _matrix(values: Any) -> NDArray[Any]:
    """Return float64, or objects where there is text."""
    array = np.asarray(values.toarray() if hasattr(values, "toarray") else values)
    text = array.dtype.kind in "OU" and any(isinstance(value, str) for value in array.ravel().tolist())
    return array.reshape(len(array), -1).astype(np.object_ if text else np.float64)
