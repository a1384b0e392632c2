"""Kinds of estimators that convert without a word and answer wrong: refused before they are tried, with the cure."""

from __future__ import annotations

from typing import Any, Final

from modelport.packager.errors import ConversionError

from .structure import is_vectorizer, parts

_DEFAULT_PATTERN: Final = r"(?u)\b\w\w+\b"


def refuse_known_wrong(model: Any) -> None:
    """Raise `ConversionError` if any part of `model` is of a kind whose stock conversion is known to answer wrong."""
    for part in parts(model):
        if (reason := _reason(part)) is not None:
            got, cure = reason
            raise ConversionError(
                f"`{type(part).__name__}`: expected a conversion that answers the same, got {got}", hint=cure
            )


def _reason(part: Any) -> tuple[str, str] | None:
    name = type(part).__name__
    if name == "TunedThresholdClassifierCV":
        return "the tuned threshold lost", "convert its `estimator_` and compare the probability with `best_threshold_`"
    if name.startswith("KNeighbors") and getattr(part, "weights", "uniform") != "uniform":
        return "the weights lost", "train with `weights='uniform'`"
    if name == "AdaBoostRegressor":
        return "other rows where the weighted median ties", "use GradientBoostingRegressor"
    if is_vectorizer(part):
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
