"""A candidate is measured on every kind of rows, judged by what differs, and gives one report in every process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pandas as pd
import pytest
import tiny_models
from converting import candidate
from onnx import numpy_helper
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder

from modelport.packager.conversion import converter_for
from modelport.packager.errors import ConversionError
from modelport.packager.parity.measure import measure
from modelport.runtime.scorer import CHUNK_ROWS

rng = np.random.default_rng(9)
X = np.round(rng.normal(size=(200, 3)), 2)
LABELS = (X[:, 0] + X[:, 1] > 0).astype(int)
FRAME = pd.DataFrame(
    {
        "city": rng.choice(["Bern", "Basel", "Genf"], 200),
        "age": np.where(rng.random(200) < 0.2, np.nan, np.round(rng.uniform(18, 80, 200), 1)),
    }
)


def columns() -> Any:
    """Return a candidate of text and numbers, with missing values and trees behind transformers."""
    transform = ColumnTransformer(
        [
            ("age", make_pipeline(SimpleImputer(), MinMaxScaler()), ["age"]),
            ("city", OneHotEncoder(handle_unknown="ignore"), ["city"]),
        ]
    )
    return candidate(make_pipeline(transform, RandomForestClassifier(4, random_state=0)).fit(FRAME, LABELS), FRAME)


def changed(made: Any, attribute: str, change: Any) -> Any:
    """Return a candidate in whose graph every attribute of that name was changed."""
    proto = onnx.load_from_string(made.model)
    found = [a for node in proto.graph.node for a in node.attribute if a.name == attribute]
    assert found
    for each in found:
        change(each)
    assert proto.SerializeToString() != onnx.load_from_string(made.model).SerializeToString()
    return msgspec.structs.replace(made, model=proto.SerializeToString())


def swap_classes(attribute: Any) -> None:
    attribute.ints[:] = attribute.ints[::-1]


def turn_missing(attribute: Any) -> None:
    attribute.ints[:] = [1 - side for side in attribute.ints]


def nudge_intercept(attribute: Any) -> None:
    attribute.floats[:] = [value + 1e-3 for value in attribute.floats]


def indifferent(offset: float) -> Any:
    """Return a candidate whose classes are as likely as each other but for `offset`."""
    model = LogisticRegression().fit(X, LABELS)
    model.coef_, model.intercept_ = np.zeros((1, 3)), np.array([offset])
    return candidate(model, X)


def test_every_kind_of_rows_is_compared_and_reported() -> None:
    report = measure(columns(), "people").report
    assert (report.verdict, report.failures, report.name, report.proof) == ("passed", (), "people", "trained")
    assert [rows.name for rows in report.row_sets] == [
        "sample",
        "columns shuffled",
        "random in the seen range",
        "rounded to 1 decimal",
        "rounded to 2 decimals",
        "exact zeros",
        "missing values",
        "unknown categories",
        "tree thresholds",
    ]
    assert report.row_sets[0].rows == len(FRAME)
    assert report.thresholds is not None
    assert report.row_sets[-1].rows == report.thresholds.rows
    assert [output.rows for output in report.outputs] == [report.rows] * 2


def test_what_was_found_out_goes_into_the_signature_and_the_execution() -> None:
    measured = measure(columns(), "people", threads=2)
    assert {spec.name: (spec.nullable, spec.closed) for spec in measured.signature.inputs} == {
        "city": (True, False),
        "age": (True, False),
    }
    assert measured.signature.rows_identical is True
    assert (measured.execution.threads, measured.engine.description) == (2, measured.report.engine)
    assert measured.tolerance["probabilities"].absolute == 1e-5
    assert measured.report.batches is not None
    assert measured.report.threads is not None
    assert (measured.report.batches.sizes, measured.report.threads.threads) == ((1, 2, 5, CHUNK_ROWS), 2)


def test_labels_of_classes_that_are_as_likely_may_differ_and_are_counted_apart() -> None:
    report = measure(changed(indifferent(1e-7), "classlabels_ints", swap_classes), "ties").report
    label, probabilities = report.outputs
    assert (report.verdict, label.mismatches, label.ties) == ("passed", 0, report.rows)
    assert probabilities.max_absolute < 1e-6
    assert sum(rows.ties for rows in report.row_sets) == report.rows
    assert (report.proof_summary.ties, report.proof_summary.label_mismatches) == (report.rows, 0)


def test_labels_of_classes_that_are_not_as_likely_may_not_differ() -> None:
    report = measure(changed(indifferent(1e-4), "classlabels_ints", swap_classes), "no ties").report
    count = f"{report.rows:,}"
    assert report.failures == (f"`label`: {count} of {count} labels differ (0 more are ties)",)
    assert report.verdict == "failed"
    assert sum(rows.label_mismatches for rows in report.row_sets) == report.rows
    assert {witness.output for witness in report.witnesses} == {"label"}


def test_numbers_that_are_off_are_counted_with_the_largest_difference() -> None:
    made = candidate(LinearRegression().fit(X, X[:, 0] * 2 + 1), X)
    report = measure(changed(made, "intercepts", nudge_intercept), "off").report
    (failure,) = report.failures
    count = f"{report.rows:,}"
    tolerance = f"{1e-5 * np.std(X[:, 0] * 2 + 1):.3g}"
    assert re.fullmatch(
        rf"`prediction`: {count} of {count} rows are off by more than "
        rf"{re.escape(tolerance)} \+ 1e-05 of the value, at most by 0\.001",
        failure,
    )
    assert sum(rows.over_tolerance for rows in report.row_sets) == report.rows
    assert all(abs(witness.difference - 1e-3) < 1e-5 for witness in report.witnesses)


def test_missing_values_that_the_graph_takes_otherwise_are_refused_where_the_sample_has_none() -> None:
    holes = np.where(rng.random(X.shape) < 0.1, np.nan, X)
    made = candidate(HistGradientBoostingClassifier(max_iter=3).fit(holes, LABELS), X)
    assert measure(made, "right").signature.inputs[0].nullable
    measured = measure(changed(made, "nodes_missing_value_tracks_true", turn_missing), "turned")
    note = "`X`: missing values are refused, since the original and the graph differ there"
    assert (measured.report.verdict, note in measured.report.notes) == ("passed", True)
    assert not measured.signature.inputs[0].nullable
    assert "missing values" not in [rows.name for rows in measured.report.row_sets]


def test_a_sample_that_the_original_refuses_is_refused_with_its_reason() -> None:
    made = candidate(LogisticRegression().fit(X, LABELS), X)
    holes = {"X": np.full((4, 3), np.nan)}
    message = (
        r"(?m)^sample: expected rows that the original answers, "
        r"got ValueError: Input X contains NaN\.$"
    )
    with pytest.raises(ConversionError, match=message) as refused:
        measure(msgspec.structs.replace(made, sample=holes), "holes")
    assert refused.value.hint == "give rows as the model was trained on"


def test_a_sample_that_float32_does_not_hold_is_refused_under_that_contract_only() -> None:
    rows = np.vstack([X, np.full((1, 3), 2e39)])
    model = RandomForestClassifier(2, random_state=0).fit(X, LABELS)
    message = r"(?m)^sample `X`: expected numbers that float32 holds, got 2e\+39$"
    with pytest.raises(ConversionError, match=message) as refused:
        measure(msgspec.structs.replace(candidate(model, X, "float32"), sample={"X": rows}), "large")
    assert refused.value.hint == "give them as float64 and ask for the contract float64"
    linear = LinearRegression().fit(X, LABELS)
    made = msgspec.structs.replace(candidate(linear, X, "float64"), sample={"X": rows})
    assert measure(made, "large").report.row_sets[0].rows == len(rows)


def test_outputs_that_change_from_call_to_call_cannot_fail(tmp_path: Path) -> None:
    proto = onnx.load(tiny_models.noisy(tmp_path / "package") / "model.onnx")
    measured = measure(candidate(proto, {"x": np.zeros((4, 2), np.float32)}), "noisy")
    assert (measured.report.verdict, measured.report.deterministic, measured.changing) == ("passed", False, {"y"})
    assert measured.report.outputs[0].over_tolerance > 0
    assert measured.report.notes == ("`y`: other values at each call; its samples check shapes and ranges",)


def test_of_a_ready_model_the_sample_alone_is_compared_whole_calls_one_by_one(tmp_path: Path) -> None:
    proto = onnx.load(tiny_models.state(tmp_path / "package") / "model.onnx")
    sample = {"x": np.array([1, 2, 3], np.float32), "state": np.array(0.5)}
    measured = measure(candidate(proto, sample), "state")
    assert [(rows.name, rows.rows) for rows in measured.report.row_sets] == [("sample", 1)]
    assert (measured.signature.batch, measured.signature.rows_identical, measured.report.batches) == (
        "none",
        None,
        None,
    )


def test_a_graph_whose_constant_is_another_than_the_expected_outputs_fails(tmp_path: Path) -> None:
    proto = onnx.load(tiny_models.linear(tmp_path / "package") / "model.onnx")
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    rows = rng.normal(size=(6, 4)).astype(np.float32)
    outputs = {"y": rows @ weights["w"] + weights["b"] + np.eye(6, 3, dtype=np.float32)}
    made = candidate_with(proto, rows, outputs)
    report = measure(made, "linear").report
    assert (report.proof, report.verdict, report.outputs[0].over_tolerance) == ("expected", "failed", 3)
    assert sorted(round(witness.difference, 4) for witness in report.witnesses) == [1.0] * 3


def candidate_with(proto: Any, rows: Any, outputs: dict[str, Any]) -> Any:
    """Return the candidate of a ready model with its expected outputs."""
    return next(iter(converter_for(proto).candidates(proto, {"x": rows}, None, outputs)))()


PROGRAM = """
import hashlib, importlib.util, sys
sys.path.insert(0, sys.argv[1])
spec = importlib.util.spec_from_file_location("these", sys.argv[2])
these = importlib.util.module_from_spec(spec)
spec.loader.exec_module(these)
from modelport.packager.package.golden import golden_samples
from modelport.runtime import strictjson
measured = these.measure(these.columns(), "people")
for made in (strictjson.canonical(measured.report), strictjson.canonical(measured.signature), golden_samples(measured)):
    print(hashlib.sha256(made).hexdigest())
for compared in measured.compared:
    values = repr([(name, array.dtype, array.tolist()) for name, array in compared.rows.items()])
    print(compared.name, hashlib.sha256(values.encode()).hexdigest())
"""


def test_one_model_has_one_report_and_the_same_rows_in_every_process() -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, Path(__file__).parents[2], __file__],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    printed = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert printed[0] == printed[1]
    assert len(printed[0].splitlines()) == 12
