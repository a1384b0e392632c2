"""Kinds of estimators that convert without a word and answer wrong: refused before they are tried, with the cure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sklearn.base import BaseEstimator

from modelport.packager.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEFAULT_PATTERN: Final = r"(?u)\b\w\w+\b"
_WORD_VECTORIZERS: Final = ("CountVectorizer", "TfidfVectorizer")


def refuse_known_wrong(model: Any) -> None:
    """Raise `ConversionError` if any part of `model` is of a kind whose stock conversion is known to answer wrong."""
    for part in parts(model):
        if (reason := _reason(part)) is not None:
            got, cure = reason
            raise ConversionError(
                f"`{type(part).__name__}`: expected a conversion that answers the same, got {got}", hint=cure
            )


def parts(model: Any) -> Iterator[Any]:
    """Yield `model` and every estimator inside it, fitted ones where they are known, each once."""
    seen: set[int] = set()
    waiting = [model]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, BaseEstimator):
            yield value
            waiting += [inner for inner in vars(value).values() if _may_hold(inner)]
        elif isinstance(value, dict):
            waiting += list(value.values())
        elif isinstance(value, list | tuple):
            waiting += list(value)
        elif type(value).__name__ == "ndarray" and value.dtype == object and value.size < 1_000_000:  # noqa: PLR2004
            waiting += value.ravel().tolist()
        elif type(value).__name__ == "_CalibratedClassifier":
            waiting += list(vars(value).values())


def _may_hold(value: Any) -> bool:
    return isinstance(value, BaseEstimator | dict | list | tuple) or (
        type(value).__name__ == "ndarray" and value.dtype == object
    )


def _reason(part: Any) -> tuple[str, str] | None:
    name = type(part).__name__
    if name == "TunedThresholdClassifierCV":
        return "the tuned threshold lost", "convert its `estimator_` and compare the probability with `best_threshold_`"
    if name.startswith("KNeighbors") and part.weights != "uniform":
        return "the weights lost", "train with `weights='uniform'`"
    if name == "AdaBoostRegressor":
        return "other rows where the weighted median ties", "use GradientBoostingRegressor"
    if name in _WORD_VECTORIZERS:
        return _vectorizer_reason(part)
    return None


def _vectorizer_reason(part: Any) -> tuple[str, str] | None:
    ascii_words = "train with `token_pattern='[a-zA-Z0-9_]+'`"
    if part.analyzer != "word":
        return f"other tokens (`analyzer={part.analyzer!r}`)", f"{ascii_words} and `analyzer='word'`"
    if part.token_pattern == _DEFAULT_PATTERN:
        return "other tokens: ONNX cannot split text as the default `token_pattern` does", ascii_words
    if part.strip_accents is not None:
        return "accents kept (`strip_accents`)", "strip accents before the model"
    return None
