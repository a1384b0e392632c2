"""Trees and forests answer as scikit-learn's: at thresholds, at ties, at missing values, under either contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from converting import both, candidate, packaged
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

if TYPE_CHECKING:
    from pathlib import Path

rng = np.random.default_rng(3)
X = np.round(rng.normal(size=(300, 4)), 2)
HOLES = np.where(rng.random(X.shape) < 0.15, np.nan, X)
LABELS = (X[:, 0] + X[:, 1] * X[:, 2] > 0).astype(int) + (X[:, 3] > 1)
NUMBER = X[:, 0] * 3 + X[:, 1] ** 2
FRESH = np.round(rng.normal(size=(2000, 4)) * 2, 1)

CLASSIFIERS = [
    DecisionTreeClassifier(random_state=0),
    DecisionTreeClassifier(max_depth=3, criterion="entropy", random_state=0),
    ExtraTreeClassifier(random_state=0),
    RandomForestClassifier(10, random_state=0),
    RandomForestClassifier(9, max_depth=4, class_weight="balanced", random_state=0),
    ExtraTreesClassifier(10, random_state=0),
    HistGradientBoostingClassifier(max_iter=8),
]
REGRESSORS = [
    DecisionTreeRegressor(random_state=0),
    ExtraTreeRegressor(random_state=0),
    RandomForestRegressor(10, random_state=0),
    ExtraTreesRegressor(10, random_state=0),
    HistGradientBoostingRegressor(max_iter=8),
    HistGradientBoostingRegressor(max_iter=8, loss="absolute_error"),
    HistGradientBoostingRegressor(max_iter=8, loss="quantile", quantile=0.2),
]


@pytest.mark.parametrize("contract", ["float32", "float64"])
@pytest.mark.parametrize("model", CLASSIFIERS, ids=lambda model: type(model).__name__)
def test_labels_are_equal_even_where_classes_tie(model: Any, contract: str) -> None:
    made = candidate(model.fit(X, LABELS), X, contract)
    expected, got = both(made, {"X": FRESH})
    assert got["label"].tolist() == expected["label"].tolist()
    np.testing.assert_allclose(got["probabilities"], expected["probabilities"], rtol=0, atol=2e-7)


@pytest.mark.parametrize("contract", ["float32", "float64"])
@pytest.mark.parametrize("model", REGRESSORS, ids=lambda model: type(model).__name__)
def test_predictions_are_the_float32_of_the_originals(model: Any, contract: str) -> None:
    made = candidate(model.fit(X, NUMBER), X, contract)
    expected, got = both(made, {"X": FRESH})
    np.testing.assert_allclose(got["prediction"], expected["prediction"], rtol=3e-7, atol=1e-6)


@pytest.mark.parametrize("model", [*CLASSIFIERS, *REGRESSORS], ids=lambda model: type(model).__name__)
def test_missing_values_go_where_the_original_sends_them(model: Any) -> None:
    made = candidate(model.fit(HOLES, LABELS), HOLES)
    expected, got = both(made, {"X": np.where(rng.random(FRESH.shape) < 0.3, np.nan, FRESH)})
    for name, array in got.items():
        np.testing.assert_allclose(array, expected[name].reshape(array.shape), rtol=3e-7, atol=1e-6)


def test_trees_that_saw_no_missing_value_take_them_too(tmp_path: Path) -> None:
    made, scorer = packaged(RandomForestClassifier(5, random_state=0).fit(X, LABELS), X, tmp_path / "forest")
    assert made.plan.manifest.signature.inputs[0].nullable
    assert "missing values" in [rows.name for rows in made.report.row_sets]
    holes = np.full((1, 4), np.nan)
    model = RandomForestClassifier(5, random_state=0).fit(X, LABELS)
    assert scorer.score(holes)["label"].tolist() == model.predict(holes).tolist()


@given(
    st.lists(
        st.lists(
            st.floats(-1e6, 1e6, width=64) | st.sampled_from([0.1, 0.2, 0.3, -0.0, np.nan]), min_size=2, max_size=2
        ),
        min_size=4,
        max_size=30,
    ),
    st.sampled_from(["float32", "float64"]),
)
@settings(max_examples=40, deadline=None)
def test_any_tree_answers_any_row_as_the_original(rows: list[list[float]], contract: str) -> None:
    data = np.array(rows)
    model = DecisionTreeClassifier(random_state=0).fit(data, np.arange(len(data)) % 3)
    expected, got = both(candidate(model, data, contract), {"X": np.vstack([data, data[::-1] + 0.1, -data])})
    assert got["label"].tolist() == expected["label"].tolist()


@given(st.lists(st.floats(-1e6, 1e6, width=64), min_size=6, max_size=60, unique=True), st.booleans())
@settings(max_examples=30, deadline=None)
def test_histogram_trees_are_exact_at_every_threshold_in_both_contracts(values: list[float], double: bool) -> None:
    data = np.array(values).reshape(-1, 1)
    model = HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=1).fit(data, np.arange(len(data)))
    thresholds = np.concatenate([p.nodes["num_threshold"] for (p,) in model._predictors])
    near = [thresholds, np.nextafter(thresholds, np.inf), np.nextafter(thresholds, -np.inf), data[:, 0]]
    probes = np.concatenate(near).reshape(-1, 1)
    probes = probes[np.isfinite(probes[:, 0])]
    expected, got = both(candidate(model, data, "float64" if double else "float32"), {"X": probes})
    np.testing.assert_allclose(got["prediction"], expected["prediction"], rtol=3e-7, atol=1e-6)


@pytest.mark.parametrize("decimals", [1, 2])
@pytest.mark.parametrize(
    "last",
    [
        RandomForestClassifier(10, random_state=0),
        DecisionTreeClassifier(random_state=0),
        GradientBoostingClassifier(n_estimators=8, random_state=0),
        ExtraTreesClassifier(10, random_state=0),
        HistGradientBoostingClassifier(max_iter=8),
        AdaBoostClassifier(n_estimators=4, random_state=0),
        BaggingClassifier(DecisionTreeClassifier(), n_estimators=4, random_state=0),
    ],
    ids=lambda model: type(model).__name__,
)
@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler()], ids=lambda scaler: type(scaler).__name__)
def test_trees_behind_a_scaler_are_exact_on_rounded_data(last: Any, scaler: Any, decimals: int) -> None:
    rows = np.round(X, decimals)
    model = make_pipeline(scaler, last).fit(rows, LABELS)
    made = candidate(model, rows)
    assert made.contract == "float64"
    expected, got = both(made, {"X": np.round(FRESH, decimals)})
    assert got["label"].tolist() == expected["label"].tolist()
    np.testing.assert_allclose(got["probabilities"], expected["probabilities"], rtol=0, atol=1e-6)


def test_a_regressor_of_several_targets_gives_a_column_each() -> None:
    model = RandomForestRegressor(5, random_state=0).fit(X, np.c_[NUMBER, -NUMBER])
    made = candidate(model, X)
    assert [(spec.name, spec.shape) for spec in made.signature.outputs] == [("prediction", (-1, 2))]
    expected, got = both(made, {"X": FRESH})
    np.testing.assert_allclose(got["prediction"], expected["prediction"], rtol=3e-7, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"contamination": 0.2}, {"max_features": 0.5}, {"max_samples": 30}])
def test_outliers_are_told_by_the_same_score(options: dict[str, Any]) -> None:
    model = IsolationForest(n_estimators=10, random_state=0, **options).fit(X)
    expected, got = both(candidate(model, X), {"X": np.vstack([FRESH, HOLES])})
    np.testing.assert_allclose(got["scores"], expected["scores"], rtol=0, atol=2e-7)
    off = got["label"] != expected["label"]
    assert np.abs(expected["scores"][off]).max(initial=0.0) < 1e-6


@pytest.mark.parametrize(
    "model",
    [
        GradientBoostingRegressor(n_estimators=8, random_state=0),
        GradientBoostingRegressor(n_estimators=8, loss="huber", random_state=0),
        GradientBoostingRegressor(n_estimators=8, init="zero", random_state=0),
        HistGradientBoostingRegressor(max_iter=8, loss="poisson"),
        HistGradientBoostingRegressor(max_iter=8, loss="gamma"),
    ],
    ids=lambda model: f"{type(model).__name__} {model.loss}",
)
def test_boosting_for_every_loss_gives_the_originals_numbers(model: Any) -> None:
    model.fit(X, np.exp(NUMBER / 4))
    expected, got = both(candidate(model, X), {"X": FRESH})
    np.testing.assert_allclose(got["prediction"], expected["prediction"], rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("target", "datatype", "labels"),
    [
        (LABELS > 0, "BOOL", (False, True)),
        (LABELS.astype(float), "INT64", (0, 1, 2)),
        (LABELS * 7 - 3, "INT64", (-3, 4, 11)),
        (np.array(["é", "b", ""])[LABELS], "BYTES", ("", "b", "é")),
        (np.array(["x", "y", "z"], object)[LABELS], "BYTES", ("x", "y", "z")),
    ],
    ids=["booleans", "floats", "integers", "text", "objects"],
)
@pytest.mark.parametrize(
    "model",
    [RandomForestClassifier(4, random_state=0), HistGradientBoostingClassifier(max_iter=4)],
    ids=lambda model: type(model).__name__,
)
def test_labels_keep_their_kind(model: Any, target: Any, datatype: str, labels: tuple[Any, ...]) -> None:
    made = candidate(model.fit(X, target), X)
    label, probabilities = made.signature.outputs
    assert (label.datatype, label.labels, probabilities.labels) == (datatype, labels, labels)
    expected, got = both(made, {"X": FRESH})
    assert np.array_equal(got["label"], expected["label"])
