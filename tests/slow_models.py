"""A tiny package that takes as long as its input says, or for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import sealed
import tiny_models
from onnx import TensorProto, helper

from modelport.packager.package import write_package
from modelport.runtime.signature import Signature, TensorSpec

if TYPE_CHECKING:
    from pathlib import Path

#: What no machine counts up to.
FOREVER: Final = 2**62
INFER: Final = "/v2/models/counting/infer"


def counting(path: Path, version: str = "1") -> Path:
    """`n` INT64 [-1, 1] -> `y` INT64 [-1, 1]: y = n from 0 up, reached by adding 1, in as many steps as the largest."""
    shape = [None, 1]
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["goes_on"], ["goes_on_too"]),
            helper.make_node("Add", ["before", "one"], ["more"]),
            helper.make_node("Min", ["more", "top"], ["after"]),
        ],
        "step",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.INT64, shape),
        ],
        [
            helper.make_tensor_value_info("goes_on_too", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.INT64, shape),
        ],
    )
    model = tiny_models._model(
        [
            helper.make_node("Max", ["n", "zero"], ["top"]),
            helper.make_node("ReduceMax", ["top"], ["steps"], keepdims=0),
            helper.make_node("Mul", ["top", "zero"], ["start"]),
            helper.make_node("Loop", ["steps", "", "start"], ["y"], body=body),
        ],
        [helper.make_tensor_value_info("n", TensorProto.INT64, shape)],
        [helper.make_tensor_value_info("y", TensorProto.INT64, shape)],
        {"zero": np.array([0]), "one": np.array([1])},
    )
    signature = Signature(
        inputs=(TensorSpec(name="n", datatype="INT64", shape=(-1, 1)),),
        outputs=(TensorSpec(name="y", datatype="INT64", shape=(-1, 1)),),
        rows_identical=True,
    )
    samples = [{"n": np.array([[0], [3]])}]
    package = write_package(tiny_models.plan("counting", model, signature, samples), path)
    sealed.seal(package, change=lambda manifest: manifest.update(version=version))
    return package


def request(steps: int, **parameters: object) -> dict[str, object]:
    """Return the inference request that counts so many steps."""
    tensor = {"name": "n", "shape": [1, 1], "datatype": "INT64", "data": [steps]}
    return {"inputs": [tensor], "parameters": parameters} if parameters else {"inputs": [tensor]}
