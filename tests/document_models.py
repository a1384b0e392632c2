"""Models for documents: of every kind of input and output, and with columns called as parts of documents are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import table_models
import tiny_models
from onnx import TensorProto, helper

from modelport.packager.package import write_package
from modelport.runtime.signature import Signature, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def sums(path: Path, *names: str) -> Path:
    """Make a model of columns FP64 [-1, 1] called `names` -> `sum` FP64 [-1, 1]."""
    model = tiny_models._model(
        [helper.make_node("Sum", list(names), ["sum"])],
        [helper.make_tensor_value_info(name, TensorProto.DOUBLE, [None, 1]) for name in names],
        [helper.make_tensor_value_info("sum", TensorProto.DOUBLE, [None, 1])],
        {},
    )
    signature = Signature(
        inputs=tuple(TensorSpec(name=name, datatype="FP64", shape=(-1, 1)) for name in names),
        outputs=(TensorSpec(name="sum", datatype="FP64", shape=(-1, 1)),),
        rows_identical=True,
    )
    inputs: list[dict[str, Any]] = [{name: np.array([[1.0]]) for name in names}]
    return write_package(tiny_models.plan("sums", model, signature, inputs), path)


def whole(path: Path) -> Path:
    """`x` FP32 [-1] -> `total` FP32 [] and `x2` FP32 [-1]: no batch, and outputs of different shapes."""
    model = tiny_models._model(
        [helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0), helper.make_node("Add", ["x", "x"], ["x2"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None])],
        [
            helper.make_tensor_value_info("total", TensorProto.FLOAT, []),
            helper.make_tensor_value_info("x2", TensorProto.FLOAT, [None]),
        ],
        {},
    )
    signature = Signature(
        inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1,)),),
        outputs=(
            TensorSpec(name="total", datatype="FP32", shape=()),
            TensorSpec(name="x2", datatype="FP32", shape=(-1,)),
        ),
        batch="none",
    )
    return write_package(tiny_models.plan("whole", model, signature, [{"x": np.ones(3, np.float32)}]), path)


def quotients(path: Path) -> Path:
    """`a` and `b` FP32 [-1] -> `q` FP32 [-1] and `q2` FP32 [-1, 2]: a / b, which may be infinite or no number."""
    model = tiny_models._model(
        [
            helper.make_node("Div", ["a", "b"], ["q"]),
            helper.make_node("Unsqueeze", ["q", "axis"], ["one"]),
            helper.make_node("Concat", ["one", "one"], ["q2"], axis=1),
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]) for name in "ab"],
        [
            helper.make_tensor_value_info("q", TensorProto.FLOAT, [None]),
            helper.make_tensor_value_info("q2", TensorProto.FLOAT, [None, 2]),
        ],
        {"axis": np.array([1])},
    )
    signature = Signature(
        inputs=tuple(TensorSpec(name=name, datatype="FP32", shape=(-1,)) for name in "ab"),
        outputs=(
            TensorSpec(name="q", datatype="FP32", shape=(-1,)),
            TensorSpec(name="q2", datatype="FP32", shape=(-1, 2)),
        ),
        rows_identical=True,
    )
    inputs = [{name: np.ones(2, np.float32) for name in "ab"}]
    return write_package(tiny_models.plan("quotients", model, signature, inputs), path)


MODELS: dict[str, Callable[[Path], Path]] = {
    "linear": tiny_models.linear,
    "table": tiny_models.table,
    "fixed": tiny_models.fixed,
    "state": tiny_models.state,
    "fragile": tiny_models.fragile,
    "classifier": table_models.classifier,
    "lookup": table_models.lookup,
    "pair": table_models.pair,
    "ragged": table_models.ragged,
    "whole": whole,
    "quotients": quotients,
    "data": lambda path: sums(path, "data", "index"),
    "columns": lambda path: sums(path, "columns", "data"),
    "inputs": lambda path: sums(path, "inputs", "id"),
    "input_data": lambda path: sums(path, "input_data"),
}
