"""Where the original answers: it is asked which columns may be missing, and which take values never seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from converting import candidate
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from modelport.packager import rows as rows_of
from modelport.packager.parity.domain import domain_of, has_missing

rng = np.random.default_rng(6)
X = np.round(rng.normal(size=(120, 3)), 2)
HOLES = np.where(rng.random(X.shape) < 0.2, np.nan, X)
LABELS = (X[:, 0] > 0).astype(int)
FRAME = pd.DataFrame(
    {
        "city": rng.choice(["Bern", "Basel", "Genf"], 120),
        "code": rng.integers(10, 14, 120),
        "age": np.round(rng.uniform(18, 80, 120), 1),
        "size": np.round(rng.uniform(1, 2, 120), 1),
    }
)


def frame_model(unknown: str = "ignore", frame: pd.DataFrame = FRAME) -> Any:
    """Return a model of a frame that may miss ages, with an encoder that treats unknown values so."""
    columns = ColumnTransformer(
        [
            ("encoded", OneHotEncoder(handle_unknown=unknown), ["city", "code"]),
            ("filled", SimpleImputer(), ["age"]),
            ("plain", "passthrough", ["size"]),
        ]
    )
    return make_pipeline(columns, LogisticRegression(max_iter=2000)).fit(frame, LABELS)


def domain(model: Any, sample: Any) -> Any:
    found = candidate(model, sample)
    return domain_of(found, found.sample)


def inputs(found: Any) -> dict[str, Any]:
    return {spec.name: spec for spec in found.signature.inputs}


def alone(found: Any, cell: tuple[str, int], value: Any) -> bool:
    """Return whether the original answers a single row of the sample with one value replaced."""
    row = {name: array.copy() for name, array in rows_of.take(found.sample, slice(0, 1)).items()}
    row[cell[0]][0, cell[1]] = value
    try:
        found.reference.answer(row)
    except ValueError:
        return False
    return True


def test_a_matrix_that_the_original_takes_with_missing_values_is_nullable() -> None:
    found = domain(HistGradientBoostingClassifier(max_iter=2).fit(HOLES, LABELS), X)
    assert inputs(found)["X"].nullable
    assert found.missing == (("X", 0), ("X", 1), ("X", 2))


def test_a_matrix_that_the_original_refuses_with_missing_values_is_not() -> None:
    found = domain(LogisticRegression().fit(X, LABELS), X)
    assert not inputs(found)["X"].nullable
    assert (found.missing, found.unseen, found.notes) == ((), (), ())


def test_a_matrix_of_which_one_column_must_be_there_is_not_nullable() -> None:
    columns = ColumnTransformer([("filled", SimpleImputer(), [0, 2]), ("plain", "passthrough", [1])])
    model = make_pipeline(columns, LogisticRegression()).fit(X, LABELS)
    assert domain(model, X).missing == ()


def test_what_the_sample_itself_misses_may_be_missing_and_the_rest_of_the_matrix_that_can_be() -> None:
    columns = ColumnTransformer([("filled", SimpleImputer(), [0, 2]), ("plain", "passthrough", [1])])
    rows = np.column_stack([HOLES[:, 0], X[:, 1:]])
    found = domain(make_pipeline(columns, LogisticRegression()).fit(rows, LABELS), rows)
    assert inputs(found)["X"].nullable
    assert found.missing == (("X", 0), ("X", 2))


@settings(max_examples=10)
@given(st.lists(st.booleans(), min_size=9, max_size=9).filter(any))
def test_columns_may_be_missing_just_where_the_original_answers_each_alone(filled: list[bool]) -> None:
    frame = pd.DataFrame(rng.normal(size=(60, 9)), columns=list("abcdefghi"))
    columns = ColumnTransformer(
        [(name, SimpleImputer() if fill else "passthrough", [name]) for name, fill in zip(frame, filled, strict=True)]
    )
    made = candidate(make_pipeline(columns, LogisticRegression()).fit(frame, frame["a"] > 0), frame)
    found = domain_of(made, made.sample)
    wanted = [(name, 0) for name in frame if alone(made, (name, 0), np.nan)]
    assert len(wanted) == sum(filled)
    assert list(found.missing) == wanted
    assert [(spec.name, 0) for spec in found.signature.inputs if spec.nullable] == wanted


def test_an_encoder_that_ignores_unknown_values_leaves_its_columns_open() -> None:
    found = domain(frame_model(), FRAME)
    assert found.unseen == (("city", 0), ("code", 0))
    assert not any(spec.closed for spec in found.signature.inputs)
    assert inputs(found)["city"].categories == ("Basel", "Bern", "Genf")


def test_an_encoder_that_refuses_unknown_values_closes_its_columns() -> None:
    found = domain(frame_model("error"), FRAME)
    closed = {name: spec.categories for name, spec in inputs(found).items() if spec.closed}
    assert closed == {"city": ("Basel", "Bern", "Genf"), "code": (10, 11, 12, 13)}
    assert (found.unseen, found.notes) == ((), ())


def test_categories_that_the_encoder_knows_beyond_the_sample_are_neither_unseen_nor_left_out() -> None:
    part = FRAME[(FRAME["code"] < 13) & (FRAME["city"] != "Genf")]
    strict, lenient = domain(frame_model("error"), part), domain(frame_model(), part)
    for found in (strict, lenient):
        assert inputs(found)["city"].categories == ("Basel", "Bern", "Genf")
        assert inputs(found)["code"].categories == (10, 11, 12, 13)
    assert inputs(strict)["code"].closed
    assert strict.unseen == ()


def test_text_may_be_missing_where_the_encoder_knows_missing_text() -> None:
    frame = FRAME.assign(city=FRAME["city"].where(rng.random(120) < 0.8, None).astype(object))
    encoded = ColumnTransformer([("city", OneHotEncoder(handle_unknown="ignore"), ["city"])])
    model = make_pipeline(encoded, LogisticRegression()).fit(frame[["city"]], LABELS)
    found = domain(model, frame[["city"]])
    spec = inputs(found)["city"]
    assert (found.missing, spec.nullable) == ((("city", 0),), True)
    assert spec.null is not None
    assert spec.null not in spec.categories


def test_text_may_be_missing_where_the_encoder_does_not_mind() -> None:
    found = domain(frame_model(), FRAME)
    assert alone(candidate(frame_model(), FRAME), ("city", 0), None)
    assert found.missing == (("city", 0), ("age", 0))
    assert not alone(candidate(frame_model("error"), FRAME), ("city", 0), None)
    assert domain(frame_model("error"), FRAME).missing == (("age", 0),)


def test_columns_of_a_matrix_that_refuse_unknown_values_are_told_in_a_note() -> None:
    codes = rng.integers(0, 4, (120, 3))
    encoded = ColumnTransformer([("codes", OrdinalEncoder(), [0, 2]), ("plain", "passthrough", [1])])
    found = domain(make_pipeline(encoded, LogisticRegression()).fit(codes, LABELS), codes)
    note = (
        "`X`, 2 of its columns: a value that its encoder has not seen fails the call, as `handle_unknown='error'` asks"
    )
    assert (found.notes, inputs(found)["X"].closed, found.unseen) == ((note,), False, ())


def test_an_input_can_be_narrowed_afterwards() -> None:
    whole = domain(frame_model(), FRAME)
    found = whole.without_missing("age")
    assert found.missing == (("city", 0),)
    assert not inputs(found)["age"].nullable
    assert inputs(found)["city"] == inputs(whole)["city"]


def test_asking_does_not_change_the_sample() -> None:
    made = candidate(frame_model(), FRAME)
    before = {name: array.copy() for name, array in made.sample.items()}
    domain_of(made, made.sample)
    for name, array in made.sample.items():
        np.testing.assert_array_equal(array, before[name])


@given(hnp.arrays(np.float64, (4, 2), elements=st.floats() | st.just(np.nan)))
def test_a_column_misses_values_where_it_holds_nan(array: Any) -> None:
    assert has_missing(array) == any(value != value for value in array.ravel().tolist())  # noqa: PLR0124


@pytest.mark.parametrize(
    ("array", "missing"),
    [
        (np.array([["a"], [None]], object), True),
        (np.array([["a"], [""]], object), False),
        (np.array([[0], [1]]), False),
        (np.array([[False]]), False),
    ],
)
def test_text_is_missing_where_it_is_none_and_integers_and_booleans_never_are(array: Any, *, missing: bool) -> None:
    assert has_missing(array) is missing
