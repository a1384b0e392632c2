"""The gate sees what is done to a graph: each sabotage of a candidate, small as it may be, must fail it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import numpy_helper
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from modelport.packager.conversion import converter_for
from modelport.packager.parity.measure import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from modelport.packager.conversion import Candidate
    from modelport.packager.parity.report import ParityReport

rng = np.random.default_rng(11)
ROWS = np.round(rng.normal(size=(400, 4)), 2)
LATE = (ROWS[:, 0] + ROWS[:, 1] ** 2 > 1).astype(int)
FRAME = pd.DataFrame(
    {
        "city": rng.choice(["Bern", "Basel", "Genf"], 400),
        "age": np.where(rng.random(400) < 0.2, np.nan, np.round(rng.uniform(18, 80, 400), 1)),
        "visits": rng.integers(0, 9, 400),
    }
)


def forest() -> tuple[Any, Any]:
    return RandomForestClassifier(5, random_state=0).fit(ROWS, LATE), ROWS


def scaled_trees() -> tuple[Any, Any]:
    model = make_pipeline(StandardScaler(), GradientBoostingRegressor(n_estimators=8, random_state=0))
    return model.fit(ROWS, ROWS[:, 0] * 3), ROWS


def histogram_trees() -> tuple[Any, Any]:
    rows = np.where(rng.random(ROWS.shape) < 0.1, np.nan, ROWS)
    return HistGradientBoostingClassifier(max_iter=8, random_state=0).fit(rows, LATE), rows


def columns() -> tuple[Any, Any]:
    transform = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["age", "visits"]),
            ("city", OneHotEncoder(handle_unknown="ignore"), ["city"]),
        ]
    )
    return make_pipeline(transform, LogisticRegression()).fit(FRAME, LATE), FRAME


def candidate(model: Any, sample: Any) -> Candidate:
    attempt = next(iter(converter_for(model).candidates(model, sample, None, None)))
    return attempt()


def verdict(made: Candidate, change: Callable[[onnx.ModelProto], None] | None = None) -> ParityReport:
    """Return the report on a candidate whose graph was changed."""
    if change is not None:
        proto = onnx.load_from_string(made.model)
        change(proto)
        assert proto.SerializeToString() != onnx.load_from_string(made.model).SerializeToString()
        made = msgspec.structs.replace(made, model=proto.SerializeToString(deterministic=True))
    return measure(made, "sabotaged").report


def attributes(proto: onnx.ModelProto) -> Iterator[onnx.AttributeProto]:
    return (
        attribute
        for node in proto.graph.node
        if node.op_type.startswith("TreeEnsemble")
        for attribute in node.attribute
    )


def named(proto: onnx.ModelProto, name: str) -> onnx.AttributeProto:
    """Return the trees' attribute `name`, in the form in which the graph has it."""
    return next(a for a in attributes(proto) if a.name in (name, f"{name}_as_tensor"))


def nudge(proto: onnx.ModelProto, name: str, position: int, step: Callable[[Any], Any]) -> None:
    """Change one number of the trees' attribute `name`."""
    attribute = named(proto, name)
    if attribute.type == onnx.AttributeProto.TENSOR:
        values = numpy_helper.to_array(attribute.t).copy()
        values[position] = step(values[position])
        attribute.t.CopyFrom(numpy_helper.from_array(values, attribute.t.name))
    else:
        attribute.floats[position] = step(np.float32(attribute.floats[position]))


def first_split(proto: onnx.ModelProto) -> int:
    """Return the number of the first tree's root, which every row passes."""
    modes = next(a for a in attributes(proto) if a.name == "nodes_modes").strings
    return next(i for i, mode in enumerate(modes) if mode != b"LEAF")


@pytest.mark.parametrize("make", [forest, scaled_trees, histogram_trees, columns])
def test_what_nobody_touched_passes(make: Callable[[], tuple[Any, Any]]) -> None:
    report = verdict(candidate(*make()))
    assert report.verdict == "passed", report.failures


@pytest.mark.parametrize("make", [forest, scaled_trees, histogram_trees])
@pytest.mark.parametrize("direction", [np.inf, -np.inf])
def test_a_threshold_moved_by_one_step_of_float32_is_seen(
    make: Callable[[], tuple[Any, Any]], direction: float
) -> None:
    def step(threshold: Any) -> Any:
        near = np.float32(threshold)
        below = near if near <= threshold else np.nextafter(near, np.float32(-np.inf))  # the last that goes left
        return np.nextafter(below, np.float32(direction))

    def move(proto: onnx.ModelProto) -> None:
        nudge(proto, "nodes_values", first_split(proto), step)

    report = verdict(candidate(*make()), move)
    assert report.verdict == "failed"
    assert next(rows for rows in report.row_sets if rows.name == "tree thresholds").over_tolerance > 0


def test_a_double_threshold_moved_by_one_step_of_float64_is_seen() -> None:
    def move(proto: onnx.ModelProto) -> None:
        assert named(proto, "nodes_values").t.data_type == onnx.TensorProto.DOUBLE
        nudge(proto, "nodes_values", first_split(proto), lambda x: np.nextafter(x, np.inf))

    assert verdict(candidate(*histogram_trees()), move).verdict == "failed"


@pytest.mark.parametrize(
    ("make", "weights"),
    [(forest, "class_weights"), (scaled_trees, "target_weights"), (histogram_trees, "target_weights")],
)
def test_one_leaf_that_says_something_else_is_seen(make: Callable[[], tuple[Any, Any]], weights: str) -> None:
    made = candidate(*make())
    names = {attribute.name for attribute in attributes(onnx.load_from_string(made.model))}
    name = next(n for n in (weights, "target_weights", "class_weights") if n in names or f"{n}_as_tensor" in names)
    report = verdict(made, lambda proto: nudge(proto, name, 0, lambda x: x + np.float32(0.05)))
    assert report.verdict == "failed"


def test_missing_values_that_take_the_other_side_are_seen() -> None:
    def turn(proto: onnx.ModelProto) -> None:
        tracks = named(proto, "nodes_missing_value_tracks_true").ints
        split = first_split(proto)
        tracks[split] = 1 - tracks[split]

    report = verdict(candidate(*histogram_trees()), turn)
    assert report.verdict == "failed"


def test_another_fill_of_an_imputer_is_seen() -> None:
    def fill(proto: onnx.ModelProto) -> None:
        where = next(node for node in proto.graph.node if node.op_type == "Where")
        tensor = next(t for t in proto.graph.initializer if t.name == where.input[1])
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + 1, tensor.name))

    assert verdict(candidate(*columns()), fill).verdict == "failed"


def test_two_categories_that_change_places_are_seen() -> None:
    def swap(proto: onnx.ModelProto) -> None:
        for node in proto.graph.node:
            for attribute in node.attribute:
                strings = list(attribute.strings)
                if b"Bern" in strings and b"Genf" in strings:
                    one, other = strings.index(b"Bern"), strings.index(b"Genf")
                    attribute.strings[one], attribute.strings[other] = strings[other], strings[one]

    assert verdict(candidate(*columns()), swap).verdict == "failed"


def test_a_label_of_its_own_is_counted_and_shown_as_a_witness() -> None:
    def swap(proto: onnx.ModelProto) -> None:
        for tensor in proto.graph.initializer:
            values = numpy_helper.to_array(tensor)
            if values.dtype == np.int64 and values.tolist() == [0, 1]:
                tensor.CopyFrom(numpy_helper.from_array(values[::-1].copy(), tensor.name))

    report = verdict(candidate(*forest()), swap)
    label = next(output for output in report.outputs if output.name == "label")
    assert report.verdict == "failed"
    assert label.mismatches == label.rows - label.ties
    assert report.witnesses[0].expected != report.witnesses[0].got
