"""A ready ONNX model goes into the package as it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
import tiny_models
from onnx import TensorProto, helper

from modelport.packager import convert
from modelport.packager.errors import ConversionError
from modelport.runtime import load
from modelport.runtime.errors import UnknownNameError
from modelport.runtime.golden import check

if TYPE_CHECKING:
    from pathlib import Path

ROWS = np.round(np.random.default_rng(3).normal(size=(40, 4)), 2).astype(np.float32)


def doubling(element: int, *, opset: int = 21, ir_version: int = 10) -> onnx.ModelProto:
    """`in:0` [batch, 2] -> `sum:0`, twice as much, and `same:0`, as much."""
    named = [helper.make_tensor_value_info(name, element, ["unk__6", 2]) for name in ("in:0", "sum:0", "same:0")]
    nodes = [
        helper.make_node("Add", ["in:0", "in:0"], ["sum:0"]),
        helper.make_node("Identity", ["in:0"], ["same:0"]),
    ]
    graph = helper.make_graph(nodes, "g", named[:1], named[1:])
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version, producer_name="by hand")


def test_inputs_and_outputs_keep_their_names_and_order(tmp_path: Path) -> None:
    made = convert(doubling(TensorProto.FLOAT), output=tmp_path / "package")
    signature = made.plan.manifest.signature
    assert [(spec.name, spec.datatype, spec.shape) for spec in signature.inputs] == [("in:0", "FP32", (-1, 2))]
    assert [(spec.name, spec.datatype, spec.shape) for spec in signature.outputs] == [
        ("sum:0", "FP32", (-1, 2)),
        ("same:0", "FP32", (-1, 2)),
    ]
    scored = load(tmp_path / "package").score({"in:0": ROWS[:, :2]})
    assert list(scored) == ["sum:0", "same:0"]
    assert scored["sum:0"].tolist() == (ROWS[:, :2] * 2).tolist()


def test_the_file_is_packaged_byte_by_byte_and_scores_as_onnx_runtime_does(tmp_path: Path) -> None:
    path = tiny_models.linear(tmp_path / "linear") / "model.onnx"
    made = convert(path, ROWS, output=tmp_path / "package")
    assert (tmp_path / "package" / "model.onnx").read_bytes() == path.read_bytes()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    (expected,) = onnxruntime.InferenceSession(path, options).run(None, {"x": ROWS})
    scorer = load(tmp_path / "package", digest=made.digest)
    assert scorer.score(ROWS)["y"].tobytes() == expected.tobytes()
    assert check(scorer).verdict == "identical"


def test_a_model_in_memory_becomes_the_package_that_its_file_becomes(tmp_path: Path) -> None:
    model = doubling(TensorProto.FLOAT)
    onnx.save(model, tmp_path / "doubling.onnx")
    of_file = convert(tmp_path / "doubling.onnx", output=tmp_path / "one")
    of_object = convert(model, output=tmp_path / "two", name="doubling")
    assert of_file.plan.manifest.name == "doubling"
    assert of_file.digest == of_object.digest


def test_who_made_the_model_and_what_it_needs_is_recorded(tmp_path: Path) -> None:
    manifest = convert(doubling(TensorProto.FLOAT), output=tmp_path / "package").plan.manifest
    assert (manifest.producer.framework, manifest.producer.model) == ("onnx", "by hand")
    assert {"modelport", "numpy", "onnx", "onnxruntime"} <= set(manifest.producer.versions)
    assert (manifest.requires.ir_version, manifest.requires.opsets) == (10, {"": 21})


@pytest.mark.parametrize(
    ("opset", "ir_version", "first"), [(7, 3, "1.10"), (13, 10, "1.18"), (21, 8, "1.18"), (22, 10, "1.21")]
)
def test_the_oldest_runtime_is_the_one_that_knows_both_operators_and_format(
    opset: int, ir_version: int, first: str, tmp_path: Path
) -> None:
    model = doubling(TensorProto.FLOAT, opset=opset, ir_version=ir_version)
    requires = convert(model, output=tmp_path / "package").plan.manifest.requires
    assert (requires.onnxruntime, requires.ir_version, requires.opsets) == (first, ir_version, {"": opset})


@pytest.mark.parametrize(("element", "contract"), [(TensorProto.FLOAT, "float32"), (TensorProto.DOUBLE, "float64")])
def test_the_contract_is_what_the_inputs_carry(element: int, contract: str, tmp_path: Path) -> None:
    made = convert(doubling(element), output=tmp_path / "package")
    assert (made.plan.manifest.contract, made.report.contract) == (contract, contract)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_float64_model_is_exact_in_every_bit(batch: int, tmp_path: Path) -> None:
    convert(doubling(TensorProto.DOUBLE), output=tmp_path / "package")
    rows = np.random.default_rng(batch).normal(size=(batch, 2))
    assert load(tmp_path / "package").score(rows)["sum:0"].tolist() == (rows * 2).tolist()


@pytest.mark.parametrize(
    ("element", "has", "asked"), [(TensorProto.FLOAT, "float32", "float64"), (TensorProto.DOUBLE, "float64", "float32")]
)
def test_another_contract_than_the_inputs_carry_is_refused(element: int, has: str, asked: str, tmp_path: Path) -> None:
    message = f"contract: expected {has}, which the model's inputs carry, got {asked}"
    with pytest.raises(ConversionError, match=f"(?m)^{re.escape(message)}$") as caught:
        convert(doubling(element), output=tmp_path / "package", contract=asked)
    assert caught.value.hint == "leave the contract out"
    assert not (tmp_path / "package").exists()


def test_what_no_converter_takes_is_refused_naming_the_frameworks(tmp_path: Path) -> None:
    message = r"(?m)^model of type `builtins\.dict`: expected one of a framework with a converter \(.*onnx.*\)$"
    with pytest.raises(UnknownNameError, match=message):
        convert({}, output=tmp_path / "package")


def test_a_path_that_is_no_onnx_file_is_refused_with_the_remedy(tmp_path: Path) -> None:
    message = "model `model.joblib`: expected a model, or the path of an .onnx file, got another path"
    with pytest.raises(ConversionError, match=f"(?m)^{re.escape(message)}$") as caught:
        convert("model.joblib", output=tmp_path / "package")
    assert caught.value.hint == "load it first: `joblib.load(path)`"


def test_the_sample_that_is_drawn_is_the_same_every_time(tmp_path: Path) -> None:
    model = doubling(TensorProto.FLOAT)
    one = convert(model, output=tmp_path / "one", name="doubling")
    np.random.seed(1)  # noqa: NPY002  nobody's global generator matters
    two = convert(model, output=tmp_path / "two", name="doubling")
    assert one.digest == two.digest
    assert one.report.row_sets[0].rows > 100


def test_a_drawn_sample_says_nothing_about_features(tmp_path: Path) -> None:
    path = tiny_models.linear(tmp_path / "linear") / "model.onnx"
    drawn = convert(path, output=tmp_path / "drawn").plan.files["statistics.json"]
    given = convert(path, ROWS, output=tmp_path / "given").plan.files["statistics.json"]
    assert b'"rows":0' in drawn
    assert b'"rows":40' in given


def test_a_scalar_state_is_scored_as_it_is(tmp_path: Path) -> None:
    path = tiny_models.state(tmp_path / "state") / "model.onnx"
    sample = {"x": np.array([1, 2, 3], np.float32), "state": np.array(0.5)}
    made = convert(path, sample, output=tmp_path / "package")
    scorer = load(made.path)
    assert scorer.signature.batch == "none"
    assert check(scorer).verdict == "identical"
