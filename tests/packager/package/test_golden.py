"""Golden samples are rows of every kind that was compared, on which both sides agree, with both their answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import onnx
import pandas as pd
import pytest
import tiny_models
from converting import candidate
from onnx import numpy_helper
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from modelport.packager import convert
from modelport.packager.package.golden import golden_samples
from modelport.packager.parity.measure import measure
from modelport.runtime import golden, load
from modelport.runtime.golden import same_bits
from modelport.runtime.package import samples as samples_file

if TYPE_CHECKING:
    from pathlib import Path

    from modelport.packager.parity.measure import Measurement
    from modelport.runtime.package import Samples

rng = np.random.default_rng(12)
FRAME = pd.DataFrame(
    {
        "city": rng.choice(np.array(["Bern", "Basel", "Genève", None], object), 150),
        "age": np.where(rng.random(150) < 0.2, np.nan, np.round(rng.uniform(18, 80, 150), 1)),
        "visits": rng.integers(0, 9, 150),
    }
)
LATE = np.where(FRAME["visits"] + rng.normal(size=150) > 4, "late", "on time")
X = np.round(rng.normal(size=(150, 3)), 2)


@pytest.fixture(scope="module")
def measured() -> Measurement:
    """Measure a model of text, numbers and integers, missing ones among them."""
    transform = ColumnTransformer(
        [
            ("age", make_pipeline(SimpleImputer(), StandardScaler()), ["age"]),
            ("city", OneHotEncoder(handle_unknown="ignore"), ["city"]),
            ("visits", "passthrough", ["visits"]),
        ]
    )
    model = make_pipeline(transform, RandomForestClassifier(5, random_state=0)).fit(FRAME, LATE)
    return measure(candidate(model, FRAME), "people")


def decoded(measured: Measurement) -> Samples:
    return samples_file.decode(golden_samples(measured), measured.signature)


def keys(arrays: dict[str, Any], null: str | None = None) -> list[tuple[str, ...]]:
    """Return every row as texts; a missing text is `null`."""
    columns = [array.reshape(len(array), -1).T.tolist() for array in arrays.values()]
    texts = [[str(null if value is None else value) for value in column] for part in columns for column in part]
    return list(zip(*texts, strict=True))


def test_every_kind_of_rows_gives_samples_and_the_sample_most(measured: Measurement) -> None:
    (inputs,) = decoded(measured).inputs
    null = next(spec.null for spec in measured.signature.inputs if spec.name == "city")
    order = [spec.name for spec in measured.signature.inputs]
    chosen = keys({name: inputs[name] for name in order}, null)
    start = 0
    for compared in measured.compared:
        wanted = 16 if compared.name == "sample" else 4
        known = set(keys({name: compared.rows[name] for name in order}, null))
        assert set(chosen[start : start + wanted]) <= known, compared.name
        start += wanted
    assert start == len(chosen)


def test_samples_hold_what_the_original_gives_and_the_bits_that_the_graph_gives(measured: Measurement) -> None:
    samples = decoded(measured)
    ((inputs,), (expected,), (recorded,)) = samples.inputs, samples.expected, samples.recorded
    frame = pd.DataFrame({name: inputs[name].ravel() for name in ("city", "age", "visits")})
    null = next(spec.null for spec in measured.signature.inputs if spec.name == "city")
    frame["city"] = [None if text == null else text for text in frame["city"]]
    answers = measured.candidate.reference.answer({name: frame[[name]].to_numpy() for name in frame})
    assert expected["label"].tolist() == answers["label"].tolist() == recorded["label"].tolist()
    np.testing.assert_array_equal(expected["probabilities"], answers["probabilities"])
    assert expected["probabilities"].dtype == np.float64
    again = measured.engine.run(inputs)
    for array, name in zip(again, ("label", "probabilities"), strict=True):
        assert same_bits(array, recorded[name])
    assert samples.tolerance == measured.tolerance
    assert samples.spread == {}


def test_rows_on_which_the_sides_differ_are_no_samples() -> None:
    made = candidate(GradientBoostingRegressor(n_estimators=3, random_state=0).fit(X, X[:, 0]), X)
    proto = onnx.load_from_string(made.model)
    attribute = next(a for node in proto.graph.node for a in node.attribute if a.name.startswith("target_weights"))
    weights = numpy_helper.to_array(attribute.t).copy() if attribute.t.dims else np.array(attribute.floats)
    weights[0] += 1
    if attribute.t.dims:
        attribute.t.CopyFrom(numpy_helper.from_array(weights, attribute.t.name))
    else:
        attribute.floats[:] = weights.tolist()
    measured = measure(msgspec.structs.replace(made, model=proto.SerializeToString()), "one leaf")
    assert all(rows.over_tolerance < rows.rows for rows in measured.report.row_sets)
    assert measured.report.outputs[0].over_tolerance > 0
    samples = decoded(measured)
    tolerance = measured.tolerance["prediction"]
    for expected, recorded in zip(samples.expected, samples.recorded, strict=True):
        allowed = tolerance.absolute + tolerance.relative * np.abs(expected["prediction"])
        assert (np.abs(expected["prediction"] - recorded["prediction"]) <= allowed).all()
    for compared in measured.compared[:2]:
        wrong = compared.comparisons(measured.tolerance)["prediction"].wrong
        assert wrong.any()
        (inputs,) = samples.inputs
        assert not set(keys({"X": compared.rows["X"][wrong].astype(np.float32)})) & set(keys(inputs))


def test_the_same_measurement_gives_the_same_bytes(measured: Measurement) -> None:
    assert golden_samples(measured) == golden_samples(measured)


def test_of_a_model_that_is_not_deterministic_the_values_that_it_gives_are_recorded(tmp_path: Path) -> None:
    proto = onnx.load(tiny_models.noisy(tmp_path / "noisy") / "model.onnx")
    convert(proto, {"x": np.full((8, 2), 3.0, np.float32)}, output=tmp_path / "package")
    scorer = load(tmp_path / "package")
    spread = scorer.samples.spread["y"]
    assert spread.lowest < spread.mean < spread.highest
    assert (spread.mean, spread.deviation) == (pytest.approx(3.0, abs=0.05), pytest.approx(0.1, rel=0.3))
    assert golden.check(scorer).verdict == "plausible"


def test_of_a_model_without_rows_whole_calls_are_samples(tmp_path: Path) -> None:
    proto = onnx.load(tiny_models.state(tmp_path / "state") / "model.onnx")
    measured = measure(candidate(proto, {"x": np.array([1, 2, 3.5], np.float32), "state": np.array(0.5)}), "state")
    samples = decoded(measured)
    assert [{name: array.tolist() for name, array in call.items()} for call in samples.inputs] == [
        {"x": [1.0, 2.0, 3.5], "state": 0.5}
    ]
    assert [(call["sum"].tolist(), call["last"].tolist()) for call in samples.recorded] == [(7.0, 3.5)]
    assert [(call["sum"].shape, call["last"].shape) for call in samples.expected] == [((), ())]
