"""What is inside a fitted estimator, and which part of the data each part sees."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

#: Trees that round what they are given to float32 themselves before they compare.
SINGLE_TREES: Final = (
    "DecisionTree",
    "ExtraTree",
    "RandomForest",
    "ExtraTrees",
    "GradientBoosting",
    "IsolationForest",
    "RandomTreesEmbedding",
)
_ENCODERS: Final = ("OneHotEncoder", "OrdinalEncoder", "TargetEncoder")
_VECTORIZERS: Final = ("CountVectorizer", "TfidfVectorizer")
_LARGEST_ARRAY: Final = 1_000_000


class Member(NamedTuple):
    """A fitted estimator inside another one, and the columns of the other's matrix that it sees; None for all."""

    estimator: Any
    columns: NDArray[np.int64] | None


class Lookup(NamedTuple):
    """An encoder, and the columns of the sample that it looks up, one for each of its features."""

    encoder: Any
    columns: tuple[int, ...]


def unwrapped(model: Any) -> Any:
    """Return the estimator that answers: of a search over parameters the best one, refitted."""
    while hasattr(model, "best_estimator_"):
        model = model.best_estimator_
    return model


def first_step(model: Any) -> Any:
    """Return what is done to the data first."""
    while isinstance(model, Pipeline):
        model = next((step for _, step in steps_of(model)), None)
    return model


def last_step(model: Any) -> Any:
    """Return what answers."""
    model = unwrapped(model)
    return last_step(model.steps[-1][1]) if isinstance(model, Pipeline) else model


def is_encoder(part: Any) -> bool:
    """Return whether `part` looks values up in categories."""
    return type(part).__name__ in _ENCODERS


def is_vectorizer(part: Any) -> bool:
    """Return whether `part` splits text into words."""
    return type(part).__name__ in _VECTORIZERS


def is_single_tree(part: Any) -> bool:
    """Return whether `part` is a tree or an ensemble of trees that compares in float32."""
    name = type(part).__name__
    if name.startswith(("Bagging", "AdaBoost")):
        return all(is_single_tree(inner) for inner in getattr(part, "estimators_", [None]))
    return name.startswith(SINGLE_TREES)


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
        if isinstance(value, BaseEstimator) or type(value).__name__ == "_CalibratedClassifier":
            waiting += [inner for inner in vars(value).values() if _may_hold(inner)]
        elif isinstance(value, dict):
            waiting += list(value.values())
        elif isinstance(value, list | tuple):
            waiting += list(value)
        elif _is_objects(value) and value.size < _LARGEST_ARRAY:
            waiting += value.ravel().tolist()


def members(model: Any) -> Iterator[Member]:
    """Yield each fitted estimator inside an ensemble; stacked ones see the others' answers and are left out."""
    if hasattr(model, "calibrated_classifiers_"):
        for calibrated in model.calibrated_classifiers_:
            yield Member(calibrated.estimator, None)
        return
    found = getattr(model, "estimators_", None)
    if found is None:
        return
    features = getattr(model, "estimators_features_", None)
    flat = found.ravel().tolist() if isinstance(found, np.ndarray) else list(found)
    for i, inner in enumerate(flat):
        seen = None if features is None else np.asarray(features[i])
        every = seen is None or np.array_equal(seen, np.arange(getattr(model, "n_features_in_", -1)))
        yield Member(inner, None if every else seen)


def steps_of(pipeline: Pipeline) -> list[tuple[str, Any]]:
    """Return the steps that do something."""
    return [(name, step) for name, step in pipeline.steps if not passes(step)]


def passes(step: Any) -> bool:
    """Return whether `step` hands on what it is given."""
    return step is None or isinstance(step, str)


def branches(transformer: ColumnTransformer) -> Iterator[tuple[str, Any, list[int]]]:
    """Yield name, fitted step and column numbers of each part of a ColumnTransformer that is not dropped."""
    numbers = transformer._transformer_to_input_indices  # noqa: SLF001  names, slices and masks resolved by fit
    for name, step, _ in transformer.transformers_:
        chosen = [int(number) for number in numbers[name]] if step != "drop" else []
        if chosen:
            yield name, step, chosen


def columns_of(model: Any) -> list[str] | None:
    """Return the columns that a ColumnTransformer in front was fitted on by name; None for any other model."""
    first = first_step(unwrapped(model))
    names = getattr(first, "feature_names_in_", None) if isinstance(first, ColumnTransformer) else None
    return None if names is None else [str(name) for name in names]


def numbered(model: Any, names: Sequence[str]) -> Any:
    """Return `model` with the columns of its ColumnTransformer numbered as in `names`, to read and not to run.

    A ColumnTransformer finds named columns in any order, and those that it drops need not be there.
    """
    fitted = columns_of(model)
    if fitted is None or fitted == list(names):
        return model
    if isinstance(model, Pipeline):
        (name, first), *rest = steps_of(model)
        twin = copy.copy(model)
        twin.steps = [(name, numbered(first, names)), *rest]
        return twin
    place = {name: number for number, name in enumerate(names)}
    twin = copy.copy(model)
    twin._transformer_to_input_indices = {  # noqa: SLF001
        name: [place[fitted[number]] for number in numbers if fitted[number] in place]
        for name, numbers in model._transformer_to_input_indices.items()  # noqa: SLF001
    }
    return twin


def lookups(model: Any, columns: Sequence[int]) -> Iterator[Lookup]:
    """Yield every encoder that looks up columns of the sample as they are, or with only missing values filled."""
    yield from _lookups(model, tuple(columns))[0]


def _lookups(model: Any, columns: tuple[int, ...]) -> tuple[list[Lookup], tuple[int, ...] | None]:
    """Return the encoders in `model`, and the columns that it hands on one by one, None if it mixes them."""
    if passes(model):
        return [], columns
    if is_encoder(model):
        return [Lookup(model, columns)], None
    if isinstance(model, SimpleImputer):
        return [], columns if _fills_all(model, len(columns)) else None
    found: list[Lookup] = []
    if isinstance(model, Pipeline):
        seen: tuple[int, ...] | None = columns
        for _, step in model.steps:
            if seen is not None:
                inner, seen = _lookups(step, seen)
                found += inner
        return found, seen
    for inner_model, numbers in _inner(model, len(columns)):
        found += _lookups(inner_model, tuple(columns[number] for number in numbers))[0]
    return found, None


def _inner(model: Any, width: int) -> Iterator[tuple[Any, Sequence[int]]]:
    """Yield the estimators that see columns of what `model` sees, and which ones."""
    if isinstance(model, ColumnTransformer):
        yield from ((step, numbers) for _, step, numbers in branches(model))
    elif isinstance(model, FeatureUnion):
        yield from ((step, range(width)) for _, step in model.transformer_list)
    else:
        for member in members(model):
            yield member.estimator, range(width) if member.columns is None else member.columns.tolist()


def _fills_all(imputer: SimpleImputer, width: int) -> bool:
    """Return whether the imputer hands on every column, and none more."""
    dropped = any(isinstance(value, float) and np.isnan(value) for value in imputer.statistics_.tolist())
    return len(imputer.statistics_) == width and not imputer.add_indicator and not dropped


def _may_hold(value: Any) -> bool:
    return isinstance(value, BaseEstimator | dict | list | tuple) or _is_objects(value)


def _is_objects(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.object_
