"""Packages with large weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tiny_models
from onnx import TensorProto, helper

from modelport.packager.package import write_package
from modelport.runtime.signature import Signature, TensorSpec

if TYPE_CHECKING:
    from pathlib import Path


def perceptron(path: Path, width: int, layers: int) -> Path:
    """`x` FP32 [-1, width] -> `y` FP32 [-1, width], through so many layers of `4 * width ** 2` bytes each."""
    rng = np.random.default_rng(0)
    nodes, constants, last = [], {}, "x"
    for number in range(layers):
        constants[f"w{number}"] = (rng.normal(size=(width, width)) / width**0.5).astype(np.float32)
        constants[f"b{number}"] = rng.normal(size=width).astype(np.float32)
        following = "y" if number == layers - 1 else f"y{number}"
        nodes.append(helper.make_node("Gemm", [last, f"w{number}", f"b{number}"], [f"h{number}"]))
        nodes.append(helper.make_node("Relu", [f"h{number}"], [following]))
        last = following
    model = tiny_models._model(
        nodes,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, width])],
        constants,
    )
    signature = Signature(
        inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, width)),),
        outputs=(TensorSpec(name="y", datatype="FP32", shape=(-1, width)),),
        rows_identical=False,
    )
    sample = {"x": rng.normal(size=(3, width)).astype(np.float32)}
    return write_package(tiny_models.plan("perceptron", model, signature, [sample]), path)
