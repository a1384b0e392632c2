"""From trained models to packages: what is converted, under which contract, and that it answers the same."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostRegressor,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import TunedThresholdClassifierCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from modelport.packager import convert
from modelport.packager.build import default_name
from modelport.packager.errors import ConversionError, ParityError
from modelport.runtime import load
from modelport.runtime.errors import InvalidInputError
from modelport.runtime.golden import check

if TYPE_CHECKING:
    from pathlib import Path

rng = np.random.default_rng(5)
X = np.round(rng.normal(size=(500, 5)), 2)
FRESH = np.round(rng.normal(size=(3000, 5)), 2)
TWO = (X[:, 0] + X[:, 1] * X[:, 2] > 0.3).astype(int)
THREE = np.array(["low", "mid", "high"])[np.clip(np.round(X[:, 0] + 1), 0, 2).astype(int)]
NUMBER = 3 * X[:, 0] + np.sin(X[:, 1])


def agree(model: Any, scored: dict[str, Any], rows: Any) -> None:
    """Assert that a package's answer is the model's: labels equal but for ties, numbers within 1e-5."""
    if "label" in scored:
        same = scored["label"] == model.predict(rows)
        if not same.all() and hasattr(model, "predict_proba"):
            ordered = np.sort(model.predict_proba(rows), axis=1)
            same |= ordered[:, -1] - ordered[:, -2] < 1e-6
        assert same.all()
    for name, method in (("probabilities", "predict_proba"), ("prediction", "predict"), ("transformed", "transform")):
        if name in scored:
            expected = np.asarray(getattr(model, method)(rows)).reshape(scored[name].shape)
            np.testing.assert_allclose(scored[name], expected, rtol=1e-5, atol=1e-5)


MODELS = {
    "logistic": (LogisticRegression(), TWO, "float32"),
    "logistic of words": (LogisticRegression(), THREE, "float32"),
    "forest": (RandomForestClassifier(10, random_state=0), THREE, "float32"),
    "boosting": (GradientBoostingClassifier(n_estimators=10, random_state=0), TWO, "float32"),
    "histograms": (HistGradientBoostingClassifier(max_iter=10), THREE, "float64"),
    "histograms of counts": (HistGradientBoostingRegressor(max_iter=10, loss="poisson"), np.exp(X[:, 0]), "float64"),
    "scaled forest": (make_pipeline(StandardScaler(), RandomForestClassifier(10, random_state=0)), TWO, "float64"),
    "scaled extra trees": (make_pipeline(MinMaxScaler(), ExtraTreesRegressor(10, random_state=0)), NUMBER, "float64"),
    "ridge": (Ridge(), NUMBER, "float32"),
    "bayes": (GaussianNB(), TWO, "float32"),
    "neighbours": (KNeighborsClassifier(), TWO, "float32"),
    "network": (MLPClassifier((8,), max_iter=30, random_state=0), THREE, "float32"),
    "vectors": (make_pipeline(StandardScaler(), SVC()), TWO, "float32"),
    "clusters": (KMeans(3, n_init=1, random_state=0), None, "float32"),
    "components": (PCA(2), None, "float32"),
    "outliers": (IsolationForest(n_estimators=10, random_state=0), None, "float32"),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", MODELS)
def test_a_model_gives_the_same_answers_as_a_package(kind: str, tmp_path: Path) -> None:
    model, target, contract = MODELS[kind]
    model.fit(X) if target is None else model.fit(X, target)
    made = convert(model, X, output=tmp_path / "model")
    assert (made.report.verdict, made.report.proof, made.report.contract) == ("passed", "trained", contract)
    scorer = load(tmp_path / "model", digest=made.digest)
    assert check(scorer).verdict == "identical"
    rows = FRESH if contract == "float64" else FRESH.astype(np.float32).astype(np.float64)
    agree(model, scorer.score(FRESH), rows)
    alone = [scorer.score(FRESH[i : i + 1]) for i in range(20)]
    for name, together in scorer.score(FRESH).items():
        assert np.concatenate([answer[name] for answer in alone]).tolist() == together[:20].tolist()


def test_an_array_gives_one_matrix_and_a_classifier_its_label_first(tmp_path: Path) -> None:
    made = convert(LogisticRegression().fit(X, THREE), X, output=tmp_path / "model")
    signature = made.plan.manifest.signature
    assert [(s.name, s.datatype, s.shape) for s in signature.inputs] == [("X", "FP32", (-1, 5))]
    assert [(s.name, s.datatype, s.shape) for s in signature.outputs] == [
        ("label", "BYTES", (-1,)),
        ("probabilities", "FP32", (-1, 3)),
    ]
    assert signature.outputs[1].labels == ("high", "low", "mid")
    assert (signature.batch, signature.rows_identical, made.plan.manifest.execution.pad) == ("rows", True, True)


def people(rows: int, missing: object = np.nan) -> pd.DataFrame:
    """Return a frame of text, floats, integers and booleans, with missing text and floats."""
    draw = np.random.default_rng(rows)
    city = draw.choice(np.array(["Bern", "Basel", "Genf", ""], object), rows)
    city[draw.random(rows) < 0.1] = missing
    return pd.DataFrame(
        {
            "city": pd.Series(city, dtype=object),
            "plan": draw.choice(["basic", "plus"], rows),
            "age": np.where(draw.random(rows) < 0.2, np.nan, np.round(draw.uniform(18, 80, rows), 1)),
            "visits": draw.integers(0, 30, rows),
            "member": draw.random(rows) < 0.4,
        }
    )


@pytest.mark.parametrize("missing", [np.nan, None], ids=["NaN", "None"])
@pytest.mark.parametrize("last", [LogisticRegression(max_iter=500), RandomForestClassifier(10, random_state=0)])
def test_columns_of_every_kind_and_their_missing_values_are_converted(last: Any, missing: Any, tmp_path: Path) -> None:
    frame, fresh = people(400, missing), people(1000, missing)
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    text = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="none", missing_values=missing),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )
    columns = ColumnTransformer(
        [("n", numbers, ["age", "visits"]), ("t", text, ["city"]), ("p", OrdinalEncoder(), ["plan"])],
        remainder="passthrough",
    )
    model = make_pipeline(columns, last).fit(frame, frame["visits"] > 14)
    made = convert(model, frame, output=tmp_path / "people")
    signature = made.plan.manifest.signature
    inputs = {spec.name: spec for spec in signature.inputs}
    assert {name: (s.shape, s.nullable) for name, s in inputs.items()} == {
        "city": ((-1, 1), True),
        "plan": ((-1, 1), False),
        "age": ((-1, 1), True),
        "visits": ((-1, 1), False),
        "member": ((-1, 1), False),
    }
    assert (inputs["plan"].categories, inputs["plan"].closed) == (("basic", "plus"), True)
    scorer = load(tmp_path / "people")
    rows = (
        fresh if made.report.contract == "float64" else fresh.assign(age=fresh["age"].astype(np.float32).astype(float))
    )
    agree(model, scorer.score(fresh), rows)
    message = 'input `plan`: expected one of 2 known categories, got "gold" at [0, 0]'
    with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$"):
        scorer.score(fresh.iloc[:1].assign(plan="gold"))


def test_trees_behind_a_scaler_need_float64_and_a_forced_float32_is_exact_for_rounded_rows_or_refused(
    tmp_path: Path,
) -> None:
    model = make_pipeline(StandardScaler(), RandomForestClassifier(30, random_state=0)).fit(X, TWO)
    with pytest.raises(ParityError) as refused:
        convert(model, X, output=tmp_path / "model", contract="float32")
    assert refused.value.report.verdict == "failed"
    assert not (tmp_path / "model").exists()
    made = convert(model, X, output=tmp_path / "model", contract="float32", accept_parity=True)
    assert made.report.verdict == "accepted"
    assert (made.plan.manifest.proof.passed, made.plan.manifest.proof.accepted) == (False, True)


WRONG = {
    "threshold": (TunedThresholdClassifierCV(LogisticRegression()), X, TWO),
    "weights": (KNeighborsClassifier(weights="distance"), X, TWO),
    "median": (AdaBoostRegressor(n_estimators=5, random_state=0), X, NUMBER),
}


@pytest.mark.parametrize("kind", WRONG)
def test_kinds_that_convert_silently_wrong_are_refused_with_the_remedy(kind: str, tmp_path: Path) -> None:
    model, rows, target = WRONG[kind]
    message = r"(?m)^`.*`: expected a conversion that answers the same, got "
    with pytest.raises(ConversionError, match=message) as refused:
        convert(model.fit(rows, target), rows, output=tmp_path / "model")
    assert refused.value.hint
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("vectorizer", [TfidfVectorizer(), CountVectorizer(), TfidfVectorizer(analyzer="char")])
def test_text_that_onnx_splits_otherwise_is_refused_with_the_remedy(vectorizer: Any, tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": ["don't panic", "a well-known café", "to be", "or not"] * 5})
    columns = ColumnTransformer([("words", vectorizer, "text")])
    model = make_pipeline(columns, LogisticRegression()).fit(frame, [0, 1, 0, 1] * 5)
    with pytest.raises(ConversionError) as refused:
        convert(model, frame, output=tmp_path / "model")
    assert "token_pattern='[a-zA-Z0-9_]+'" in (refused.value.hint or "")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_gaussian_process_is_float64_or_nothing(tmp_path: Path) -> None:
    model = GaussianProcessRegressor(RBF() + WhiteKernel(), normalize_y=True, random_state=0).fit(X[:100], NUMBER[:100])
    made = convert(model, X[:100], output=tmp_path / "model")
    assert made.report.contract == "float64"
    agree(model, load(tmp_path / "model").score(FRESH[:200]), FRESH[:200])


def test_the_same_model_gives_the_same_digest_and_the_original_is_not_touched(tmp_path: Path) -> None:
    frame = people(300)
    encode = ColumnTransformer([("t", OneHotEncoder(), ["city", "plan"]), ("n", SimpleImputer(), ["age"])])
    model = make_pipeline(encode, RandomForestClassifier(5, random_state=0)).fit(frame, frame["member"])
    before = [list(map(str, values)) for values in model[0].named_transformers_["t"].categories_]
    one = convert(model, frame, output=tmp_path / "one", name="people")
    two = convert(model, frame, output=tmp_path / "deep" / "two", name="people")
    assert one.digest == two.digest
    assert [list(map(str, values)) for values in model[0].named_transformers_["t"].categories_] == before


def test_an_estimator_that_was_never_fitted_is_refused(tmp_path: Path) -> None:
    message = "`LogisticRegression`: expected a fitted estimator, got one that was never fitted"
    with pytest.raises(ConversionError, match=f"(?m)^{re.escape(message)}$"):
        convert(LogisticRegression(), X, output=tmp_path / "model")


@pytest.mark.parametrize(
    ("model", "output", "name"),
    [
        ("models/churn.onnx", "out", "churn"),
        ("churn-2.1.joblib", "out", "churn-2.1"),
        ("train:model", "out/wine", "wine"),
        (LogisticRegression(), "wine", "wine"),
    ],
)
def test_a_package_is_named_after_the_models_file_or_else_its_own_folder(model: Any, output: str, name: str) -> None:
    assert default_name(model, output) == name


def test_a_file_whose_stem_is_no_name_wants_one() -> None:
    message = (
        "name: expected 1 to 128 letters, digits, `.`, `_`, `+` or `-`, the first a letter or digit, got `my model`"
    )
    with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$") as refused:
        default_name("my model.onnx", "out")
    assert refused.value.hint == "give the package a name: --name"


PROGRAM = """
import sys
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from modelport.packager import convert
frame = pd.DataFrame({"city": ["Bern", "Genf", "Bern", "Basel"] * 20, "age": np.arange(80) * 0.5})
columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["city"]), (SimpleImputer(), ["age"]))
model = make_pipeline(columns, LogisticRegression()).fit(frame, np.arange(80) % 2)
print(convert(model, frame, output=sys.argv[1], name="same").digest)
"""


def test_an_estimator_gives_the_same_digest_in_every_process(tmp_path: Path) -> None:
    """Seeds 0 and 4 once gave the operator sets in two orders."""
    digests = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM, tmp_path / seed],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for seed in ("0", "4", "77")
    }
    assert len(digests) == 1


def test_pandas_columns_with_missing_values_of_their_own_kind_are_converted(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": pd.array([1, 2, None, 4] * 50, dtype="Int64"), "b": np.arange(200.0)})
    for model in (DecisionTreeClassifier(max_depth=2), HistGradientBoostingClassifier(max_iter=3)):
        fitted = model.fit(frame, np.arange(200) % 2)
        assert convert(fitted, frame, output=tmp_path / type(model).__name__).report.verdict == "passed"


def test_many_rows_at_once_have_the_bits_of_a_few(tmp_path: Path) -> None:
    """ONNX Runtime's softmax goes another way from some thousand rows on."""
    x = np.random.default_rng(3).normal(size=(500, 20)) * 3
    model = LogisticRegression().fit(x, x[:, :3].argmax(axis=1))
    scorer = load(convert(model, x, output=tmp_path / "package").path)
    assert scorer.signature.rows_identical
    rows = np.random.default_rng(4).normal(size=(8192, 20)) * 3
    whole = scorer.score(rows)["probabilities"]
    for start in range(0, 8192, 512):
        assert scorer.score(rows[start : start + 7])["probabilities"].tobytes() == whole[start : start + 7].tobytes()


def test_a_float32_sample_that_is_too_coarse_is_told_so(tmp_path: Path) -> None:
    rows = np.round(np.random.default_rng(2).normal(size=(500, 4)), 1)
    model = make_pipeline(StandardScaler(), RandomForestClassifier(8, random_state=0))
    model.fit(rows, (rows[:, 0] + rows[:, 1] > 0.3).astype(int))
    with pytest.raises(ParityError) as refused:
        convert(model, rows.astype(np.float32), output=tmp_path / "single")
    assert refused.value.hint is not None
    assert refused.value.hint.startswith("numbers that float32 holds may be too coarse: give the sample as float64; ")
    assert convert(model, rows, output=tmp_path / "double").report.verdict == "passed"


def test_a_sample_of_a_few_rows_is_said_to_show_little(tmp_path: Path) -> None:
    x = np.random.default_rng(3).normal(size=(200, 2))
    model = LogisticRegression().fit(x, x[:, 0] > 0)
    note = (
        "the sample has 3 rows: ranges, categories and splits that it does not show are not compared; give 20 or more"
    )
    assert note in convert(model, x[:3], output=tmp_path / "few").report.notes
    assert convert(model, x, output=tmp_path / "many").report.notes == ()


def test_what_came_of_another_contract_is_noted(tmp_path: Path) -> None:
    rows = np.linspace(0, 1, 80, dtype=np.float32).reshape(-1, 1)
    model = GaussianProcessRegressor(RBF(), optimizer=None).fit(rows, np.sin(rows[:, 0] * 9))
    report = convert(model, rows, output=tmp_path / "package").report
    assert report.contract == "float64"
    assert [note.startswith("another contract was tried: float32: `prediction`: ") for note in report.notes] == [True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"contract": "float16"}, "contract: expected float32 or float64, got `float16`"),
        ({"threads": 0}, "threads: expected 1 to 1024, got 0"),
    ],
)
def test_options_that_cannot_be_are_named(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConversionError, match=f"^{re.escape(message)}$"):
        convert(LogisticRegression(), np.zeros((2, 1)), output=tmp_path / "package", **options)
    assert not (tmp_path / "package").exists()
