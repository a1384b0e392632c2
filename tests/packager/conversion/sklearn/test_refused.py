"""What cannot be converted right is refused, with a text that says what, why and what to do instead."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import DBSCAN
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    AdaBoostRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, RadiusNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, SplineTransformer, StandardScaler

from modelport.packager import convert
from modelport.packager.errors import ConversionError, ParityError
from modelport.runtime import load

if TYPE_CHECKING:
    from pathlib import Path

X = np.round(np.random.default_rng(1).normal(size=(80, 3)), 2)
Y = (X[:, 0] > 0).astype(int)
TEXTS = ["don't panic", "a well-known café", "to be", "or not"] * 5
MIXED = pd.DataFrame({"a": pd.Series(["x", "y"], dtype=object), "b": [1.5, 2.5]})
WORDS = "[a-zA-Z0-9_]+"
ASCII = "train with `token_pattern='[a-zA-Z0-9_]+'`"
SAME = "expected a conversion that answers the same, got"


def refusal(tmp_path: Path, model: Any, sample: Any, **options: Any) -> tuple[str, str | None]:
    """Return the text and the hint of the refusal to convert; nothing was written."""
    with pytest.raises(ConversionError) as refused:
        convert(model, sample, output=tmp_path / "model", **options)
    assert list(tmp_path.iterdir()) == []
    return refused.value.message, refused.value.hint


KNOWN_WRONG: dict[str, tuple[Any, Any, str, str]] = {
    "tuned threshold": (
        TunedThresholdClassifierCV(LogisticRegression()).fit(X, Y),
        X,
        f"`TunedThresholdClassifierCV`: {SAME} the tuned threshold lost",
        "convert its `estimator_` and compare the probability with `best_threshold_`",
    ),
    "weighted neighbours": (
        make_pipeline(StandardScaler(), KNeighborsClassifier(weights="distance")).fit(X, Y),
        X,
        f"`KNeighborsClassifier`: {SAME} the weights lost",
        "train with `weights='uniform'`",
    ),
    "neighbours weighted by a function": (
        KNeighborsRegressor(weights=np.ones_like).fit(X, X[:, 0]),
        X,
        f"`KNeighborsRegressor`: {SAME} the weights lost",
        "train with `weights='uniform'`",
    ),
    "weighted median": (
        AdaBoostRegressor(n_estimators=3, random_state=0).fit(X, X[:, 0]),
        X,
        f"`AdaBoostRegressor`: {SAME} other rows where the weighted median ties",
        "use GradientBoostingRegressor",
    ),
    "words": (
        make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, [0, 1] * 10),
        TEXTS,
        f"`TfidfVectorizer`: {SAME} other tokens: ONNX cannot split text as the default `token_pattern` does",
        ASCII,
    ),
    "words of a column": (
        make_pipeline(ColumnTransformer([("t", CountVectorizer(), "t")]), LogisticRegression()).fit(
            pd.DataFrame({"t": TEXTS}), [0, 1] * 10
        ),
        pd.DataFrame({"t": TEXTS}),
        f"`CountVectorizer`: {SAME} other tokens: ONNX cannot split text as the default `token_pattern` does",
        ASCII,
    ),
    "characters": (
        CountVectorizer(analyzer="char").fit(TEXTS),
        TEXTS,
        f"`CountVectorizer`: {SAME} other tokens (`analyzer='char'`)",
        f"{ASCII} and `analyzer='word'`",
    ),
    "characters of words": (
        TfidfVectorizer(analyzer="char_wb").fit(TEXTS),
        TEXTS,
        f"`TfidfVectorizer`: {SAME} other tokens (`analyzer='char_wb'`)",
        f"{ASCII} and `analyzer='word'`",
    ),
    "accents": (
        TfidfVectorizer(token_pattern=WORDS, strip_accents="unicode").fit(TEXTS),
        TEXTS,
        f"`TfidfVectorizer`: {SAME} accents kept (`strip_accents`)",
        "strip accents before the model",
    ),
}


@pytest.mark.parametrize("kind", KNOWN_WRONG)
def test_what_is_known_to_convert_wrong_is_refused_with_the_cure(kind: str, tmp_path: Path) -> None:
    model, sample, message, hint = KNOWN_WRONG[kind]
    assert refusal(tmp_path, model, sample) == (message, hint)


def part(name: str) -> str:
    return f"model: expected parts with a converter, got `{name}`"


WITHOUT_CONVERTER: dict[str, tuple[Any, Any, str]] = {
    "dummy": (DummyClassifier().fit(X, Y), X, part("sklearn.dummy.DummyClassifier")),
    "spline": (
        make_pipeline(StandardScaler(), SplineTransformer(), Ridge()).fit(X, Y),
        X,
        part("sklearn.preprocessing._polynomial.SplineTransformer"),
    ),
    "fixed threshold": (
        FixedThresholdClassifier(LogisticRegression(), threshold=0.3).fit(X, Y),
        X,
        part("sklearn.model_selection._classification_threshold.FixedThresholdClassifier"),
    ),
    "hashing": (HashingVectorizer().fit(TEXTS), TEXTS, part("sklearn.feature_extraction.text.HashingVectorizer")),
}


@pytest.mark.parametrize("kind", WITHOUT_CONVERTER)
def test_a_part_without_a_converter_is_named(kind: str, tmp_path: Path) -> None:
    model, sample, message = WITHOUT_CONVERTER[kind]
    assert refusal(tmp_path, model, sample) == (message, "train with another transformer or estimator")


REFUSED: dict[str, tuple[Any, Any, str, str | None]] = {
    "unfitted": (
        LogisticRegression(),
        X,
        "`LogisticRegression`: expected a fitted estimator, got one that was never fitted",
        None,
    ),
    "without a sample": (
        Ridge().fit(X, Y),
        None,
        "`Ridge`: expected a sample, got none",
        "give some rows of the training data: they say what the columns are and what to prove",
    ),
    "clusters of its own rows": (
        DBSCAN().fit(X),
        X,
        "`DBSCAN`: expected an estimator for new rows, got one that labels only its own",
        "KMeans and MiniBatchKMeans label new rows",
    ),
    "several labels": (
        RandomForestClassifier(3).fit(X, np.c_[Y, Y]),
        X,
        "`RandomForestClassifier`: expected one label a row, got 2",
        "train one model a label",
    ),
    "a function": (
        make_pipeline(FunctionTransformer(np.log1p), Ridge()).fit(np.abs(X), Y),
        np.abs(X),
        (
            "model: expected a conversion, got RuntimeError: FunctionTransformer is not supported unless the transform "
            "function is None (= identity). You may raise an issue at https://github.com/onnx/sklearn-onnx/issues."
        ),
        None,
    ),
    "native categories": (
        HistGradientBoostingClassifier(max_iter=3, categorical_features=[0]).fit(np.c_[np.arange(80) % 3, X], Y),
        np.c_[np.arange(80) % 3, X],
        "`HistGradientBoostingClassifier`: expected numbers only, got columns of categories",
        "encode the categories in a ColumnTransformer and train with `categorical_features=None`",
    ),
    "text beside numbers": (
        SimpleImputer(strategy="most_frequent").fit(MIXED),
        MIXED,
        "`SimpleImputer`: expected columns of one type, got text and numbers together",
        "send each column to its own transformer with a ColumnTransformer",
    ),
    "an empty column": (
        SimpleImputer().fit(np.c_[X, np.full(80, np.nan)]),
        np.c_[X, np.full(80, np.nan)],
        "`SimpleImputer`: expected a value for each column, got a column without any value in training",
        "drop the empty column before training",
    ),
    "an output's name": (
        Ridge().fit(pd.DataFrame({"prediction": X[:, 0]}), Y),
        pd.DataFrame({"prediction": X[:, 0]}),
        "sample column `prediction`: expected another name than an output has",
        "leave what is to be predicted out of the sample, or rename the column",
    ),
    "other columns": (
        Ridge().fit(X, Y),
        X[:, :2],
        (
            "sample: expected rows that `Ridge` answers, got ValueError: X has 2 features, but Ridge is expecting 3 "
            "features as input."
        ),
        "give rows as the model was trained on",
    ),
}


@pytest.mark.filterwarnings("ignore:Skipping features without any observed values")
@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_packaged_is_refused_with_the_reason(kind: str, tmp_path: Path) -> None:
    model, sample, message, hint = REFUSED[kind]
    assert refusal(tmp_path, model, sample) == (message, hint)


def test_a_graph_that_fails_on_the_sample_is_refused(tmp_path: Path) -> None:
    model = RadiusNeighborsClassifier(radius=5.0).fit(X, Y)
    message, _ = refusal(tmp_path, model, X)
    assert message.startswith("model: expected a graph that answers the sample, got model: expected an answer, got ")


def test_expected_outputs_beside_the_original_are_refused(tmp_path: Path) -> None:
    message, hint = refusal(tmp_path, Ridge().fit(X, Y), X, expected={"prediction": Y})
    assert message == "expected outputs: expected none beside the trained model, which answers itself, got some"
    assert hint is None


FRAME = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2]})
SAMPLES: dict[str, tuple[Any, str]] = {
    "one row as a list": ([1.0, 2.0, 3.0], "sample: expected rows and columns, got shape [3]"),
    "no rows": (X[:0], "sample: expected rows and columns, got shape [0, 3]"),
    "no rows of a frame": (FRAME[:0], "sample: expected rows and columns, got shape [0, 3]"),
    "ragged": ([[1.0], [1.0, 2.0]], "sample: expected rows of one length, got rows of different lengths"),
    "sparse": (sparse.csr_array(X), "sample: expected a dense array, got a sparse one"),
    "records": (
        [{"a": 1.0}],
        "sample: expected a pandas data frame or an array, got a list of records or columns",
    ),
    "columns": ({"a": X}, "sample: expected a pandas data frame or an array, got a dict of records or columns"),
    "complex": (X.astype(complex), "sample: expected numbers or text, got complex128"),
    "dates": (X.astype("datetime64[s]"), "sample: expected numbers or text, got datetime64[s]"),
    "unsigned": (np.full((2, 3), 2**63 + 1, np.uint64), "sample: expected numbers or text, got uint64"),
    "objects": (
        X.astype(object),
        "sample: expected an array of numbers or of text, got float among objects",
    ),
    "infinity": (
        np.where(np.arange(240).reshape(80, 3) == 13, np.inf, X),
        "sample `X`: expected finite numbers, got inf at [4, 1]",
    ),
    "infinity in a column": (
        FRAME.assign(b=np.where(np.arange(80) == 7, -np.inf, 1.0)),
        "sample `b`: expected finite numbers, got -inf at row 7",
    ),
    "numbered columns": (
        pd.DataFrame(X),
        "sample: expected each column to have a name of its own, got `0`",
    ),
    "twice": (
        pd.concat([FRAME[["a"]], FRAME[["a"]]], axis=1),
        "sample: expected each column to have a name of its own, got `a`",
    ),
    "a date": (
        FRAME.assign(b=pd.Timestamp("2020-01-01")),
        "sample column `b`: expected numbers, booleans or text, got datetime64[us]",
    ),
    "mixed": (
        FRAME.assign(b=[1, "x"] * 40),
        "sample column `b`: expected numbers, booleans or text, got int among objects",
    ),
    "None beside NaN": (
        FRAME.assign(b=pd.Series(["x", None] * 40, dtype=object), c=pd.Series(["x", np.nan] * 40, dtype=object)),
        "sample: expected one kind of missing text, got NoneType and float",
    ),
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_sample_that_is_none_is_refused_with_what_it_is(kind: str, tmp_path: Path) -> None:
    sample, expected = SAMPLES[kind]
    message, _ = refusal(tmp_path, Ridge().fit(X, Y), sample)
    assert message == expected


def test_tables_of_other_libraries_are_refused_with_the_way_to_pandas(tmp_path: Path) -> None:
    import polars as pl  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    for table, library in ((pl.DataFrame({"a": [1.0]}), "polars"), (pa.table({"a": [1.0]}), "pyarrow")):
        message, hint = refusal(tmp_path, Ridge().fit(X, Y), table)
        assert message == f"sample: expected a pandas data frame or an array, got a table of {library}"
        assert hint == "give `sample.to_pandas()`"


def test_float32_is_refused_where_it_cannot_hold_the_sample(tmp_path: Path) -> None:
    model = StandardScaler().fit(X * 1e50)
    message, hint = refusal(tmp_path, model, X * 1e50, contract="float32")
    assert re.fullmatch(r"sample `X`: expected numbers that float32 holds, got -?\d.*e\+\d+", message)
    assert hint == "give them as float64 and ask for the contract float64"


def test_a_gaussian_process_fails_the_gate_in_float32_by_far(tmp_path: Path) -> None:
    rows = np.linspace(0, 1, 80).reshape(-1, 1)
    model = GaussianProcessRegressor(RBF(), optimizer=None).fit(rows, np.sin(rows[:, 0] * 9))
    single = rows.astype(np.float32)
    assert convert(model, rows, output=tmp_path / "double").report.contract == "float64"
    assert convert(model, single, output=tmp_path / "fallen").report.contract == "float64"
    with pytest.raises(ParityError) as refused:
        convert(model, single, output=tmp_path / "single", contract="float32")
    (prediction,) = refused.value.report.outputs
    assert (refused.value.report.contract, prediction.over_tolerance) == ("float32", prediction.rows)
    assert prediction.max_absolute > 1
    assert not (tmp_path / "single").exists()


def test_trees_of_rounded_data_behind_a_scaler_are_refused_in_float32(tmp_path: Path) -> None:
    rows = np.round(np.random.default_rng(2).normal(size=(500, 4)), 1)
    model = make_pipeline(StandardScaler(), RandomForestClassifier(20, random_state=0))
    model.fit(rows, (rows[:, 0] + rows[:, 1] > 0.3).astype(int))
    message = r"(?m)^model: expected the same answers from the graph, got others: "
    with pytest.raises(ParityError, match=message) as refused:
        convert(model, rows, output=tmp_path / "model", contract="float32")
    report = refused.value.report
    assert (report.verdict, report.contract) == ("failed", "float32")
    assert {rows.name for rows in report.row_sets if rows.over_tolerance} >= {"tree thresholds"}
    assert refused.value.hint is not None
    assert not (tmp_path / "model").exists()


def test_booleans_of_which_some_are_missing_are_refused_and_their_numbers_are_not(tmp_path: Path) -> None:
    frame = pd.DataFrame({"b": pd.array([True, None, False, True] * 20, dtype="boolean"), "x": np.arange(80.0)})
    model = make_pipeline(SimpleImputer(strategy="most_frequent"), Ridge())
    numbers = frame.astype({"b": "Float64"})
    message, hint = refusal(tmp_path, model.fit(numbers, frame["x"]), frame)
    assert message == "sample column `b`: expected a boolean in every row, got some missing"
    assert hint == 'train and score with `.astype("Float64")`: the wire has no missing boolean'
    made = convert(model, numbers, output=tmp_path / "numbers")
    assert load(made.path).score(numbers)["prediction"].shape == (80, 1)


def test_an_ensemble_around_a_column_transformer_is_told_to_stand_behind_it(tmp_path: Path) -> None:
    frame = pd.DataFrame({"city": ["Bern", "Genf", "Bern", "Basel"] * 20, "age": np.arange(80) * 0.5})
    target = np.arange(80) % 2
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["city"]), ("passthrough", ["age"]))
    around = CalibratedClassifierCV(make_pipeline(columns, LogisticRegression()), cv=2).fit(frame, target)
    message, hint = refusal(tmp_path, around, frame)
    assert message == "`CalibratedClassifierCV`: expected columns of one type, got text and numbers together"
    assert hint == "put the ColumnTransformer in front of it: `make_pipeline(columns, ensemble)`"
    behind = make_pipeline(columns, CalibratedClassifierCV(LogisticRegression(), cv=2)).fit(frame, target)
    assert convert(behind, frame, output=tmp_path / "behind").report.verdict == "passed"
