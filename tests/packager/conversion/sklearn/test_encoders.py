"""Encoders and imputers answer as scikit-learn's for known, unknown and missing values of every kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from converting import both, candidate, packaged
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler, TargetEncoder

from modelport.runtime.errors import InvalidInputError, ScoringError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore:Found unknown categories")

TEXT = np.array([["a", "x"], ["b", "y"], ["a", "z"], ["c", "x"], ["b", "x"], ["a", "y"]] * 4, object)
UNKNOWN = np.array([["a", "?"], ["", "x"], ["A", "y"], ["c", "z"]], object)
TARGET = np.arange(len(TEXT)) % 2


def columns(*steps: Any, **options: Any) -> ColumnTransformer:
    return ColumnTransformer([(f"s{i}", step, chosen) for i, (step, chosen) in enumerate(steps)], **options)


@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(handle_unknown="ignore"),
        OneHotEncoder(handle_unknown="ignore", drop="if_binary"),
        OneHotEncoder(handle_unknown="ignore", drop="first"),
        OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=6),
        OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=2),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.int64),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=9, max_categories=2),
        TargetEncoder(random_state=0, cv=2),
    ],
    ids=repr,
)
@pytest.mark.parametrize("contract", ["float32", "float64"])
def test_known_and_unknown_text_is_encoded_as_by_the_original(encoder: Any, contract: str) -> None:
    made = candidate(encoder.fit(TEXT, TARGET), TEXT, contract)
    expected, got = both(made, {"X": np.vstack([TEXT, UNKNOWN])})
    exact = np.float64 if contract == "float64" else np.float32
    assert np.array_equal(got["transformed"], expected["transformed"].astype(exact), equal_nan=True)


def test_a_target_of_several_classes_gives_a_column_each() -> None:
    encoder = TargetEncoder(random_state=0, cv=2).fit(TEXT, np.arange(len(TEXT)) % 3)
    expected, got = both(candidate(encoder, TEXT), {"X": np.vstack([TEXT, UNKNOWN])})
    assert np.array_equal(got["transformed"], expected["transformed"].astype(np.float32))


@given(
    st.lists(st.lists(st.text(max_size=4), min_size=2, max_size=2), min_size=1, max_size=12),
    st.lists(st.lists(st.text(max_size=4), min_size=2, max_size=2), max_size=6),
)
@settings(max_examples=40, deadline=None)
def test_any_text_is_encoded_as_by_the_original(known: list[list[str]], other: list[list[str]]) -> None:
    encoder = OneHotEncoder(handle_unknown="ignore").fit(np.array(known, object))
    rows = np.array([*known, *other], object)
    expected, got = both(candidate(encoder, np.array(known, object)), {"X": rows})
    assert np.array_equal(got["transformed"], expected["transformed"])


@given(
    st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=12),
    st.lists(st.integers(-(2**40), 2**40), max_size=6),
)
@settings(max_examples=40, deadline=None)
def test_any_integers_are_encoded_as_by_the_original(known: list[int], other: list[int]) -> None:
    data = np.array(known).reshape(-1, 1)
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1).fit(data)
    expected, got = both(candidate(encoder, data), {"X": np.array([*known, *other]).reshape(-1, 1)})
    assert np.array_equal(got["transformed"], expected["transformed"])


def test_decimals_are_categories_in_float64_only() -> None:
    data = np.array([[0.1], [0.2], [0.7], [0.1]])
    encoder = OneHotEncoder(handle_unknown="ignore").fit(data)
    made = candidate(encoder, data)
    assert made.contract == "float64"
    rows = np.array([[0.1], [0.1 + 1e-12], [0.7], [np.nan]])
    expected, got = both(made, {"X": rows})
    assert np.array_equal(got["transformed"], expected["transformed"])
    assert got["transformed"].sum(axis=1).tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("missing", [None, np.nan], ids=["None", "NaN"])
@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(handle_unknown="ignore"),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
        TargetEncoder(random_state=0, cv=2),
    ],
    ids=repr,
)
def test_a_missing_text_is_a_category_of_its_own(encoder: Any, missing: object) -> None:
    data = TEXT.copy()
    data[::5, 0] = missing
    made = candidate(encoder.fit(data, TARGET), data)
    assert made.null == "<null>"
    rows = np.vstack([TEXT, UNKNOWN, [[None, None], ["", "x"]]])
    expected, got = both(made, {"X": rows})
    assert np.array_equal(got["transformed"], expected["transformed"].astype(np.float32), equal_nan=True)


def test_the_text_for_missing_is_one_that_neither_rows_nor_categories_are() -> None:
    data = np.array([["<null>", "a"], [np.nan, "<null 0>"], ["b", "a"]], object)
    encoder = OneHotEncoder(handle_unknown="ignore").fit(data)
    made = candidate(encoder, data[1:])
    assert made.null == "<null 1>"
    expected, got = both(made, {"X": np.array([["<null>", "<null 0>"], [None, "a"]], object)})
    assert np.array_equal(got["transformed"], expected["transformed"])


@pytest.mark.parametrize("contract", ["float32", "float64"])
@pytest.mark.parametrize(
    "imputer",
    [
        SimpleImputer(),
        SimpleImputer(strategy="median", add_indicator=True),
        SimpleImputer(strategy="most_frequent"),
        SimpleImputer(strategy="constant", fill_value=-7),
        SimpleImputer(missing_values=0, strategy="mean", add_indicator=True),
    ],
    ids=repr,
)
def test_missing_numbers_are_filled_as_by_the_original(imputer: Any, contract: str) -> None:
    data = np.array([[1.5, 0.0], [2.5, 4.0], [0.1, 8.0], [1.5, 0.0]])
    if imputer.missing_values != 0:
        data[1, 0] = data[2, 1] = np.nan
    made = candidate(imputer.fit(data), data, contract)
    expected, got = both(made, {"X": np.vstack([data, data[::-1] * 3])})
    exact = np.float64 if contract == "float64" else np.float32
    assert np.array_equal(got["transformed"], expected["transformed"].astype(exact), equal_nan=True)


def test_filled_text_may_be_the_whole_answer() -> None:
    data = np.array([["a", "x"], [np.nan, "y"], ["a", np.nan]], object)
    made = candidate(SimpleImputer(strategy="most_frequent").fit(data), data)
    assert made.signature.outputs[0].datatype == "BYTES"
    expected, got = both(made, {"X": np.array([[None, "x"], ["b", None]], object)})
    assert got["transformed"].tolist() == expected["transformed"].tolist() == [["a", "x"], ["b", "x"]]


FRAME = pd.DataFrame(
    {
        "city": ["Bern", "Genf", None, "Bern", "Basel", None] * 5,
        "age": [20.5, np.nan, 31.25, 47.0, 20.5, 66.75] * 5,
        "rooms": [1, 2, 3, 1, 2, 4] * 5,
        "garden": [True, False, False, True, True, False] * 5,
    }
)
FORMS = {
    "None": FRAME.assign(city=FRAME["city"].astype(object).where(FRAME["city"].notna(), None)),
    "NaN": FRAME.assign(city=FRAME["city"].astype(object).where(FRAME["city"].notna(), np.nan)),
    "str": FRAME.assign(city=FRAME["city"].astype("str")),
    "string": FRAME.assign(city=FRAME["city"].astype("string")),
    "category": FRAME.assign(city=FRAME["city"].astype("category")),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "fill", [SimpleImputer(strategy="most_frequent"), SimpleImputer(strategy="constant", fill_value="?")], ids=repr
)
def test_text_of_every_dtype_is_filled_and_encoded(form: str, fill: Any, tmp_path: Path) -> None:
    frame = FORMS[form]
    if form == "None":
        fill = SimpleImputer(strategy=fill.strategy, fill_value=fill.fill_value, missing_values=None)
    if form == "string":
        fill = SimpleImputer(strategy=fill.strategy, fill_value=fill.fill_value, missing_values=pd.NA)
    encode = make_pipeline(fill, OneHotEncoder(handle_unknown="ignore"))
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    model = make_pipeline(columns((encode, ["city"]), (numbers, ["age"])), LogisticRegression()).fit(frame, [0, 1] * 15)
    made, scorer = packaged(model, frame, tmp_path / "model")
    city = made.plan.manifest.signature.input("city")
    assert (city.datatype, city.nullable, city.null, city.closed) == ("BYTES", True, "<null>", False)
    assert scorer.score(frame)["label"].tolist() == model.predict(frame).tolist()


def test_columns_of_integers_and_booleans_stay_what_they_are(tmp_path: Path) -> None:
    frame = FORMS["str"]
    model = make_pipeline(
        columns((OneHotEncoder(), ["rooms"]), (OneHotEncoder(), ["garden"]), remainder="drop"), LogisticRegression()
    ).fit(frame, [0, 1] * 15)
    made, scorer = packaged(model, frame, tmp_path / "model")
    kinds = {spec.name: (spec.datatype, spec.categories, spec.closed) for spec in made.plan.manifest.signature.inputs}
    assert kinds["rooms"] == ("INT64", (1, 2, 3, 4), True)
    assert kinds["garden"] == ("BOOL", (), False)
    assert scorer.score(frame)["label"].tolist() == model.predict(frame).tolist()
    with pytest.raises(
        InvalidInputError, match=r"(?m)^input `rooms`: expected one of 4 known categories, got 9 at \[0, 0\]$"
    ):
        scorer.score(frame.iloc[:1].assign(rooms=9))


def test_a_column_that_nothing_uses_is_an_input_and_noted(tmp_path: Path) -> None:
    frame = FORMS["str"]
    model = make_pipeline(columns((StandardScaler(), ["rooms"])), LogisticRegression()).fit(frame, [0, 1] * 15)
    made, _ = packaged(model, frame[["rooms", "city"]], tmp_path / "model")
    assert made.report.notes == ("`city`: an input of the package since the sample has it; the model does not use it",)


def test_named_columns_are_found_in_any_order_and_without_those_that_are_dropped(tmp_path: Path) -> None:
    frame = FORMS["str"].assign(target=0)
    encode = OneHotEncoder(handle_unknown="ignore")
    model = make_pipeline(columns((StandardScaler(), ["rooms"]), (encode, ["city"])), LogisticRegression())
    model.fit(frame.drop(columns="target"), [0, 1] * 15)
    made, scorer = packaged(model, frame[["target", "city", "rooms"]], tmp_path / "model")
    assert [spec.name for spec in made.plan.manifest.signature.inputs] == ["city", "rooms"]
    assert made.plan.manifest.signature.input("city").categories == ("Basel", "Bern", "Genf")
    assert made.report.notes == ("`target`: left out of the sample, since the model was trained without it",)
    assert scorer.score(frame[["city", "rooms"]])["label"].tolist() == model.predict(frame).tolist()


def test_an_integer_column_with_missing_values_is_floats_on_the_wire(tmp_path: Path) -> None:
    frame = pd.DataFrame({"rooms": pd.array([1, 2, None, 4, 2, 1] * 5, dtype="Int64"), "age": [1.5, 2, 3, 4, 5, 6] * 5})
    model = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()).fit(frame, [0, 1] * 15)
    made, scorer = packaged(model, frame, tmp_path / "model")
    rooms = made.plan.manifest.signature.input("rooms")
    assert (rooms.datatype, rooms.nullable) == ("FP32", True)
    assert "random in the seen range" in [rows.name for rows in made.report.row_sets]
    assert scorer.score(frame)["label"].tolist() == model.predict(frame).tolist()


@pytest.mark.parametrize(
    "choose",
    [
        lambda: columns((StandardScaler(), [True, False, True]), (OneHotEncoder(), [1])),
        lambda: columns((StandardScaler(), slice(0, 1)), (OneHotEncoder(), [-2])),
        lambda: columns((StandardScaler(), [2, 0]), (OneHotEncoder(), [1])),
        lambda: columns((StandardScaler(), [2, 0]), (OneHotEncoder(), [1]), transformer_weights={"s0": 3.0}),
        lambda: columns(("passthrough", [2]), (OneHotEncoder(), [1]), remainder=StandardScaler()),
        lambda: columns((StandardScaler(), make_column_selector(dtype_include="float")), remainder="passthrough"),
        lambda: columns((StandardScaler(), []), (OneHotEncoder(), [1]), remainder="drop"),
    ],
    ids=["mask", "slice", "order", "weights", "remainder", "selector", "none"],
)
def test_columns_are_taken_as_fit_resolved_them(choose: Any) -> None:
    rows = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rows.normal(size=40), "b": rows.integers(0, 3, 40), "c": rows.normal(size=40) * 9 + 5})
    model = choose().fit(frame)
    made = candidate(model, frame)
    expected, got = both(made, {name: frame[[name]].to_numpy() for name in frame})
    np.testing.assert_allclose(got["transformed"], expected["transformed"], rtol=1e-6, atol=1e-6)


def test_all_columns_of_a_matrix_may_change_places() -> None:
    matrix = np.random.default_rng(0).normal(size=(40, 2))
    made = candidate(columns(("passthrough", [1, 0])).fit(matrix), matrix)
    expected, got = both(made, {"X": matrix})
    assert np.array_equal(got["transformed"], expected["transformed"].astype(np.float32))


def test_one_encoder_may_take_text_and_numbers() -> None:
    frame = FORMS["NaN"]
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    made = candidate(columns((encoder, ["city", "rooms", "age"])).fit(frame), frame)
    rows = {name: column.to_numpy().reshape(-1, 1) for name, column in FORMS["None"].items()}
    expected, got = both(made, rows)
    assert np.array_equal(got["transformed"], expected["transformed"], equal_nan=True)


def test_an_encoder_may_stand_in_front_of_a_frame(tmp_path: Path) -> None:
    frame = FORMS["str"][["rooms", "city"]].dropna()
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(frame, [0, 1] * 10)
    made, scorer = packaged(model, frame, tmp_path / "model")
    known = {spec.name: (spec.categories, spec.closed) for spec in made.plan.manifest.signature.inputs}
    assert known == {"rooms": ((1, 2), True), "city": (("Basel", "Bern", "Genf"), True)}
    assert scorer.score(frame)["label"].tolist() == model.predict(frame).tolist()


def test_a_matrix_of_categories_that_cannot_be_closed_says_so_and_fails_the_call(tmp_path: Path) -> None:
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(TEXT, TARGET)
    made, scorer = packaged(model, TEXT, tmp_path / "model")
    note = (
        "`X`, 2 of its columns: a value that its encoder has not seen fails the call, as `handle_unknown='error'` asks"
    )
    assert note in made.report.notes
    with pytest.raises(ScoringError):
        scorer.score(UNKNOWN)
