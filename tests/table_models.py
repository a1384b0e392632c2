"""Tiny packages with the kinds of inputs and outputs that tables come in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper
from tiny_models import _model, plan

from modelport.packager.package import write_package
from modelport.runtime.signature import Signature, TensorSpec

if TYPE_CHECKING:
    from pathlib import Path


def classifier(path: Path) -> Path:
    """`X` FP32 [-1, 2] of features `age`, `income` -> `label` BYTES [-1] of no, yes; `probabilities` FP32 [-1, 2]."""
    model = _model(
        [
            helper.make_node("Gemm", ["X", "w"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["probabilities"]),
            helper.make_node("ArgMax", ["scores"], ["best"], axis=1, keepdims=0),
            helper.make_node("Gather", ["names", "best"], ["label"]),
        ],
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 2])],
        [
            helper.make_tensor_value_info("label", TensorProto.STRING, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2]),
        ],
        {"w": np.array([[0.3, -0.1], [0.7, 0.2]], np.float32), "names": np.array(["no", "yes"], object)},
    )
    signature = Signature(
        inputs=(TensorSpec(name="X", datatype="FP32", shape=(-1, 2), nullable=True, features=("age", "income")),),
        outputs=(
            TensorSpec(name="label", datatype="BYTES", shape=(-1,), labels=("no", "yes")),
            TensorSpec(name="probabilities", datatype="FP32", shape=(-1, 2), labels=("no", "yes")),
        ),
        rows_identical=True,
    )
    inputs = [{"X": np.array([[1, 2], [3, -4], [0.5, 0]], np.float32)}]
    return write_package(plan("classifier", model, signature, inputs), path)


def lookup(path: Path) -> Path:
    """`index` INT64 [-1] -> `value` FP32 [-1]: one of three values, where the engine fails on any other index."""
    model = _model(
        [helper.make_node("Gather", ["values", "index"], ["value"])],
        [helper.make_tensor_value_info("index", TensorProto.INT64, [None])],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, [None])],
        {"values": np.array([0.1, 0.2, np.inf], np.float32)},
    )
    signature = Signature(
        inputs=(TensorSpec(name="index", datatype="INT64", shape=(-1,)),),
        outputs=(TensorSpec(name="value", datatype="FP32", shape=(-1,)),),
        rows_identical=True,
    )
    return write_package(plan("lookup", model, signature, [{"index": np.array([0, 1])}]), path)


def pair(path: Path) -> Path:
    """`a` FP64 [-1, 2] and `b` BOOL [-1] -> `both` FP64 [-1, 2, 2], each `a` twice, and `not_b` BOOL [-1]."""
    model = _model(
        [
            helper.make_node("Unsqueeze", ["a", "axis"], ["one"]),
            helper.make_node("Concat", ["one", "one"], ["both"], axis=1),
            helper.make_node("Not", ["b"], ["not_b"]),
        ],
        [
            helper.make_tensor_value_info("a", TensorProto.DOUBLE, [None, 2]),
            helper.make_tensor_value_info("b", TensorProto.BOOL, [None]),
        ],
        [
            helper.make_tensor_value_info("both", TensorProto.DOUBLE, [None, 2, 2]),
            helper.make_tensor_value_info("not_b", TensorProto.BOOL, [None]),
        ],
        {"axis": np.array([1])},
    )
    signature = Signature(
        inputs=(
            TensorSpec(name="a", datatype="FP64", shape=(-1, 2)),
            TensorSpec(name="b", datatype="BOOL", shape=(-1,)),
        ),
        outputs=(
            TensorSpec(name="both", datatype="FP64", shape=(-1, 2, 2)),
            TensorSpec(name="not_b", datatype="BOOL", shape=(-1,)),
        ),
        rows_identical=True,
    )
    inputs = [{"a": np.array([[1.5, 2.5]]), "b": np.array([True])}]
    return write_package(plan("pair", model, signature, inputs), path)


def ragged(path: Path) -> Path:
    """`x` FP32 [-1, -1] -> `y` FP32 [-1, -1]: y = x, where all rows of a call have one length."""
    model = _model(
        [helper.make_node("Identity", ["x"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, None])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, None])],
        {},
    )
    signature = Signature(
        inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, -1)),),
        outputs=(TensorSpec(name="y", datatype="FP32", shape=(-1, -1)),),
        rows_identical=True,
    )
    return write_package(plan("ragged", model, signature, [{"x": np.ones((2, 3), np.float32)}]), path)
