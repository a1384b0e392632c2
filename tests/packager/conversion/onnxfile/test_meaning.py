"""What a ready model's inputs and outputs are taken for: rows, a fixed batch, whole calls, or a refusal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pandas as pd
import pytest
import tiny_models
from onnx import TensorProto, helper, numpy_helper

from modelport.packager import convert
from modelport.packager.errors import ConversionError
from modelport.runtime import load
from modelport.runtime.errors import InvalidInputError
from modelport.runtime.golden import check

if TYPE_CHECKING:
    from pathlib import Path

FLOAT, DOUBLE, INT64, TEXT = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.STRING


def tensor(name: str, element: int, *shape: int | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element, shape)


def graph(nodes: list, inputs: list, outputs: list, **constants: Any) -> onnx.ModelProto:
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    made = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(made, opset_imports=opsets, ir_version=10)


def identity(element: int, *shape: int | None) -> onnx.ModelProto:
    return graph(
        [helper.make_node("Identity", ["x"], ["y"])], [tensor("x", element, *shape)], [tensor("y", element, *shape)]
    )


def test_a_free_first_dimension_counts_rows(tmp_path: Path) -> None:
    made = convert(tiny_models.linear(tmp_path / "linear") / "model.onnx", output=tmp_path / "package")
    signature = made.plan.manifest.signature
    assert (signature.batch, signature.rows_identical) == ("rows", True)


@pytest.mark.parametrize("size", [1, 4])
def test_a_fixed_first_dimension_is_a_batch_of_just_that_size(size: int, tmp_path: Path) -> None:
    made = convert(identity(FLOAT, size, 2), output=tmp_path / "package")
    signature = made.plan.manifest.signature
    assert (signature.batch, signature.rows_identical) == (f"fixed:{size}", None)
    scorer = load(tmp_path / "package")
    whole = np.arange(size * 2, dtype=np.float32).reshape(size, 2)
    assert scorer.score(whole)["y"].tolist() == whole.tolist()
    message = f"input `x`: expected shape [{size}, 2], got [{size + 1}, 2]"
    with pytest.raises(InvalidInputError, match=f"(?m)^{re.escape(message)}$"):
        scorer.score(np.zeros((size + 1, 2), np.float32))


def test_a_fixed_batch_in_which_rows_meet_is_scored_whole(tmp_path: Path) -> None:
    convert(tiny_models.fixed(tmp_path / "fixed") / "model.onnx", output=tmp_path / "package")
    scored = load(tmp_path / "package").score(np.arange(8, dtype=np.float32).reshape(4, 2))
    assert scored["y"].tolist() == [[-3, -3], [-1, -1], [1, 1], [3, 3]]


def test_rows_that_answer_otherwise_among_others_are_no_rows(tmp_path: Path) -> None:
    nodes = [helper.make_node("ReduceMean", ["x", "axes"], ["m"]), helper.make_node("Sub", ["x", "m"], ["y"])]
    model = graph(nodes, [tensor("x", FLOAT, None, 2)], [tensor("y", FLOAT, None, 2)], axes=[0])
    made = convert(model, np.arange(6, dtype=np.float32).reshape(3, 2), output=tmp_path / "package")
    assert made.plan.manifest.signature.batch == "none"
    scored = load(tmp_path / "package").score(np.array([[0, 0], [2, 4]], np.float32))
    assert scored["y"].tolist() == [[-1, -2], [1, 2]]


def test_a_first_dimension_that_the_outputs_do_not_share_is_no_batch(tmp_path: Path) -> None:
    nodes = [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)]
    made = convert(graph(nodes, [tensor("x", FLOAT, 3)], [tensor("y", FLOAT)]), output=tmp_path / "package")
    assert made.plan.manifest.signature.batch == "none"
    assert load(tmp_path / "package").score(np.array([1, 2, 4], np.float32))["y"].tolist() == 7.0


@pytest.mark.parametrize("sample", [None, {"x": np.ones((1, 3), np.float32), "state": np.zeros(2, np.float32)}])
def test_a_model_with_a_state_is_scored_as_it_is(sample: Any, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ReduceSum", ["x", "axes"], ["total"], keepdims=0),
        helper.make_node("Add", ["state", "total"], ["next"]),
        helper.make_node("Identity", ["x"], ["y"]),
    ]
    inputs = [tensor("x", FLOAT, 1, 3), tensor("state", FLOAT, 2)]
    model = graph(nodes, inputs, [tensor("y", FLOAT, 1, 3), tensor("next", FLOAT, 2)], axes=[0, 1])
    made = convert(model, sample, output=tmp_path / "package")
    assert made.plan.manifest.signature.batch == "none"
    scorer = load(tmp_path / "package")
    assert check(scorer).verdict == "identical"
    state = np.array([1, 10], np.float32)
    for _ in range(2):
        state = scorer.score({"x": np.ones((1, 3), np.float32), "state": state})["next"]
    assert state.tolist() == [7, 16]


def test_an_input_with_a_default_is_not_asked_for(tmp_path: Path) -> None:
    inputs = [tensor("x", FLOAT, None, 2), tensor("c", FLOAT, 2)]
    nodes = [helper.make_node("Add", ["x", "c"], ["y"])]
    model = graph(nodes, inputs, [tensor("y", FLOAT, None, 2)], c=np.array([1, 2], np.float32))
    made = convert(model, output=tmp_path / "package")
    assert [spec.name for spec in made.plan.manifest.signature.inputs] == ["x"]
    assert load(tmp_path / "package").score(np.zeros((1, 2), np.float32))["y"].tolist() == [[1, 2]]


NAMES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "INT32": TensorProto.INT32,
    "INT64": INT64,
    "UINT64": TensorProto.UINT64,
    "FP16": TensorProto.FLOAT16,
    "FP64": DOUBLE,
}


@pytest.mark.parametrize("datatype", NAMES)
def test_every_datatype_of_the_protocol_can_be_drawn(datatype: str, tmp_path: Path) -> None:
    made = convert(identity(NAMES[datatype], None, 2), output=tmp_path / "package")
    assert made.plan.manifest.signature.inputs[0].datatype == datatype
    assert check(load(tmp_path / "package")).verdict == "identical"


def test_text_is_taken_from_the_sample(tmp_path: Path) -> None:
    made = convert(identity(TEXT, None, 1), pd.DataFrame({"x": ["Bern", "Zürich"]}), output=tmp_path / "package")
    assert made.plan.manifest.signature.batch == "rows"
    assert load(tmp_path / "package").score([{"x": "Genève"}])["y"].tolist() == [["Genève"]]


@pytest.mark.parametrize("missing", [False, True])
def test_a_float_input_may_be_missing_where_the_sample_shows_it(missing: bool, tmp_path: Path) -> None:
    rows = np.array([[1, np.nan if missing else 2], [3, 4]], np.float32)
    made = convert(identity(FLOAT, None, 2), rows, output=tmp_path / "package")
    assert made.plan.manifest.signature.inputs[0].nullable is missing
    scorer = load(tmp_path / "package")
    if missing:
        assert np.isnan(scorer.score(np.full((1, 2), np.nan, np.float32))["y"]).all()
    else:
        with pytest.raises(InvalidInputError, match=r"(?m)^input `x`: expected FP32, got NaN at \[0, 0\]$"):
            scorer.score(np.full((1, 2), np.nan, np.float32))


UNDRAWN = {
    "text": (identity(TEXT, None, 1), "input `x`: expected a sample, got none to draw text from"),
    "a free width": (
        identity(FLOAT, None, None),
        "input `x`: expected a sample, got free dimensions in [-1, -1]",
    ),
    "a free length": (
        graph(
            [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)], [tensor("x", FLOAT, None)], [tensor("y", FLOAT)]
        ),
        "input `x`: expected a sample, got free dimensions in [-1]",
    ),
}


@pytest.mark.parametrize("kind", UNDRAWN)
def test_what_cannot_be_drawn_is_asked_for(kind: str, tmp_path: Path) -> None:
    model, message = UNDRAWN[kind]
    with pytest.raises(ConversionError, match=f"(?m)^{re.escape(message)}$") as caught:
        convert(model, output=tmp_path / "package")
    assert caught.value.hint == "give --sample FILE"
    assert not (tmp_path / "package").exists()


A_MAP = helper.make_map_type_proto(INT64, helper.make_tensor_type_proto(FLOAT, []))
AN_OPTIONAL = helper.make_optional_type_proto(helper.make_tensor_type_proto(FLOAT, [None, 2]))
PLAIN = tensor("x", FLOAT, None, 2)
NO_TENSORS = {
    "a ZipMap": (
        graph(
            [helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])],
            [PLAIN],
            [helper.make_value_info("y", helper.make_sequence_type_proto(A_MAP))],
        ),
        r"`y`: expected a tensor, got an? sequence",
    ),
    "a sequence": (
        graph(
            [helper.make_node("SequenceConstruct", ["x"], ["y"])],
            [PLAIN],
            [helper.make_tensor_sequence_value_info("y", FLOAT, [None, 2])],
        ),
        r"`y`: expected a tensor, got an? sequence",
    ),
    "an optional": (
        graph([helper.make_node("Optional", ["x"], ["y"])], [PLAIN], [helper.make_value_info("y", AN_OPTIONAL)]),
        r"`y`: expected a tensor, got an? optional",
    ),
    "a map that goes in": (
        graph(
            [helper.make_node("CastMap", ["x"], ["y"], domain="ai.onnx.ml")],
            [helper.make_value_info("x", A_MAP)],
            [tensor("y", FLOAT, 1, None)],
        ),
        r"`x`: expected a tensor, got an? map",
    ),
}


@pytest.mark.parametrize("kind", NO_TENSORS)
def test_what_is_no_tensor_is_refused_with_the_remedy(kind: str, tmp_path: Path) -> None:
    model, message = NO_TENSORS[kind]
    with pytest.raises(ConversionError, match=f"(?m)^{message}$") as caught:
        convert(model, np.zeros((2, 2), np.float32), output=tmp_path / "package")
    assert "options={'zipmap': False}" in (caught.value.hint or "")
    assert "tensors" in (caught.value.hint or "")
    assert not (tmp_path / "package").exists()


def test_a_datatype_that_the_protocol_has_no_name_for_is_refused_with_the_remedy(tmp_path: Path) -> None:
    message = (
        "`x`: expected one of BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP16, FP32, FP64, BYTES, "
        "got BFLOAT16"
    )
    with pytest.raises(ConversionError, match=f"(?m)^{re.escape(message)}$") as caught:
        convert(identity(TensorProto.BFLOAT16, None, 2), output=tmp_path / "package")
    assert caught.value.hint == "cast it inside the model"


def test_a_model_without_inputs_is_refused(tmp_path: Path) -> None:
    model = graph([helper.make_node("Identity", ["c"], ["y"])], [], [tensor("y", INT64, 2)], c=[1, 2])
    with pytest.raises(ConversionError, match=r"(?m)^model: expected at least one input, got none$"):
        convert(model, output=tmp_path / "package")


MISFITS: dict[str, tuple[Any, str]] = {
    "another width": (np.zeros((2, 5)), "input `x`: expected shape [-1, 2], got [2, 5]"),
    "an infinity": (np.array([[1, np.inf]]), "input `x`: expected FP32, got Infinity at [0, 1]"),
    "text": (np.array([["a", "b"]]), "input `x`: expected FP32, got BYTES"),
    "no rows": (np.zeros((0, 2)), "sample: expected as many rows of each input, at least one, got 0 of `x`"),
    "another name": ({"z": np.zeros((2, 2))}, "input `x`: expected a column, got none of that name"),
}


@pytest.mark.parametrize("kind", MISFITS)
def test_a_sample_that_does_not_fit_is_refused(kind: str, tmp_path: Path) -> None:
    sample, message = MISFITS[kind]
    with pytest.raises((ConversionError, InvalidInputError), match=f"(?m)^{re.escape(message)}$"):
        convert(identity(FLOAT, None, 2), sample, output=tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_inputs_of_different_lengths_are_refused_naming_each(tmp_path: Path) -> None:
    inputs = [tensor("a", FLOAT, None, 1), tensor("b", FLOAT, None, 1)]
    model = graph([helper.make_node("Add", ["a", "b"], ["y"])], inputs, [tensor("y", FLOAT, None, 1)])
    message = "sample: expected as many rows of each input, at least one, got 3 of `a`, 2 of `b`"
    with pytest.raises(ConversionError, match=f"(?m)^{re.escape(message)}$"):
        convert(model, {"a": np.zeros(3), "b": np.zeros(2)}, output=tmp_path / "package")
