"""Tiny packages that answers tell apart: each adds a number of its own, under any name and version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import sealed
import tiny_models
from onnx import TensorProto, helper

from modelport.packager.package import write_package
from modelport.runtime.signature import Signature, TensorSpec

if TYPE_CHECKING:
    from pathlib import Path


def adding(path: Path, number: float, name: str = "adding", version: str = "1") -> Path:
    """`x` FP64 [-1] -> `y` FP64 [-1]: y = x + number."""
    model = tiny_models._model(
        [helper.make_node("Add", ["x", "c"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, [None])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, [None])],
        {"c": np.array(float(number))},
    )
    signature = Signature(
        inputs=(TensorSpec(name="x", datatype="FP64", shape=(-1,)),),
        outputs=(TensorSpec(name="y", datatype="FP64", shape=(-1,)),),
        rows_identical=True,
    )
    package = write_package(tiny_models.plan(name, model, signature, [{"x": np.array([1.0, 2.0])}]), path)
    sealed.seal(package, change=lambda manifest: manifest.update(version=version))
    return package
