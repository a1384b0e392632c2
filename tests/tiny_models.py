"""Tiny real ONNX models, and packages of them, for tests that need no training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from modelport.packager.package import PackagePlan, plan_package, write_package
from modelport.runtime import cpu
from modelport.runtime.engines import EngineRequest, open_engine
from modelport.runtime.package import Execution, Producer, Proof, Requirements, Samples, Spread, Tolerance
from modelport.runtime.package import samples as samples_file
from modelport.runtime.scorer import GraphRunner
from modelport.runtime.signature import Signature, TensorSpec

if TYPE_CHECKING:
    from pathlib import Path


def _model(nodes: list, inputs: list, outputs: list, constants: dict) -> bytes:
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, initializers)
    opsets = [helper.make_opsetid("", 21)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


def plan(
    name: str,
    model: bytes,
    signature: Signature,
    inputs: list[dict],
    *,
    pad: bool = False,
    external: dict | None = None,
    spread: dict[str, Spread] | None = None,
) -> PackagePlan:
    """Plan a package of `model`, its samples scored by ONNX Runtime; with `spread` it is not deterministic."""
    execution = Execution(pad=pad)
    request = EngineRequest(
        model=model, outputs=tuple(spec.name for spec in signature.outputs), external_data=external or {}
    )
    runner = GraphRunner(open_engine(request), signature, execution)
    outputs = [runner.run(call) for call in inputs]
    tolerance = {spec.name: Tolerance(1e-6, 1e-6) for spec in signature.outputs}
    samples = Samples(inputs, outputs, outputs, tolerance, spread or {})
    files = {
        "model.onnx": ("model", model),
        "samples.npz": ("samples", samples_file.encode(samples, signature)),
        **{file: ("external-data", data) for file, data in (external or {}).items()},
    }
    return plan_package(
        name=name,
        version="1",
        signature=signature,
        contract="float32",
        execution=execution,
        deterministic=not spread,
        cpu=cpu.fingerprint(),
        proof=Proof(kind="self", passed=True, rows=len(inputs)),
        producer=Producer(framework="onnx", model="tiny", versions={}),
        requires=Requirements(onnxruntime="1.30", ir_version=10, opsets={"": 21}),
        files=files,
    )


def linear(path: Path, *, nullable: bool = False, seed: int = 7) -> Path:
    """`x` FP32 [-1, 4] -> `y` FP32 [-1, 3]: y = x @ W + b, a row alone is padded. W and b are drawn with `seed`."""
    rng = np.random.default_rng(seed)
    model = _model(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3])],
        {"w": rng.normal(size=(4, 3)).astype(np.float32), "b": rng.normal(size=3).astype(np.float32)},
    )
    signature = Signature(
        inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 4), nullable=nullable),),
        outputs=(TensorSpec(name="y", datatype="FP32", shape=(-1, 3)),),
        rows_identical=True,
    )
    inputs = [{"x": rng.normal(size=(5, 4)).astype(np.float32)}]
    return write_package(plan("linear", model, signature, inputs, pad=True), path)


def table(path: Path) -> Path:
    """Columns `amount` FP64 nullable, `count` INT64, `city` BYTES nullable, [-1, 1] -> `total` FP64, `town` BYTES."""
    model = _model(
        [
            helper.make_node("Cast", ["count"], ["count64"], to=TensorProto.DOUBLE),
            helper.make_node("Add", ["amount", "count64"], ["total"]),
            helper.make_node("Identity", ["city"], ["town"]),
        ],
        [
            helper.make_tensor_value_info("amount", TensorProto.DOUBLE, [None, 1]),
            helper.make_tensor_value_info("count", TensorProto.INT64, [None, 1]),
            helper.make_tensor_value_info("city", TensorProto.STRING, [None, 1]),
        ],
        [
            helper.make_tensor_value_info("total", TensorProto.DOUBLE, [None, 1]),
            helper.make_tensor_value_info("town", TensorProto.STRING, [None, 1]),
        ],
        {},
    )
    signature = Signature(
        inputs=(
            TensorSpec(name="amount", datatype="FP64", shape=(-1, 1), nullable=True),
            TensorSpec(name="count", datatype="INT64", shape=(-1, 1)),
            TensorSpec(name="city", datatype="BYTES", shape=(-1, 1), nullable=True, null=""),
        ),
        outputs=(
            TensorSpec(name="total", datatype="FP64", shape=(-1, 1)),
            TensorSpec(name="town", datatype="BYTES", shape=(-1, 1)),
        ),
        rows_identical=True,
    )
    inputs = [
        {
            "amount": np.array([[0.1], [np.nan], [2.5]]),
            "count": np.array([[1], [2], [3]]),
            "city": np.array([["Bern"], ["Zürich"], [""]], object),
        }
    ]
    return write_package(plan("table", model, signature, inputs), path)


def external(path: Path) -> Path:
    """`x` FP32 [-1, 4] -> `y` FP32 [-1, 4]: y = x + c, with c in `weights.bin` beside the model."""
    constant = np.arange(4, dtype=np.float32)
    proto = onnx.load_from_string(
        _model(
            [helper.make_node("Add", ["x", "c"], ["y"])],
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 4])],
            {"c": constant},
        )
    )
    tensor = proto.graph.initializer[0]
    data = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "weights.bin", "offset": "0", "length": str(len(data))}.items():
        tensor.external_data.add(key=key, value=value)
    signature = Signature(
        inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 4)),),
        outputs=(TensorSpec(name="y", datatype="FP32", shape=(-1, 4)),),
        rows_identical=True,
    )
    inputs = [{"x": np.ones((3, 4), np.float32)}]
    made = plan("external", proto.SerializeToString(), signature, inputs, external={"weights.bin": data})
    return write_package(made, path)


def fixed(path: Path) -> Path:
    """`x` FP32 [4, 2] -> `y` FP32 [4, 2], each row less its batch's mean: a batch of four rows, no other."""
    model = _model(
        [helper.make_node("ReduceMean", ["x", "axes"], ["mean"]), helper.make_node("Sub", ["x", "mean"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 2])],
        {"axes": np.array([0])},
    )
    signature = Signature(
        inputs=(TensorSpec(name="x", datatype="FP32", shape=(4, 2)),),
        outputs=(TensorSpec(name="y", datatype="FP32", shape=(4, 2)),),
        batch="fixed:4",
    )
    inputs = [{"x": np.arange(8, dtype=np.float32).reshape(4, 2)}]
    return write_package(plan("fixed", model, signature, inputs), path)


def state(path: Path) -> Path:
    """`x` FP32 [-1] and `state` FP64 [] -> `sum` FP64 [], `last` FP32 []: no batch, a state goes in and out."""
    model = _model(
        [
            helper.make_node("Cast", ["x"], ["wide"], to=TensorProto.DOUBLE),
            helper.make_node("ReduceSum", ["wide"], ["total"], keepdims=0),
            helper.make_node("Add", ["total", "state"], ["sum"]),
            helper.make_node("Gather", ["x", "end"], ["last"]),
        ],
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [None]),
            helper.make_tensor_value_info("state", TensorProto.DOUBLE, []),
        ],
        [
            helper.make_tensor_value_info("sum", TensorProto.DOUBLE, []),
            helper.make_tensor_value_info("last", TensorProto.FLOAT, []),
        ],
        {"end": np.array(-1)},
    )
    signature = Signature(
        inputs=(
            TensorSpec(name="x", datatype="FP32", shape=(-1,)),
            TensorSpec(name="state", datatype="FP64", shape=()),
        ),
        outputs=(
            TensorSpec(name="sum", datatype="FP64", shape=()),
            TensorSpec(name="last", datatype="FP32", shape=()),
        ),
        batch="none",
    )
    inputs = [
        {"x": np.array([1, 2, 3], np.float32), "state": np.array(0.5)},
        {"x": np.array([4], np.float32), "state": np.array(6.5)},
    ]
    return write_package(plan("state", model, signature, inputs), path)


def noisy(path: Path, *, spread: Spread | None = None) -> Path:
    """`x` FP32 [-1, 2] -> `y` FP32 [-1, 2]: y = x plus noise of deviation 0.1. Not deterministic; the samples are 0."""
    model = _model(
        [
            helper.make_node("RandomNormalLike", ["x"], ["noise"], mean=0.0, scale=0.1),
            helper.make_node("Add", ["x", "noise"], ["y"]),
        ],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])],
        {},
    )
    signature = Signature(
        inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 2)),),
        outputs=(TensorSpec(name="y", datatype="FP32", shape=(-1, 2)),),
        rows_identical=False,
    )
    seen = {"y": spread or Spread(lowest=-0.3, highest=0.3, mean=0.0, deviation=0.1)}
    inputs = [{"x": np.zeros((4, 2), np.float32)}]
    return write_package(plan("noisy", model, signature, inputs, spread=seen), path)


def fragile(path: Path) -> Path:
    """`x` INT64 [-1, 1] -> `y` FP32 [-1, 1]: y = table[x] of 4 values; the engine fails on any other index."""
    model = _model(
        [helper.make_node("Gather", ["table", "x"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.INT64, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        {"table": np.array([0.5, 1.5, 2.5, 3.5], np.float32)},
    )
    signature = Signature(
        inputs=(TensorSpec(name="x", datatype="INT64", shape=(-1, 1)),),
        outputs=(TensorSpec(name="y", datatype="FP32", shape=(-1, 1)),),
        rows_identical=True,
    )
    return write_package(plan("fragile", model, signature, [{"x": np.array([[0], [3]])}]), path)
